//! Direct dispatch: which datanodes a slice need not run on, because filters on the distribution
//! keys of what it scans leave it no rows there.
//!
//! [`owners`] says where rows of one table that pass its filters can be. An operator's rows are where
//! its inputs' rows are: those of a join are where both sides have some, or the side that it keeps.

mod values;

use std::collections::BTreeSet;

use datafusion::{
    common::JoinType,
    physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec},
    physical_plan::union::UnionExec,
};
use kestrel_proto::{BucketMap, DatanodeId};

pub(crate) use values::owners;

use crate::{
    catalog::Distribution, distribute::Placed, locus::Locus, motion::Motion,
    operators::ShardScanExec,
};

/// The datanodes on which a slice that works on parts can have rows, maybe none; `None`: all.
pub(crate) fn executors(slice: &Placed, map: &BucketMap) -> Option<BTreeSet<DatanodeId>> {
    match reach(slice, map) {
        Reach::Only(datanodes) if !needs_all(slice) => Some(datanodes),
        Reach::Only(_) | Reach::Copies | Reach::All => None,
    }
}

/// Where an operator of a slice can have rows.
enum Reach {
    /// The same ones wherever it runs.
    Copies,
    /// Parts, on some of these datanodes.
    Only(BTreeSet<DatanodeId>),
    /// Parts, on any datanode.
    All,
}

impl Reach {
    /// Rows that both sides are needed for.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Copies, reach) | (reach, Self::Copies) => reach,
            (Self::Only(left), Self::Only(right)) => Self::Only(&left & &right),
            (Self::Only(datanodes), Self::All) | (Self::All, Self::Only(datanodes)) => {
                Self::Only(datanodes)
            }
            (Self::All, Self::All) => Self::All,
        }
    }

    /// Rows of either side.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Copies, Self::Copies) => Self::Copies,
            (Self::Only(left), Self::Only(right)) => Self::Only(&left | &right),
            (_, _) => Self::All,
        }
    }
}

fn reach(node: &Placed, map: &BucketMap) -> Reach {
    if let Some(motion) = node.motion() {
        return match motion {
            Motion::Broadcast => Reach::Copies,
            Motion::Gather { .. } | Motion::Redistribute { .. } | Motion::Spread => Reach::All,
        };
    }
    if let Some(scan) = node.plan.downcast_ref::<ShardScanExec>() {
        return match scan.table().distribution {
            Distribution::Replicated => Reach::Copies,
            Distribution::Random => Reach::All,
            Distribution::Hash(_) => {
                owners(scan.filters(), scan.table(), map).map_or(Reach::All, Reach::Only)
            }
        };
    }
    match node.children.as_slice() {
        [] if node.locus == Locus::General => Reach::Copies,
        [] => Reach::All,
        // Rows of groups, and states of aggregates without, are made where there are rows to make
        // them of: nobody misses the state of no rows.
        [input] => reach(input, map),
        [left, right] => match join_type(node) {
            Some(join_type) => joined(join_type, reach(left, map), reach(right, map)),
            None => any_of(node, map),
        },
        _ => any_of(node, map),
    }
}

fn join_type(node: &Placed) -> Option<JoinType> {
    if let Some(join) = node.plan.downcast_ref::<HashJoinExec>() {
        return Some(*join.join_type());
    }
    if let Some(join) = node.plan.downcast_ref::<NestedLoopJoinExec>() {
        return Some(*join.join_type());
    }
    node.plan.downcast_ref::<CrossJoinExec>().map(|_| JoinType::Inner)
}

fn joined(join_type: JoinType, left: Reach, right: Reach) -> Reach {
    match join_type {
        JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => left.and(right),
        JoinType::Full => left.or(right),
        JoinType::Left | JoinType::LeftAnti | JoinType::LeftMark => kept(left, right),
        JoinType::Right | JoinType::RightAnti | JoinType::RightMark => kept(right, left),
    }
}

/// Rows of a side that keeps its own whatever the other one has.
fn kept(side: Reach, other: Reach) -> Reach {
    match (side, other) {
        // Such a join of a copy and parts is not planned; who knows what it would mean.
        (Reach::Copies, Reach::Only(_) | Reach::All) => Reach::All,
        (side, _) => side,
    }
}

/// Rows of all inputs, of a UNION ALL; of other operators nothing is known.
fn any_of(node: &Placed, map: &BucketMap) -> Reach {
    if !node.plan.is::<UnionExec>() {
        return Reach::All;
    }
    let inputs = node.children.iter().map(|child| reach(child, map));
    inputs.reduce(Reach::or).unwrap_or(Reach::All)
}

/// Must all datanodes be there, because some rows come to the owners of their buckets?
fn needs_all(node: &Placed) -> bool {
    match node.motion() {
        Some(Motion::Redistribute { .. } | Motion::Spread) => true,
        Some(Motion::Broadcast | Motion::Gather { .. }) => false,
        None => node.children.iter().any(needs_all),
    }
}
