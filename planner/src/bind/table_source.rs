//! A table of the catalog as DataFusion's planner scans it.

use std::sync::Arc;

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
    catalog::{Catalog, TableDef},
    error::to_datafusion,
    operators::{PartitionCount, ShardScanExec, addressed},
    partition::pruned,
};

/// A table; scanning it makes a [`ShardScanExec`].
#[derive(Debug)]
pub struct ShardTable {
    table: Arc<TableDef>,
    /// What has its rows, if it is partitioned.
    partitions: Vec<Arc<TableDef>>,
    schema: SchemaRef,
}

/// The name that the table which a statement changes has in our queries: with its rows' addresses.
pub const CHANGED_TABLE: &str = "kestrel changed table";

impl ShardTable {
    /// Of one snapshot's table.
    pub fn new(table: Arc<TableDef>, catalog: &Catalog) -> Self {
        let partitions = match table.partitioned_by {
            Some(_) => catalog.partitions_of(table.id).into_iter().cloned().collect(),
            None => Vec::new(),
        };
        let schema = table.arrow_schema();
        Self { table, partitions, schema }
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
    ) -> Result<(Arc<TableDef>, Option<PartitionCount>)> {
        if self.table.partitioned_by.is_none() {
            return Ok((Arc::clone(&self.table), None));
        }
        let kept = pruned(&self.table, &self.partitions, filters).map_err(to_datafusion)?;
        let kept = self.partitions.iter().zip(kept).filter(|(_, kept)| *kept);
        let kept: Vec<_> = kept.map(|(partition, _)| partition).collect();
        let count = PartitionCount { read: kept.len(), all: self.partitions.len() };
        let segments = kept.iter().flat_map(|partition| &partition.segments).cloned().collect();
        let table = TableDef { segments, ..self.table.as_ref().clone() };
        Ok((Arc::new(table), Some(count)))
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
        let (table, partitions) = self.read(&filters)?;
        let scan = ShardScanExec::try_new(table, projection, filters, limit)?;
        Ok(Arc::new(scan.with_partitions(partitions)))
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
