//! Where the sides of a join are after their motions, and where the joined rows are.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::{
    common::JoinType,
    physical_expr::{PhysicalExpr, expressions::Column},
};

use super::{JoinPlace, JoinShape, Move, join_key::without_casts, join_motions::hash_of};
use crate::{
    locus::{HashedLocus, Locus, LocusKey},
    motion::HashKey,
};

/// What rows are redistributed by.
pub(super) fn moving_keys(
    positions: &[usize],
    shape: &JoinShape,
    exprs: &[Arc<dyn PhysicalExpr>],
    schema: &Schema,
) -> Vec<HashKey> {
    let keys = positions.iter().filter_map(|at| {
        let key = &shape.keys[*at];
        let expr = match key.column_class {
            Some(_) => without_casts(&exprs[*at], schema),
            None => Arc::clone(&exprs[*at]),
        };
        Some(HashKey { expr, class: hash_of(key)? })
    });
    keys.collect()
}

/// The locus of rows that were redistributed.
pub(super) fn locus_by(keys: &[HashKey]) -> Locus {
    let columns: Option<Vec<_>> = keys
        .iter()
        .map(|key| Some((key.expr.downcast_ref::<Column>()?.index(), key.class)))
        .collect();
    columns.map_or(Locus::Strewn, Locus::hashed)
}

/// Where a side is after its motion.
pub(crate) fn moved_locus(
    locus: &Locus,
    motion: &Move,
    shape: &JoinShape,
    exprs: &[Arc<dyn PhysicalExpr>],
    schema: &Schema,
) -> Locus {
    match (motion, locus) {
        (Move::Redistribute(positions), _) => {
            locus_by(&moving_keys(positions, shape, exprs, schema))
        }
        (Move::Single | Move::Broadcast, Locus::General) => Locus::General,
        (Move::Single, _) => Locus::Single,
        (Move::Broadcast, _) => Locus::Replicated,
        (Move::Stay, _) => locus.clone(),
    }
}

/// Where the joined rows are: `left` is the locus of the left side, and how many columns that has.
pub(crate) fn joined_locus(
    place: JoinPlace,
    (left, width): (&Locus, usize),
    right: &Locus,
    shape: &JoinShape,
) -> Locus {
    let shifted = || right.project(|column| vec![column + width]);
    let locus = match (place, shape.join_type) {
        (JoinPlace::Single, _) => Locus::Single,
        (_, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark)
        | (JoinPlace::Left, JoinType::Inner | JoinType::Left) => left.clone(),
        (_, JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark) => right.clone(),
        (JoinPlace::Right, JoinType::Inner | JoinType::Right) => shifted(),
        (JoinPlace::Both, JoinType::Left) => left.clone(),
        (JoinPlace::Both, JoinType::Right) => shifted(),
        (JoinPlace::Both, JoinType::Inner) => both(left, &shifted(), false),
        (JoinPlace::Both, JoinType::Full) => both(left, &shifted(), true),
        // Copies of both sides: each datanode has the whole result.
        (JoinPlace::Left, JoinType::Right | JoinType::Full) => left.clone(),
        (JoinPlace::Right, JoinType::Left | JoinType::Full) => right.clone(),
    };
    match (locus, shape.join_type) {
        (Locus::Hashed(hashed), JoinType::Inner) if !shape.nulls_equal => {
            Locus::Hashed(with_equal_columns(hashed, shape, width))
        }
        (locus, _) => locus,
    }
}

/// A key's rows can be found by all columns that are equal to it.
fn with_equal_columns(mut hashed: HashedLocus, shape: &JoinShape, width: usize) -> HashedLocus {
    for key in &mut hashed.keys {
        for equal in shape.keys.iter().filter(|equal| equal.column_class == Some(key.class)) {
            let (Some(left), Some(right)) = (equal.left, equal.right) else { continue };
            let right = right + width;
            if key.columns.contains(&left) || key.columns.contains(&right) {
                key.columns.extend([left, right]);
            }
        }
    }
    hashed
}

/// Both sides are placed by the same keys: either column finds the row.
fn both(left: &Locus, right: &Locus, nulls_anywhere: bool) -> Locus {
    match (left, right) {
        (Locus::Hashed(l), Locus::Hashed(r)) if l.keys.len() == r.keys.len() => {
            let keys = l.keys.iter().zip(&r.keys).map(|(l, r)| LocusKey {
                columns: l.columns.union(&r.columns).copied().collect(),
                class: l.class,
            });
            let nulls_anywhere = nulls_anywhere || l.nulls_anywhere || r.nulls_anywhere;
            Locus::Hashed(HashedLocus { keys: keys.collect(), nulls_anywhere })
        }
        // A key that is an expression has no column to find it by.
        (Locus::Hashed(hashed), _) | (_, Locus::Hashed(hashed)) => {
            let nulls_anywhere = nulls_anywhere || hashed.nulls_anywhere;
            Locus::Hashed(HashedLocus { keys: hashed.keys.clone(), nulls_anywhere })
        }
        _ => Locus::Strewn,
    }
}
