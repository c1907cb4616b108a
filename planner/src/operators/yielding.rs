//! Joins let others run between two batches of their right side, and between two of their output.
//!
//! DataFusion's operators look up only when their inputs make them wait. A join that finds thousands
//! of pairs for each row, or looks at them and finds nothing, works for minutes on batches that are
//! there already; in that time its query cannot be cancelled.

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
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec},
    },
};
use futures::{Stream, StreamExt};

use super::wrapper::{Wrapper, WrapperExec};

/// Rows of a batch for a join that looks at all pairs of a key before it drops some.
const FILTERED_ROWS: usize = 256;

/// Puts a [`Yield`] over the right side of every join, and over the join.
pub(super) fn with_yields(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| {
        let Some(rows) = right_rows(&plan) else { return Ok(Transformed::no(plan)) };
        let mut children: Vec<_> = plan.children().into_iter().cloned().collect();
        if let Some(right) = children.get_mut(1) {
            *right = yielding(right, rows);
        }
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        let join = plan.replace_children(children, options)?;
        Ok(Transformed::yes(yielding(&join, usize::MAX)))
    })
    .data()
}

/// The rows that a join may take from its right side at a time; `None`: it is no join.
fn right_rows(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return Some(if join.filter().is_some() { FILTERED_ROWS } else { usize::MAX });
    }
    let is_join = plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
        || plan.is::<SortMergeJoinExec>();
    is_join.then_some(usize::MAX)
}

fn yielding(input: &Arc<dyn ExecutionPlan>, rows_max: usize) -> Arc<dyn ExecutionPlan> {
    Arc::new(WrapperExec::new(Arc::new(Yield { rows_max }), Arc::clone(input)))
}

/// Hands its input on in batches of at most so many rows, and yields before each.
#[derive(Debug)]
struct Yield {
    rows_max: usize,
}

impl Wrapper for Yield {
    const NAME: &'static str = "YieldExec";

    fn open(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = input.execute(partition, context)?;
        Ok(Box::pin(Yielding { input, rows_max: self.rows_max, rest: None, has_yielded: false }))
    }
}

struct Yielding {
    input: SendableRecordBatchStream,
    rows_max: usize,
    /// Of a batch that was too long.
    rest: Option<RecordBatch>,
    has_yielded: bool,
}

impl Yielding {
    /// As much of the batch as may go on; the rest waits.
    fn cut(&mut self, batch: RecordBatch) -> RecordBatch {
        if batch.num_rows() <= self.rows_max {
            return batch;
        }
        self.rest = Some(batch.slice(self.rows_max, batch.num_rows() - self.rows_max));
        batch.slice(0, self.rows_max)
    }
}

impl Stream for Yielding {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.has_yielded {
            self.has_yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = match self.rest.take() {
            Some(rest) => Poll::Ready(Some(Ok(rest))),
            None => self.input.poll_next_unpin(cx),
        };
        self.has_yielded = next.is_pending();
        next.map_ok(|batch| self.cut(batch))
    }
}

impl RecordBatchStream for Yielding {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
