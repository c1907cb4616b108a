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
    cardinality::TableFacts,
    catalog::Distribution,
    distribute::is_join,
    operators::{FileScanExec, ShardScanExec},
};

/// So many rows change before a table is analyzed by itself: one that has no more may never be, and
/// is small whatever its columns hold.
const FEW_ROWS: f64 = 50.0;

/// What is known of a table, or of anything else that rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knowledge {
    /// It was analyzed, or is small.
    Enough,
    /// ANALYZE would find it out.
    Wanting,
    /// Nobody has counted a file's rows or a recursion's, and what databases know of their tables is
    /// not known here, whoever analyzes them.
    OutOfReach,
}

impl Knowledge {
    fn of(plan: &Arc<dyn ExecutionPlan>, datanodes: usize) -> Self {
        let is_uncounted = plan.is::<FileScanExec>()
            || plan.is::<WorkTableExec>()
            || plan.is::<RecursiveQueryExec>();
        if is_uncounted {
            return Self::OutOfReach;
        }
        let Some(scan) = plan.downcast_ref::<ShardScanExec>() else { return Self::Enough };
        let table = scan.table();
        // Of the partitions of replicated tables their scans do not tell what ANALYZE has found.
        let is_vague =
            scan.partitions().is_some() && table.distribution == Distribution::Replicated;
        match scan.is_analyzed() {
            true => Self::Enough,
            false if table.is_on_shards() => Self::OutOfReach,
            false if TableFacts::counted(table, datanodes) <= FEW_ROWS => Self::Enough,
            false if is_vague => Self::OutOfReach,
            false => Self::Wanting,
        }
    }
}

/// Are all tables below analyzed, or small?
pub(super) fn is_known(plan: &Arc<dyn ExecutionPlan>, datanodes: usize) -> bool {
    all(plan, &|plan: &Arc<dyn ExecutionPlan>| Knowledge::of(plan, datanodes) == Knowledge::Enough)
}

/// Does a condition hold for a plan's operators?
fn all(plan: &Arc<dyn ExecutionPlan>, holds: &impl Fn(&Arc<dyn ExecutionPlan>) -> bool) -> bool {
    holds(plan) && plan.children().into_iter().all(|input| all(input, holds))
}

/// The tables, by schema and name, because of which joins stay in the order they were written in: where
/// nothing else keeps them so, and without temporary ones, which nobody analyzes for a query or two.
pub(crate) fn unknown_tables(
    plan: &Arc<dyn ExecutionPlan>,
    datanodes: usize,
) -> Result<BTreeSet<(String, String)>> {
    let is_in_reach =
        |plan: &Arc<dyn ExecutionPlan>| Knowledge::of(plan, datanodes) != Knowledge::OutOfReach;
    let mut found = BTreeSet::new();
    let mut below: Vec<Arc<dyn ExecutionPlan>> = vec![Arc::clone(plan)];
    while let Some(plan) = below.pop() {
        match is_join(&plan).then(|| flatten(&plan)).transpose()?.flatten() {
            Some(region) => {
                let relations = &region.relations;
                if relations.len() > 2 && relations.iter().all(|input| all(input, &is_in_reach)) {
                    relations.iter().for_each(|input| add_unknown(input, datanodes, &mut found));
                }
                // A relation that is a join itself is none that may move.
                let (joins, others): (Vec<_>, Vec<_>) = relations.iter().partition(|r| is_join(r));
                below.extend(joins.iter().flat_map(|join| join.children()).map(Arc::clone));
                below.extend(others.into_iter().map(Arc::clone));
            }
            None => below.extend(plan.children().into_iter().map(Arc::clone)),
        }
    }
    Ok(found)
}

fn add_unknown(
    plan: &Arc<dyn ExecutionPlan>,
    datanodes: usize,
    found: &mut BTreeSet<(String, String)>,
) {
    if let Some(scan) = plan.downcast_ref::<ShardScanExec>() {
        let table = scan.table();
        if Knowledge::of(plan, datanodes) == Knowledge::Wanting && !table.is_temporary() {
            found.insert((table.schema_name.clone(), table.name.clone()));
        }
    }
    plan.children().into_iter().for_each(|input| add_unknown(input, datanodes, found));
}
