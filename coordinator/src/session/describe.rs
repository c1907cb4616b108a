//! What a statement's parameters and columns are, before it runs.

use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    bind::{locate, prepare_query},
    catalog::SqlType,
    parse::StatementKind,
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
        let Some(clause) = inserted_clause(insert)? else {
            return Ok(Description { parameters, fields: None });
        };
        let view = self.transaction.view(&self.engine);
        let (table, _) = self.insert_target(insert, &view)?;
        let parameters = (parameters, parameter_types);
        self.description_of_returning(&clause, &table, statement, parameters).await
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
