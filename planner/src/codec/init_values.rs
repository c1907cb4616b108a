//! The values of init plans in what is encoded, once these have run: as constants, and as conjuncts of
//! the scans whose rows are compared with them. When the query was planned, such conditions had to stay
//! above their scans; now these can leave out partitions, segments and zones.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::Schema};
use datafusion::{
    common::tree_node::{Transformed, TreeNode},
    error::Result,
    logical_expr::ColumnarValue,
    physical_expr::{
        PhysicalExpr,
        expressions::{Column, Literal},
        scalar_subquery::ScalarSubqueryExpr,
        split_conjunction,
    },
    physical_expr_common::physical_expr::is_volatile,
    physical_plan::{
        ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions, filter::FilterExec,
    },
};

use super::internal;
use crate::operators::{ShardScanExec, addressed};

/// Puts the values of init plans where the expression refers to them.
pub(super) fn with_values(expr: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let nothing = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let replaced = Arc::clone(expr).transform_up(|expr| {
        if !expr.is::<ScalarSubqueryExpr>() {
            return Ok(Transformed::no(expr));
        }
        match expr.evaluate(&nothing)? {
            ColumnarValue::Scalar(value) => Ok(Transformed::yes(Arc::new(Literal::new(value)))),
            ColumnarValue::Array(_) => Err(internal("a subquery's value is no scalar")),
        }
    })?;
    Ok(replaced.data)
}

/// An operator that drops rows of a scan of segments by the values of init plans: a scan that does it
/// itself, below what is left to do. `None`: it is none.
pub(super) fn narrowed(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(filter) = plan.downcast_ref::<FilterExec>() else { return Ok(None) };
    let Some(scan) = filter.input().downcast_ref::<ShardScanExec>() else { return Ok(None) };
    if scan.table().is_on_shards() || scan.fetch().is_some() {
        return Ok(None);
    }
    let all = split_conjunction(filter.predicate());
    let compared = all.iter().filter(|conjunct| refers(conjunct) && !is_volatile(conjunct));
    let compared = compared.map(|conjunct| over_table(&with_values(conjunct)?, scan));
    let compared = compared.collect::<Result<Vec<_>>>()?;
    if compared.is_empty() {
        return Ok(None);
    }
    let is_all = compared.len() == all.len() && plan.fetch().is_none();
    let projection = match (is_all, filter.projection()) {
        (true, Some(kept)) => kept.iter().map(|at| position(scan, *at)).collect::<Result<_>>()?,
        (true, None) | (false, _) => scan.projection().to_vec(),
    };
    let scan: Arc<dyn ExecutionPlan> = Arc::new(scan.narrowed(projection, compared)?);
    match is_all {
        true => Ok(Some(scan)),
        false => {
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            Arc::clone(plan).replace_children(vec![scan], options).map(Some)
        }
    }
}

fn refers(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.exists(|expr| Ok(expr.is::<ScalarSubqueryExpr>())).unwrap_or(false)
}

/// The same over the columns of the table that a scan reads.
fn over_table(expr: &Arc<dyn PhysicalExpr>, scan: &ShardScanExec) -> Result<Arc<dyn PhysicalExpr>> {
    let schema = addressed(&scan.table().arrow_schema());
    let replaced = Arc::clone(expr).transform_up(|expr| {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        let at = position(scan, column.index())?;
        Ok(Transformed::yes(Arc::new(Column::new(schema.field(at).name(), at))))
    })?;
    Ok(replaced.data)
}

/// Of an output column of a scan, its position in the table.
fn position(scan: &ShardScanExec, output: usize) -> Result<usize> {
    scan.projection().get(output).copied().ok_or_else(|| internal("a scan lacks a column"))
}
