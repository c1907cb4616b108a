//! Window functions need all rows of a window partition in one place.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    error::{DataFusionError, Result},
    physical_expr::{PhysicalExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan, WindowExpr,
        windows::{BoundedWindowAggExec, WindowAggExec},
    },
};

use super::{Distributor, Placed, single::once};

impl Distributor {
    /// Local where the rows of each window partition are together already; else redistributed by
    /// what all windows of the operator are partitioned by; without that, in one process.
    pub(super) fn window(&self, plan: &Arc<dyn ExecutionPlan>, child: Placed) -> Result<Placed> {
        let common = common_partition_by(window_exprs(plan)?);
        let columns: BTreeSet<usize> =
            common.iter().filter_map(|e| e.downcast_ref::<Column>()).map(Column::index).collect();
        let child = if !child.locus.is_partitioned() {
            // Which of equal rows comes first may differ from copy to copy.
            once(child)
        } else if child.locus.groups_together(&columns) {
            child
        } else {
            self.redistribute_or_single(child, &common)
        };
        let estimate = child.estimate.widened(&plan.schema());
        // The input's columns come first in the output, at their old positions.
        let locus = child.locus.clone();
        Placed::new(plan, vec![child], locus, estimate)
    }
}

fn window_exprs(plan: &Arc<dyn ExecutionPlan>) -> Result<&[Arc<dyn WindowExpr>]> {
    if let Some(window) = plan.downcast_ref::<WindowAggExec>() {
        return Ok(window.window_expr());
    }
    if let Some(window) = plan.downcast_ref::<BoundedWindowAggExec>() {
        return Ok(window.window_expr());
    }
    Err(DataFusionError::Internal("not a window operator".into()))
}

/// The expressions that every window of the operator is partitioned by.
fn common_partition_by(windows: &[Arc<dyn WindowExpr>]) -> Vec<Arc<dyn PhysicalExpr>> {
    let Some((first, rest)) = windows.split_first() else { return Vec::new() };
    let everywhere = |e: &&Arc<dyn PhysicalExpr>| {
        rest.iter().all(|w| w.partition_by().iter().any(|other| other.eq(e)))
    };
    first.partition_by().iter().filter(everywhere).cloned().collect()
}
