//! An operator whose rows are already on their way: what a join within a join reads.

use std::{fmt, sync::Arc};

use datafusion::{
    error::{DataFusionError, Result},
    execution::TaskContext,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
        SendableRecordBatchStream,
    },
};
use parking_lot::Mutex;

/// Gives the streams that it was handed, each once.
pub(super) struct HandedExec {
    streams: Vec<Mutex<Option<SendableRecordBatchStream>>>,
    properties: Arc<PlanProperties>,
}

impl HandedExec {
    /// In the place of an operator like this one, with so many partitions, of which none is there yet.
    pub(super) fn new(like: &Arc<dyn ExecutionPlan>, partitions: usize) -> Self {
        let properties = PlanProperties::clone(like.properties())
            .with_partitioning(Partitioning::UnknownPartitioning(partitions));
        let streams = (0..partitions).map(|_| Mutex::default()).collect();
        Self { streams, properties: Arc::new(properties) }
    }

    /// With one partition, which is there.
    pub(super) fn with(like: &Arc<dyn ExecutionPlan>, rows: SendableRecordBatchStream) -> Self {
        let handed = Self::new(like, 1);
        handed.hand(0, rows);
        handed
    }

    /// The rows of a partition.
    pub(super) fn hand(&self, partition: usize, rows: SendableRecordBatchStream) {
        if let Some(stream) = self.streams.get(partition) {
            *stream.lock() = Some(rows);
        }
    }
}

impl fmt::Debug for HandedExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandedExec")
            .field("partitions", &self.streams.len())
            .finish_non_exhaustive()
    }
}

impl DisplayAs for HandedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for HandedExec {
    kestrel_planner::leaf_plan!("HandedExec");

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.streams.get(partition).and_then(|stream| stream.lock().take());
        rows.ok_or_else(|| DataFusionError::Internal("rows of a join are read twice".into()))
    }
}
