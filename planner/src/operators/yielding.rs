//! Joins let others run between two batches of their right side, and between two of their output.
//!
//! DataFusion's operators look up only when their inputs make them wait. A join that finds thousands
//! of pairs for each row, or looks at them and finds nothing, works for minutes on batches that are
//! there already; in that time its query cannot be cancelled. So its right side waits once before
//! each batch, and the batches are cut to what the join manages in a few milliseconds.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
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
use futures::{Stream, StreamExt, ready};
use parking_lot::Mutex;

use super::{
    pace::Pace,
    wrapper::{Wrapper, WrapperExec},
};

/// Puts a [`Yield`] over the right side of every join, and over the join.
pub(super) fn with_yields(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| {
        let Some(rows) = first_rows(&plan) else { return Ok(Transformed::no(plan)) };
        let join = Arc::new(Join { rows, paces: Mutex::default() });
        let mut children: Vec<_> = plan.children().into_iter().cloned().collect();
        if let Some(right) = children.get_mut(1) {
            *right = yielding(Side::Right, &join, right);
        }
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        let plan = plan.replace_children(children, options)?;
        Ok(Transformed::yes(yielding(Side::Output, &join, &plan)))
    })
    .data()
}

/// The rows that a join takes from its right side at first; `None`: it is no join.
fn first_rows(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        // Without a filter, each batch of pairs that it finds is output, and it waits after that.
        return Some(if join.filter().is_some() { 1 } else { usize::MAX });
    }
    if plan.is::<NestedLoopJoinExec>() {
        return Some(1);
    }
    let is_join = plan.is::<CrossJoinExec>() || plan.is::<SortMergeJoinExec>();
    is_join.then_some(usize::MAX)
}

fn yielding(
    side: Side,
    join: &Arc<Join>,
    input: &Arc<dyn ExecutionPlan>,
) -> Arc<dyn ExecutionPlan> {
    let wrapper = Yield { side, join: Arc::clone(join) };
    Arc::new(WrapperExec::new(Arc::new(wrapper), Arc::clone(input)))
}

/// The pace of a join with a filter that a datanode runs over rows that have been read before: no
/// operators are around it.
#[derive(Debug)]
pub struct JoinPace(Arc<Mutex<Pace>>);

impl Default for JoinPace {
    /// Begins with a single row.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Pace::new(1))))
    }
}

impl JoinPace {
    /// What goes into the join on the side that it does not build a table of, in pieces.
    pub fn probe(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        self.over(Side::Right, rows)
    }

    /// What comes out of it.
    pub fn output(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        self.over(Side::Output, rows)
    }

    fn over(&self, side: Side, input: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let pace = Arc::clone(&self.0);
        Box::pin(Yielding { input, side, pace, rest: None, has_yielded: false })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// What goes into the join, in pieces.
    Right,
    /// What comes out of it.
    Output,
}

/// What both sides of a join know of it.
#[derive(Debug)]
struct Join {
    /// That it takes at first.
    rows: usize,
    /// Of each partition.
    paces: Mutex<HashMap<usize, Arc<Mutex<Pace>>>>,
}

impl Join {
    fn pace(&self, partition: usize) -> Arc<Mutex<Pace>> {
        let mut paces = self.paces.lock();
        let pace =
            paces.entry(partition).or_insert_with(|| Arc::new(Mutex::new(Pace::new(self.rows))));
        Arc::clone(pace)
    }
}

/// Hands its input on at the join's pace, and yields before each batch.
#[derive(Debug)]
struct Yield {
    side: Side,
    join: Arc<Join>,
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
        Ok(JoinPace(self.join.pace(partition)).over(self.side, input))
    }
}

struct Yielding {
    input: SendableRecordBatchStream,
    side: Side,
    pace: Arc<Mutex<Pace>>,
    /// Of a batch of the right side that was too long.
    rest: Option<RecordBatch>,
    has_yielded: bool,
}

impl Yielding {
    /// The join's output: whatever comes, and the time that it took.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        self.pace.lock().start(Instant::now());
        let next = self.input.poll_next_unpin(cx);
        let mut pace = self.pace.lock();
        pace.stop(Instant::now());
        if next.is_ready() {
            pace.let_others_run();
        }
        next
    }

    /// The right side, while the join waits: as many rows of a batch as may go on; the rest stays.
    fn poll_right(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match ready!(self.input.poll_next_unpin(cx)) {
                Some(Ok(batch)) => batch,
                end => return Poll::Ready(end),
            },
        };
        let rows = self.pace.lock().next_rows();
        if batch.num_rows() <= rows {
            return Poll::Ready(Some(Ok(batch)));
        }
        self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
        Poll::Ready(Some(Ok(batch.slice(0, rows))))
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
        let next = match self.side {
            Side::Output => self.poll_output(cx),
            Side::Right => {
                self.pace.lock().stop(Instant::now());
                let next = self.poll_right(cx);
                self.pace.lock().start(Instant::now());
                next
            }
        };
        self.has_yielded = next.is_pending();
        next
    }
}

impl RecordBatchStream for Yielding {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
