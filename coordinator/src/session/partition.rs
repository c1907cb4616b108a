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
        let parent = partition.parent_id().and_then(|id| view.table_by_id(id));
        let Some(parent) = parent.filter(|_| !partition.is_surely_empty()) else { return Ok(()) };
        let partitions: Vec<_> = view.partitions_of(parent.id).into_iter().cloned().collect();
        let own = partitions.iter().position(|table| table.id == partition.id);
        let router = PartitionRouter::new(parent, &partitions)?;
        let names: Vec<_> = parent.partition_columns().iter().map(|c| quote(&c.name)).collect();
        let (schema, table) = (quote(&partition.schema_name), quote(&partition.name));
        let sql = format!("SELECT {} FROM {schema}.{table}", names.join(", "));
        let bound = bind_query(&own_query(&sql)?, &self.bind_context(view, None), &[])?;
        let plan = self.plan(&bound.plan, view).await?;
        let environment = self.environment(view, self.cancel.clone());
        let mut rows = crate::query::run(&self.engine.cluster, &plan, &environment).await?;
        while let Some(batch) = rows.next().await {
            let routed = router.route_key(batch?.columns())?;
            if routed.into_iter().any(|partition| partition != own) {
                return Err(violated(partition, is_new));
            }
        }
        Ok(())
    }
}

/// Whether new values of these columns (positions in the table) may take rows to another partition, or
/// out of theirs.
pub(super) fn is_routed(table: &TableDef, targets: &[usize], view: &Catalog) -> bool {
    if table.partitioned_by.is_some() {
        return true;
    }
    let Some(parent) = table.parent_id().and_then(|id| view.table_by_id(id)) else { return false };
    let key = parent.partition_columns();
    let mut assigned = targets.iter().filter_map(|at| table.columns.get(*at));
    assigned.any(|column| key.iter().any(|of_key| of_key.id == column.id))
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
