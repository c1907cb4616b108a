//! Which motions bring the sides of a join together: the one decision, for the plan as written
//! and for a search of the join order alike.
//!
//! It follows Greenplum's `cdbpath_motion_for_join` (`src/backend/cdb/cdbpath.c`): a side whose
//! unmatched rows are kept, or whose rows are the result, must not be in several places while the
//! other is in parts; of the ways that are left, the one that moves fewest bytes.

use datafusion::common::JoinType;

use crate::{
    catalog::HashClass,
    locus::{HashedLocus, Locus},
};

/// What is known of a join before it is placed.
#[derive(Clone, Debug)]
pub struct JoinShape {
    /// Inner, Left, …
    pub join_type: JoinType,
    /// NOT IN: one NULL anywhere on the right decides for all rows of the left.
    pub null_aware: bool,
    /// NULL equals NULL (IS NOT DISTINCT FROM, set operations).
    pub nulls_equal: bool,
    /// The equalities.
    pub keys: Vec<JoinKey>,
    /// For each of them, how many times the average the rows of the largest datanode would be that
    /// the left side and the right side come to by it. One that is not here: even.
    pub skews: Vec<(f64, f64)>,
    /// How many datanodes there are.
    pub datanodes: usize,
}

/// One equality of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinKey {
    /// The left column, if that side is a column (under a cast that keeps the hash).
    pub left: Option<usize>,
    /// The right column, likewise.
    pub right: Option<usize>,
    /// How both sides hash without such casts, if they hash alike.
    pub column_class: Option<HashClass>,
    /// How both sides hash as they stand; `None`: not hashable.
    pub class: Option<HashClass>,
}

/// One side of the join.
#[derive(Clone, Copy, Debug)]
pub struct JoinSideFacts<'a> {
    /// Where its rows are.
    pub locus: &'a Locus,
    /// Bytes of one copy.
    pub bytes: f64,
}

/// What happens to a side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing.
    Stay,
    /// To one process.
    Single,
    /// To every datanode.
    Broadcast,
    /// By these of the join's keys (positions in [`JoinShape::keys`]), in this order.
    Redistribute(Vec<usize>),
}

/// Where the result is, in terms of the sides after their moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinPlace {
    /// Where the left side is.
    Left,
    /// Where the right side is.
    Right,
    /// Where both are, by the same key.
    Both,
    /// In one process.
    Single,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinMotions {
    /// What happens to the left side.
    pub left: Move,
    /// What happens to the right side.
    pub right: Move,
    /// Where the result is.
    pub place: JoinPlace,
}

/// A way to bring the sides together.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinChoice {
    /// What happens to the sides.
    pub motions: JoinMotions,
    /// Bytes that all datanodes receive together, if each received as many as the one that most come to.
    pub moved: f64,
}

impl JoinShape {
    /// By several keys rows come as evenly as by the most even one.
    pub(crate) fn skew(&self, keys: &[usize], side: impl Fn(&(f64, f64)) -> f64) -> f64 {
        let of_keys = keys.iter().map(|key| self.skews.get(*key).map_or(1.0, &side));
        of_keys.reduce(f64::min).unwrap_or(1.0)
    }
}

/// May this side be complete on every datanode while the other is in parts?
fn may_be_replicated(shape: &JoinShape) -> (bool, bool) {
    match shape.join_type {
        JoinType::Inner => (true, true),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            (false, true)
        }
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            (true, false)
        }
        JoinType::Full => (false, false),
    }
}

/// Decides: of all ways the one that moves fewest bytes, of equal ones the first.
pub fn join_motions(
    left: JoinSideFacts<'_>,
    right: JoinSideFacts<'_>,
    shape: &JoinShape,
) -> JoinMotions {
    let choices = join_choices(left, right, shape).into_iter();
    choices.min_by(|a, b| a.moved.total_cmp(&b.moved)).map_or(
        JoinMotions { left: Move::Single, right: Move::Single, place: JoinPlace::Single },
        |choice| choice.motions,
    )
}

/// All ways that are allowed and may be worth it; one that moves nothing is the only one.
pub fn join_choices(
    left: JoinSideFacts<'_>,
    right: JoinSideFacts<'_>,
    shape: &JoinShape,
) -> Vec<JoinChoice> {
    let everywhere = |locus: &Locus| matches!(locus, Locus::General | Locus::Replicated);
    let unmoved = match (left.locus, right.locus) {
        (l, r) if !l.is_partitioned() && !r.is_partitioned() => Some(place_of_whole(l, r)),
        (l, r) if everywhere(r) && r_may_stay(l, shape) => Some(JoinPlace::Left),
        (l, r) if everywhere(l) && l_may_stay(r, shape) => Some(JoinPlace::Right),
        (l, r) if !shape.null_aware && co_located(l, r, shape) => Some(JoinPlace::Both),
        _ => None,
    };
    match unmoved {
        Some(place) => {
            let motions = JoinMotions { left: Move::Stay, right: Move::Stay, place };
            vec![JoinChoice { motions, moved: 0.0 }]
        }
        None => moving(left, right, shape),
    }
}

fn r_may_stay(left: &Locus, shape: &JoinShape) -> bool {
    left.is_partitioned() && may_be_replicated(shape).1
}

fn l_may_stay(right: &Locus, shape: &JoinShape) -> bool {
    right.is_partitioned() && may_be_replicated(shape).0 && !shape.null_aware
}

/// Neither side is in parts: whoever is in one process pulls the other there.
fn place_of_whole(left: &Locus, right: &Locus) -> JoinPlace {
    match (left, right) {
        (Locus::Single, _) | (_, Locus::Single) => JoinPlace::Single,
        (Locus::Replicated, _) => JoinPlace::Left,
        (_, _) => JoinPlace::Right,
    }
}

/// At least one side is in parts, and they do not fit as they are.
fn moving(left: JoinSideFacts<'_>, right: JoinSideFacts<'_>, shape: &JoinShape) -> Vec<JoinChoice> {
    let n = shape.datanodes as f64;
    let moved = (n - 1.0) / n;
    let (left_copies, right_copies) = may_be_replicated(shape);
    // The keys that one side is placed by already; they are what the other can be moved onto.
    let onto_left = hash_match(left.locus, shape, |key| key.left);
    let onto_right = hash_match(right.locus, shape, |key| key.right);
    let both_hashable: Vec<usize> =
        (0..shape.keys.len()).filter(|i| hash_of(&shape.keys[*i]).is_some()).collect();

    let mut choices: Vec<JoinChoice> = Vec::new();
    let mut offer = |moved: f64, left: Move, right: Move, place: JoinPlace| {
        choices.push(JoinChoice { motions: JoinMotions { left, right, place }, moved });
    };
    if !shape.null_aware {
        if let Some(keys) = onto_left {
            let bytes = right.bytes * moved * shape.skew(&keys, |skews| skews.1);
            offer(bytes, Move::Stay, Move::Redistribute(keys), JoinPlace::Both);
        }
        if let Some(keys) = onto_right {
            let bytes = left.bytes * moved * shape.skew(&keys, |skews| skews.0);
            offer(bytes, Move::Redistribute(keys), Move::Stay, JoinPlace::Both);
        }
    }
    if right_copies && left.locus.is_partitioned() {
        offer(right.bytes * (n - 1.0), Move::Stay, Move::Broadcast, JoinPlace::Left);
    }
    if left_copies && right.locus.is_partitioned() && !shape.null_aware {
        offer(left.bytes * (n - 1.0), Move::Broadcast, Move::Stay, JoinPlace::Right);
    }
    // By all keys; by each alone, which may fit what is joined next.
    let each = both_hashable.iter().map(|key| vec![*key]).filter(|_| both_hashable.len() > 1);
    let by_keys = std::iter::once(both_hashable.clone()).chain(each);
    for keys in by_keys.filter(|keys| !shape.null_aware && !keys.is_empty()) {
        // The slowest datanode decides.
        let left_bytes = left.bytes * shape.skew(&keys, |skews| skews.0);
        let right_bytes = right.bytes * shape.skew(&keys, |skews| skews.1);
        let bytes = (left_bytes + right_bytes) * moved;
        offer(bytes, Move::Redistribute(keys.clone()), Move::Redistribute(keys), JoinPlace::Both);
    }
    // One process does all the work: as if every byte moved twice more.
    let together = (left.bytes + right.bytes) * (moved + 2.0);
    offer(together, Move::Single, Move::Single, JoinPlace::Single);
    choices
}

/// How a key's sides are hashed when both are moved.
pub(super) fn hash_of(key: &JoinKey) -> Option<HashClass> {
    key.column_class.or(key.class)
}

/// The join keys that stand for all keys of a hashed side, in the order of that side's keys.
fn hash_match(
    locus: &Locus,
    shape: &JoinShape,
    column: impl Fn(&JoinKey) -> Option<usize>,
) -> Option<Vec<usize>> {
    let Locus::Hashed(HashedLocus { keys, nulls_anywhere }) = locus else { return None };
    if *nulls_anywhere && shape.nulls_equal {
        return None;
    }
    keys.iter()
        .map(|placed_by| {
            shape.keys.iter().position(|key| {
                key.column_class == Some(placed_by.class)
                    && column(key).is_some_and(|c| placed_by.columns.contains(&c))
            })
        })
        .collect()
}

/// Are both sides hashed by the same equalities, in the same order?
fn co_located(left: &Locus, right: &Locus, shape: &JoinShape) -> bool {
    let (Locus::Hashed(l), Locus::Hashed(r)) = (left, right) else { return false };
    let nulls_misplaced = (l.nulls_anywhere || r.nulls_anywhere) && shape.nulls_equal;
    !nulls_misplaced
        && l.keys.len() == r.keys.len()
        && l.keys.iter().zip(&r.keys).all(|(l, r)| {
            l.class == r.class
                && shape.keys.iter().any(|key| {
                    key.column_class == Some(l.class)
                        && key.left.is_some_and(|c| l.columns.contains(&c))
                        && key.right.is_some_and(|c| r.columns.contains(&c))
                })
        })
}
