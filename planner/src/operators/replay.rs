//! An input that may be read again from its beginning, as long as it was not read to its end.
//!
//! DataFusion's nested-loop join reads its left side again, now to the disk, when it has run out of
//! memory while collecting it. A motion gives its rows once, and so does a work table in each round.

use std::{collections::VecDeque, fmt, sync::Arc};

use arrow::array::RecordBatch;
use datafusion::{
    common::tree_node::{Transformed, TransformedResult, TreeNode},
    error::{DataFusionError, Result},
    execution::TaskContext,
    physical_plan::{
        ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions, SendableRecordBatchStream,
        joins::NestedLoopJoinExec, stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream};
use parking_lot::Mutex;

use super::{
    materialize::gives_rows_once,
    wrapper::{Wrapper, WrapperExec},
};

/// Puts a [`Replay`] under every nested-loop join whose left side has rows of a motion, or of a work
/// table.
pub(super) fn with_replays(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| {
        if !plan.is::<NestedLoopJoinExec>() {
            return Ok(Transformed::no(plan));
        }
        let mut children: Vec<_> = plan.children().into_iter().cloned().collect();
        if !children.first().is_some_and(gives_rows_once) {
            return Ok(Transformed::no(plan));
        }
        children[0] =
            Arc::new(WrapperExec::new(Arc::new(Replay::default()), Arc::clone(&children[0])));
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        plan.replace_children(children, options).map(Transformed::yes)
    })
    .data()
}

/// Remembers the batches it hands out, until its input ends.
#[derive(Debug, Default)]
struct Replay {
    tape: Arc<Mutex<Tape>>,
}

/// What one partition's readers share.
#[derive(Default)]
enum Tape {
    #[default]
    Unread,
    /// Read so far; the rest of the input.
    Reading(VecDeque<RecordBatch>, Option<SendableRecordBatchStream>),
    /// Read to its end, or read twice.
    Gone,
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unread => "Unread",
            Self::Reading(..) => "Reading",
            Self::Gone => "Gone",
        })
    }
}

impl Replay {
    /// The first reader's rows. The input is left on the tape between two batches, so that a
    /// reader that gives up leaves it for the next.
    fn first(&self, input: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = input.schema();
        *self.tape.lock() = Tape::Reading(VecDeque::new(), Some(input));
        let rows = stream::unfold(Arc::clone(&self.tape), |tape| async move {
            let mut input = match &mut *tape.lock() {
                Tape::Reading(_, input) => {
                    Borrowed { tape: Arc::clone(&tape), input: input.take() }
                }
                Tape::Unread | Tape::Gone => return None,
            };
            let next = match &mut input.input {
                Some(input) => input.next().await,
                None => None,
            };
            drop(input);
            match (&mut *tape.lock(), &next) {
                (Tape::Reading(read, _), Some(Ok(batch))) => read.push_back(batch.clone()),
                (state, _) => *state = Tape::Gone,
            }
            next.map(|batch| (batch, tape))
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows.fuse()))
    }
}

/// The rest of the input while its next batch is awaited: goes back to the tape in any case.
struct Borrowed {
    tape: Arc<Mutex<Tape>>,
    input: Option<SendableRecordBatchStream>,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Tape::Reading(_, rest) = &mut *self.tape.lock() {
            *rest = self.input.take();
        }
    }
}

impl Wrapper for Replay {
    const NAME: &'static str = "ReplayExec";

    fn again(self: &Arc<Self>) -> Arc<Self> {
        Arc::default()
    }

    fn open(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let tape = std::mem::replace(&mut *self.tape.lock(), Tape::Gone);
        match tape {
            Tape::Unread => Ok(self.first(input.execute(partition, context)?)),
            Tape::Reading(read, Some(rest)) => {
                let read = stream::iter(read.into_iter().map(Ok));
                Ok(Box::pin(RecordBatchStreamAdapter::new(input.schema(), read.chain(rest))))
            }
            Tape::Reading(_, None) | Tape::Gone => Err(DataFusionError::ResourcesExhausted(
                "the rows of a nested-loop join's left side are too many".into(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int32Array};
    use arrow::datatypes::Int32Type;
    use datafusion::catalog::memory::MemorySourceConfig;

    use super::*;

    fn exec() -> WrapperExec<Replay> {
        let batch = |value: i32| {
            let values: arrow::array::ArrayRef = Arc::new(Int32Array::from(vec![value]));
            RecordBatch::try_from_iter([("a", values)]).unwrap()
        };
        let batches: Vec<_> = [1, 2, 3].into_iter().map(batch).collect();
        let schema = batches[0].schema();
        let input = MemorySourceConfig::try_new_exec(&[batches], schema, None).unwrap();
        WrapperExec::new(Arc::new(Replay::default()), input)
    }

    async fn read(exec: &WrapperExec<Replay>, batches: usize) -> Vec<i32> {
        let rows = exec.execute(0, Arc::default()).unwrap().take(batches);
        rows.map(|b| b.unwrap().column(0).as_primitive::<Int32Type>().value(0)).collect().await
    }

    #[tokio::test]
    async fn what_was_read_in_part_is_read_again_from_the_start() {
        for first in 0..3 {
            let exec = exec();
            assert_eq!(read(&exec, first).await, [1, 2, 3][..first]);
            assert_eq!(read(&exec, 10).await, [1, 2, 3]);
            assert!(exec.execute(0, Arc::default()).is_err());
        }
    }

    #[tokio::test]
    async fn what_was_read_to_its_end_is_gone() {
        let exec = exec();
        assert_eq!(read(&exec, 10).await, [1, 2, 3]);
        let error = exec.execute(0, Arc::default()).err().unwrap();
        assert!(matches!(error, DataFusionError::ResourcesExhausted(_)), "{error}");
    }
}
