//! A leaf of a slice: receives the rows of one motion.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{Statistics, stats::Precision, tree_node::TreeNodeRecursion},
    error::{DataFusionError, Result},
    execution::{TaskContext, memory_pool::MemoryConsumer},
    physical_expr::{EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet},
        sorts::streaming_merge::StreamingMergeBuilder,
        statistics::StatisticsArgs,
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use kestrel_proto::{DatanodeId, MotionId};

use super::Hands;
use crate::error::to_datafusion;

/// Receives from every sender of a motion; one output partition, merged when the motion merges.
#[derive(Clone, Debug)]
pub struct MotionReceiveExec {
    /// The motion.
    pub id: MotionId,
    /// Who sends.
    pub senders: Vec<DatanodeId>,
    /// The order the senders' rows are in, if they are to be merged.
    pub merge: Option<LexOrdering>,
    /// No more than this many rows are needed.
    pub fetch: Option<usize>,
    /// Rows that arrive here, as the planner thinks.
    pub estimated_rows: u64,
    /// Bytes that arrive here.
    pub estimated_bytes: u64,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MotionReceiveExec {
    /// The receiving end of motion `id`.
    pub fn new(
        id: MotionId,
        senders: Vec<DatanodeId>,
        schema: SchemaRef,
        merge: Option<LexOrdering>,
        fetch: Option<usize>,
        estimate: (u64, u64),
    ) -> Self {
        let mut equivalences = EquivalenceProperties::new(schema);
        if let Some(keys) = &merge {
            equivalences.add_ordering(keys.iter().cloned());
        }
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            id,
            senders,
            merge,
            fetch,
            estimated_rows: estimate.0,
            estimated_bytes: estimate.1,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn open(&self, hands: &Hands) -> Result<Vec<SendableRecordBatchStream>> {
        let mut streams = Vec::with_capacity(self.senders.len());
        for sender in &self.senders {
            let batches = hands.exchange.receive(self.id, *sender).map_err(to_datafusion)?;
            let batches = batches.map_err(to_datafusion);
            let stream = RecordBatchStreamAdapter::new(self.schema(), batches);
            streams.push(Box::pin(stream) as SendableRecordBatchStream);
        }
        Ok(streams)
    }
}

impl DisplayAs for MotionReceiveExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MotionReceiveExec: {} from {} senders", self.id.0, self.senders.len())
    }
}

impl ExecutionPlan for MotionReceiveExec {
    fn name(&self) -> &str {
        "MotionReceiveExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !children.is_empty() {
            return Err(DataFusionError::Internal("a motion's receiver is a leaf".into()));
        }
        Ok(self)
    }

    /// The next query counts its own rows.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self { metrics: ExecutionPlanMetricsSet::new(), ..self.as_ref().clone() }))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let hands = Hands::of(&context).map_err(to_datafusion)?;
        let streams = self.open(&hands)?;
        let metrics = BaselineMetrics::new(&self.metrics, 0);
        if let Some(keys) = &self.merge {
            let reservation = MemoryConsumer::new("MotionReceive").register(context.memory_pool());
            return StreamingMergeBuilder::new()
                .with_streams(streams)
                .with_schema(self.schema())
                .with_expressions(keys)
                .with_metrics(metrics)
                .with_batch_size(context.session_config().batch_size())
                .with_fetch(self.fetch)
                .with_reservation(reservation)
                .build();
        }
        let rows = stream::select_all(streams).inspect_ok(move |batch| {
            metrics.output_rows().add(batch.num_rows());
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.fuse())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Inexact(self.estimated_rows as usize);
        statistics.total_byte_size = Precision::Inexact(self.estimated_bytes as usize);
        Ok(Arc::new(statistics))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }
}
