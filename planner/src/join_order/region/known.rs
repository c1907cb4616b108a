//! Whether enough is known of what a region reads to order its joins.

use std::sync::Arc;

use datafusion::physical_plan::{
    ExecutionPlan, recursive_query::RecursiveQueryExec, work_table::WorkTableExec,
};

use crate::{
    cardinality::TableFacts,
    operators::{FileScanExec, ShardScanExec},
};

/// So many rows change before a table is analyzed by itself: one that has no more may never be, and
/// is small whatever its columns hold.
const FEW_ROWS: f64 = 50.0;

/// Are all tables below analyzed, or small?
pub(super) fn is_known(plan: &Arc<dyn ExecutionPlan>, datanodes: usize) -> bool {
    is_enough_known(plan, datanodes)
        && plan.children().into_iter().all(|input| is_known(input, datanodes))
}

/// Of an operator itself. Nobody has counted a file's rows or a recursion's, nor those that databases got from
/// others.
fn is_enough_known(plan: &Arc<dyn ExecutionPlan>, datanodes: usize) -> bool {
    let is_uncounted =
        plan.is::<FileScanExec>() || plan.is::<WorkTableExec>() || plan.is::<RecursiveQueryExec>();
    match plan.downcast_ref::<ShardScanExec>() {
        Some(scan) => {
            let table = scan.table();
            let is_small =
                !table.is_on_shards() && TableFacts::counted(table, datanodes) <= FEW_ROWS;
            scan.is_analyzed() || is_small
        }
        None => !is_uncounted,
    }
}
