//! Operators around one input that change how its batches come, or which, but not what they are.

use std::{fmt, sync::Arc};

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::Result,
    execution::TaskContext,
    physical_expr::{OrderingRequirements, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, PlanProperties,
        SendableRecordBatchStream,
    },
};

use super::only_child;

/// What a [`WrapperExec`] does.
pub(super) trait Wrapper: fmt::Debug + Send + Sync + Sized + 'static {
    /// The operator's name.
    const NAME: &'static str;
    /// Do the batches keep their order, as far as DataFusion's rules may know?
    const KEEPS_ORDER: bool = true;

    /// The properties over this input.
    fn properties(&self, input: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
        Arc::clone(input.properties())
    }

    /// Where the input's rows must be.
    fn distribution(&self) -> Distribution {
        Distribution::UnspecifiedDistribution
    }

    /// What order they must have.
    fn order(&self) -> Option<OrderingRequirements> {
        None
    }

    /// What stands in its place when the plan is run again: the next round of a recursive query.
    fn again(self: &Arc<Self>) -> Arc<Self> {
        Arc::clone(self)
    }

    /// Opens a partition.
    fn open(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream>;
}

/// An operator with one input.
#[derive(Debug)]
pub(super) struct WrapperExec<W> {
    wrapper: Arc<W>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl<W: Wrapper> WrapperExec<W> {
    /// Over this input.
    pub(super) fn new(wrapper: Arc<W>, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = wrapper.properties(&input);
        Self { wrapper, input, properties }
    }

    /// What it does.
    pub(super) fn wrapper(&self) -> &W {
        &self.wrapper
    }

    /// Over what.
    pub(super) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }
}

impl<W: Wrapper> DisplayAs for WrapperExec<W> {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(W::NAME)
    }
}

impl<W: Wrapper> ExecutionPlan for WrapperExec<W> {
    fn name(&self) -> &str {
        W::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![self.wrapper.distribution()]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.wrapper.order()]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![W::KEEPS_ORDER]
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
        Ok(Arc::new(Self::new(Arc::clone(&self.wrapper), only_child(children)?)))
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(self.wrapper.again(), Arc::clone(&self.input))))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.wrapper.open(&self.input, partition, context)
    }
}
