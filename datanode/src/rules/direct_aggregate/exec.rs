//! The operator in the place of a partial aggregate.

use std::{fmt, sync::Arc};

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::{DataFusionError, Result},
    execution::{TaskContext, memory_pool::MemoryConsumer},
    physical_expr::PhysicalExpr,
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
        ReplaceChildrenOptions, SendableRecordBatchStream,
        execution_plan::CardinalityEffect,
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet},
    },
};

use super::{
    spec::{Spec, Table, TableKind},
    states::Codebooks,
    stream::Work,
};

/// Gives what the partial aggregate would, from a scan's columns as they are in memory.
#[derive(Debug)]
pub(super) struct DirectAggregateExec {
    spec: Arc<Spec>,
    /// The raw scan.
    input: Arc<dyn ExecutionPlan>,
    codebooks: Arc<Codebooks>,
    /// The aggregate that it replaces, down to the scan.
    ordinary: Arc<dyn ExecutionPlan>,
    metrics: ExecutionPlanMetricsSet,
}

impl DirectAggregateExec {
    pub(super) fn new(
        spec: Arc<Spec>,
        input: Arc<dyn ExecutionPlan>,
        codebooks: Arc<Codebooks>,
        ordinary: Arc<dyn ExecutionPlan>,
    ) -> Self {
        Self { spec, input, codebooks, ordinary, metrics: ExecutionPlanMetricsSet::new() }
    }

    fn names(&self, columns: impl IntoIterator<Item = usize>) -> Vec<String> {
        let schema = self.input.schema();
        let field = |column: usize| schema.fields().get(column).map(|field| field.name().clone());
        columns.into_iter().filter_map(field).collect()
    }

    fn table_text(&self, table: &Table) -> String {
        let names = self.names(self.spec.program.inputs.iter().copied());
        let value = self.spec.program.text(table.operand, &names);
        let function = match table.kind {
            TableKind::Sum => "sum",
            TableKind::Least => "min",
            TableKind::Greatest => "max",
        };
        format!("{function}({value})")
    }
}

impl DisplayAs for DirectAggregateExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.names(self.spec.keys.iter().map(|key| key.column)).join(", ");
        let tables: Vec<_> = self.spec.tables.iter().map(|table| self.table_text(table)).collect();
        let states = self.spec.states.len();
        write!(
            f,
            "DirectAggregateExec: gby=[{keys}], tables=[{}], states={states}",
            tables.join(", ")
        )
    }
}

impl ExecutionPlan for DirectAggregateExec {
    fn name(&self) -> &str {
        "DirectAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.ordinary.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    /// None that is evaluated: arithmetic is compiled.
    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else {
            return Err(DataFusionError::Internal("a direct aggregate's input is gone".into()));
        };
        let (codebooks, ordinary) = (Arc::clone(&self.codebooks), Arc::clone(&self.ordinary));
        Ok(Arc::new(Self::new(Arc::clone(&self.spec), input, codebooks, ordinary)))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let consumer = MemoryConsumer::new(format!("DirectAggregateExec[{partition}]"));
        let work = Work {
            spec: Arc::clone(&self.spec),
            codebooks: Arc::clone(&self.codebooks),
            input: self.input.execute(partition, Arc::clone(&context))?,
            ordinary: Arc::clone(&self.ordinary),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            memory: consumer.register(context.memory_pool()),
            context,
        };
        Ok(work.into_states(self.schema()))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }
}
