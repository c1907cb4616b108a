//! Operators that need all rows in one process: sort, limit, and what nothing better is known of.

use std::sync::Arc;

use datafusion::{
    error::Result,
    physical_plan::{
        ExecutionPlan,
        limit::{GlobalLimitExec, LocalLimitExec},
        sorts::sort::SortExec,
    },
};

use super::{Placed, pipeline::downcast};
use crate::{cardinality::Estimate, locus::Locus, motion::Motion};

/// Parts are sorted where they are (each to its first `fetch` rows), then merged.
pub(super) fn sort(plan: &Arc<dyn ExecutionPlan>, child: Placed) -> Result<Placed> {
    let sort = downcast::<SortExec>(plan)?;
    let (merge, fetch) = (sort.expr().clone(), sort.fetch());
    let estimate = limited(&child, fetch);
    if child.locus.is_partitioned() {
        let locus = child.locus.clone();
        let sorted = Placed::new(plan, vec![child], locus, estimate)?;
        return Ok(sorted.moved(Motion::Gather { merge: Some(merge), fetch }, Locus::Single));
    }
    // Which of equal rows come first may differ from copy to copy: take one copy.
    let child = if fetch.is_some() { child.to_single() } else { child };
    let locus = child.locus.clone();
    Placed::new(plan, vec![child], locus, estimate)
}

fn limited(child: &Placed, fetch: Option<usize>) -> Estimate {
    child.estimate.limited(fetch.map_or(f64::INFINITY, |fetch| fetch as f64))
}

/// A limit of parts, then the limit of what they leave.
pub(super) fn limit(plan: &Arc<dyn ExecutionPlan>, child: Placed) -> Result<Placed> {
    let limit = downcast::<GlobalLimitExec>(plan)?;
    let (skip, fetch) = (limit.skip(), limit.fetch());
    let mut estimate = limited(&child, fetch);
    if skip > 0 {
        let rest = (child.estimate.rows - skip as f64).max(1.0);
        estimate = Estimate { lower: 0.0, ..estimate.limited(rest) };
    }
    let child = match fetch {
        Some(fetch) if child.locus.is_partitioned() => {
            let local: Arc<dyn ExecutionPlan> =
                Arc::new(LocalLimitExec::new(Arc::clone(&child.plan), fetch.saturating_add(skip)));
            let (locus, estimate) = (child.locus.clone(), child.estimate.clone());
            Placed { plan: local, locus, estimate, children: vec![child] }
        }
        _ => child,
    };
    let child = once(child.to_single());
    let locus = child.locus.clone();
    Placed::new(plan, vec![child], locus, estimate)
}

/// A limit of each part may stay; of copies, one is taken.
pub(super) fn local_limit(plan: &Arc<dyn ExecutionPlan>, child: Placed) -> Result<Placed> {
    let child = if child.locus.is_partitioned() { child } else { once(child) };
    let (locus, estimate) = (child.locus.clone(), child.estimate.clone());
    Placed::new(plan, vec![child], locus, estimate)
}

/// An operator that nothing better is known of gets all its inputs in one process.
pub(super) fn anything(plan: &Arc<dyn ExecutionPlan>, children: Vec<Placed>) -> Result<Placed> {
    let children: Vec<_> = children.into_iter().map(Placed::to_single).collect();
    let general = children.iter().all(|c| c.locus == Locus::General);
    let rows = children.iter().map(|c| c.estimate.rows).sum::<f64>();
    let estimate = children[0].estimate.with(rows, &plan.schema());
    let locus = if general { Locus::General } else { Locus::Single };
    Placed::new(plan, children, locus, estimate)
}

/// Rows that are not the same in every copy are made once.
pub(super) fn once(mut child: Placed) -> Placed {
    child.locus = child.locus.once();
    child
}
