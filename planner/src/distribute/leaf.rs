//! Leaves: tables and constants.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use super::{Placed, is_constant};
use crate::{
    cardinality::Estimate,
    catalog::{Distribution, HashClass, TableDef},
    locus::Locus,
    operators::{FileScanExec, ShardScanExec},
};

/// A table's rows are where its distribution says.
pub(super) fn scan(
    scan: &ShardScanExec,
    plan: &Arc<dyn ExecutionPlan>,
    datanodes: usize,
) -> Placed {
    let table = scan.table();
    let locus = match &table.distribution {
        Distribution::Replicated => Locus::Replicated,
        Distribution::Random => Locus::Strewn,
        Distribution::Hash(key) => hashed(table, key).map_or(Locus::Strewn, |locus| {
            locus.project(|column| {
                scan.projection().iter().position(|p| *p == column).into_iter().collect()
            })
        }),
    };
    let estimate = scan.estimate(datanodes);
    Placed { plan: Arc::clone(plan), locus, estimate, children: Vec::new() }
}

/// Files' rows are where the files are read.
pub(super) fn files(scan: &FileScanExec, plan: &Arc<dyn ExecutionPlan>) -> Placed {
    let estimate = Estimate::unknown(scan.estimated_rows(), &plan.schema());
    Placed { plan: Arc::clone(plan), locus: Locus::Strewn, estimate, children: Vec::new() }
}

/// The locus of all of a table's columns, by its key.
fn hashed(table: &TableDef, key: &[u32]) -> Option<Locus> {
    let keys = key.iter().map(|id| {
        let index = table.column_index(*id)?;
        Some((index, table.columns[index].sql_type.hash_class()?))
    });
    Some(Locus::hashed(keys.collect::<Option<Vec<(usize, HashClass)>>>()?))
}

/// Rows that the plan itself holds or makes.
pub(super) fn constant(plan: &Arc<dyn ExecutionPlan>) -> Placed {
    let rows = if is_constant(plan) { 1.0 } else { 100.0 };
    let estimate = Estimate::unknown(rows, &plan.schema());
    Placed { plan: Arc::clone(plan), locus: Locus::General, estimate, children: Vec::new() }
}
