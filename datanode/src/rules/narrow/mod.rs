//! Arithmetic on numerics that needs only 64 bits.
//!
//! Numerics have 128 bits, and their sums and products checks; but the values of a table are small,
//! and a scan knows how small. Where [`super::ranges`] proves that no step can leave 64 bits, an
//! expression is compiled into a [`Program`], which a [`Machine`] runs over some rows at a time.

mod compile;
mod expr;
mod machine;
mod program;

use std::sync::Arc;

use datafusion::{
    common::tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    error::Result,
    physical_expr::PhysicalExpr,
    physical_plan::{
        ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions,
        aggregates::{AggregateExec, AggregateInputMode},
        filter::{FilterExec, FilterExecBuilder},
        projection::{ProjectionExec, ProjectionExpr},
    },
};

pub(crate) use compile::{Columns, compile};
pub(crate) use expr::NarrowDecimalExpr;
pub(crate) use machine::{CHUNK, Machine, Rows, Source};
pub(crate) use program::{Operand, Program, Range};

use super::{
    ranges::{Ranges, ranges},
    raw_scan::FindScan,
};

/// Operators below each other that are looked at. What is deeper stays as it is.
const MAX_DEPTH: usize = 256;

/// Narrows the arithmetic of projections, filters and aggregates.
pub(super) fn apply(
    plan: Arc<dyn ExecutionPlan>,
    scans: FindScan,
) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(narrowed(plan, scans, 0)?.0)
}

/// The plan, and what its columns can be.
fn narrowed(
    plan: Arc<dyn ExecutionPlan>,
    scans: FindScan,
    depth: usize,
) -> Result<(Arc<dyn ExecutionPlan>, Ranges)> {
    if depth == MAX_DEPTH {
        return Ok((plan, Ranges::new()));
    }
    let mut changed = false;
    let (mut children, mut below) = (Vec::new(), Vec::new());
    for child in plan.children() {
        let (new, ranges) = narrowed(Arc::clone(child), scans, depth + 1)?;
        changed |= !Arc::ptr_eq(&new, child);
        children.push(new);
        below.push(ranges);
    }
    let plan = if changed {
        plan.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))?
    } else {
        plan
    };
    let ranges = ranges(&plan, &below, scans);
    let plan = match below.first().map(|ranges| operator(&plan, ranges)).transpose()?.flatten() {
        Some(narrow) if narrow.schema() == plan.schema() => narrow,
        _ => plan,
    };
    Ok((plan, ranges))
}

/// An operator with narrow expressions over an input of these ranges; `None`: it has none.
fn operator(
    plan: &Arc<dyn ExecutionPlan>,
    ranges: &Ranges,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(input) = plan.children().first().map(|input| input.schema()) else { return Ok(None) };
    let columns = Columns { schema: &input, ranges };
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let exprs = projection.expr().iter().map(|column| Arc::clone(&column.expr));
        let Some(exprs) = expressions(exprs, columns)? else { return Ok(None) };
        let columns = exprs.into_iter().zip(projection.expr());
        let columns = columns.map(|(expr, column)| ProjectionExpr::new(expr, &column.alias));
        let input = Arc::clone(projection.input());
        let schema = projection.schema();
        let narrow = ProjectionExec::try_new_with_schema_metadata(columns, input, &schema)?;
        return Ok(Some(Arc::new(narrow)));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let exprs = expressions([Arc::clone(filter.predicate())], columns)?;
        let Some(predicate) = exprs.and_then(|mut exprs| exprs.pop()) else { return Ok(None) };
        let narrow = FilterExecBuilder::from(filter).with_predicate(predicate).build()?;
        return Ok(Some(Arc::new(narrow)));
    }
    match plan.downcast_ref::<AggregateExec>() {
        Some(aggregate) => arguments(aggregate, columns),
        None => Ok(None),
    }
}

/// An aggregate with narrow arguments.
fn arguments(
    aggregate: &AggregateExec,
    columns: Columns<'_>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if aggregate.mode().input_mode() != AggregateInputMode::Raw {
        // The input has states; arguments are only named.
        return Ok(None);
    }
    let mut changed = false;
    let mut functions = aggregate.aggr_expr().to_vec();
    for function in &mut functions {
        let all = function.all_expressions();
        if let Some(narrow) = expressions(all.args, columns)?
            && let Some(narrow) = function.with_new_expressions(narrow, all.order_by_exprs)
        {
            *function = Arc::new(narrow);
            changed = true;
        }
    }
    Ok(changed.then(|| Arc::new(aggregate.with_new_aggr_exprs(functions)) as _))
}

/// The expressions with what is narrow in them; `None`: nothing.
fn expressions(
    exprs: impl IntoIterator<Item = Arc<dyn PhysicalExpr>>,
    columns: Columns<'_>,
) -> Result<Option<Vec<Arc<dyn PhysicalExpr>>>> {
    let mut changed = false;
    let narrow = exprs.into_iter().map(|expr| -> Result<Arc<dyn PhysicalExpr>> {
        let narrow = expr.transform_down(|expr| {
            Ok(match NarrowDecimalExpr::of(&expr, columns) {
                Some(narrow) => {
                    Transformed::new(Arc::new(narrow) as _, true, TreeNodeRecursion::Jump)
                }
                None => Transformed::no(expr),
            })
        })?;
        changed |= narrow.transformed;
        Ok(narrow.data)
    });
    let narrow = narrow.collect::<Result<Vec<_>>>()?;
    Ok(changed.then_some(narrow))
}
