//! UNION ALL: the parts of all inputs, side by side.

use std::sync::Arc;

use datafusion::{error::Result, physical_plan::ExecutionPlan};

use super::{Distributor, Placed};
use crate::{cardinality::Estimate, locus::Locus, motion::Motion};

impl Distributor {
    /// If one input is in parts, all are brought into parts: rows that are everywhere or in one
    /// process must appear once, so they are dealt out from one process.
    pub(super) fn union(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        children: Vec<Placed>,
    ) -> Result<Placed> {
        let inputs: Vec<_> = children.iter().map(|child| &child.estimate).collect();
        let estimate = Estimate::appended(&inputs, &plan.schema());

        if children.iter().any(|c| c.locus.is_partitioned()) {
            let children: Vec<_> = children.into_iter().map(spread).collect();
            let first = children[0].locus.clone();
            let same = children.iter().all(|c| c.locus == first);
            let locus = if same { first } else { Locus::Strewn };
            return Placed::new(plan, children, locus, estimate);
        }
        let locus = |wanted: Locus| children.iter().any(|c| c.locus == wanted);
        let locus = match (locus(Locus::Single), locus(Locus::Replicated)) {
            (true, _) => Locus::Single,
            (false, true) => Locus::Replicated,
            (false, false) => Locus::General,
        };
        Placed::new(plan, children, locus, estimate)
    }
}

fn spread(child: Placed) -> Placed {
    if child.locus.is_partitioned() { child } else { child.moved(Motion::Spread, Locus::Strewn) }
}
