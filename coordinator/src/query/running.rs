//! A query whose rows are coming, and what it has done.

use std::sync::Arc;

use arrow::array::RecordBatch;
use kestrel_proto::{
    COORDINATOR, DatanodeId, ErrorReport, Result,
    message::{FragmentReport, MotionTraffic},
};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::motions::MotionTotals;
use crate::shards::SwitchWatch;

/// A query whose rows are coming.
pub struct RunningQuery {
    pub(super) rows: mpsc::Receiver<Result<RecordBatch>>,
    pub(super) summary: Arc<Mutex<QuerySummary>>,
    /// Of rows that no snapshot keeps.
    pub(super) watch: Option<SwitchWatch>,
    /// What [`Self::begun`] has waited for: the first rows, or the end.
    pub(super) first: Option<Option<Result<RecordBatch>>>,
}

/// What a query did; complete when its rows have ended.
#[derive(Clone, Debug, Default)]
pub struct QuerySummary {
    /// Everything has ended, well or not, and the client was told.
    pub(super) complete: bool,
    /// Rows of the result.
    pub rows: u64,
    /// What moved, per motion, sender and receiver; the init plans' too.
    pub traffic: Vec<MotionTraffic>,
    /// The same by the kind of motion, with what came to the coordinator.
    pub motions: MotionTotals,
    /// Slice, datanode and report of every fragment of the main plan, and, where the query collects
    /// metrics, of slice 0.
    pub fragments: Vec<(u32, DatanodeId, FragmentReport)>,
    /// What the init plans did, where the query collects metrics.
    pub init: Vec<QuerySummary>,
    /// Milliseconds from the start until all fragments had been handed over.
    pub dispatch_ms: f64,
}

impl QuerySummary {
    /// Rows and bytes that went from one datanode to another.
    pub fn moved(&self) -> (u64, u64) {
        let between =
            self.traffic.iter().filter(|t| t.receiver != COORDINATOR.0 && t.receiver != t.sender);
        between.fold((0, 0), |(rows, bytes), t| (rows + t.rows, bytes + t.bytes))
    }
}

impl RunningQuery {
    /// The next rows; `None`: all were read and every fragment has ended well.
    pub async fn next(&mut self) -> Option<Result<RecordBatch>> {
        if let Err(error) = self.begun().await {
            return Some(Err(error));
        }
        let batch = match self.first.take() {
            Some(first) => first,
            None => self.receive().await,
        };
        if batch.is_none()
            && let Some(watch) = self.watch.take()
            && let Err(error) = watch.check()
        {
            return Some(Err(error));
        }
        batch
    }

    /// Where a scan opens its snapshot itself, waits for its first rows, by which it has.
    ///
    /// # Errors
    /// 40001: the rows were taken to other datanodes before, and it may have missed some.
    pub async fn begun(&mut self) -> Result<()> {
        let Some(watch) = self.watch.take_if(|watch| !watch.is_until_end) else { return Ok(()) };
        let first = self.receive().await;
        if !matches!(first, Some(Err(_))) {
            watch.check()?;
        }
        self.first = Some(first);
        Ok(())
    }

    async fn receive(&mut self) -> Option<Result<RecordBatch>> {
        let batch = self.rows.recv().await;
        if batch.is_none() && !std::mem::replace(&mut self.summary.lock().complete, true) {
            // The driver's task is gone without a word: rows may be missing.
            return Some(Err(ErrorReport::internal("the query ended before its rows did")));
        }
        batch
    }

    /// Where the summary will be.
    pub fn summary(&self) -> Arc<Mutex<QuerySummary>> {
        Arc::clone(&self.summary)
    }

    /// All rows.
    pub async fn collect(mut self) -> Result<(Vec<RecordBatch>, QuerySummary)> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        let summary = self.summary.lock().clone();
        Ok((batches, summary))
    }
}
