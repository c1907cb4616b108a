//! Hash joins that go on over temporary files when their build side does not fit into memory, and that
//! reserve all memory that they take.
//!
//! ```text
//!   build side read ──> all of it has room ──────────────────> DataFusion's HashJoinExec over it
//!        │
//!        └─> no room ──> both sides to files, by a hash of the keys:  b1 b2 … b16   p1 p2 … p16
//!                         then one after the other, each as if it were a join of its own:  bi ⋈ pi
//!                         (again by another hash, if bi has no room; MAX_LEVEL times at most)
//!                              └─> still no room: many rows of one key. As much of bi as there is
//!                                  room for ⋈ pi; then more of bi ⋈ pi; …
//! ```
//!
//! That is a GRACE hash join (Kitsuregawa, Tanaka and Moto-oka, "Application of Hash to Data Base
//! Machine and Its Architecture", New Generation Computing 1, 1983), but one that writes nothing until
//! it must. Rows of one key are in one part of each side, so every join by equality may be computed
//! part by part: inner, outer, semi, anti and mark joins, with whatever filter. Not `NOT IN`, which
//! asks whether there is a NULL, or any row at all, on the other side; nor a join whose rows must come
//! in the order of its right side. These only reserve what they take.
//!
//! DataFusion's join reserves its build side's batches and its hash table; while it makes one batch of
//! all batches it has the rows twice. [`held`] reserves for that, too, and lets go of it when the join
//! begins to read its right side.

mod exec;
mod gather;
mod handed;
mod held;
mod joiner;
mod split;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::{
    common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    error::Result,
    physical_plan::{ExecutionPlan, joins::HashJoinExec, recursive_query::RecursiveQueryExec},
};

use exec::SpillingJoinExec;

/// Into so many parts each side goes at a time.
const PARTS: usize = 16;
/// How often the parts of a join are split again: 65,536 parts at most.
const MAX_LEVEL: usize = 4;

/// Lets every hash join spill that can.
pub(crate) fn with_spilling_joins(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_down(|plan| {
        if plan.is::<RecursiveQueryExec>() {
            // Its joins are made anew for each round.
            return Ok(Transformed::new(plan, false, TreeNodeRecursion::Jump));
        }
        let Some(join) = plan.downcast_ref::<HashJoinExec>() else {
            return Ok(Transformed::no(plan));
        };
        if !join.dynamic_expressions_produced().is_empty() {
            // DataFusion's own filters are computed from its hash tables.
            return Ok(Transformed::no(plan));
        }
        let spilling = SpillingJoinExec::new(join.builder().build()?);
        Ok(Transformed::yes(Arc::new(spilling) as _))
    })
    .data()
}
