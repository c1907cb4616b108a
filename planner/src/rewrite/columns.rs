//! From which input an operator's columns come, and which inputs may lose rows.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        JoinType,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{
            BinaryExpr, CaseExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
        },
    },
    physical_expr_common::physical_expr::is_volatile,
    physical_plan::{
        aggregates::{AggregateExec, AggregateInputMode},
        filter::FilterExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, utils::JoinFilter},
        projection::ProjectionExec,
        sorts::sort::SortExec,
    },
};

use super::PlanRef;

/// The input, and its column, that has the very values of an output column. `None`: the column is
/// computed, or the operator does not give the same for each row whatever other rows there are.
pub(crate) fn below(plan: &PlanRef, column: usize) -> Option<(usize, usize)> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let outputs = projection.expr();
        let is_fixed = !outputs.iter().any(|output| is_volatile(&output.expr));
        return is_fixed.then(|| column_of(&outputs.get(column)?.expr)).flatten().map(|at| (0, at));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let at = kept(filter.projection().as_deref(), column)?;
        return (!is_volatile(filter.predicate())).then_some((0, at));
    }
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        return sort.fetch().is_none().then_some((0, column));
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let by = aggregate.group_expr();
        let is_plain = !by.has_grouping_set()
            && aggregate.limit_options().is_none()
            && !computed_of_rows(aggregate).iter().any(is_volatile);
        let group = by.expr().get(column).filter(|_| is_plain)?;
        let at = column_of(&group.0)?;
        // Between two phases there is nothing to be put.
        let is_through = match aggregate.input().downcast_ref::<AggregateExec>() {
            Some(first) if aggregate.mode().input_mode() == AggregateInputMode::Partial => {
                let by = first.group_expr();
                !by.has_grouping_set()
                    && by.expr().get(at).is_some_and(|(group, _)| group.is::<Column>())
            }
            _ => true,
        };
        return is_through.then_some((0, at));
    }
    let join = Joined::of(plan)?;
    let is_fixed = join.filter.is_none_or(|filter| !is_volatile(filter.expression()));
    let column = kept(join.kept, column).filter(|_| is_fixed)?;
    let widths = plan.children().into_iter().map(|side| side.schema().fields().len());
    let widths: Vec<usize> = widths.collect();
    let [left, right] = widths.as_slice() else { return None };
    side_of(join.join_type, *left, column)
        .filter(|(side, at)| at < if *side == 0 { left } else { right })
}

/// What an aggregate computes of each row, but for its groups.
fn computed_of_rows(aggregate: &AggregateExec) -> Vec<Arc<dyn PhysicalExpr>> {
    let aggregates = aggregate.aggr_expr().iter();
    let computed = aggregates.flat_map(|one| {
        let order = one.order_bys().iter().map(|key| Arc::clone(&key.expr));
        one.expressions().into_iter().chain(order)
    });
    computed.chain(aggregate.filter_expr().iter().flatten().cloned()).collect()
}

/// May rows of this input be left out, if the output's rows that come of them are not wanted? The
/// input is one that [`below`] has found.
pub(super) fn may_lose_rows(plan: &PlanRef, input: usize) -> bool {
    let Some(join) = Joined::of(plan) else { return true };
    match join.join_type {
        JoinType::Inner => true,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => input == 0,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            input == 1
        }
        JoinType::Full => false,
    }
}

/// The side of a join and its column that an output column is; a mark is one behind its side's.
pub(super) fn side_of(join_type: JoinType, left: usize, column: usize) -> Option<(usize, usize)> {
    match join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            Some(if column < left { (0, column) } else { (1, column - left) })
        }
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => Some((0, column)),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => Some((1, column)),
    }
}

/// The position of a column, if an expression is nothing else.
pub(super) fn column_of(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    expr.downcast_ref::<Column>().map(Column::index)
}

/// Are values of this type equal in a join if and only if they are one group? Floating point numbers
/// and intervals have values that are equal and not the same.
pub(super) fn is_plain(data_type: &DataType) -> bool {
    use DataType::*;
    let is_number = data_type.is_integer() || matches!(data_type, Decimal128(..));
    let is_text = matches!(data_type, Utf8 | LargeUtf8 | Utf8View);
    is_number || is_text || matches!(data_type, Boolean | Date32 | Timestamp(..) | Time64(_))
}

/// May an expression be an error for some row? What is not known to be none may.
pub(super) fn can_fail(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let mut can_fail = false;
    let walked = expr.apply(|node| {
        let is_safe = match node.downcast_ref::<BinaryExpr>() {
            Some(binary) => {
                use Operator::*;
                matches!(binary.op(), Eq | NotEq | Lt | LtEq | Gt | GtEq | And | Or)
            }
            None => {
                node.is::<Column>()
                    || node.is::<Literal>()
                    || node.is::<NotExpr>()
                    || node.is::<IsNullExpr>()
                    || node.is::<IsNotNullExpr>()
                    || node.is::<InListExpr>()
                    || node.is::<CaseExpr>()
            }
        };
        can_fail |= !is_safe;
        Ok(if can_fail { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.is_err() || can_fail
}

/// What all kinds of joins have.
struct Joined<'a> {
    join_type: JoinType,
    filter: Option<&'a JoinFilter>,
    /// Which columns of the joined row it gives.
    kept: Option<&'a [usize]>,
}

impl<'a> Joined<'a> {
    fn of(plan: &'a PlanRef) -> Option<Self> {
        if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            let (join_type, kept) = (*join.join_type(), join.projection.as_deref());
            return Some(Self { join_type, filter: join.filter(), kept });
        }
        if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
            let (join_type, kept) = (*join.join_type(), join.projection().as_deref());
            return Some(Self { join_type, filter: join.filter(), kept });
        }
        let is_cross = plan.is::<CrossJoinExec>();
        is_cross.then_some(Self { join_type: JoinType::Inner, filter: None, kept: None })
    }
}

fn kept(kept: Option<&[usize]>, column: usize) -> Option<usize> {
    match kept {
        Some(kept) => kept.get(column).copied(),
        None => Some(column),
    }
}
