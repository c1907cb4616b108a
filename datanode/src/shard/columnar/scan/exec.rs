//! The operator that reads columnar segments.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{Statistics, stats::Precision, tree_node::TreeNodeRecursion},
    config::ConfigOptions,
    error::Result,
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr},
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
        ReplaceChildrenOptions, SendableRecordBatchStream,
        coop::make_cooperative,
        execution_plan::{Boundedness, EmissionType, SchedulingType},
        metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet},
        statistics::StatisticsArgs,
        stream::RecordBatchStreamAdapter,
    },
};

use kestrel_planner::rule_switches::enabled;

use super::{
    codebook::{Codebook, Raw},
    cursor::Runs,
    partition::{Partition, ScanMetrics},
    spec::ScanSpec,
};
use crate::{runtime_filter::RuntimeFilter, shard::columnar::summary::Summaries};

/// Reads the segments of a table, all its execution partitions together: each takes the next rows
/// that nobody has, so that each may finish alone.
pub(crate) struct ColumnarScanExec {
    spec: Arc<ScanSpec>,
    properties: Arc<PlanProperties>,
    runs: Runs,
    metrics: ExecutionPlanMetricsSet,
}

impl ColumnarScanExec {
    pub(super) fn new(spec: ScanSpec) -> Self {
        Self::over(Arc::new(spec))
    }

    fn over(spec: Arc<ScanSpec>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&spec.schema)),
            // Never Hash: DataFusion would take our placement for its own hash.
            Partitioning::UnknownPartitioning(spec.partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self {
            properties: Arc::new(properties),
            runs: Runs::new(spec.fetch),
            metrics: ExecutionPlanMetricsSet::new(),
            spec,
        }
    }

    /// A copy that also drops rows that `filter` says cannot join; `column`: position among the
    /// output columns.
    pub(crate) fn with_runtime_filter(&self, column: usize, filter: Arc<RuntimeFilter>) -> Self {
        Self::new(self.spec.with_runtime_filter(column, filter))
    }

    /// Whether it has filters, so that fewer rows may come than the table has.
    pub(crate) fn is_filtered(&self) -> bool {
        !self.spec.filters.is_empty() || !self.spec.runtime_filters.is_empty()
    }

    /// Least and greatest value that an output column can have, in the domain of integers: dates
    /// and timestamps by their values, decimals unscaled. `None`: unknown.
    pub(crate) fn value_bounds(&self, column: usize) -> Option<(i64, i64)> {
        self.spec.known(column, Summaries::bounds)
    }

    /// Whether an output column has so few different strings that each finds a place in a codebook.
    pub(crate) fn has_few_strings(&self, column: usize) -> bool {
        let distinct = self.spec.known(column, Summaries::distinct_strings);
        distinct.is_some_and(|distinct| distinct <= usize::from(u16::MAX))
    }

    /// Rows of the segments: never more come out.
    pub(crate) fn most_rows(&self) -> u64 {
        self.spec.segments.iter().fold(0, |rows, segment| rows.saturating_add(segment.rows))
    }

    /// Rows that come out, as the planner thinks.
    pub(crate) fn estimated_rows(&self) -> u64 {
        self.spec.estimated_rows
    }

    /// A copy whose output has, in the place of these columns, what they are in memory, and of each
    /// column its codebook.
    ///
    /// # Errors
    /// XX000 when there is not one entry per output column, or a column's type has no such form.
    pub(crate) fn with_raw(
        &self,
        raw: Vec<Option<Raw>>,
    ) -> kestrel_proto::Result<(Self, Vec<Option<Arc<Codebook>>>)> {
        let (spec, codebooks) = self.spec.with_raw(&raw)?;
        Ok((Self::new(spec), codebooks))
    }
}

impl fmt::Debug for ColumnarScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnarScanExec")
            .field("table", &self.spec.table.name)
            .finish_non_exhaustive()
    }
}

impl DisplayAs for ColumnarScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            self.spec.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "ColumnarScanExec: {}, columns=[{}]", self.spec.table.name, names.join(", "))?;
        if !self.spec.filters.is_empty() {
            let filters: Vec<_> = self.spec.filters.iter().map(ToString::to_string).collect();
            write!(f, ", filter={}", filters.join(" AND "))?;
        }
        if !self.spec.runtime_filters.is_empty() {
            let fields = self.spec.table.schema.fields();
            let columns =
                self.spec.runtime_filters.iter().filter_map(|(column, _)| {
                    fields.get(*column).map(|field| field.name().as_str())
                });
            write!(f, ", runtime filters=[{}]", columns.collect::<Vec<_>>().join(", "))?;
        }
        match self.spec.fetch {
            Some(fetch) => write!(f, ", fetch={fetch}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ColumnarScanExec {
    fn name(&self) -> &str {
        "ColumnarScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    /// None that is evaluated over its output: rules that look for columns would take those of the
    /// table for those of the output.
    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::over(Arc::clone(&self.spec))))
    }

    fn fetch(&self) -> Option<usize> {
        self.spec.fetch
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self::new(self.spec.with_fetch(limit))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let run = self.runs.open(partition, self.spec.fetch);
        let metrics = ScanMetrics::new(&self.metrics, partition);
        if partition == 0 {
            let segments = MetricBuilder::new(&self.metrics).counter("segments", partition);
            segments.add(self.spec.segments.len());
        }
        let batch_rows = context.session_config().batch_size().max(1);
        let is_adaptive = adapts(context.session_config().options());
        let partition =
            Partition::new(Arc::clone(&self.spec), run, metrics, batch_rows, is_adaptive);
        let schema: SchemaRef = Arc::clone(&self.spec.schema);
        let rows = RecordBatchStreamAdapter::new(schema, partition.into_batches());
        Ok(make_cooperative(Box::pin(rows)))
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        // What the planner thinks comes out, of all partitions or of one.
        let parts = if args.partition().is_some() { self.spec.partitions as u64 } else { 1 };
        let part = |n: u64| Precision::Inexact(n.div_ceil(parts.max(1)) as usize);
        Ok(Arc::new(Statistics {
            num_rows: part(self.spec.estimated_rows),
            total_byte_size: part(self.spec.estimated_bytes),
            column_statistics: Statistics::unknown_column(&self.spec.schema),
        }))
    }
}

/// Whether conjuncts change places as they prove, and useless runtime filters are switched off.
fn adapts(options: &ConfigOptions) -> bool {
    enabled(options, "adaptive_filters")
}
