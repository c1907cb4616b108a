//! The root of a slice: sends its input's rows to the receivers of one motion.

use std::{fmt, sync::Arc};

use arrow::{array::RecordBatch, compute::BatchCoalescer};
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::Result,
    execution::TaskContext,
    physical_expr::{
        Distribution, EquivalenceProperties, OrderingRequirements, Partitioning, PhysicalExpr,
    },
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
        SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream};
use kestrel_proto::{DatanodeId, MotionId};

use super::Hands;
use crate::{
    error::to_datafusion,
    motion::{Motion, Router},
};

/// Sends; its own output is empty and ends when everything is sent, or when no receiver wants
/// more.
#[derive(Debug)]
pub struct MotionSendExec {
    id: MotionId,
    motion: Motion,
    receivers: Vec<DatanodeId>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl MotionSendExec {
    /// The sending end of motion `id`.
    pub fn new(
        id: MotionId,
        motion: Motion,
        receivers: Vec<DatanodeId>,
        input: Arc<dyn ExecutionPlan>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { id, motion, receivers, input, properties: Arc::new(properties) }
    }

    /// The motion's id.
    pub fn id(&self) -> MotionId {
        self.id
    }

    /// How rows are routed.
    pub fn motion(&self) -> &Motion {
        &self.motion
    }

    /// Who receives.
    pub fn receivers(&self) -> &[DatanodeId] {
        &self.receivers
    }
}

impl DisplayAs for MotionSendExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MotionSendExec: {} {}", self.motion.label(), self.id.0)
    }
}

impl ExecutionPlan for MotionSendExec {
    fn name(&self) -> &str {
        "MotionSendExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    // Rows that one process sends arrive as they were sent.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![match &self.motion {
            Motion::Gather { merge: Some(keys), .. } => {
                Some(OrderingRequirements::from(keys.clone()))
            }
            Motion::Gather { merge: None, .. }
            | Motion::Redistribute { .. }
            | Motion::Spread
            | Motion::Broadcast => None,
        }]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        if let Motion::Redistribute { keys, .. } = &self.motion {
            for key in keys {
                if f(&key.expr)? == TreeNodeRecursion::Stop {
                    return Ok(TreeNodeRecursion::Stop);
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = super::only_child(children)?;
        Ok(Arc::new(Self::new(self.id, self.motion.clone(), self.receivers.clone(), input)))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let hands = Hands::of(&context).map_err(to_datafusion)?;
        let batch_size = context.session_config().batch_size();
        let input = self.input.execute(0, context)?;
        let offset = hands.datanode.0 as usize;
        let router = Router::new(self.motion.clone(), self.receivers.clone(), offset);
        let sender = Sender::new(self.id, router, hands, self.schema(), batch_size);
        let run = stream::once(sender.run(input)).filter_map(async |sent| sent.err().map(Err));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), run)))
    }
}

/// Sends all of one input.
struct Sender {
    id: MotionId,
    router: Router,
    hands: Arc<Hands>,
    /// Per receiver: gathers small pieces into batches worth sending. `None`: closed.
    outputs: Vec<Option<BatchCoalescer>>,
}

impl Sender {
    fn new(
        id: MotionId,
        router: Router,
        hands: Arc<Hands>,
        schema: arrow::datatypes::SchemaRef,
        batch_size: usize,
    ) -> Self {
        let outputs = router
            .receivers()
            .iter()
            .map(|_| Some(BatchCoalescer::new(Arc::clone(&schema), batch_size)))
            .collect();
        Self { id, router, hands, outputs }
    }

    async fn run(mut self, mut input: SendableRecordBatchStream) -> Result<()> {
        while self.wanted()
            && let Some(batch) = input.next().await
        {
            for (receiver, rows) in
                self.router.route(batch?).map_err(to_datafusion)?.into_iter().enumerate()
            {
                if let Some(rows) = rows {
                    self.push(receiver, rows).await?;
                }
            }
        }
        // Dropping the input closes what it receives itself: a LIMIT ends the whole chain.
        drop(input);
        for receiver in 0..self.outputs.len() {
            if let Some(output) = &mut self.outputs[receiver] {
                output.finish_buffered_batch()?;
                self.flush(receiver).await?;
            }
        }
        self.hands.exchange.finish(self.id);
        Ok(())
    }

    fn wanted(&self) -> bool {
        self.outputs.iter().any(Option::is_some)
    }

    async fn push(&mut self, receiver: usize, rows: RecordBatch) -> Result<()> {
        match &mut self.outputs[receiver] {
            Some(output) => output.push_batch(rows)?,
            None => return Ok(()),
        }
        self.flush(receiver).await
    }

    async fn flush(&mut self, receiver: usize) -> Result<()> {
        let to = self.router.receivers()[receiver];
        while let Some(output) = &mut self.outputs[receiver]
            && let Some(batch) = output.next_completed_batch()
        {
            let wanted = self.hands.exchange.send(self.id, to, batch).await;
            if !wanted.map_err(to_datafusion)? {
                self.outputs[receiver] = None;
            }
        }
        Ok(())
    }
}
