//! Drops groups that cannot join. (Scans drop such rows themselves.)
//!
//! A scan drops rows once the keys are there, so that an aggregate above it may have seen only a part
//! of the rows of a group that cannot join. What it computes of them is wrong, and must not reach
//! whoever could fail at it: a division by a sum that is zero without the other rows. So an operator
//! above the aggregate drops those groups. It knows the keys when the scan did, since groups come out
//! after their rows have gone in.

use std::{fmt, future, sync::Arc};

use arrow::{
    array::{BooleanArray, RecordBatch},
    compute::filter_record_batch,
};
use datafusion::{
    common::{Statistics, tree_node::TreeNodeRecursion},
    error::{DataFusionError, Result},
    execution::TaskContext,
    physical_expr::PhysicalExpr,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput},
        statistics::{ChildStats, StatisticsArgs},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::TryStreamExt;

use super::RuntimeFilter;

/// The rows of its input whose value in a column may be among a filter's keys; all rows, as long as
/// those are not known.
#[derive(Debug)]
pub(crate) struct KeyFilterExec {
    /// Its position in the input.
    column: usize,
    filter: Arc<RuntimeFilter>,
    input: Arc<dyn ExecutionPlan>,
    metrics: ExecutionPlanMetricsSet,
}

impl KeyFilterExec {
    /// `column`: of the input, and of the keys' type.
    pub(super) fn new(
        column: usize,
        filter: Arc<RuntimeFilter>,
        input: Arc<dyn ExecutionPlan>,
    ) -> Self {
        Self { column, filter, input, metrics: ExecutionPlanMetricsSet::new() }
    }
}

/// What is left of a batch; `None`: nothing.
fn kept(batch: RecordBatch, column: usize, filter: &RuntimeFilter) -> Result<Option<RecordBatch>> {
    let (Some(keys), Some(values)) = (filter.keys(), batch.columns().get(column)) else {
        return Ok(Some(batch));
    };
    let Some(selected) = keys.select(values)? else { return Ok(Some(batch)) };
    match selected.count_set_bits() {
        0 => Ok(None),
        all if all == batch.num_rows() => Ok(Some(batch)),
        _ => Ok(Some(filter_record_batch(&batch, &BooleanArray::new(selected, None))?)),
    }
}

impl DisplayAs for KeyFilterExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.input.schema();
        let name = schema.fields().get(self.column).map_or("", |field| field.name());
        write!(f, "KeyFilterExec: {name}@{}", self.column)
    }
}

impl ExecutionPlan for KeyFilterExec {
    fn name(&self) -> &str {
        "KeyFilterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
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
            Some(input) => Ok(Arc::new(Self::new(self.column, Arc::clone(&self.filter), input))),
            None => Err(DataFusionError::Internal("the input of an operator is gone".into())),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let (column, filter) = (self.column, Arc::clone(&self.filter));
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let rows = self.input.execute(partition, context)?.try_filter_map(move |batch| {
            let kept = kept(batch, column, &filter);
            future::ready(kept.map(|kept| kept.map(|batch| batch.record_output(&metrics))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        match inputs.first() {
            Some(input) => Ok(Arc::new(Statistics::clone(input).to_inexact())),
            None => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }
}
