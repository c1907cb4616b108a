//! Between which values the columns of an operator's output are, as integers: decimals unscaled.
//!
//! What scans know of their columns is carried up; whatever is not sure stays unknown, but for what
//! the type says. NULL counts for nothing, and what is under NULL can be anything.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::JoinType,
    physical_expr::expressions::Column,
    physical_plan::{
        ExecutionPlan,
        aggregates::AggregateExec,
        coalesce_partitions::CoalescePartitionsExec,
        coop::CooperativeExec,
        filter::FilterExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec},
        limit::{GlobalLimitExec, LocalLimitExec},
        projection::ProjectionExec,
        repartition::RepartitionExec,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
        union::UnionExec,
    },
};

use super::{
    narrow::{Columns, Program, Range, compile},
    raw_scan::FindScan,
};

/// Of each column of an operator's output.
pub(super) type Ranges = Vec<Option<Range>>;

/// Decimals of so many digits are within 64 bits whatever they are.
pub(super) const NARROW_PRECISION: u8 = 18;

/// The ranges of an operator's output, from those of its children's.
pub(super) fn ranges(
    plan: &Arc<dyn ExecutionPlan>,
    children: &[Ranges],
    scans: FindScan,
) -> Ranges {
    let schema = plan.schema();
    let known = |column| known(plan, children, column, scans);
    schema
        .fields()
        .iter()
        .enumerate()
        .map(|(column, field)| match (range_of_type(field.data_type()), known(column)) {
            (Some(of_type), Some(known)) => Some(of_type.within(known)),
            (of_type, known) => of_type.or(known),
        })
        .collect()
}

/// What a type can hold, if 64 bits can.
fn range_of_type(data_type: &DataType) -> Option<Range> {
    let (least, greatest) = match data_type {
        DataType::Int16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        DataType::Int32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        DataType::Int64 => (i64::MIN, i64::MAX),
        DataType::Decimal128(precision, _) if *precision <= NARROW_PRECISION => {
            let end = 10_i64.pow(u32::from(*precision)) - 1;
            (-end, end)
        }
        _ => return None,
    };
    Some(Range { least, greatest })
}

fn known(
    plan: &Arc<dyn ExecutionPlan>,
    children: &[Ranges],
    column: usize,
    scans: FindScan,
) -> Option<Range> {
    if let Some(scan) = scans(plan) {
        let (least, greatest) = scan.value_bounds(column)?;
        return Range::between(least.into(), greatest.into());
    }
    let child = |child: usize, column: usize| *children.get(child)?.get(column)?;
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let expr = &projection.expr().get(column)?.expr;
        if let Some(column) = expr.downcast_ref::<Column>() {
            return child(0, column.index());
        }
        let schema = projection.input().schema();
        let columns = Columns { schema: &schema, ranges: children.first()? };
        return Some(compile(expr, columns, &mut Program::default())?.value.range);
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return child(0, projected(filter.projection().as_deref(), column)?);
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let (key, _) = aggregate.group_expr().expr().get(column)?;
        return child(0, key.downcast_ref::<Column>()?.index());
    }
    if let Some((join_type, projection)) = join(plan) {
        let column = projected(projection, column)?;
        let left = plan.children().first()?.schema().fields().len();
        return match join_type {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => child(1, column),
            JoinType::Inner
            | JoinType::Left
            | JoinType::Right
            | JoinType::Full
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark => match column.checked_sub(left) {
                None => child(0, column),
                // Whether a row has a mark is no number.
                Some(_) if join_type == JoinType::LeftMark => None,
                Some(column) => child(1, column),
            },
        };
    }
    if plan.is::<UnionExec>() {
        let inputs = (0..children.len()).map(|input| child(input, column));
        return inputs.reduce(|a, b| Some(a?.hull(b?))).flatten();
    }
    hands_rows_on(plan).then(|| child(0, column)).flatten()
}

fn projected(projection: Option<&[usize]>, column: usize) -> Option<usize> {
    projection.map_or(Some(column), |projection| projection.get(column).copied())
}

/// The type of a join, and which of its columns come out.
fn join(plan: &Arc<dyn ExecutionPlan>) -> Option<(JoinType, Option<&[usize]>)> {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return Some((*join.join_type(), join.projection.as_deref()));
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        return Some((*join.join_type(), join.projection().as_deref()));
    }
    if let Some(join) = plan.downcast_ref::<SortMergeJoinExec>() {
        return Some((join.join_type(), None));
    }
    plan.is::<CrossJoinExec>().then_some((JoinType::Inner, None))
}

/// Operators with one input, whose rows come out as they went in.
fn hands_rows_on(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<CooperativeExec>()
        || plan.is::<CoalescePartitionsExec>()
        || plan.is::<RepartitionExec>()
        || plan.is::<SortExec>()
        || plan.is::<SortPreservingMergeExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
}
