//! An operator in the place of another: to what is above it, nothing has changed.

use std::{fmt, sync::Arc};

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::{DataFusionError, Result},
    execution::TaskContext,
    physical_expr::PhysicalExpr,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
    },
};

/// Hands the rows of its input on.
#[derive(Debug)]
pub(crate) struct PassThroughExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    rows: fn(SendableRecordBatchStream) -> SendableRecordBatchStream,
}

impl PassThroughExec {
    /// In the place of an operator with these properties; `rows` makes its stream of the input's.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        properties: Arc<PlanProperties>,
        rows: fn(SendableRecordBatchStream) -> SendableRecordBatchStream,
    ) -> Self {
        Self { input, properties, rows }
    }
}

impl DisplayAs for PassThroughExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for PassThroughExec {
    fn name(&self) -> &str {
        "PassThroughExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => Ok(Arc::new(Self::new(input, Arc::clone(&self.properties), self.rows))),
            None => Err(DataFusionError::Internal("the input of an operator is gone".into())),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        Ok((self.rows)(self.input.execute(partition, context)?))
    }
}
