//! The inputs of UNION ALL, without what is constant in each.
//!
//! DataFusion leaves a column that is constant in every partition out of a sort. Its top-N sorts of
//! several partitions share one threshold, which then compares rows of different constants by the
//! other columns alone: `SELECT 'b', x … UNION ALL SELECT 'a', y … ORDER BY 1, 2 LIMIT 1` could
//! lose the row of 'a'.

use std::sync::Arc;

use datafusion::{
    common::tree_node::{Transformed, TransformedResult, TreeNode},
    error::Result,
    execution::TaskContext,
    physical_expr::EquivalenceProperties,
    physical_plan::{
        ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
        ReplaceChildrenOptions, SendableRecordBatchStream, union::UnionExec,
    },
};

use super::wrapper::{Wrapper, WrapperExec};

/// Puts a [`UnionInput`] over every input of every union.
pub(super) fn with_plain_unions(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| {
        if !plan.is::<UnionExec>() {
            return Ok(Transformed::no(plan));
        }
        let inputs = plan
            .children()
            .into_iter()
            .map(|input| Arc::new(WrapperExec::new(Arc::new(UnionInput), Arc::clone(input))) as _);
        let inputs = inputs.collect();
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        plan.replace_children(inputs, options).map(Transformed::yes)
    })
    .data()
}

/// Whether an operator is what stands over a union's input, and hands its rows on.
pub fn is_union_input(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<WrapperExec<UnionInput>>()
}

/// Hands its input on, and says nothing of its values.
#[derive(Debug)]
struct UnionInput;

impl Wrapper for UnionInput {
    const NAME: &'static str = "UnionInputExec";
    // A sort may not be pushed to where the constants are known.
    const KEEPS_ORDER: bool = false;

    fn properties(&self, input: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
        Arc::new(PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        ))
    }

    fn open(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        input.execute(partition, context)
    }
}
