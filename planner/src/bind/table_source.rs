//! A table of the catalog as DataFusion's planner scans it.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{DFSchema, tree_node::TreeNode},
    error::Result,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_expr::PhysicalExpr,
    physical_plan::ExecutionPlan,
};

use crate::{
    catalog::{Catalog, Distribution, PartitionTree, TableDef},
    error::to_datafusion,
    operators::{KnownRows, PartitionsOfScan, ShardScanExec, addressed},
    shard_sql::SampleSize,
    statistics::TableStatistics,
};

/// A table; scanning it makes a [`ShardScanExec`].
#[derive(Debug)]
pub struct ShardTable {
    table: Arc<TableDef>,
    /// What has its rows, if it is partitioned.
    partitions: Option<Arc<PartitionTree>>,
    statistics: Option<Arc<TableStatistics>>,
    /// Of the partition, if a scan reads just one.
    of_partitions: BTreeMap<u64, Arc<TableStatistics>>,
    /// How much of what databases hold is enough; `None`: all is read.
    sample: Option<SampleSize>,
    schema: SchemaRef,
}

/// The name that the table which a statement changes has in our queries: with its rows' addresses.
pub const CHANGED_TABLE: &str = "kestrel changed table";

impl ShardTable {
    /// Of one snapshot's table.
    pub fn new(table: Arc<TableDef>, catalog: &Catalog) -> Self {
        let is_partitioned = table.partitioned_by.is_some();
        let partitions = is_partitioned.then(|| Arc::new(PartitionTree::of(&table, catalog)));
        let statistics = catalog.statistics_of(table.id).cloned();
        let leaves = partitions.iter().flat_map(|tree| tree.leaves());
        let of_partitions = leaves.filter_map(|partition| {
            Some((partition.id, Arc::clone(catalog.statistics_of(partition.id)?)))
        });
        let of_partitions = of_partitions.collect();
        let schema = table.arrow_schema();
        Self { table, partitions, statistics, of_partitions, sample: None, schema }
    }

    /// The same, of which a part is enough if databases hold its rows.
    pub fn with_sample(self, sample: Option<SampleSize>) -> Self {
        Self { sample, ..self }
    }

    /// The same with its rows' addresses.
    pub fn with_addresses(table: Arc<TableDef>, catalog: &Catalog) -> Self {
        let plain = Self::new(table, catalog);
        Self { schema: addressed(&plain.schema), ..plain }
    }

    /// What a scan with these filters reads: of a partitioned table, the segments of the partitions
    /// that can have such rows, as if they were its own.
    fn read(
        &self,
        filters: &[Arc<dyn PhysicalExpr>],
    ) -> Result<(Arc<TableDef>, Option<PartitionsOfScan>, Option<KnownRows>)> {
        let Some(tree) = &self.partitions else {
            let known = self.statistics.clone();
            let known = known.map(|statistics| KnownRows { statistics, of_all_partitions: None });
            return Ok((Arc::clone(&self.table), None, known));
        };
        let partitions = PartitionsOfScan::new(tree, filters).map_err(to_datafusion)?;
        let table = partitions.table();
        let known = self.known(tree, &partitions.read());
        Ok((Arc::new(table), Some(partitions), known))
    }

    /// The statistics of the only partition that is read, or those of all partitions together.
    fn known(&self, tree: &PartitionTree, read: &[&Arc<TableDef>]) -> Option<KnownRows> {
        if let [only] = read
            && let Some(statistics) = self.of_partitions.get(&only.id)
        {
            let statistics = Arc::clone(statistics);
            return Some(KnownRows { statistics, of_all_partitions: None });
        }
        let statistics = self.statistics.clone()?;
        let parts = match self.table.distribution {
            // Counted once for each datanode: they do not tell which part is read.
            Distribution::Replicated => return None,
            Distribution::Hash(_) | Distribution::Random => tree.leaves().into_iter(),
        };
        let of_all_partitions = Some(parts.map(|partition| partition.size().0).sum());
        Some(KnownRows { statistics, of_all_partitions })
    }

    /// The table.
    pub fn table(&self) -> &Arc<TableDef> {
        &self.table
    }
}

#[async_trait]
impl TableProvider for ShardTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// The shard stores keep exactly the rows that pass; but a filter that waits for an init plan
    /// or is not the same twice stays above the scan.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let exact = |filter: &&Expr| {
            if filter.is_volatile() || has_subquery(filter) {
                TableProviderFilterPushDown::Unsupported
            } else {
                TableProviderFilterPushDown::Exact
            }
        };
        Ok(filters.iter().map(exact).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
        let filters = filters
            .iter()
            .map(|filter| state.create_physical_expr(filter.clone(), &schema))
            .collect::<Result<Vec<_>>>()?;
        let projection =
            projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let (table, partitions, known) = self.read(&filters)?;
        let scan = ShardScanExec::try_new(table, projection, filters, limit)?;
        let scan = scan.with_partitions(partitions).with_sample(self.sample);
        Ok(Arc::new(scan.with_statistics(known)))
    }
}

fn has_subquery(expr: &Expr) -> bool {
    let subquery = |e: &Expr| {
        matches!(
            e,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        )
    };
    expr.exists(|e| Ok(subquery(e))).unwrap_or(true)
}
