//! UPDATE and DELETE. Of tables in segments they are queries that find rows, new delete vectors, and
//! rows that are written ([`on_segments`]); where databases hold the rows, the databases' own
//! statements ([`on_shards`]).

mod change;
mod on_segments;
mod on_shards;
mod returned;

use std::sync::Arc;

use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    access,
    bind::{bind_query, locate, stated_parameter_types},
    catalog::{Found, Identity, SqlType, TableDef, find_relation, resolve_table},
    parse::WithQueries,
    plan::RowChangePlan,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    ClientSession, Outcome, Statement, describe::known_types, facts::plannable, unique::NewValues,
};
use crate::server::{Description, Parameter};

pub(super) use change::{Change, WithoutSchema};
use on_segments::assigned_in_place;
pub(super) use on_segments::{PlannedChange, by_datanodes, with_assigned, without_aliases};

impl ClientSession {
    /// UPDATE
    pub(super) async fn update(
        &mut self,
        update: &WithQueries<ast::Update>,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Outcome> {
        self.change_rows(Change::of_update(update)?, statement, parameters).await
    }

    /// DELETE
    pub(super) async fn delete(
        &mut self,
        delete: &WithQueries<ast::Delete>,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Outcome> {
        self.change_rows(Change::of_delete(delete)?, statement, parameters).await
    }

    /// The parameters of an UPDATE or DELETE, as far as it tells their types, and the columns of its
    /// RETURNING.
    pub(super) async fn description_of_change(
        &mut self,
        mut change: Change<'_>,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Description> {
        let parameters = self.change_parameters(&mut change, statement, types);
        let parameters = parameters.map_err(|error| locate(error, statement))?;
        let Some(clause) = change.returning() else {
            return Ok(Description { parameters, fields: None });
        };
        let table = self.changed_table(&change)?;
        let types = known_types(&parameters, types, Some(&change.query()?));
        self.description_of_returning(&clause, &table, statement, types).await
    }

    fn change_parameters(
        &mut self,
        change: &mut Change<'_>,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Vec<SqlType>> {
        let view = self.transaction.view(&self.engine);
        let table = self.changed_table(change)?;
        let targets = change.targets(&table)?;
        let targets: Vec<_> = targets.iter().map(|at| table.columns[*at].sql_type).collect();
        change.fill_defaults(&table)?;
        let query = change.query()?;
        let types = stated_parameter_types(&query, types, &targets);
        let context = self.bind_context(&view, Some(statement));
        bind_query(&plannable(&query), &context, &types)?.parameter_types()
    }

    async fn change_rows(
        &mut self,
        mut change: Change<'_>,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Outcome> {
        self.lock_target(&change.table_name()?).await?;
        let table = self.changed_table(&change)?;
        if !table.is_temporary() {
            self.check_writable(change.word())?;
        }
        if table.is_on_shards() {
            return self.change_on_shards(&mut change, &table, statement, parameters).await;
        }
        // Before anything is read: what was waited for is to be seen.
        let targets = change.targets(&table)?;
        let view = self.transaction.view(&self.engine);
        let assigned = assigned_in_place(&table, &targets, &view);
        let values = assigned.as_deref().map_or(NewValues::All, NewValues::Of);
        self.lock_for_changing(&table, values.may_double_in(&table)).await?;
        let planned = self.plan_row_change(&mut change, statement, parameters).await?;
        let (RowChangePlan::Distributed(plan) | RowChangePlan::Here(plan)) = &planned.plan;
        self.advise(plan, &planned.view, change.word());
        self.change_segments(planned, statement, parameters).await
    }

    pub(super) fn changed_table(&mut self, change: &Change<'_>) -> Result<Arc<TableDef>> {
        let name = change.table_name()?;
        let view = self.transaction.view(&self.engine);
        let search_path = self.search_path(&view);
        self.check_schema(name.schema.as_ref(), &view)?;
        if let Some(Found::View(view)) = find_relation(&view, &search_path, &name) {
            let verb = change.word().to_lowercase();
            let message = format!("cannot {verb} view \"{}\"", view.name);
            return Err(ErrorReport::unsupported(message));
        }
        Ok(Arc::clone(resolve_table(&view, &search_path, &name)?))
    }

    /// Errors: 42501; 428C9 for a value that only a sequence may give.
    pub(super) fn check_change(
        &self,
        change: &Change<'_>,
        table: &TableDef,
        targets: &[usize],
    ) -> Result<()> {
        let columns = targets.iter().filter_map(|at| table.columns.get(*at));
        let ids: Vec<_> = columns.clone().map(|column| column.id).collect();
        let authority = self.transaction.authority(&self.engine);
        let role = self.identity(&authority).current;
        access::check_table(table, &ids, change.privilege(), &authority, role)?;
        for column in columns {
            let is_always = column.identity == Some(Identity::Always);
            if is_always && !change.is_default(&column.name) {
                let message = format!("column \"{}\" can only be updated to DEFAULT", column.name);
                return Err(ErrorReport::new(SqlState::GENERATED_ALWAYS, message).detail(format!(
                    "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
                    column.name
                )));
            }
        }
        Ok(())
    }
}
