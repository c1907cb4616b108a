//! A motion inside a plan that is not yet cut into slices. It never runs.

use std::{fmt, sync::Arc};

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::{DataFusionError, Result},
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
    },
};

use crate::motion::Motion;

/// Moves its input's rows as [`Motion`] says. Slicing replaces it by a send and a receive.
#[derive(Debug)]
pub struct MotionExec {
    motion: Motion,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl MotionExec {
    /// A motion over `input`.
    pub fn new(motion: Motion, input: Arc<dyn ExecutionPlan>) -> Self {
        let mut equivalences = EquivalenceProperties::new(input.schema());
        if let Motion::Gather { merge: Some(keys), .. } = &motion {
            equivalences.add_ordering(keys.iter().cloned());
        }
        let properties = PlanProperties::new(
            equivalences,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { motion, input, properties: Arc::new(properties) }
    }

    /// How the rows move.
    pub fn motion(&self) -> &Motion {
        &self.motion
    }

    /// What is moved.
    pub fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }
}

impl DisplayAs for MotionExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.motion.label())
    }
}

impl ExecutionPlan for MotionExec {
    fn name(&self) -> &str {
        "MotionExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
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
        Ok(Arc::new(Self::new(self.motion.clone(), super::only_child(children)?)))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Err(DataFusionError::Internal("a motion was run before the plan was sliced".into()))
    }
}
