//! Runs a plan to its end, and drops it at once when nobody waits for that any more.

use std::{future::poll_fn, sync::Arc, task::Poll};

use datafusion::{
    execution::TaskContext,
    physical_plan::{ExecutionPlan, ExecutionPlanProperties, SendableRecordBatchStream},
};
use futures::StreamExt;
use kestrel_proto::Result;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::run::died;
use crate::error::report as report_of;

/// Runs every execution partition of the root; the first error stops the others.
pub(super) async fn drain(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<()> {
    let partitions = plan.output_partitioning().partition_count();
    let mut opened = Partitions::default();
    for partition in 0..partitions {
        let rows = plan.execute(partition, Arc::clone(context)).map_err(report_of)?;
        opened.0.push(Arc::new(Mutex::new(Some(rows))));
    }
    if let [only] = opened.0.as_slice() {
        return exhaust(Arc::clone(only)).await;
    }
    let mut tasks: JoinSet<_> = opened.0.iter().map(|rows| exhaust(Arc::clone(rows))).collect();
    while let Some(done) = tasks.join_next().await {
        done.unwrap_or_else(|error| Err(died(error)))?;
    }
    Ok(())
}

/// The rows of one partition, until they are dropped.
type Rows = Arc<Mutex<Option<SendableRecordBatchStream>>>;

/// Drops the rows with itself. A task that is aborted does that only when its turn comes, and a sort
/// has put one task for each of its batches before it; these end when the rows are dropped.
#[derive(Default)]
struct Partitions(Vec<Rows>);

impl Drop for Partitions {
    fn drop(&mut self) {
        for rows in &self.0 {
            // A task that is at work on them drops them right after.
            if let Some(mut rows) = rows.try_lock() {
                rows.take();
            }
        }
    }
}

async fn exhaust(rows: Rows) -> Result<()> {
    let next = || {
        poll_fn(|context| match rows.lock().as_mut() {
            Some(rows) => rows.poll_next_unpin(context),
            None => Poll::Ready(None),
        })
    };
    while let Some(batch) = next().await {
        batch.map_err(report_of)?;
    }
    rows.lock().take();
    Ok(())
}
