//! Proves a placed plan again, knowing only the rules: every operator sits on a locus it is
//! allowed on. A plan that fails is a bug (XX000), never a wrong answer.

use datafusion::{
    common::JoinType,
    physical_plan::{
        aggregates::{AggregateExec, AggregateOutputMode},
        joins::{HashJoinExec, NestedLoopJoinExec},
        limit::GlobalLimitExec,
        recursive_query::RecursiveQueryExec,
        sorts::sort::SortExec,
    },
};
use kestrel_proto::ErrorReport;

use super::{Placed, is_on_coordinator};
use crate::{error::report, locus::Locus, motion::Motion};

/// Checks a whole plan, whose rows must be in one process.
pub fn check(root: &Placed) -> Result<(), ErrorReport> {
    if root.locus.is_partitioned() || root.needs_datanode() {
        return Err(failed(root, "the result is not gathered"));
    }
    check_node(root)
}

fn check_node(node: &Placed) -> Result<(), ErrorReport> {
    for (child, input) in node.children.iter().zip(node.plan.children()) {
        // A recursive query makes its terms anew, with its work table.
        let is_made_anew = node.plan.is::<RecursiveQueryExec>();
        if !is_made_anew && !std::sync::Arc::ptr_eq(&child.plan, input) {
            return Err(failed(node, "the operator's input is not the placed one"));
        }
    }
    rule_of_motion(node)?;
    rule_of_key_columns(node)?;
    rule_of_joins(node)?;
    rule_of_single(node)?;
    rule_of_coordinator(node)?;
    node.children.iter().try_for_each(check_node)
}

/// A motion's result is where the motion takes it.
fn rule_of_motion(node: &Placed) -> Result<(), ErrorReport> {
    let Some(motion) = node.motion() else {
        let invented = node.locus.is_partitioned()
            && !node.children.is_empty()
            && !node.children.iter().any(|c| c.locus.is_partitioned())
            && !["SegmentWriteExec", "RowChangeExec"].contains(&node.plan.name());
        return if invented { Err(failed(node, "parts of rows that were whole")) } else { Ok(()) };
    };
    let allowed = match motion {
        Motion::Gather { .. } => node.locus == Locus::Single,
        Motion::Broadcast => node.locus == Locus::Replicated,
        Motion::Redistribute { .. } => node.locus.is_partitioned(),
        Motion::Spread => node.locus == Locus::Strewn,
    };
    if allowed { Ok(()) } else { Err(failed(node, "a motion to another place")) }
}

/// Keys are columns of the output.
fn rule_of_key_columns(node: &Placed) -> Result<(), ErrorReport> {
    let Locus::Hashed(hashed) = &node.locus else { return Ok(()) };
    let width = node.plan.schema().fields().len();
    let known = hashed
        .keys
        .iter()
        .all(|key| !key.columns.is_empty() && key.columns.iter().all(|c| *c < width));
    if known { Ok(()) } else { Err(failed(node, "a key column that is not in the output")) }
}

/// Rows that are kept or are the result are not in several places while the other side is in
/// parts; parts on both sides only under a hash join of the same placement.
fn rule_of_joins(node: &Placed) -> Result<(), ErrorReport> {
    let hash_join = node.plan.downcast_ref::<HashJoinExec>();
    let join_type = match (hash_join, node.plan.downcast_ref::<NestedLoopJoinExec>()) {
        (Some(join), _) => *join.join_type(),
        (None, Some(join)) => *join.join_type(),
        (None, None) => return Ok(()),
    };
    let [left, right] = node.children.as_slice() else {
        return Err(failed(node, "a join of other than two sides"));
    };
    let (l, r) = (left.locus.is_partitioned(), right.locus.is_partitioned());
    let left_kept = matches!(
        join_type,
        JoinType::Left
            | JoinType::Full
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark
    );
    let right_kept = matches!(
        join_type,
        JoinType::Right
            | JoinType::Full
            | JoinType::RightSemi
            | JoinType::RightAnti
            | JoinType::RightMark
    );
    let null_aware = hash_join.is_some_and(|join| join.null_aware);
    let mixed = |part: bool, other: &Placed| part && other.locus == Locus::Single;
    if (r && !l && left_kept) || (l && !r && right_kept) {
        return Err(failed(node, "rows that are kept are in several places"));
    }
    if mixed(l, right) || mixed(r, left) {
        return Err(failed(node, "rows in parts are joined to rows in one process"));
    }
    if l && r && (hash_join.is_none() || null_aware) {
        return Err(failed(node, "parts that do not belong together are joined"));
    }
    if l && r && !both_hashed(left, right) {
        return Err(failed(node, "both sides are in parts, but not by a key"));
    }
    Ok(())
}

/// A side that was redistributed by an expression has no key column: its motion is the proof.
fn both_hashed(left: &Placed, right: &Placed) -> bool {
    let hashed = |side: &Placed| {
        matches!(side.locus, Locus::Hashed(_))
            || matches!(side.motion(), Some(Motion::Redistribute { .. }))
    };
    hashed(left) && hashed(right)
}

/// Final results need all their rows.
fn rule_of_single(node: &Placed) -> Result<(), ErrorReport> {
    let Some(child) = node.children.first() else { return Ok(()) };
    if node.plan.downcast_ref::<GlobalLimitExec>().is_some() && child.locus.is_partitioned() {
        return Err(failed(node, "a limit over parts"));
    }
    if node.plan.downcast_ref::<SortExec>().is_some()
        && child.locus.is_partitioned()
        && node.locus != child.locus
    {
        return Err(failed(node, "a sort over parts that is not merged"));
    }
    if let Some(aggregate) = node.plan.downcast_ref::<AggregateExec>() {
        let last = aggregate.mode().output_mode() == AggregateOutputMode::Final;
        let no_groups = aggregate.group_expr().input_exprs().is_empty();
        if last && no_groups && child.locus.is_partitioned() {
            return Err(failed(node, "one result from parts"));
        }
    }
    Ok(())
}

/// A recursive query, what calls the functions of sequences, and all above them are on the
/// coordinator, under no motion, and their inputs are there.
fn rule_of_coordinator(node: &Placed) -> Result<(), ErrorReport> {
    if !is_on_coordinator(&node.plan).map_err(report)? {
        return Ok(());
    }
    if node.motion().is_some() {
        return Err(failed(node, "what only the coordinator can run moves"));
    }
    let elsewhere = |child: &Placed| child.locus.is_partitioned() || child.needs_datanode();
    if node.children.iter().any(elsewhere) {
        return Err(failed(node, "what only the coordinator can run has inputs elsewhere"));
    }
    Ok(())
}

fn failed(node: &Placed, what: &str) -> ErrorReport {
    ErrorReport::internal(format!("the distributed plan is not sound: {what}")).detail(format!(
        "At {} on locus {}.",
        node.plan.name(),
        node.locus
    ))
}
