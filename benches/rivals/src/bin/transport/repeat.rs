//! A leaf of a plan that yields one batch over and over, and how it is shipped to a worker.

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::array::RecordBatch,
    common::{Result, internal_err, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use datafusion_distributed::DistributedTaskContext;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use futures::stream;

/// With one partition only, the planner of datafusion-distributed leaves the plan as it is.
const PARTITIONS: usize = 2;

/// One batch, so many times. As the codec of [`RepeatExec`] it ships the number alone: both ends
/// have the batch.
#[derive(Clone, Debug)]
pub(crate) struct Repeat {
    pub(crate) batch: RecordBatch,
    pub(crate) batches: usize,
}

/// The first partition of the first task has all batches, the others have none: one sender, as in
/// `benches/wire.rs`.
#[derive(Debug)]
pub(crate) struct RepeatExec {
    repeat: Repeat,
    properties: Arc<PlanProperties>,
}

impl RepeatExec {
    pub(crate) fn new(repeat: Repeat) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(repeat.batch.schema()),
            Partitioning::UnknownPartitioning(PARTITIONS),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Self { repeat, properties }
    }
}

impl DisplayAs for RepeatExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "RepeatExec: batches={}", self.repeat.batches)
    }
}

impl ExecutionPlan for RepeatExec {
    fn name(&self) -> &str {
        "RepeatExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let task = DistributedTaskContext::from_ctx(&context).task_index;
        let batches = if (task, partition) == (0, 0) { self.repeat.batches } else { 0 };
        let batch = self.repeat.batch.clone();
        let rows = stream::iter((0..batches).map(move |_| Ok(batch.clone())));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

impl PhysicalExtensionCodec for Repeat {
    fn try_decode(
        &self,
        buffer: &[u8],
        _: &[Arc<dyn ExecutionPlan>],
        _: &TaskContext,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok(batches) = buffer.try_into().map(u64::from_le_bytes) else {
            return internal_err!("the number of batches has eight bytes");
        };
        let batches = batches as usize;
        Ok(Arc::new(RepeatExec::new(Self { batch: self.batch.clone(), batches })))
    }

    fn try_encode(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        let Some(plan) = plan.downcast_ref::<RepeatExec>() else {
            return internal_err!("{} is not a RepeatExec", plan.name());
        };
        buffer.extend_from_slice(&(plan.repeat.batches as u64).to_le_bytes());
        Ok(())
    }
}
