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
        aggregates::AggregateExec,
        execution_plan::CardinalityEffect,
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet},
    },
};

use super::{
    dense::{DenseRun, Finish, Rounds},
    spec::{Spec, Table, TableKind},
    states::Codebooks,
    stream::Work,
};

/// Gives what the partial aggregate would, or the only one, from a scan's columns as they are in memory.
#[derive(Debug)]
pub(super) struct DirectAggregateExec {
    spec: Arc<Spec>,
    /// The raw scan.
    input: Arc<dyn ExecutionPlan>,
    codebooks: Arc<Codebooks>,
    /// The aggregate that it replaces, down to the scan.
    ordinary: Arc<dyn ExecutionPlan>,
    /// Makes results of the states, where the aggregate that it replaces has no other phase.
    finish: Option<Arc<Finish>>,
    /// Where dense execution partitions meet.
    rounds: Rounds,
    metrics: ExecutionPlanMetricsSet,
}

impl DirectAggregateExec {
    pub(super) fn new(
        spec: Arc<Spec>,
        input: Arc<dyn ExecutionPlan>,
        codebooks: Arc<Codebooks>,
        ordinary: Arc<dyn ExecutionPlan>,
    ) -> Self {
        let rounds = Rounds::new(input.properties().output_partitioning().partition_count());
        let metrics = ExecutionPlanMetricsSet::new();
        Self { spec, input, codebooks, ordinary, finish: None, rounds, metrics }
    }

    /// Whether each group has a place beforehand.
    pub(super) fn is_dense(&self) -> bool {
        self.spec.dense.is_some()
    }

    /// One that gives the results of an aggregate in one phase. Dense, in one execution partition: so
    /// that each group comes once.
    pub(super) fn finishing(self, ordinary: &AggregateExec, finish: Finish) -> Self {
        let (ordinary, finish) = (Arc::new(ordinary.clone()), Some(Arc::new(finish)));
        Self { ordinary, finish, ..self }
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
        )?;
        if self.is_dense() {
            f.write_str(", dense")?;
        }
        match self.finish {
            Some(_) => f.write_str(", results"),
            None => Ok(()),
        }
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
        let copy = Self::new(Arc::clone(&self.spec), input, codebooks, ordinary);
        Ok(Arc::new(Self { finish: self.finish.clone(), ..copy }))
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
        Ok(match self.spec.dense {
            None => work.into_states(self.schema()),
            Some(dense) => {
                let gather = self.rounds.open(partition);
                let run = DenseRun::new(work, dense, gather, self.finish.clone());
                run.into_groups(self.schema())
            }
        })
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }
}
