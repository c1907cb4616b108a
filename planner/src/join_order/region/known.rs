//! Whether enough is known of what a region reads to order its joins.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    common::Result,
    physical_plan::{
        ExecutionPlan, recursive_query::RecursiveQueryExec, work_table::WorkTableExec,
    },
};

use super::flatten::flatten;
use crate::{
    distribute::is_join,
    operators::{FileScanExec, ShardScanExec},
};

/// So many rows change before a table is analyzed by itself: one that has no more may never be, and
/// is small whatever its columns hold.
const FEW_ROWS: u64 = 50;

/// Are all tables below analyzed, or small? Nobody has counted a file's rows or a recursion's.
pub(super) fn is_known(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let is_uncounted =
        plan.is::<FileScanExec>() || plan.is::<WorkTableExec>() || plan.is::<RecursiveQueryExec>();
    let is_unknown = plan.downcast_ref::<ShardScanExec>().is_some_and(|scan| !is_known_scan(scan));
    !is_uncounted && !is_unknown && plan.children().into_iter().all(is_known)
}

fn is_known_scan(scan: &ShardScanExec) -> bool {
    scan.is_analyzed() || scan.table().size().0 <= FEW_ROWS
}

/// The tables, by schema and name, because of which joins stay in the order they were written in.
pub(crate) fn unknown_tables(plan: &Arc<dyn ExecutionPlan>) -> Result<BTreeSet<(String, String)>> {
    let mut found = BTreeSet::new();
    let mut below: Vec<Arc<dyn ExecutionPlan>> = vec![Arc::clone(plan)];
    while let Some(plan) = below.pop() {
        match is_join(&plan).then(|| flatten(&plan)).transpose()?.flatten() {
            Some(region) => {
                if region.relations.len() > 2 {
                    region.relations.iter().for_each(|relation| add_unknown(relation, &mut found));
                }
                // A relation that is a join itself is none that may move.
                let joins = region.relations.iter().filter(|relation| is_join(relation));
                below.extend(joins.flat_map(|join| join.children().into_iter().map(Arc::clone)));
                below.extend(region.relations.iter().filter(|r| !is_join(r)).map(Arc::clone));
            }
            None => below.extend(plan.children().into_iter().map(Arc::clone)),
        }
    }
    Ok(found)
}

fn add_unknown(plan: &Arc<dyn ExecutionPlan>, found: &mut BTreeSet<(String, String)>) {
    let scan = plan.downcast_ref::<ShardScanExec>();
    // What databases know of their tables is not known here, whoever analyzes them.
    let unknown = scan.filter(|scan| !is_known_scan(scan) && !scan.table().is_on_shards());
    if let Some(table) = unknown.map(|scan| scan.table()) {
        found.insert((table.schema_name.clone(), table.name.clone()));
    }
    plan.children().into_iter().for_each(|input| add_unknown(input, found));
}
