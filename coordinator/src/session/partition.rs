//! Partitioned tables: the values in bounds, and rows that must be those of their partition.

use std::{cell::OnceCell, sync::Arc};

use datafusion::scalar::ScalarValue;
use kestrel_planner::{
    bind::bind_query,
    catalog::{Catalog, SqlType, TableDef},
    ddl::{self, DdlPlan},
    parse::{DdlStatement, quote},
    partition::PartitionRouter,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{ClientSession, own_query::own_query};
use crate::query::WrittenTable;

/// What a statement has written.
pub(super) type Written = Vec<WrittenTable>;

impl ClientSession {
    /// Plans DDL over a snapshot; what stands in partitions' bounds means what it means to the
    /// session.
    pub(super) fn plan_with_bounds(
        &self,
        statement: &DdlStatement,
        view: &Catalog,
        search_path: &[String],
    ) -> Result<DdlPlan> {
        let shared = OnceCell::new();
        let value = |expression: &str, sql_type: SqlType| {
            let view = shared.get_or_init(|| Arc::new(view.clone()));
            self.bound_value(expression, sql_type, view)
        };
        ddl::plan_with(statement, view, search_path, &value)
    }

    fn bound_value(
        &self,
        expression: &str,
        sql_type: SqlType,
        view: &Arc<Catalog>,
    ) -> Result<ScalarValue> {
        let unplaced = |error| ErrorReport { position: None, ..error };
        let query = own_query(&format!("SELECT ({expression}\n)::{sql_type}")).map_err(unplaced)?;
        let bound = bind_query(&query, &self.bind_context(view, None), &[]).map_err(|error| {
            if error.sqlstate == SqlState::UNDEFINED_COLUMN {
                let message = "cannot use column reference in partition bound expression";
                return ErrorReport::new(SqlState::INVALID_COLUMN_REFERENCE, message);
            }
            unplaced(error)
        })?;
        let context = self.plan_context(view)?;
        let value = self.engine.planner.constant(&bound.plan, &context).map_err(unplaced)?;
        value.cast_to(&sql_type.arrow()).map_err(kestrel_planner::error::report)
    }

    /// All rows of a partition are its own: each goes by the router.
    ///
    /// # Errors
    /// 23514.
    pub(super) async fn check_partition(
        &mut self,
        partition: &TableDef,
        is_new: bool,
        view: &Arc<Catalog>,
    ) -> Result<()> {
        let Some(partition) = view.table_by_id(partition.id) else { return Ok(()) };
        let Some(router) = PartitionRouter::of(partition, view)? else { return Ok(()) };
        for leaf in view.leaves_of(partition) {
            if leaf.is_surely_empty() || self.are_taken(&leaf, &router, view).await? {
                continue;
            }
            // As in PostgreSQL, which looks at a new partition's leaves one by one.
            return Err(violated(if is_new { &leaf } else { partition }, is_new));
        }
        Ok(())
    }

    /// Whether all rows of a table are where they would be routed to.
    async fn are_taken(
        &mut self,
        table: &TableDef,
        router: &PartitionRouter,
        view: &Arc<Catalog>,
    ) -> Result<bool> {
        let columns = router.key_columns().into_iter().filter_map(|at| table.columns.get(at));
        let names: Vec<_> = columns.map(|column| quote(&column.name)).collect();
        let (schema, table) = (quote(&table.schema_name), quote(&table.name));
        let sql = format!("SELECT {} FROM {schema}.{table}", names.join(", "));
        let bound = bind_query(&own_query(&sql)?, &self.bind_context(view, None), &[])?;
        let plan = self.plan(&bound.plan, view).await?;
        let environment = self.environment(view, self.cancel.clone());
        let mut rows = crate::query::run(&self.engine, &plan, &environment).await?;
        while let Some(batch) = rows.next().await {
            if !router.takes_all(batch?.columns())? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether new values of these columns (positions in the table) may take rows to another partition, or
/// out of theirs.
pub(super) fn is_routed(table: &TableDef, targets: &[usize], view: &Catalog) -> bool {
    if table.partitioned_by.is_some() {
        return true;
    }
    let above = view.partition_ancestors(table.id);
    let keys: Vec<_> = above.iter().flat_map(|above| above.partition_columns()).collect();
    let mut assigned = targets.iter().filter_map(|at| table.columns.get(*at));
    assigned.any(|column| keys.iter().any(|of_key| of_key.id == column.id))
}

fn violated(partition: &TableDef, is_new: bool) -> ErrorReport {
    let name = &partition.name;
    let message = match is_new {
        true => format!("partition constraint of relation \"{name}\" is violated by some row"),
        false => format!(
            "updated partition constraint for default partition \"{name}\" would be violated by \
             some row"
        ),
    };
    ErrorReport::new(SqlState::CHECK_VIOLATION, message)
}
