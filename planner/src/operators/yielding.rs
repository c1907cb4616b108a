//! Joins without keys let others run between two batches of their right side.
//!
//! DataFusion's operators look up only when their inputs make them wait. A join of all pairs that
//! finds nothing works for minutes on batches that are there already; in that time its query cannot
//! be cancelled.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::tree_node::{Transformed, TransformedResult, TreeNode},
    error::Result,
    execution::TaskContext,
    physical_plan::{
        ChildrenPropertiesMode, ExecutionPlan, RecordBatchStream, ReplaceChildrenOptions,
        SendableRecordBatchStream,
        joins::{CrossJoinExec, NestedLoopJoinExec},
    },
};
use futures::{Stream, StreamExt};

use super::wrapper::{Wrapper, WrapperExec};

/// Puts a [`Yield`] over the right side of every such join.
pub(super) fn with_yields(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| {
        if !plan.is::<NestedLoopJoinExec>() && !plan.is::<CrossJoinExec>() {
            return Ok(Transformed::no(plan));
        }
        let mut children: Vec<_> = plan.children().into_iter().cloned().collect();
        if let Some(right) = children.get_mut(1) {
            *right = Arc::new(WrapperExec::new(Arc::new(Yield), Arc::clone(right)));
        }
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        plan.replace_children(children, options).map(Transformed::yes)
    })
    .data()
}

/// Hands its input on, and yields before every batch.
#[derive(Debug)]
struct Yield;

impl Wrapper for Yield {
    const NAME: &'static str = "YieldExec";

    fn open(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = input.execute(partition, context)?;
        Ok(Box::pin(Yielding { input, has_yielded: false }))
    }
}

struct Yielding {
    input: SendableRecordBatchStream,
    has_yielded: bool,
}

impl Stream for Yielding {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.has_yielded {
            self.has_yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.input.poll_next_unpin(cx);
        self.has_yielded = next.is_pending();
        next
    }
}

impl RecordBatchStream for Yielding {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
