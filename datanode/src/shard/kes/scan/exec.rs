//! The operator that reads a table of the database.

use std::{fmt, sync::Arc};

use datafusion::{
    common::{Statistics, stats::Precision},
    error::Result,
    execution::{TaskContext, memory_pool::MemoryConsumer},
    physical_expr::{EquivalenceProperties, Partitioning},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet},
        statistics::StatisticsArgs,
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{TryStreamExt, stream};
use kestrel_planner::operators::Hands;
use kestrel_proto::{batch_bytes, message::ScanSql};

use super::{
    KesScan,
    read::{self, Pieces},
};
use crate::{error::to_datafusion, shard::kes::sql::Piece};

/// Batches of a partition in memory at a time: one that is read, two that are decoded.
const BATCHES_HELD: u64 = 3;
/// What a partition may hold without asking for memory; besides, what the thread of a long COPY has read
/// ahead, 2 MB at most.
const HELD_BYTES_MIN: u64 = 1 << 20;

/// Reads a table of the database, each partition a piece of it.
pub(super) struct KesScanExec {
    scan: Arc<KesScan>,
    pieces: Arc<Pieces>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl KesScanExec {
    pub(super) fn new(scan: KesScan) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&scan.schema)),
            // Never Hash: DataFusion would take our placement for its own hash.
            Partitioning::UnknownPartitioning(scan.partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            scan: Arc::new(scan),
            pieces: Arc::default(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

/// Whether an operator reads a table of the database.
pub(crate) fn is_scan(plan: &dyn ExecutionPlan) -> bool {
    plan.downcast_ref::<KesScanExec>().is_some()
}

/// Whether an operator reads a table of the database for the filter over it: together they are the scan that
/// was planned.
pub(crate) fn is_inner_scan(plan: &dyn ExecutionPlan) -> bool {
    let read = plan.downcast_ref::<KesScanExec>();
    read.is_some_and(|read| !read.scan.sql.remaining.is_empty())
}

/// What a scan will send to the database: the query of the table, and the number of its pieces as
/// far as it is known before the database is asked for the table's size. `None`: it is no such scan.
pub(crate) fn planned_sql(plan: &dyn ExecutionPlan) -> Option<ScanSql> {
    let scan = &plan.downcast_ref::<KesScanExec>()?.scan;
    let pieces_max = u32::try_from(scan.partitions).unwrap_or(u32::MAX);
    Some(ScanSql { queries: vec![scan.sql.select(&Piece::WHOLE)], pieces_max })
}

/// What a scan has sent: the queries of the pieces that were read, in their order.
pub(crate) fn sent_sql(plan: &dyn ExecutionPlan) -> Option<ScanSql> {
    let read = plan.downcast_ref::<KesScanExec>()?;
    let sent = read.pieces.sent();
    let queries = sent.iter().map(|piece| read.scan.sql.select(piece)).collect();
    Some(ScanSql { queries, pieces_max: 0 })
}

impl fmt::Debug for KesScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KesScanExec").field("sql", &self.scan.sql).finish_non_exhaustive()
    }
}

impl DisplayAs for KesScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KesScanExec: sql={}", self.scan.sql.select(&Piece::WHOLE))?;
        match self.scan.partitions {
            1 => Ok(()),
            partitions => write!(f, ", pieces={partitions}"),
        }
    }
}

impl ExecutionPlan for KesScanExec {
    kestrel_planner::leaf_plan!("KesScanExec");

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let hands = Hands::of(&context).map_err(to_datafusion)?;
        let consumer = MemoryConsumer::new(format!("KesScan[{partition}]"));
        let reservation = consumer.register(context.memory_pool());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let reader = read::read(Arc::clone(&self.scan), Arc::clone(&self.pieces), partition, hands);
        let rows = stream::once(reader).try_flatten().map_err(to_datafusion);
        let mut largest = 0;
        let rows = rows.and_then(move |batch| {
            let bytes = batch_bytes(&batch);
            let mut accounted = Ok(());
            if bytes > largest {
                largest = bytes;
                let asked = (largest * BATCHES_HELD).saturating_sub(HELD_BYTES_MIN);
                accounted = reservation.try_resize(asked as usize);
            }
            metrics.record_output(batch.num_rows());
            std::future::ready(accounted.map(|()| batch))
        });
        let schema = Arc::clone(&self.scan.schema);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        // What the planner thinks comes out, of all partitions or of one.
        let parts = if args.partition().is_some() { self.scan.partitions as u64 } else { 1 };
        let part = |n: u64| Precision::Inexact(n.div_ceil(parts) as usize);
        Ok(Arc::new(Statistics {
            num_rows: part(self.scan.estimated_rows),
            total_byte_size: part(self.scan.estimated_bytes),
            column_statistics: Statistics::unknown_column(&self.scan.schema),
        }))
    }
}
