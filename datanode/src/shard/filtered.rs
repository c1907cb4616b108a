//! Filters over what a store reads, for those that the store itself does not apply exactly.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::tree_node::{Transformed, TransformedResult, TreeNode},
    error::{DataFusionError, Result},
    physical_expr::{PhysicalExpr, conjunction, expressions::Column},
    physical_plan::{ExecutionPlan, filter::FilterExecBuilder},
};
use kestrel_planner::operators::ShardScan;

/// Exactly the rows of `source` that pass all filters of `scan`, and of them the projected columns:
/// the first of `columns`, which are those of the table that `source` puts out. `batch_rows`: rows of
/// a batch.
pub(super) fn filtered(
    scan: &ShardScan,
    columns: &[usize],
    batch_rows: usize,
    source: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let filters = scan
        .filters
        .iter()
        .map(|filter| over_source(filter, columns, &scan.schema))
        .collect::<Result<Vec<_>>>()?;
    let only_for_filters = columns.len() > scan.projection.len();
    let output = only_for_filters.then(|| (0..scan.projection.len()).collect());
    let filter = FilterExecBuilder::new(conjunction(filters), source)
        // The estimates are of the rows that pass.
        .with_default_selectivity(100)
        .with_batch_size(batch_rows)
        .with_fetch(scan.fetch)
        .apply_projection(output)?
        .build()?;
    Ok(Arc::new(filter))
}

/// A filter over the table's columns, as one over the columns that are read.
fn over_source(
    filter: &Arc<dyn PhysicalExpr>,
    columns: &[usize],
    schema: &SchemaRef,
) -> Result<Arc<dyn PhysicalExpr>> {
    Arc::clone(filter)
        .transform_up(|node| {
            let Some(column) = node.downcast_ref::<Column>() else {
                return Ok(Transformed::no(node));
            };
            let position = columns.iter().position(|c| *c == column.index());
            match (position, schema.fields().get(column.index())) {
                (Some(position), Some(field)) => {
                    Ok(Transformed::yes(Arc::new(Column::new(field.name(), position))))
                }
                _ => Err(DataFusionError::Internal(format!("a scan filters on unknown {column}"))),
            }
        })
        .data()
}
