//! The scan of a table, as the coordinator plans it: all shards at once. Encoding a fragment picks
//! one datanode's segments; decoding it there asks the shard store for the operator that reads.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    sync::{Arc, OnceLock},
};

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{Statistics, stats::Precision, tree_node::TreeNodeRecursion},
    error::{DataFusionError, Result},
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, utils::collect_columns},
    physical_expr_common::physical_expr::is_volatile,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        statistics::StatisticsArgs,
    },
};
use kestrel_proto::DatanodeId;

use super::{MotionReceiveExec, PartitionsOfScan, SegmentWriteExec, ShardScan, addressed};
use crate::{
    cardinality::{Estimate, TableFacts},
    catalog::TableDef,
    equality::leaves_one_row,
    error::to_datafusion,
    shard_sql::SampleSize,
    statistics::TableStatistics,
};

/// A table's scan on all datanodes.
#[derive(Debug)]
pub struct ShardScanExec {
    table: Arc<TableDef>,
    projection: Vec<usize>,
    /// Conjuncts over all of the table's columns.
    filters: Vec<Arc<dyn PhysicalExpr>>,
    fetch: Option<usize>,
    partitions: Option<PartitionsOfScan>,
    /// Those that were to be read, until [`Self::narrowed`].
    left_out: Vec<Arc<TableDef>>,
    known: Option<KnownRows>,
    /// How much of what databases hold is enough; `None`: all is read.
    sample: Option<SampleSize>,
    /// The part of the rows that passes the filters, and the bytes of one.
    passing: OnceLock<(f64, u64)>,
    properties: Arc<PlanProperties>,
}

/// What ANALYZE has found out about a scan's rows.
#[derive(Clone, Debug)]
pub struct KnownRows {
    /// Of all rows of the table.
    pub statistics: Arc<TableStatistics>,
    /// Rows of all partitions, those that are not read, too. `None`: the scan's are all.
    pub of_all_partitions: Option<u64>,
}

/// How many of a plan's operators read tables that databases hold.
pub fn database_scans(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let scan = plan.downcast_ref::<ShardScanExec>();
    let here = scan.is_some_and(|scan| scan.table().is_on_shards());
    usize::from(here) + plan.children().into_iter().map(database_scans).sum::<usize>()
}

/// The ids of the tables that a plan's operators read in databases.
pub fn database_tables(plan: &Arc<dyn ExecutionPlan>) -> BTreeSet<u64> {
    let scan = plan.downcast_ref::<ShardScanExec>().map(ShardScanExec::table);
    let here = scan.filter(|table| table.is_on_shards()).map(|table| table.id);
    here.into_iter().chain(plan.children().into_iter().flat_map(database_tables)).collect()
}

/// Do all rows of these plans, the slices of a query, come from one scan of a database, and are none
/// written? So there is no row before the scan has begun. Nothing in them may do more than compute: until
/// then the query may have to begin again.
pub fn is_all_one_scan<'a>(slices: impl IntoIterator<Item = &'a Arc<dyn ExecutionPlan>>) -> bool {
    /// How many scans of databases there are; `None`: something else gives or writes rows.
    fn scans(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
        if plan.downcast_ref::<SegmentWriteExec>().is_some() || has_volatile(plan) {
            return None;
        }
        if plan.downcast_ref::<MotionReceiveExec>().is_some() {
            return Some(0);
        }
        let children = plan.children();
        match children.is_empty() {
            true => (database_scans(plan) == 1).then_some(1),
            false => children.into_iter().map(scans).sum(),
        }
    }
    slices.into_iter().map(scans).sum::<Option<usize>>() == Some(1)
}

/// Whether an expression of this operator draws, or may do more than compute; also if it does not tell.
fn has_volatile(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut is_any = false;
    let told = plan.apply_expressions(&mut |expr| {
        is_any |= is_volatile(expr);
        Ok(TreeNodeRecursion::Continue)
    });
    is_any || told.is_err()
}

impl ShardScanExec {
    /// A scan of these columns, of the rows that pass all `filters` (over the table's schema).
    /// Behind the table's columns count those of [`addressed`].
    pub fn try_new(
        table: Arc<TableDef>,
        projection: Vec<usize>,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        fetch: Option<usize>,
    ) -> Result<Self> {
        let schema = addressed(&table.arrow_schema());
        let schema: SchemaRef = Arc::new(schema.project(&projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            // Never Hash: DataFusion would take our placement for its own hash.
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties);
        let (partitions, left_out) = (None, Vec::new());
        let (known, sample, passing) = (None, None, OnceLock::new());
        Ok(Self {
            table,
            projection,
            filters,
            fetch,
            partitions,
            left_out,
            known,
            sample,
            passing,
            properties,
        })
    }

    /// The same, of a table that is partitioned.
    pub fn with_partitions(self, partitions: Option<PartitionsOfScan>) -> Self {
        Self { partitions, ..self }
    }

    /// The same with other output columns and further conjuncts, which may leave out partitions that
    /// it was to read.
    ///
    /// # Errors
    /// XX000: a bound of a partition is damaged, or a column is not there.
    pub fn narrowed(
        &self,
        projection: Vec<usize>,
        conjuncts: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Self> {
        let mut filters = self.filters.clone();
        filters.extend(conjuncts);
        let (mut table, mut partitions, mut left_out) = (Arc::clone(&self.table), None, Vec::new());
        if let Some(planned) = &self.partitions {
            let narrowed = planned.narrowed(&filters).map_err(to_datafusion)?;
            let are_read: HashSet<u64> = narrowed.read().iter().map(|part| part.id).collect();
            let gone = planned.read().into_iter().filter(|part| !are_read.contains(&part.id));
            left_out = gone.cloned().collect();
            let segments = narrowed.table().segments;
            table = Arc::new(TableDef { segments, ..self.table.as_ref().clone() });
            partitions = Some(narrowed);
        }
        let scan = Self::try_new(table, projection, filters, self.fetch)?;
        Ok(Self { partitions, left_out, known: self.known.clone(), sample: self.sample, ..scan })
    }

    /// The same, of a part of the rows that databases hold.
    pub fn with_sample(self, sample: Option<SampleSize>) -> Self {
        let sample = sample.filter(|_| self.table.is_on_shards());
        Self { sample, ..self }
    }

    /// The same, of a table that was analyzed.
    pub fn with_statistics(self, known: Option<KnownRows>) -> Self {
        Self { known, ..self }
    }

    /// The same rows with these of the output columns.
    pub fn of_columns(&self, kept: &[usize]) -> Result<Self> {
        let kept = kept.iter().filter_map(|at| self.projection.get(*at).copied()).collect();
        let (table, filters) = (Arc::clone(&self.table), self.filters.clone());
        let scan = Self::try_new(table, kept, filters, self.fetch)?;
        let scan = scan.with_partitions(self.partitions.clone()).with_sample(self.sample);
        Ok(scan.with_statistics(self.known.clone()))
    }

    /// Does it end after a number of rows?
    pub fn is_limited(&self) -> bool {
        self.fetch.is_some()
    }

    /// Has ANALYZE looked at its table?
    pub fn is_analyzed(&self) -> bool {
        self.known.is_some()
    }

    /// Has ANALYZE looked at all columns that it gives or filters by?
    pub fn is_all_analyzed(&self) -> bool {
        let filtered = self.filters.iter().flat_map(collect_columns).map(|column| column.index());
        let mut read = self.projection.iter().copied().chain(filtered);
        self.known.as_ref().is_some_and(|known| {
            read.all(|at| {
                let column = self.table.columns.get(at);
                column.is_some_and(|column| known.statistics.columns.contains_key(&column.id))
            })
        })
    }

    /// All of the table's rows and columns, with those of [`addressed`], before the filters.
    fn all_rows(&self, datanodes: usize) -> Estimate {
        let of_all = self.known.as_ref().and_then(|known| known.of_all_partitions);
        let rows = match of_all {
            Some(rows) => rows as f64,
            None => TableFacts::counted(&self.table, datanodes),
        };
        let statistics = self.known.as_ref().map(|known| Arc::clone(&known.statistics));
        let is_drawn = self.is_limited() || self.filters.iter().any(is_volatile);
        let filters = (!is_drawn).then_some(self.filters.as_slice());
        let facts = TableFacts::new(Arc::clone(&self.table), statistics, rows, filters);
        let facts = Arc::new(facts);
        facts.estimate(&addressed(&self.table.arrow_schema()), datanodes)
    }

    /// What it gives.
    pub fn estimate(&self, datanodes: usize) -> Estimate {
        let filtered = self.all_rows(datanodes).filtered(&self.filters);
        let is_pruned = self.known.as_ref().is_some_and(|known| known.of_all_partitions.is_some());
        let read = match is_pruned {
            // The filters are what has left the other partitions out.
            true => filtered.limited(TableFacts::counted(&self.table, datanodes)),
            false => filtered,
        };
        read.kept(&self.projection).scanned()
    }

    /// How many of so many of the rows that are read pass the filters, and their bytes.
    fn passing(&self, rows: u64) -> (u64, u64) {
        let (part, width) = *self.passing.get_or_init(|| {
            let all = self.all_rows(1);
            let read = self.table.size().0.max(1) as f64;
            let part = all.part_that_passes(&self.filters) * all.rows.max(1.0) / read;
            (part.min(1.0), all.kept(&self.projection).width as u64)
        });
        let rows = match self.table.is_on_shards() && leaves_one_row(&self.filters, &self.table) {
            // A database finds a row by its key.
            true => 1,
            false => ((rows as f64 * part).max(1.0).min((rows as f64).max(1.0))) as u64,
        };
        (rows, rows * width)
    }

    /// Which of its table's partitions it reads; `None`: the table is not partitioned.
    pub fn partitions(&self) -> Option<&PartitionsOfScan> {
        self.partitions.as_ref()
    }

    /// The table.
    pub fn table(&self) -> &Arc<TableDef> {
        &self.table
    }

    /// What ANALYZE has found out about the table.
    pub fn statistics(&self) -> Option<&Arc<TableStatistics>> {
        self.known.as_ref().map(|known| &known.statistics)
    }

    /// Output columns, as positions in the table's schema with addresses.
    pub fn projection(&self) -> &[usize] {
        &self.projection
    }

    /// The conjuncts.
    pub fn filters(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.filters
    }

    /// What one datanode is to read.
    pub fn on(&self, datanode: DatanodeId) -> ShardScan {
        let (rows, bytes_there) = self.table.size_on(datanode);
        let read = self.sample.map_or(rows, |sample| sample.rows_of(rows));
        let (rows, bytes) = self.passing(read);
        let partitions = self.partitions.as_ref();
        let is_here = |part: &&Arc<TableDef>| part.segments_on(datanode).next().is_some();
        ShardScan {
            table_id: self.table.table_id(),
            table: self.table.name.clone(),
            schema: self.table.scan_schema(),
            column_ids: self.table.column_ids(),
            projection: self.projection.clone(),
            filters: self.filters.clone(),
            segments: self.table.segments_on(datanode).map(|s| s.to_message()).collect(),
            relation: self.table.shard_relation(),
            partitions: partitions.map_or_else(Vec::new, |parts| parts.on(datanode)),
            partitions_left_out: self.left_out.iter().filter(is_here).count(),
            sample: self.sample.map(|sample| sample.on(bytes_there)),
            estimated_rows: rows,
            estimated_bytes: bytes,
            fetch: self.fetch,
        }
    }
}

impl DisplayAs for ShardScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardScanExec: {}", self.table.name)
    }
}

impl ExecutionPlan for ShardScanExec {
    fn name(&self) -> &str {
        "ShardScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for filter in &self.filters {
            if f(filter)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Err(DataFusionError::Internal("a scan of all shards was run as it stands".into()))
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let (rows, _) = self.table.size();
        let (rows, bytes) = self.passing(rows);
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Inexact(rows as usize);
        statistics.total_byte_size = Precision::Inexact(bytes as usize);
        Ok(Arc::new(statistics))
    }
}
