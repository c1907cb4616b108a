//! What a statement's parameters and columns are, before it runs.

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{self, Visitor};
use kestrel_planner::{
    bind::{locate, prepare_query},
    catalog::SqlType,
    parse::{StatementKind, Walk},
};
use kestrel_proto::Result;

use super::{
    ClientSession, OutputField, Statement, change_rows::Change, facts, returning::inserted_clause,
    select, shard_functions::ShardFunction, show,
};
use crate::server::{Description, Session};

impl ClientSession {
    /// The description of a statement. `parameter_types`: what the client says of them.
    pub(super) async fn description(
        &mut self,
        statement: &Statement,
        parameter_types: &[Option<SqlType>],
    ) -> Result<Description> {
        let one_text = |name: &str| OutputField {
            name: name.into(),
            sql_type: SqlType::Text,
            table_oid: 0,
            column_number: 0,
        };
        match &statement.kind {
            StatementKind::Query(query) => {
                self.description_of_query(query, statement, parameter_types).await
            }
            StatementKind::Insert(insert) => {
                self.description_of_insert(insert, statement, parameter_types).await
            }
            StatementKind::Update(update) => {
                let change = Change::of_update(update)?;
                self.description_of_change(change, statement, parameter_types).await
            }
            StatementKind::Delete(delete) => {
                let change = Change::of_delete(delete)?;
                self.description_of_change(change, statement, parameter_types).await
            }
            StatementKind::Merge(merge) => {
                let parameters = self.merge_parameters(merge, statement, parameter_types);
                let parameters = parameters.map_err(|error| locate(error, statement))?;
                Ok(Description { parameters, fields: None })
            }
            StatementKind::Explain(explain) => {
                let described = self.describe(&explain.statement, parameter_types).await?;
                let fields = Some(vec![one_text("QUERY PLAN")]);
                Ok(Description { parameters: described.parameters, fields })
            }
            StatementKind::Show(variable) => {
                let fields = Some(show::show_fields(variable));
                Ok(Description { parameters: Vec::new(), fields })
            }
            StatementKind::DeclareCursor(declare) => {
                // The rows are FETCH's.
                let described = self.describe(&declare.query, parameter_types).await?;
                Ok(Description { parameters: described.parameters, fields: None })
            }
            StatementKind::Fetch(fetch) if !fetch.only_moves => {
                Ok(Description { parameters: Vec::new(), fields: self.cursor_fields(&fetch.name) })
            }
            StatementKind::Execute(execute) => {
                let prepared = self.prepared.get(&execute.name);
                let fields = prepared.ok().and_then(|p| p.description.fields.clone());
                Ok(Description { parameters: Vec::new(), fields })
            }
            _ => Ok(Description::default()),
        }
    }

    async fn description_of_insert(
        &mut self,
        insert: &ast::Insert,
        statement: &Statement,
        parameter_types: &[Option<SqlType>],
    ) -> Result<Description> {
        let parameters = self.insert_parameters(insert, statement, parameter_types);
        let parameters = parameters.map_err(|error| locate(error, statement))?;
        let source = insert.source.as_deref();
        let mut types = known_types(&parameters, parameter_types, source);
        let mut parameters = parameters;
        if insert.on.is_some() {
            let of_conflict = self.conflict_parameters(insert, statement, types);
            parameters = of_conflict.map_err(|error| locate(error, statement))?;
            types = parameters.iter().copied().map(Some).collect();
        }
        let Some(clause) = inserted_clause(insert)? else {
            return Ok(Description { parameters, fields: None });
        };
        let view = self.transaction.view(&self.engine);
        let (table, _) = self.insert_target(insert, &view)?;
        self.description_of_returning(&clause, &table, statement, types).await
    }

    async fn description_of_query(
        &mut self,
        query: &ast::Query,
        statement: &Statement,
        parameter_types: &[Option<SqlType>],
    ) -> Result<Description> {
        if let Some(function) = ShardFunction::of(query) {
            let fields = Some(vec![function.field()]);
            return Ok(Description { parameters: Vec::new(), fields });
        }
        let located = |error| locate(error, statement);
        let view = self.transaction.view(&self.engine);
        let context = self.bind_context(&view, Some(statement));
        let bound =
            prepare_query(&facts::plannable(query), &context, parameter_types).map_err(located)?;
        let parameters = bound.parameter_types()?;
        let plan = self.plan_for_types(&bound.plan, &view, &parameters).await;
        let plan = plan.map_err(located)?;
        let fields = select::result_fields(&bound, &plan)?;
        Ok(Description { parameters, fields: Some(fields) })
    }
}

/// What is known of a statement's parameters when a part of it, `query`, is bound: of those that it
/// does not name the types may be what other parts say.
pub(super) fn known_types(
    parameters: &[SqlType],
    stated: &[Option<SqlType>],
    query: Option<&ast::Query>,
) -> Vec<Option<SqlType>> {
    let mut named = Named::default();
    if let Some(query) = query {
        // It does not break off.
        let _ = query.walk(&mut named);
    }
    let known = |at: usize| {
        let is_known = named.0.contains(&at) || stated.get(at).copied().flatten().is_some();
        parameters.get(at).copied().filter(|_| is_known)
    };
    (0..parameters.len().max(stated.len())).map(known).collect()
}

/// The parameters that occur, `$1` as 0.
#[derive(Default)]
struct Named(BTreeSet<usize>);

impl Visitor for Named {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Value(value) = expr
            && let ast::Value::Placeholder(name) = &value.value
            && let Some(number) = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok())
        {
            self.0.extend(number.checked_sub(1));
        }
        ControlFlow::Continue(())
    }
}
