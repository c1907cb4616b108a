//! Statements that change the catalog.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::scalar::ScalarValue;
use kestrel_planner::{
    access,
    bind::bind_constant,
    catalog::{Catalog, CatalogChange, TableDef, sequence_of},
    codec::encode_value,
    ddl::{self, DdlPlan},
    error::report,
    parse::{CreateView, DdlStatement},
    shard_sql::Relation,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    ClientSession, NoticeSender, Outcome, Statement, insert::default_expr,
    redistribute::sets_distribution, select::output_fields,
};

impl ClientSession {
    /// DDL that runs no query.
    pub(super) async fn ddl(
        &mut self,
        statement: &DdlStatement,
        notices: &NoticeSender,
    ) -> Result<Outcome> {
        if sets_distribution(statement) {
            return self.set_distributed(statement, notices).await;
        }
        let planned = |session: &Self, view: &Catalog| session.plan_ddl(statement, view);
        let mut plan = self.plan_under_locks(planned).await?;
        let view = self.transaction.view(&self.engine);
        plan.notices.into_iter().for_each(|notice| notices.send(notice));
        self.sequences.absorb(&mut plan.changes)?;
        let mut with_conditions = Vec::new();
        let mut missing: BTreeMap<u64, BTreeMap<u32, String>> = BTreeMap::new();
        for change in &mut plan.changes {
            match change {
                CatalogChange::AlterTable { before, after } => {
                    self.check_defaults(after, Some(before), &view)?;
                    self.fill_missing(before, after, &view).await?;
                    // Partitions have in new columns what their table says.
                    if let Some(of_table) = after.parent_id().and_then(|id| missing.get(&id)) {
                        let is_new = |id: &u32| before.column_by_id(*id).is_none();
                        let new = of_table.iter().filter(|(id, _)| is_new(id));
                        after.missing_values.extend(new.map(|(id, v)| (*id, v.clone())));
                    }
                    if after.partitioned_by.is_some() {
                        missing.insert(after.id, after.missing_values.clone());
                    }
                    if before.checks != after.checks {
                        with_conditions.push(after.id);
                    }
                }
                CatalogChange::CreateTable(table) => {
                    self.check_defaults(table, None, &view)?;
                    if !table.checks.is_empty() {
                        with_conditions.push(table.id);
                    }
                }
                _ => {}
            }
        }
        self.change(plan.changes).await?;
        with_conditions.into_iter().try_for_each(|table| self.check_meaning(table))?;
        for check in &plan.row_checks {
            self.check_rows(check).await?;
        }
        Ok(Outcome::Done(plan.tag))
    }

    pub(super) fn plan_ddl(&self, statement: &DdlStatement, view: &Catalog) -> Result<DdlPlan> {
        let (search_path, identity) = (self.search_path(view), self.identity(view));
        let statement = ddl::with_named_owners(statement, view, identity);
        access::check_statement(&statement, view, &search_path, identity.current)?;
        let plan = self.plan_with_bounds(&statement, view, &search_path)?;
        // Before anything is told or looked at; once more when the changes are made.
        access::check_changes(&plan.changes, view, identity.current)?;
        self.check_writable(&plan.tag)?;
        Ok(plan)
    }

    /// CREATE VIEW
    pub(super) async fn create_view(
        &mut self,
        create: &CreateView,
        statement: &Statement,
        notices: &NoticeSender,
    ) -> Result<Outcome> {
        self.check_writable("CREATE VIEW")?;
        self.lock_ddl().await?;
        // As in PostgreSQL: who may not read what the view reads makes a view that cannot be read.
        let (bound, view) = self.bind_unchecked(&create.query, statement, &[])?;
        let plan = self.plan(&bound.plan, &view).await?;
        let columns: Vec<_> = output_fields(&bound, &plan)?
            .into_iter()
            .map(|field| (field.name, field.sql_type))
            .collect();
        let search_path = self.search_path(&view);
        self.check_schema(create.name.schema.as_ref(), &view)?;
        let plan = ddl::create_view(create, &columns, &bound.relations, &view, &search_path)?;
        self.transaction.change(&self.engine, plan.changes)?;
        plan.notices.into_iter().for_each(|notice| notices.send(notice));
        Ok(Outcome::Done(plan.tag))
    }

    /// What databases hold, they are asked for.
    async fn has_rows(&mut self, table: &TableDef, view: &Arc<Catalog>) -> Result<bool> {
        let Some(known) = view.table_by_id(table.id) else { return Ok(false) };
        if !known.is_on_shards() {
            return Ok(!known.is_surely_empty());
        }
        let sql = format!("SELECT EXISTS (SELECT FROM {})", Relation::of(known).quoted()?);
        Ok(self.value_of(&sql, view).await? != ScalarValue::Boolean(Some(false)))
    }

    /// What the rows that are there have in new columns: the default's value, now.
    async fn fill_missing(
        &mut self,
        before: &TableDef,
        after: &mut TableDef,
        view: &Arc<Catalog>,
    ) -> Result<()> {
        let has_rows = self.has_rows(before, view).await?;
        let new = after.columns.iter().filter(|c| before.column_by_id(c.id).is_none());
        let new: Vec<_> = new.cloned().collect();
        for column in new {
            let Some(default) = &column.default else { continue };
            let context = self.bind_context(view, None);
            let is_volatile = sequence_of(default).is_some()
                || bind_constant(default_expr(default)?, &context)?.is_volatile();
            if is_volatile && !has_rows {
                continue;
            }
            if is_volatile {
                let message = format!(
                    "adding column \"{}\" with another default for every row is not supported",
                    column.name
                );
                return Err(ErrorReport::unsupported(message).hint(
                    "Make a new table with CREATE TABLE ... AS SELECT ..., or add the column \
                     while the table is empty.",
                ));
            }
            let sql = format!("SELECT ({default})::{}", column.sql_type);
            let value = self.value_of(&sql, view).await?;
            if value.is_null() && column.not_null && has_rows {
                return Err(contains_nulls(&column.name, &after.name));
            }
            if !value.is_null() {
                let value = value.cast_to(&column.sql_type.arrow()).map_err(report)?;
                after.missing_values.insert(column.id, encode_value(&value)?);
            }
        }
        Ok(())
    }
}

/// A column that is to be NOT NULL has NULLs.
pub(super) fn contains_nulls(column: &str, table: &str) -> ErrorReport {
    let message = format!("column \"{column}\" of relation \"{table}\" contains null values");
    ErrorReport::new(SqlState::NOT_NULL_VIOLATION, message).about_column(table, column)
}
