//! Rows that are read again in every round of a recursive query. A motion gives its rows once.
//!
//! ```text
//!   RecursiveQuery                     RecursiveQuery
//!     static term                        static term
//!     Join                               Join
//!       WorkTable              =>          WorkTable
//!       Aggregate                          Materialize
//!         receive 2                          Aggregate
//!                                              receive 2
//! ```
//!
//! What is kept is what does not depend on the work table: it is also computed once.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::tree_node::{Transformed, TransformedResult, TreeNode},
    error::Result,
    execution::{
        TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_plan::{
        ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, RecordBatchStream,
        ReplaceChildrenOptions, SendableRecordBatchStream, recursive_query::RecursiveQueryExec,
        work_table::WorkTableExec,
    },
};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

use super::{
    MotionReceiveExec,
    wrapper::{Wrapper, WrapperExec},
};

/// Puts a [`Materialize`] over whatever in a recursive term has rows of a motion and does not depend
/// on the work table.
pub(super) fn with_materialized(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| {
        let Some(query) = plan.downcast_ref::<RecursiveQueryExec>() else {
            return Ok(Transformed::no(plan));
        };
        if !has_motion(query.recursive_term()) {
            return Ok(Transformed::no(plan));
        }
        let recursive_term = materialized(query.recursive_term())?;
        let children = vec![Arc::clone(query.static_term()), recursive_term];
        let query = replaced(plan, children)?;
        let opening: Arc<dyn ExecutionPlan> = Arc::new(WrapperExec::new(Arc::new(Opening), query));
        Ok(Transformed::yes(opening))
    })
    .data()
}

/// Whether a plan can be read once only: it has rows of a motion, or of a work table.
pub(super) fn gives_rows_once(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<MotionReceiveExec>()
        || plan.is::<WorkTableExec>()
        || (!plan.is::<WrapperExec<Materialize>>()
            && plan.children().into_iter().any(gives_rows_once))
}

fn materialized(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if plan.is::<WrapperExec<Materialize>>() || !has_motion(plan) {
        return Ok(Arc::clone(plan));
    }
    if !depends(plan, &mut Vec::new()) {
        let kept = WrapperExec::new(Arc::new(Materialize::default()), Arc::clone(plan));
        return Ok(Arc::new(kept));
    }
    let children = plan.children().into_iter().map(materialized).collect::<Result<_>>()?;
    replaced(Arc::clone(plan), children)
}

fn has_motion(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<MotionReceiveExec>() || plan.children().into_iter().any(has_motion)
}

/// Whether a plan reads a work table of a query around it; `within`: the queries within it.
fn depends(plan: &Arc<dyn ExecutionPlan>, within: &mut Vec<String>) -> bool {
    if let Some(table) = plan.downcast_ref::<WorkTableExec>() {
        return !within.iter().any(|name| name == table.name());
    }
    let query = plan.downcast_ref::<RecursiveQueryExec>();
    within.extend(query.map(|query| query.name().to_string()));
    let depends = plan.children().into_iter().any(|child| depends(child, within));
    if query.is_some() {
        within.pop();
    }
    depends
}

fn replaced(
    plan: Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// Keeps its input's rows, in the query's memory, for as many readers as come. A reader need not
/// read them all: the next one goes on with the input where they end.
#[derive(Debug, Default)]
pub(super) struct Materialize {
    partitions: Mutex<HashMap<usize, Arc<Mutex<Kept>>>>,
}

impl Wrapper for Materialize {
    const NAME: &'static str = "MaterializeExec";

    fn open(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let kept = self.kept(input, partition, &context)?;
        Ok(Box::pin(Reader { schema: input.schema(), kept, at: 0 }))
    }
}

impl Materialize {
    /// The rows of a partition, which is opened the first time.
    fn kept(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: &Arc<TaskContext>,
    ) -> Result<Arc<Mutex<Kept>>> {
        let mut partitions = self.partitions.lock();
        if let Some(kept) = partitions.get(&partition) {
            return Ok(Arc::clone(kept));
        }
        let reservation = MemoryConsumer::new("Materialize").register(context.memory_pool());
        let rest = Some(input.execute(partition, Arc::clone(context))?);
        let kept = Kept { batches: Vec::new(), rest, reservation, readers: Arc::default() };
        let kept = Arc::new(Mutex::new(kept));
        partitions.insert(partition, Arc::clone(&kept));
        Ok(kept)
    }
}

/// Opens the motions of a recursive term when its query begins. There may be no round that would:
/// senders would wait for a receiver that neither comes nor closes, and the query for them.
#[derive(Debug)]
struct Opening;

impl Wrapper for Opening {
    const NAME: &'static str = "OpeningExec";

    fn open(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        open_kept(input, &context)?;
        input.execute(partition, context)
    }
}

fn open_kept(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<()> {
    let Some(exec) = plan.downcast_ref::<WrapperExec<Materialize>>() else {
        return plan.children().into_iter().try_for_each(|child| open_kept(child, context));
    };
    for partition in 0..exec.input().output_partitioning().partition_count() {
        exec.wrapper().kept(exec.input(), partition, context)?;
    }
    Ok(())
}

/// What one partition's readers share.
struct Kept {
    /// Read so far.
    batches: Vec<RecordBatch>,
    /// `None`: it has ended.
    rest: Option<SendableRecordBatchStream>,
    reservation: MemoryReservation,
    readers: Arc<Readers>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({} batches)", self.batches.len())
    }
}

impl Kept {
    fn poll(&mut self, at: usize, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        if let Some(batch) = self.batches.get(at) {
            return Poll::Ready(Some(Ok(batch.clone())));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        self.readers.note(cx.waker());
        let waker = Waker::from(Arc::clone(&self.readers));
        let Poll::Ready(next) = rest.poll_next_unpin(&mut Context::from_waker(&waker)) else {
            return Poll::Pending;
        };
        self.readers.wake_others(cx.waker());
        match next {
            Some(Ok(batch)) => {
                self.reservation.try_grow(batch.get_array_memory_size())?;
                self.batches.push(batch.clone());
                Poll::Ready(Some(Ok(batch)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => {
                self.rest = None;
                Poll::Ready(None)
            }
        }
    }
}

/// Whoever waits for the input: a reader of the last round may still be on its way out, and must
/// not be the only one that hears.
#[derive(Debug, Default)]
struct Readers(Mutex<Vec<Waker>>);

impl Readers {
    fn note(&self, waker: &Waker) {
        let mut waiting = self.0.lock();
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    /// After this one has got what it waited for.
    fn wake_others(&self, waker: &Waker) {
        let waiting = std::mem::take(&mut *self.0.lock());
        waiting.into_iter().filter(|other| !other.will_wake(waker)).for_each(Waker::wake);
    }
}

impl Wake for Readers {
    fn wake(self: Arc<Self>) {
        let waiting = std::mem::take(&mut *self.0.lock());
        waiting.into_iter().for_each(Waker::wake);
    }
}

struct Reader {
    schema: SchemaRef,
    kept: Arc<Mutex<Kept>>,
    at: usize,
}

impl Stream for Reader {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.kept.lock().poll(self.at, cx);
        if matches!(next, Poll::Ready(Some(Ok(_)))) {
            self.at += 1;
        }
        next
    }
}

impl RecordBatchStream for Reader {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, AsArray, Int32Array},
        datatypes::Int32Type,
    };
    use datafusion::{
        catalog::memory::MemorySourceConfig,
        execution::{memory_pool::GreedyMemoryPool, runtime_env::RuntimeEnvBuilder},
        physical_plan::execution_plan::reset_plan_states,
    };

    use super::*;

    fn exec() -> Arc<dyn ExecutionPlan> {
        let batch = |value: i32| {
            let values: ArrayRef = Arc::new(Int32Array::from(vec![value]));
            RecordBatch::try_from_iter([("a", values)]).unwrap()
        };
        let batches: Vec<_> = [1, 2, 3].into_iter().map(batch).collect();
        let schema = batches[0].schema();
        let input = MemorySourceConfig::try_new_exec(&[batches], schema, None).unwrap();
        Arc::new(WrapperExec::new(Arc::new(Materialize::default()), input))
    }

    async fn read(exec: &Arc<dyn ExecutionPlan>, batches: usize) -> Vec<i32> {
        let rows = exec.execute(0, Arc::default()).unwrap().take(batches);
        rows.map(|b| b.unwrap().column(0).as_primitive::<Int32Type>().value(0)).collect().await
    }

    #[tokio::test]
    async fn rows_are_read_from_the_start_however_far_the_last_reader_came() {
        let mut exec = exec();
        for batches in [0, 2, 1, 10, 10] {
            assert_eq!(read(&exec, batches).await, [1, 2, 3][..batches.min(3)]);
            exec = reset_plan_states(exec).unwrap();
        }
    }

    #[tokio::test]
    async fn rows_take_memory() {
        let pool = Arc::new(GreedyMemoryPool::new(1));
        let resources = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().unwrap();
        let context = Arc::new(TaskContext::default().with_runtime(resources));
        let mut rows = exec().execute(0, context).unwrap();
        let error = rows.next().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("Materialize"), "{error}");
    }
}
