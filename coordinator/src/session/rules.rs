//! What a table's rows must obey: CHECK and, where they are declared later, NOT NULL and keys (those of
//! new rows are looked for in `unique`). Rows are asked with queries of our own.

use std::sync::Arc;

use datafusion::{
    common::{DFSchema, tree_node::TreeNode},
    logical_expr::{Expr, ExprSchemable, LogicalPlan},
    scalar::ScalarValue,
};
use kestrel_planner::{
    bind::{bind_constant, bind_query},
    catalog::{Catalog, Segment, SqlType, TableDef, sequence_of},
    ddl::RowCheck,
    error::report,
    functions::assign_to,
    motion::Motion,
    plan::Plan,
    slice::Slice,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    ClientSession,
    ddl::contains_nulls,
    insert::{default_expr, mismatch},
    own_query::own_query,
};

impl ClientSession {
    /// No new row may make a CHECK constraint false: 23514.
    pub(super) async fn check_new_rows(
        &mut self,
        table: &TableDef,
        segments: &[Segment],
    ) -> Result<()> {
        if table.checks.is_empty() {
            return Ok(());
        }
        let view = self.transaction.view(&self.engine);
        let only_new = with_table(&view, table.id, |table| {
            table.segments = segments.iter().cloned().map(Arc::new).collect();
        });
        self.check_conditions(table, &only_new).await
    }

    /// The same for rows that databases hold: all are looked at, since which are new only they know.
    pub(super) async fn check_shard_rows(&mut self, table: &TableDef) -> Result<()> {
        if table.checks.is_empty() {
            return Ok(());
        }
        let view = self.transaction.view(&self.engine);
        self.check_conditions(table, &view).await
    }

    /// No row that is in this snapshot makes a CHECK constraint of the table false.
    async fn check_conditions(&mut self, table: &TableDef, view: &Arc<Catalog>) -> Result<()> {
        let texts: Vec<_> = table.columns.iter().map(|c| shown(&c.name, c.sql_type)).collect();
        for check in &table.checks {
            let sql = format!(
                "SELECT {} FROM {} WHERE NOT ({}\n) LIMIT 1",
                texts.join(", "),
                qualified(table),
                check.condition
            );
            let Some(row) = self.first_row(&sql, view).await? else { continue };
            let message = format!(
                "new row for relation \"{}\" violates check constraint \"{}\"",
                table.name, check.name
            );
            return Err(broken(SqlState::CHECK_VIOLATION, message, table, &check.name)
                .detail(format!("Failing row contains ({row}).")));
        }
        Ok(())
    }

    /// The conditions of a table's CHECK constraints must mean something.
    pub(super) fn check_meaning(&mut self, table: u64) -> Result<()> {
        let view = self.transaction.view(&self.engine);
        let Some(table) = view.table_by_id(table) else { return Ok(()) };
        for check in &table.checks {
            let sql = format!("SELECT ({}\n) FROM {}", check.condition, qualified(table));
            let query = own_query(&sql)?;
            let bound = bind_query(&query, &self.bind_context(&view, None), &[])
                .map_err(|error| ErrorReport { position: None, ..error })?;
            if has_aggregate(&bound.plan) {
                let message = "aggregate functions are not allowed in check constraints";
                return Err(ErrorReport::new(SqlState::GROUPING_ERROR, message));
            }
            let field = bound.plan.schema().field(0);
            let found = SqlType::of_field(field);
            if found != Some(SqlType::Boolean) && !field.data_type().is_null() {
                let found = found.map_or_else(|| field.data_type().to_string(), |t| t.to_string());
                let message = format!("argument of CHECK must be type boolean, not type {found}");
                return Err(ErrorReport::new(SqlState::DATATYPE_MISMATCH, message));
            }
        }
        Ok(())
    }

    /// New defaults must be values that their columns can take (PostgreSQL's `cookDefault`,
    /// catalog/heap.c).
    pub(super) fn check_defaults(
        &self,
        table: &TableDef,
        before: Option<&TableDef>,
        view: &Arc<Catalog>,
    ) -> Result<()> {
        for column in &table.columns {
            let old = before.and_then(|before| before.column_by_id(column.id));
            let is_new = old.is_none_or(|old| old.default != column.default);
            let default = column.default.as_deref().filter(|default| {
                // A sequence's values are checked where its name is looked up.
                is_new && sequence_of(default).is_none()
            });
            let Some(default) = default else { continue };
            let expr = bind_constant(default_expr(default)?, &self.bind_context(view, None))
                .map_err(in_default)?;
            let is_aggregate = |e: &Expr| Ok(matches!(e, Expr::AggregateFunction(_)));
            if expr.exists(is_aggregate).map_err(report)? {
                let message = "aggregate functions are not allowed in DEFAULT expressions";
                return Err(ErrorReport::new(SqlState::GROUPING_ERROR, message));
            }
            let from = expr.get_type(&DFSchema::empty()).map_err(report)?;
            assign_to(expr, &from, column.sql_type)
                .map_err(|error| mismatch(error, column, &from, "default expression"))?;
        }
        Ok(())
    }

    /// What a DDL statement has declared must be true of the rows that are there.
    pub(super) async fn check_rows(&mut self, check: &RowCheck) -> Result<()> {
        let view = self.transaction.newest_view(&self.engine).await?;
        let find = |id: u64| view.table_by_id(id).map(Arc::clone);
        if let Some(table) = find(check.table()) {
            self.transaction.note_checked(&self.engine, table);
        }
        let on_shards = find(check.table()).is_some_and(|table| table.is_on_shards());
        match check {
            // The databases have refused what breaks it.
            RowCheck::NotNull { .. } | RowCheck::Unique { .. } if on_shards => Ok(()),
            RowCheck::NotNull { table, column } => {
                let Some(table) = find(*table) else { return Ok(()) };
                let Some(column) = table.column_by_id(*column) else { return Ok(()) };
                // While it is asked about, the column may have NULLs.
                let view = with_table(&view, table.id, |table| {
                    let columns = table.columns.iter_mut().filter(|c| c.id == column.id);
                    columns.for_each(|c| c.not_null = false);
                });
                let (from, name) = (qualified(&table), quoted(&column.name));
                let sql = format!("SELECT 1 FROM {from} WHERE {name} IS NULL LIMIT 1");
                match self.first_row(&sql, &view).await? {
                    Some(_) => Err(contains_nulls(&column.name, &table.name)),
                    None => Ok(()),
                }
            }
            RowCheck::Partition { table, is_new } => match find(*table) {
                Some(table) => self.check_partition(&table, *is_new, &view).await,
                None => Ok(()),
            },
            RowCheck::Check { table, check } => {
                let Some(table) = find(*table) else { return Ok(()) };
                let Some(check) = table.checks.iter().find(|c| c.id == *check) else {
                    return Ok(());
                };
                let (from, condition) = (qualified(&table), &check.condition);
                let sql = format!("SELECT 1 FROM {from} WHERE NOT ({condition}\n) LIMIT 1");
                if self.first_row(&sql, &view).await?.is_none() {
                    return Ok(());
                }
                let message = format!(
                    "check constraint \"{}\" of relation \"{}\" is violated by some row",
                    check.name, table.name
                );
                Err(broken(SqlState::CHECK_VIOLATION, message, &table, &check.name))
            }
            RowCheck::Unique { table, key } => {
                let Some(table) = find(*table) else { return Ok(()) };
                self.lock_for_writing(&table).await?;
                let Some(key) = table.unique_sets().find(|k| k.id == *key) else { return Ok(()) };
                let view = self.transaction.newest_view(&self.engine).await?;
                let Some(double) = self.double(&table, key, &view).await? else { return Ok(()) };
                let message = format!("could not create unique index \"{}\"", key.name);
                Err(broken(SqlState::UNIQUE_VIOLATION, message, &table, &key.name)
                    .detail(format!("Key {double} is duplicated.")))
            }
        }
    }

    /// The texts of the first row of a query of our own, comma-separated.
    async fn first_row(&mut self, sql: &str, view: &Arc<Catalog>) -> Result<Option<String>> {
        let query = own_query(sql)?;
        let bound = bind_query(&query, &self.bind_context(view, None), &[])?;
        let plan = self.plan(&bound.plan, view).await?;
        self.first_row_of(&plan, view).await
    }

    /// The same of a query which each datanode answers from its own rows: only those of its snapshot
    /// are asked, if no rows move. All others are in `all`.
    pub(super) async fn first_row_alone(
        &mut self,
        query: &LogicalPlan,
        view: &Arc<Catalog>,
        all: &Catalog,
    ) -> Result<Option<String>> {
        let plan = self.plan(query, view).await?;
        let stays = |slice: &Slice| matches!(slice.motion(), None | Some(Motion::Gather { .. }));
        if plan.slices.iter().all(stays) {
            return self.first_row_of(&plan, view).await;
        }
        let mut view = Arc::clone(view);
        Arc::make_mut(&mut view).datanodes.clone_from(&all.datanodes);
        let plan = self.plan(query, &view).await?;
        self.first_row_of(&plan, &view).await
    }

    async fn first_row_of(&mut self, plan: &Plan, view: &Arc<Catalog>) -> Result<Option<String>> {
        let environment = self.environment(view, self.cancel.clone());
        let running = crate::query::run(&self.engine, plan, &environment).await?;
        let (batches, _) = running.collect().await?;
        let Some(batch) = batches.iter().find(|b| b.num_rows() > 0) else { return Ok(None) };
        let texts = batch.columns().iter().map(|column| {
            ScalarValue::try_from_array(column, 0).map(|v| v.to_string()).map_err(report)
        });
        Ok(Some(texts.collect::<Result<Vec<_>>>()?.join(", ")))
    }
}

/// A default is bound without columns: what is not found would be one. Positions would be those in
/// a statement of our own.
fn in_default(error: ErrorReport) -> ErrorReport {
    if error.sqlstate == SqlState::UNDEFINED_COLUMN {
        return ErrorReport::unsupported("cannot use column reference in DEFAULT expression");
    }
    ErrorReport { position: None, ..error }
}

/// Rows do not obey a constraint of their table.
pub(super) fn broken(
    state: SqlState,
    message: String,
    table: &TableDef,
    constraint: &str,
) -> ErrorReport {
    ErrorReport::new(state, message)
        .about_constraint(&table.name, constraint)
        .in_schema(&table.schema_name)
}

/// The snapshot with another definition of one table.
pub(super) fn with_table(
    view: &Catalog,
    id: u64,
    edit: impl FnOnce(&mut TableDef),
) -> Arc<Catalog> {
    let mut catalog = view.clone();
    if let Some(table) = catalog.tables.values_mut().find(|table| table.id == id) {
        edit(Arc::make_mut(table));
    }
    Arc::new(catalog)
}

pub(super) fn has_aggregate(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Aggregate(_) | LogicalPlan::Window(_))
        || plan.inputs().into_iter().any(has_aggregate)
}

/// A column as the detail of an error shows it.
pub(super) fn shown(name: &str, sql_type: SqlType) -> String {
    let name = quoted(name);
    match sql_type {
        SqlType::Boolean => {
            format!("CASE WHEN {name} THEN 't' WHEN NOT {name} THEN 'f' ELSE 'null' END")
        }
        _ => format!("COALESCE({name}::text, 'null')"),
    }
}

pub(super) fn qualified(table: &TableDef) -> String {
    format!("{}.{}", quoted(&table.schema_name), quoted(&table.name))
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
