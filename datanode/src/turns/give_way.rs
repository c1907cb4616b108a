//! Where tasks give way: at the operators that read rows, and wherever [`give_way`] is awaited.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use datafusion::{
    common::tree_node::{Transformed, TransformedResult, TreeNode},
    error::Result,
    physical_plan::{ExecutionPlan, SendableRecordBatchStream, stream::RecordBatchStreamAdapter},
};
use futures::{Stream, StreamExt, ready, stream};
use kestrel_proto::BatchStream;

use super::task::is_over;
use crate::pass_through::PassThroughExec;

/// Lets others run if the task's turn is over.
pub(crate) async fn give_way() {
    poll_fn(poll_give_way).await;
}

/// The task is woken at once, and has a new turn then.
fn poll_give_way(cx: &mut Context<'_>) -> Poll<()> {
    if is_over() {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(())
}

/// Lets whoever reads these rows give way before each batch.
pub(crate) fn giving_way(rows: BatchStream) -> BatchStream {
    Box::pin(with_pauses(rows))
}

fn with_pauses<T>(mut rows: impl Stream<Item = T> + Unpin) -> impl Stream<Item = T> {
    stream::poll_fn(move |cx| {
        ready!(poll_give_way(cx));
        rows.poll_next_unpin(cx)
    })
}

/// Lets every operator that reads rows give way before each batch.
pub(crate) fn with_turns(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let giving_way = |rows: SendableRecordBatchStream| -> SendableRecordBatchStream {
        Box::pin(RecordBatchStreamAdapter::new(rows.schema(), with_pauses(rows)))
    };
    plan.transform_up(|plan| {
        if !plan.children().is_empty() {
            return Ok(Transformed::no(plan));
        }
        let properties = Arc::clone(plan.properties());
        Ok(Transformed::yes(Arc::new(PassThroughExec::new(plan, properties, giving_way)) as _))
    })
    .data()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        time::{Duration, Instant},
    };

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use datafusion::datasource::memory::MemorySourceConfig;
    use kestrel_proto::QueryId;

    use super::super::{Turns, in_turns, wrap_spawned_tasks};
    use super::*;

    /// An operator over so many batches of one row.
    fn batches(count: i64) -> Arc<dyn ExecutionPlan> {
        let batch = |n| {
            let numbers: ArrayRef = Arc::new(Int64Array::from(vec![n]));
            RecordBatch::try_from_iter([("n", numbers)]).unwrap()
        };
        let batches: Vec<_> = (0..count).map(batch).collect();
        let schema = batches[0].schema();
        with_turns(MemorySourceConfig::try_new_exec(&[batches], schema, None).unwrap()).unwrap()
    }

    /// Reads it, each batch for a millisecond; how often it gave way.
    async fn read(plan: Arc<dyn ExecutionPlan>) -> (usize, u64) {
        let mut rows = plan.execute(0, Arc::default()).unwrap();
        let (mut count, mut pauses) = (0, 0);
        while let Some(batch) = poll_fn(|cx| {
            let next = rows.poll_next_unpin(cx);
            pauses += u64::from(next.is_pending());
            next
        })
        .await
        {
            count += batch.unwrap().num_rows();
            let until = Instant::now() + Duration::from_millis(1);
            while Instant::now() < until {}
        }
        (count, pauses)
    }

    #[tokio::test]
    async fn a_task_gives_way_when_there_is_another_query() {
        let turns = Turns::new(1);
        let query = turns.of(QueryId::random());
        assert_eq!(in_turns(&query, read(batches(30))).await, (30, 0));
        let _other = turns.of(QueryId::random());
        let (rows, pauses) = in_turns(&query, read(batches(30))).await;
        assert_eq!(rows, 30);
        assert!((5..=30).contains(&pauses), "{pauses}");
        // Outside of a query nobody waits.
        assert_eq!(read(batches(30)).await, (30, 0));
    }

    /// On one thread a short task beside a long one that reads: the tasks that are spawned, too.
    #[tokio::test]
    async fn others_run_in_between() {
        wrap_spawned_tasks();
        let turns = Turns::new(1);
        let (long, short) = (turns.of(QueryId::random()), turns.of(QueryId::random()));
        let done = Arc::new(AtomicU64::new(0));
        let (counted, seen) = (Arc::clone(&done), Arc::clone(&done));
        let long = tokio::spawn(in_turns(&long, async move {
            let mut tasks = datafusion::common::runtime::JoinSet::new();
            tasks.spawn(read(batches(100)));
            let read = tasks.join_next().await.unwrap().unwrap();
            counted.store(read.0 as u64, Ordering::Relaxed);
        }));
        let mut steps = 10;
        // It looks itself: the test's own task comes after many others.
        let short = tokio::spawn(in_turns(
            &short,
            poll_fn(move |cx| {
                if steps == 0 {
                    return Poll::Ready(seen.load(Ordering::Relaxed));
                }
                steps -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }),
        ));
        assert_eq!(short.await.unwrap(), 0, "the short task has waited for the long one");
        long.await.unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 100);
    }
}
