//! One execution partition of a scan: shares of pieces, one after the other, zone by zone.

use std::{
    future::poll_fn,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use arrow::array::RecordBatch;
use datafusion::{
    error::Result,
    execution::memory_pool::{MemoryConsumer, MemoryReservation},
    physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder},
};
use futures::{Stream, stream};

use super::{
    cursor::Run,
    morsel::{Morsel, Work},
    order::Order,
    output::Output,
    prune,
    spec::ScanSpec,
};
use crate::{error::to_datafusion, turns::give_way};

/// A partition that finds nothing for so long lets others run: its query may have been cancelled.
const TURN: Duration = Duration::from_millis(2);

/// What a scan has done.
pub(super) struct ScanMetrics {
    pub(super) baseline: BaselineMetrics,
    /// Partitions of the table that the planner has left, and have segments here.
    pub(super) table_partitions: Count,
    /// Those of them of which nothing was read.
    pub(super) table_partitions_pruned: Count,
    /// Segments that were not opened.
    pub(super) segments_pruned: Count,
    /// Segments of which something was read.
    pub(super) segments_read: Count,
    /// Row groups of which something was read.
    pub(super) pieces_read: Count,
    /// Row groups of segments that were opened, and of which nothing was read.
    pub(super) pieces_pruned: Count,
    /// Zones of which no row was looked at.
    pub(super) zones_pruned: Count,
    /// Rows that the keys of joins have dropped.
    pub(super) rows_filtered: Count,
    /// Rows that other conjuncts have dropped.
    pub(super) rows_removed: Count,
}

/// An execution partition that runs.
pub(super) struct Partition {
    spec: Arc<ScanSpec>,
    run: Arc<Run>,
    metrics: ScanMetrics,
    order: Order,
    work: Work,
    morsel: Option<Morsel>,
    /// For the columns of the morsel.
    memory: MemoryReservation,
    output: Output,
    is_done: bool,
}

impl ScanMetrics {
    pub(super) fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        Self {
            baseline: BaselineMetrics::new(metrics, partition),
            table_partitions: counter("partitions"),
            table_partitions_pruned: counter("partitions_pruned"),
            segments_pruned: counter("segments_pruned"),
            segments_read: counter("segments_read"),
            pieces_read: counter("pieces_read"),
            pieces_pruned: counter("pieces_pruned"),
            zones_pruned: counter("zones_pruned"),
            rows_filtered: counter("rows_filtered_by_runtime_filters"),
            rows_removed: counter("rows_filtered_by_conjuncts"),
        }
    }
}

impl Partition {
    /// `is_adaptive`: conjuncts change places as they prove.
    pub(super) fn new(
        spec: Arc<ScanSpec>,
        run: Arc<Run>,
        metrics: ScanMetrics,
        batch_rows: usize,
        is_adaptive: bool,
    ) -> Self {
        let order = Order::new(&spec.conjuncts, is_adaptive);
        let output = Output::new(Arc::clone(&spec), Arc::clone(&run), batch_rows);
        let work = Work::default();
        let memory = MemoryConsumer::new("ColumnarScan").register(spec.store.memory.pool());
        Self { spec, run, metrics, order, work, morsel: None, memory, output, is_done: false }
    }

    /// Its batches.
    pub(super) fn into_batches(self) -> impl Stream<Item = Result<RecordBatch>> + Send {
        stream::try_unfold(self, |mut partition| async move {
            let batch = partition.next_batch().await?;
            Ok(batch.map(|batch| (batch, partition)))
        })
    }

    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut since = Instant::now();
        loop {
            if let Some(batch) = self.output.next_batch() {
                self.metrics.baseline.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
            if self.is_done {
                self.metrics.baseline.done();
                return Ok(None);
            }
            if since.elapsed() >= TURN {
                let_others_run().await;
                since = Instant::now();
            }
            give_way().await;
            self.step().await?;
        }
    }

    /// The next zone, or the next share of a piece.
    async fn step(&mut self) -> Result<()> {
        let Some(morsel) = &mut self.morsel else { return self.open_next().await };
        let elapsed = self.metrics.baseline.elapsed_compute().clone();
        let zone = if self.run.wanted() == 0 { None } else { morsel.next_zone() };
        let Some(zone) = zone else {
            let _timer = elapsed.timer();
            if let Some(chunks) = &morsel.output {
                self.output.flush(chunks)?;
            }
            self.order.adapt();
            self.morsel = None;
            self.memory.free();
            return Ok(());
        };
        {
            let _timer = elapsed.timer();
            morsel.select(&self.spec, &zone, &mut self.order, &mut self.work, &self.metrics)?;
        }
        if self.work.selection.alive() == 0 {
            return Ok(());
        }
        if morsel.output.is_none() {
            morsel.read_output(&self.spec).await?;
            self.memory.resize(morsel.bytes());
        }
        let Some(chunks) = &morsel.output else { return Ok(()) };
        let _timer = elapsed.timer();
        self.output.push(chunks, &zone, self.work.selection.list())
    }

    async fn open_next(&mut self) -> Result<()> {
        let spec = Arc::clone(&self.spec);
        let pieces = self.run.pieces(&spec, &self.metrics).await.map_err(to_datafusion)?;
        let share = match self.run.wanted() {
            0 => None,
            _ => self.run.next(&pieces, spec.partitions, &self.metrics.segments_read, |piece| {
                let bounds = |column| spec.store.piece_bounds(&spec.table, piece, column);
                let passes =
                    prune::piece_may_pass(&spec.conjuncts, &spec.table, piece.rows, &bounds);
                self.metrics.pieces_pruned.add(usize::from(!passes));
                self.metrics.pieces_read.add(usize::from(passes));
                passes
            }),
        };
        match share {
            Some(share) => {
                let morsel = Morsel::open(&spec, share, &self.order).await?;
                // They are there already; others learn that there is less.
                self.memory.resize(morsel.bytes());
                self.morsel = Some(morsel);
            }
            None => {
                self.output.finish()?;
                self.is_done = true;
            }
        }
        Ok(())
    }
}

/// The task is woken at once.
async fn let_others_run() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
