//! Bottom-up over DataFusion's initial physical plan: the children's loci decide the motions, and
//! these an operator's own locus. One file per kind of operator.
//!
//! The result is checked once more by [`check`], which knows only the rules.

mod aggregate;
mod check;
mod counting;
mod join;
mod join_key;
mod join_locus;
mod join_motions;
mod leaf;
mod pipeline;
mod placed;
mod recursion;
mod reproducible;
mod single;
mod union;
mod window;

pub use check::check;
pub(crate) use join::is_join;
pub(crate) use join_key::{join_key, without_casts};
pub(crate) use join_locus::{joined_locus, moved_locus};
pub use join_motions::{
    JoinChoice, JoinKey, JoinMotions, JoinPlace, JoinShape, JoinSideFacts, Move, join_choices,
    join_motions,
};
pub(crate) use pipeline::{projection, row_change};
pub use placed::Placed;
pub(crate) use recursion::is_on_coordinator;

use std::sync::Arc;

use datafusion::{
    error::Result,
    physical_plan::{
        ExecutionPlan,
        aggregates::AggregateExec,
        empty::EmptyExec,
        filter::FilterExec,
        limit::{GlobalLimitExec, LocalLimitExec},
        placeholder_row::PlaceholderRowExec,
        projection::ProjectionExec,
        sorts::sort::SortExec,
        union::UnionExec,
        unnest::UnnestExec,
        windows::{BoundedWindowAggExec, WindowAggExec},
        work_table::WorkTableExec,
    },
};
use kestrel_proto::BucketMap;

use crate::{
    join_order::{JoinOrderSettings, region},
    operators::{FileScanExec, RowChangeExec, SegmentWriteExec, ShardScanExec},
};

/// What the walk knows besides the plan.
#[derive(Clone, Debug)]
pub struct Distributor {
    /// How many datanodes there are.
    pub datanodes: usize,
    /// Where redistributed rows go.
    pub bucket_map: Arc<BucketMap>,
    /// Each datanode computes all rows, from its own copies of replicated tables and from all rows of
    /// the others: where every copy of a table is to be changed alike.
    pub everywhere: bool,
    /// What orders of joins are tried.
    pub join_order: JoinOrderSettings,
}

impl Distributor {
    /// Places a whole plan; its rows end up in one process, in the plan's order.
    pub fn distribute(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<Placed> {
        let placed = self.place(plan)?;
        Ok(placed.gather_at_root())
    }

    /// Places a plan; its rows may be anywhere.
    pub fn place(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<Placed> {
        if let Some(scan) = plan.downcast_ref::<ShardScanExec>() {
            let rows = leaf::scan(scan, plan, self.datanodes);
            return Ok(if self.everywhere { rows.to_replicated() } else { rows });
        }
        if let Some(scan) = plan.downcast_ref::<FileScanExec>() {
            return Ok(leaf::files(scan, plan));
        }
        if plan.is::<WorkTableExec>() {
            return Ok(recursion::work_table(plan));
        }
        if plan.children().is_empty() {
            return Ok(leaf::constant(plan));
        }
        let children = || plan.children().into_iter().map(|c| self.place(c));
        if is_on_coordinator(plan)? {
            return recursion::on_coordinator(plan, children().collect::<Result<_>>()?);
        }
        if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
            return self.aggregate(aggregate, plan);
        }
        if self.join_order.is_enabled
            && let Some(placed) = region::place(self, plan, self.join_order)?
        {
            return Ok(placed);
        }
        self.place_over(plan, children().collect::<Result<_>>()?)
    }

    /// Places one operator over its placed children.
    pub(crate) fn place_over(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        children: Vec<Placed>,
    ) -> Result<Placed> {
        if is_join(plan) {
            return self.join(plan, children, None);
        }
        if plan.downcast_ref::<UnionExec>().is_some() {
            return self.union(plan, children);
        }
        let child = placed::only(children.clone());
        match child {
            Ok(child) if plan.downcast_ref::<ProjectionExec>().is_some() => {
                pipeline::projection(plan, child)
            }
            Ok(child) if plan.downcast_ref::<FilterExec>().is_some() => {
                pipeline::filter(plan, child)
            }
            Ok(child) if plan.downcast_ref::<UnnestExec>().is_some() => {
                pipeline::unnest(plan, child)
            }
            Ok(child) if plan.downcast_ref::<SortExec>().is_some() => single::sort(plan, child),
            Ok(child) if plan.downcast_ref::<GlobalLimitExec>().is_some() => {
                single::limit(plan, child)
            }
            Ok(child) if plan.downcast_ref::<LocalLimitExec>().is_some() => {
                single::local_limit(plan, child)
            }
            Ok(child) if plan.downcast_ref::<WindowAggExec>().is_some() => self.window(plan, child),
            Ok(child) if plan.downcast_ref::<BoundedWindowAggExec>().is_some() => {
                self.window(plan, child)
            }
            Ok(child) if plan.downcast_ref::<SegmentWriteExec>().is_some() => {
                pipeline::segment_write(plan, child)
            }
            Ok(child) if plan.downcast_ref::<RowChangeExec>().is_some() => {
                pipeline::row_change(plan, child)
            }
            _ => single::anything(plan, children),
        }
    }
}

/// Is this an operator whose rows need no datanode?
fn is_constant(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<EmptyExec>().is_some()
        || plan.downcast_ref::<PlaceholderRowExec>().is_some()
}
