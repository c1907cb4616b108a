//! How far down a runtime filter may go: through which operators, and from which column to which.
//!
//! The question is always the same. Whoever is above needs only those rows of an operator's output
//! whose value in one column is among some keys. Which rows of its inputs may then be gone, with
//! nothing changing in the output that is needed? Columns are followed by their positions: names are
//! not unique above a join.

use std::sync::Arc;

use datafusion::{
    common::{JoinSide, JoinType},
    physical_expr::{PhysicalExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan,
        aggregates::AggregateExec,
        coalesce_partitions::CoalescePartitionsExec,
        coop::CooperativeExec,
        filter::FilterExec,
        joins::{CrossJoinExec, HashJoinExec},
        projection::ProjectionExec,
        repartition::RepartitionExec,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
        union::{InterleaveExec, UnionExec},
    },
};
use kestrel_planner::operators::is_union_input;

use super::{collect::KeyCollectorExec, filter::KeyFilterExec};
use crate::pass_through::PassThroughExec;

/// A way down: rows of this child whose value in this column of it is not among the keys may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) child: usize,
    pub(super) column: usize,
}

/// All ways down from a column of an operator's output.
pub(super) fn passages(plan: &Arc<dyn ExecutionPlan>, column: usize) -> Vec<Passage> {
    if plan.fetch().is_some() {
        // Other rows would take the places of those that are gone.
        return Vec::new();
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return through_join(join, column);
    }
    if let Some(join) = plan.downcast_ref::<CrossJoinExec>() {
        let left = join.left().schema().fields().len();
        return vec![match column.checked_sub(left) {
            None => Passage { child: 0, column },
            Some(column) => Passage { child: 1, column },
        }];
    }
    if plan.is::<UnionExec>() || plan.is::<InterleaveExec>() {
        return (0..plan.children().len()).map(|child| Passage { child, column }).collect();
    }
    let below = if hands_rows_on(plan) { Some(column) } else { through_one_input(plan, column) };
    below.map(|column| Passage { child: 0, column }).into_iter().collect()
}

/// Whether an operator's output is its input's rows as they are, in whatever order or partitions.
fn hands_rows_on(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<CoalescePartitionsExec>()
        || plan.is::<RepartitionExec>()
        || plan.is::<SortExec>()
        || plan.is::<SortPreservingMergeExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<PassThroughExec>()
        // A filter below has no say over the keys of rows that another filter needs: who is above the
        // join that collects these does not need what they would join.
        || plan.is::<KeyCollectorExec>()
        || plan.is::<KeyFilterExec>()
        || is_union_input(plan)
}

/// The column of the only input that an output column is.
fn through_one_input(plan: &Arc<dyn ExecutionPlan>, column: usize) -> Option<usize> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return position(&projection.expr().get(column)?.expr);
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return match filter.projection() {
            Some(projection) => projection.get(column).copied(),
            None => Some(column),
        };
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        // Whole groups go, but for those of which a scan has kept a part: see `KeyFilterExec`.
        let groups = aggregate.group_expr();
        if groups.has_grouping_set() || aggregate.limit_options().is_some() {
            return None;
        }
        return position(&groups.expr().get(column)?.0);
    }
    None
}

/// The position of a column that an expression is.
pub(super) fn position(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    expr.downcast_ref::<Column>().map(Column::index)
}

/// Into the side that the column is of, if no other row's fate hangs on the rows that go; and into
/// the other side, if what only those rows would join can go, too.
fn through_join(join: &HashJoinExec, column: usize) -> Vec<Passage> {
    let Some((side, column)) = origin(join, column) else { return Vec::new() };
    let is_kept = |side| match join.join_type() {
        JoinType::Inner => true,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            side == JoinSide::Left
        }
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            side == JoinSide::Right
        }
        // A row of the other side that has lost its partner would come out alone.
        JoinType::Full => false,
    };
    if !is_kept(side) {
        return Vec::new();
    }
    let mut passages = vec![passage(side, column)];
    if drops_rows_without_partner(*join.join_type()) {
        let partner = |(left, right): &(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)| {
            let (own, other) = match side {
                JoinSide::Left => (left, right),
                JoinSide::Right | JoinSide::None => (right, left),
            };
            (position(own) == Some(column)).then(|| position(other)).flatten()
        };
        let partners = join.on().iter().filter_map(partner);
        passages.extend(partners.map(|column| passage(side.negate(), column)));
    }
    passages
}

fn passage(side: JoinSide, column: usize) -> Passage {
    Passage { child: usize::from(side == JoinSide::Right), column }
}

/// Whether a row comes out only if it has a partner: then it may as well have lost it, when it is not
/// needed.
fn drops_rows_without_partner(join_type: JoinType) -> bool {
    match join_type {
        JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => true,
        JoinType::Left
        | JoinType::Right
        | JoinType::Full
        | JoinType::LeftAnti
        | JoinType::RightAnti
        | JoinType::LeftMark
        | JoinType::RightMark => false,
    }
}

/// The side, and the column of it, that an output column is; `None`: it is a mark.
fn origin(join: &HashJoinExec, column: usize) -> Option<(JoinSide, usize)> {
    let column = match &join.projection {
        Some(projection) => *projection.get(column)?,
        None => column,
    };
    let left = join.left().schema().fields().len();
    let right = join.right().schema().fields().len();
    match join.join_type() {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            Some(match column.checked_sub(left) {
                None => (JoinSide::Left, column),
                Some(column) => (JoinSide::Right, column),
            })
        }
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            (column < left).then_some((JoinSide::Left, column))
        }
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            (column < right).then_some((JoinSide::Right, column))
        }
    }
}
