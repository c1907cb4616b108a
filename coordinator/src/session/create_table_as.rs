//! CREATE TABLE … AS.

use std::sync::Arc;

use kestrel_planner::{
    bind::BoundQuery,
    catalog::Catalog,
    ddl,
    parse::{CreateTableAs, StatementKind, TableRows},
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio_util::sync::CancellationToken;

use super::{
    ClientSession, NoticeSender, Outcome, Statement, insert::all_columns, select::output_fields,
};

impl ClientSession {
    /// CREATE TABLE … AS.
    pub(super) async fn create_table_as(
        &mut self,
        create: &CreateTableAs,
        statement: &Statement,
        notices: &NoticeSender,
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        self.check_writable("CREATE TABLE AS")?;
        self.lock_ddl().await?;
        let (bound, view) = self.bind_rows(&create.rows, statement, cancel.clone()).await?;
        let plan = self.plan(&bound.plan, &view).await?;
        let columns: Vec<_> = output_fields(&bound, &plan)?
            .into_iter()
            .map(|field| (field.name, field.sql_type))
            .collect();
        let search_path = self.search_path(&view);
        self.check_schema(create.table.name.schema.as_ref(), &view)?;
        let ddl = ddl::create_table_as(create, &columns, &view, &search_path)?;
        let created = ddl.created_table().cloned();
        self.change(ddl.changes).await?;
        ddl.notices.iter().for_each(|notice| notices.send(notice.clone()));
        let Some(table) = created.filter(|_| create.with_data) else {
            return Ok(Outcome::Done(ddl.tag));
        };
        let view = self.transaction.view(&self.engine);
        let table = view.table(&table.schema_name, &table.name).cloned();
        let table = table.ok_or_else(|| ErrorReport::internal("the new table is not there"))?;
        let columns = all_columns(&table);
        let (target, text) = ((&table, columns.as_slice()), (statement.sql.as_str(), cancel));
        let rows = self.write_rows(bound.plan, target, None, &view, text).await?;
        Ok(Outcome::Done(format!("SELECT {rows}")))
    }

    /// Binds the query of CREATE TABLE … AS.
    pub(super) async fn bind_rows(
        &mut self,
        rows: &TableRows,
        statement: &Statement,
        cancel: CancellationToken,
    ) -> Result<(BoundQuery, Arc<Catalog>)> {
        let execute = match rows {
            TableRows::Query(query) => return self.bind(query, statement, &[]),
            TableRows::Execute(execute) => execute,
        };
        let executed = self.executed(execute, statement, &[], cancel).await?;
        let StatementKind::Query(query) = &executed.statement.kind else {
            let message = "prepared statement is not a SELECT";
            return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message));
        };
        self.bind(query, &executed.statement, &executed.parameters)
    }
}
