//! How far down filters go, operator by operator.

use std::sync::Arc;

use datafusion::{common::JoinType, physical_plan::joins::CrossJoinExec};

use super::{
    super::passage::{Passage, passages},
    JOIN_TYPES, Plan, join, table,
};

/// The ways down from each column of the output, as `left 0` or `right 0`.
fn ways(plan: &Plan) -> Vec<String> {
    let way =
        |passage: &Passage| format!("{} {}", ["left", "right"][passage.child], passage.column);
    let ways = |column| passages(plan, column).iter().map(way).collect::<Vec<_>>().join(" + ");
    (0..plan.schema().fields().len()).map(ways).collect()
}

fn a_join(join_type: JoinType, projection: Option<Vec<usize>>) -> Plan {
    let (left, right) = (table(&["a0", "a1"]), table(&["b0", "b1"]));
    Arc::new(join(left, right, join_type, &[(1, 0)], projection))
}

/// a1 = b0.
#[test]
fn through_joins() {
    for join_type in JOIN_TYPES {
        let expected: &[&str] = match join_type {
            JoinType::Inner => &["left 0", "left 1 + right 0", "right 0 + left 1", "right 1"],
            JoinType::Left => &["left 0", "left 1", "", ""],
            JoinType::Right => &["", "", "right 0", "right 1"],
            JoinType::Full => &["", "", "", ""],
            JoinType::LeftSemi => &["left 0", "left 1 + right 0"],
            JoinType::LeftAnti => &["left 0", "left 1"],
            JoinType::LeftMark => &["left 0", "left 1", ""],
            JoinType::RightSemi => &["right 0 + left 1", "right 1"],
            JoinType::RightAnti => &["right 0", "right 1"],
            JoinType::RightMark => &["right 0", "right 1", ""],
        };
        assert_eq!(ways(&a_join(join_type, None)), expected, "{join_type}");
    }
}

#[test]
fn through_a_joins_own_projection() {
    let found = ways(&a_join(JoinType::Inner, Some(vec![3, 1, 0])));
    assert_eq!(found, ["right 1", "left 1 + right 0", "left 0"]);
    let found = ways(&a_join(JoinType::Left, Some(vec![2, 0])));
    assert_eq!(found, ["", "left 0"]);
}

#[test]
fn not_through_a_join_that_gives_only_so_many_rows() {
    let join = a_join(JoinType::Inner, None);
    let limited = join.with_fetch(Some(10)).unwrap();
    assert_eq!(ways(&limited), ["", "", "", ""]);
}

#[test]
fn through_cross_joins() {
    let join: Plan = Arc::new(CrossJoinExec::new(table(&["a0", "a1"]), table(&["b0"])));
    assert_eq!(ways(&join), ["left 0", "left 1", "right 0"]);
}
