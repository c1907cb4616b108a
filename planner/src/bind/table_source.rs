//! A table of the catalog as DataFusion's planner scans it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{DFSchema, tree_node::TreeNode},
    error::Result,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
};

use crate::{
    catalog::TableDef,
    operators::{ShardScanExec, addressed},
};

/// A table; scanning it makes a [`ShardScanExec`].
#[derive(Debug)]
pub struct ShardTable {
    table: Arc<TableDef>,
    schema: SchemaRef,
}

/// The name that the table which a statement changes has in our queries: with its rows' addresses.
pub const CHANGED_TABLE: &str = "kestrel changed table";

impl ShardTable {
    /// Of one snapshot's table.
    pub fn new(table: Arc<TableDef>) -> Self {
        let schema = table.arrow_schema();
        Self { table, schema }
    }

    /// The same with its rows' addresses.
    pub fn with_addresses(table: Arc<TableDef>) -> Self {
        let schema = addressed(&table.arrow_schema());
        Self { table, schema }
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
        let table = Arc::clone(&self.table);
        Ok(Arc::new(ShardScanExec::try_new(table, projection, filters, limit)?))
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
