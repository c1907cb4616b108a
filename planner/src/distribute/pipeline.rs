//! Operators that look at one row at a time: they run where their input is.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::{
    error::{DataFusionError, Result},
    physical_expr::expressions::Column,
    physical_plan::{
        ExecutionPlan, filter::FilterExec, projection::ProjectionExec, unnest::UnnestExec,
    },
};

use super::{Placed, join_key::without_casts, reproducible::draws, single::once};
use crate::locus::Locus;

/// A projection keeps the key columns it passes on, under casts that keep their hash, too.
pub(crate) fn projection(plan: &Arc<dyn ExecutionPlan>, child: Placed) -> Result<Placed> {
    let projection = downcast::<ProjectionExec>(plan)?;
    let mut positions: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (position, output) in projection.expr().iter().enumerate() {
        let bare = without_casts(&output.expr, &child.plan.schema());
        if let Some(column) = bare.downcast_ref::<Column>() {
            positions.entry(column.index()).or_default().push(position);
        }
    }
    let locus = child.locus.project(|c| positions.get(&c).cloned().unwrap_or_default());
    let exprs = projection.expr().iter().map(|output| &output.expr);
    let estimate = child.estimate.projected(exprs, &plan.schema());
    once_if_drawn(Placed::new(plan, vec![child], locus, estimate)?)
}

/// A filter leaves rows where they are.
pub(super) fn filter(plan: &Arc<dyn ExecutionPlan>, child: Placed) -> Result<Placed> {
    let filter = downcast::<FilterExec>(plan)?;
    let predicate = Arc::clone(filter.predicate());
    let locus = match filter.projection() {
        None => child.locus.clone(),
        Some(kept) => child.locus.project(|column| positions_of(kept, column)),
    };
    let passing = child.estimate.filtered(std::slice::from_ref(&predicate));
    let estimate = match filter.projection() {
        None => passing,
        Some(kept) => passing.kept(kept),
    };
    once_if_drawn(Placed::new(plan, vec![child], locus, estimate)?)
}

/// A guess at how many elements an array has.
const ELEMENTS_PER_ARRAY: f64 = 10.0;

/// Rows of an array's elements are where the array is. Columns stay at their places, unless a struct
/// has become several.
pub(super) fn unnest(plan: &Arc<dyn ExecutionPlan>, child: Placed) -> Result<Placed> {
    let unnest = downcast::<UnnestExec>(plan)?;
    let lists = unnest.list_column_indices();
    let kept = |column: usize| lists.iter().all(|list| list.index_in_input_schema != column);
    let same_width = plan.schema().fields().len() == child.plan.schema().fields().len();
    let in_place = same_width && unnest.struct_column_indices().is_empty();
    let locus = child.locus.project(|column| match in_place && kept(column) {
        true => vec![column],
        false => vec![],
    });
    let estimate = child.estimate.with(child.estimate.rows * ELEMENTS_PER_ARRAY, &plan.schema());
    Placed::new(plan, vec![child], locus, estimate)
}

/// Segments are written where the rows have been brought; on every datanode, since none can know
/// that it has no rows.
pub(super) fn segment_write(plan: &Arc<dyn ExecutionPlan>, child: Placed) -> Result<Placed> {
    let estimate = child.estimate.with(1.0, &plan.schema());
    Placed::new(plan, vec![child], Locus::Strewn, estimate)
}

/// Rows are changed by their addresses, wherever they are. Of rows that are everywhere each datanode
/// changes its own copy.
pub(crate) fn row_change(plan: &Arc<dyn ExecutionPlan>, child: Placed) -> Result<Placed> {
    let estimate = child.estimate.with(1.0, &plan.schema());
    let locus = match child.locus {
        Locus::Hashed(_) | Locus::Strewn | Locus::Replicated => Locus::Strewn,
        Locus::Single | Locus::General => child.locus.clone(),
    };
    Placed::new(plan, vec![child], locus, estimate)
}

/// Where a column went in an embedded projection.
pub(super) fn positions_of(kept: &[usize], column: usize) -> Vec<usize> {
    kept.iter().enumerate().filter(|(_, c)| **c == column).map(|(at, _)| at).collect()
}

/// random() must not differ between copies of the same rows: compute them once.
fn once_if_drawn(placed: Placed) -> Result<Placed> {
    Ok(if draws(placed.plan.as_ref())? { once(placed) } else { placed })
}

pub(super) fn downcast<T: ExecutionPlan>(plan: &Arc<dyn ExecutionPlan>) -> Result<&T> {
    plan.downcast_ref::<T>().ok_or_else(|| {
        DataFusionError::Internal(format!("{} is not the operator it was taken for", plan.name()))
    })
}
