//! OFFSET without LIMIT, as an operator of our own.
//!
//! DataFusion's rules push a sort through a limit that has no count: `SELECT … FROM (… ORDER BY a
//! OFFSET 1) ORDER BY b` would skip the first row by `b`.

use std::sync::Arc;

use datafusion::{
    common::tree_node::{Transformed, TransformedResult, TreeNode},
    error::Result,
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, OrderingRequirements},
    physical_plan::{
        ChildrenPropertiesMode, Distribution, ExecutionPlan, ExecutionPlanProperties, Partitioning,
        PlanProperties, ReplaceChildrenOptions, SendableRecordBatchStream, limit::GlobalLimitExec,
        projection::ProjectionExec, stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream};

use super::wrapper::{Wrapper, WrapperExec};

/// Puts an [`Offset`] in the place of every limit that only skips.
pub(super) fn with_offsets(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| match plan.downcast_ref::<GlobalLimitExec>() {
        Some(limit) if limit.fetch().is_none() && limit.skip() > 0 => {
            Ok(Transformed::yes(skipping(limit.skip(), Arc::clone(limit.input()))?))
        }
        _ => Ok(Transformed::no(plan)),
    })
    .data()
}

/// The offset goes below projections, where the columns of the order are still there.
fn skipping(skip: usize, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(projection) = input.downcast_ref::<ProjectionExec>() {
        let below = skipping(skip, Arc::clone(projection.input()))?;
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        return input.replace_children(vec![below], options);
    }
    let order = input.output_ordering().cloned().map(OrderingRequirements::from);
    Ok(Arc::new(WrapperExec::new(Arc::new(Offset { skip, order }), input)))
}

/// Leaves out the first rows of its input, in the order that the input had when it was planned.
#[derive(Debug)]
struct Offset {
    skip: usize,
    order: Option<OrderingRequirements>,
}

impl Wrapper for Offset {
    const NAME: &'static str = "OffsetExec";
    // It does, but then rules would look through it.
    const KEEPS_ORDER: bool = false;

    fn properties(&self, input: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
        Arc::new(PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        ))
    }

    fn distribution(&self) -> Distribution {
        Distribution::SinglePartition
    }

    fn order(&self) -> Option<OrderingRequirements> {
        self.order.clone()
    }

    fn open(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = input.schema();
        let input = input.execute(partition, context)?;
        let rows = stream::unfold((input, self.skip), |(mut input, mut left)| async move {
            loop {
                match input.next().await? {
                    Ok(batch) if batch.num_rows() <= left => left -= batch.num_rows(),
                    Ok(batch) => {
                        let rest = batch.slice(left, batch.num_rows() - left);
                        return Some((Ok(rest), (input, 0)));
                    }
                    Err(error) => return Some((Err(error), (input, left))),
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
