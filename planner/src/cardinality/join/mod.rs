//! Joins.

mod condition;
mod extreme;
mod keys;

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::DataType;
use condition::filter_part;
use datafusion::{
    common::JoinType, physical_expr::PhysicalExpr, physical_plan::joins::utils::JoinFilter,
};
use keys::{Key, Other, Side, all_equal, keys_of, keys_selectivity, matched_part_of_all};

use super::{
    ColumnFacts, Estimate, Origin,
    expression::facts_of,
    selectivity::Test,
    value_set::{Scans, found_in, of_both},
};

/// The part of the rows that finds its like, where nothing is known.
const MATCHED: f64 = 0.5;

/// Equalities, the left side's expression first.
pub type On = [(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)];

/// What is joined, and how.
#[derive(Clone, Copy, Debug)]
pub struct JoinSides<'a> {
    /// The left side.
    pub left: &'a Estimate,
    /// The right side.
    pub right: &'a Estimate,
    /// The equalities, each over its own side.
    pub on: &'a On,
    /// What else must hold.
    pub filter: Option<&'a JoinFilter>,
    /// Inner, Left, …
    pub join_type: JoinType,
    /// NULL equals NULL.
    pub nulls_equal: bool,
}

/// The joined rows, before any embedded projection. An inner join is a part of all pairs: the product
/// over its equivalence classes of `1 / max(distinct)`.
pub fn join(sides: JoinSides<'_>) -> Estimate {
    let keys = keys_of(&sides);
    let inner = inner(&sides, &keys);
    let (l, r) = (sides.left, sides.right);
    match sides.join_type {
        JoinType::Inner => inner,
        JoinType::Left | JoinType::Right | JoinType::Full => outer(&sides, &keys, inner),
        JoinType::LeftSemi => matched(&sides, &keys, true, false),
        JoinType::LeftAnti => matched(&sides, &keys, true, true),
        JoinType::RightSemi => matched(&sides, &keys, false, false),
        JoinType::RightAnti => matched(&sides, &keys, false, true),
        JoinType::LeftMark => marked(l),
        JoinType::RightMark => marked(r),
    }
}

/// All pairs, or those that pass the filter if that is more than a guess.
pub fn pairs(sides: JoinSides<'_>) -> Estimate {
    match sides.join_type {
        JoinType::Inner => {
            let (part, is_guess) = filter_part(&sides);
            let mut joined = beside(&sides, &[], sides.left.rows * sides.right.rows * part);
            joined.is_guess |= is_guess;
            joined.upper = product(sides.left.upper, sides.right.upper);
            joined.lower = match sides.filter {
                Some(_) => 0.0,
                None => product(sides.left.lower, sides.right.lower),
            };
            joined.bounded()
        }
        _ => join(sides),
    }
}

fn inner(sides: &JoinSides<'_>, keys: &[Key]) -> Estimate {
    let (l, r) = (sides.left, sides.right);
    let known = keys_selectivity(sides, keys);
    let by_size = 1.0 / l.base_rows.min(r.base_rows).max(1.0);
    let (part, filter_is_guess) = filter_part(sides);
    let rows = l.rows * r.rows * known.unwrap_or(by_size) * part;
    let mut joined = beside(sides, keys, rows);
    joined.is_guess |= known.is_none() || filter_is_guess;
    (joined.lower, joined.upper) = (0.0, product(l.upper, r.upper));
    // Each row of the other side finds one at most.
    let (left_unique, right_unique) = unique_sides(sides);
    if right_unique {
        joined.upper = joined.upper.min(l.upper);
        joined.rows = joined.rows.min(l.rows.max(1.0));
    }
    if left_unique {
        joined.upper = joined.upper.min(r.upper);
        joined.rows = joined.rows.min(r.rows.max(1.0));
    }
    joined.bounded()
}

/// Rows of one side, the left one or the right one, that find their like on the other, or that do not.
fn matched(sides: &JoinSides<'_>, keys: &[Key], of_left: bool, is_anti: bool) -> Estimate {
    let (left_unique, right_unique) = unique_sides(sides);
    let (one, other, side, is_unique): (_, _, Side, _) = match of_left {
        true => (sides.left, sides.right, |key| (&key.left, &key.right), right_unique),
        false => (sides.right, sides.left, |key| (&key.right, &key.left), left_unique),
    };
    let is_filtered = sides.filter.is_some();
    let known = matched_part_of_all(keys, side, Other { rows: other.rows, is_unique, is_filtered });
    let passing = filter_part(sides).0;
    // One of the rows with its keys must pass.
    let distinct = keys.iter().filter_map(|key| side(key).1.distinct).fold(1.0, f64::max);
    let candidates = (other.rows / distinct).max(1.0);
    let part = known.unwrap_or(MATCHED) * (1.0 - (1.0 - passing).powf(candidates));
    let rows = (one.rows * if is_anti { 1.0 - part } else { part }).max(1.0);
    let mut left = Estimate { lower: 0.0, ..one.sampled(rows) };
    left.is_guess |= other.is_guess || known.is_none();
    if is_anti {
        left.scans = one.scans.restricted();
        return left;
    }
    left.scans = joined_scans(sides, keys);
    let columns = left.columns.iter().zip(one.columns.iter()).map(|(column, before)| {
        let mut column = column.clone();
        let is_key = |key: &&Key| side(key).0.class.is_some() && side(key).0.class == column.class;
        let Some(key) = keys.iter().find(is_key) else { return column };
        let other_key = side(key).1;
        column.sets = found_in(&column, (other_key, &other.scans));
        if let Some(present) = other_key.distinct {
            let part = key.domain().map_or(1.0, |domain| (present / domain.max(1.0)).min(1.0));
            let kept = before.distinct.map_or(present, |before| (before * part).max(1.0));
            column.distinct = column.distinct.map(|distinct| distinct.min(present).min(kept));
            column.domain = column.domain.map(|domain| domain.min(present));
        }
        column
    });
    let columns = columns.collect();
    left.of_columns(columns)
}

fn marked(one: &Estimate) -> Estimate {
    let mark = ColumnFacts {
        data_type: Some(DataType::Boolean),
        distinct: Some(2.0),
        domain: Some(2.0),
        width: 1.0,
        ..ColumnFacts::default()
    };
    let columns = one.columns.iter().cloned().chain([mark]).collect();
    Estimate { rows: one.rows.max(1.0), ..one.clone() }.of_columns(columns)
}

/// The inner join's rows, and those that one side keeps.
fn outer(sides: &JoinSides<'_>, keys: &[Key], inner: Estimate) -> Estimate {
    let (l, r) = (sides.left, sides.right);
    let keeps_left = matches!(sides.join_type, JoinType::Left | JoinType::Full);
    let keeps_right = matches!(sides.join_type, JoinType::Right | JoinType::Full);
    let (left_unique, right_unique) = unique_sides(sides);
    let is_filtered = sides.filter.is_some();
    let like = |rows, is_unique| Other { rows, is_unique, is_filtered };
    let of_left =
        matched_part_of_all(keys, |key| (&key.left, &key.right), like(r.rows, right_unique));
    let of_right =
        matched_part_of_all(keys, |key| (&key.right, &key.left), like(l.rows, left_unique));
    let alone = |keeps: bool, side: &Estimate, part: Option<f64>| match (keeps, part) {
        (true, Some(part)) => side.rows * (1.0 - part),
        _ => 0.0,
    };
    let (left_alone, right_alone) =
        (alone(keeps_left, l, of_left), alone(keeps_right, r, of_right));
    let mut rows = inner.rows + left_alone + right_alone;
    let (mut lower, mut upper) = (0.0f64, inner.upper);
    if keeps_left {
        (rows, lower) = (rows.max(l.rows), lower.max(l.lower));
        upper += l.upper;
    }
    if keeps_right {
        (rows, lower) = (rows.max(r.rows), lower.max(r.lower));
        upper += r.upper;
    }
    // With a unique other side each kept row comes once, joined or alone.
    match (keeps_left, keeps_right) {
        (true, false) if right_unique => (rows, upper) = (rows.min(l.rows), upper.min(l.upper)),
        (false, true) if left_unique => (rows, upper) = (rows.min(r.rows), upper.min(r.upper)),
        _ => {}
    }
    let rows = rows.max(1.0);
    // Distributions are those of the sides; what stands alone is NULL on the other.
    let nulls = ((rows - inner.rows) / rows).clamp(0.0, 1.0);
    let width = l.columns.len();
    let columns = l.columns.iter().chain(r.columns.iter()).enumerate().map(|(at, column)| {
        let is_left = at < width;
        let side = if is_left { l } else { r };
        let is_nulled = if is_left { keeps_right } else { keeps_left };
        let column = column.clone().sampled(side.rows, rows.min(side.rows));
        if is_nulled { column.nulled(nulls) } else { column }
    });
    let columns = columns.collect();
    // The columns of the side that is not kept have other values than this says.
    let scans = match (keeps_left, keeps_right) {
        (true, false) => l.scans.restricted(),
        (false, true) => r.scans.restricted(),
        _ => Scans::default(),
    };
    Estimate { rows, lower, upper, scans, ..inner }.of_columns(columns).bounded()
}

/// Where the rows come from that have found their like.
fn joined_scans(sides: &JoinSides<'_>, keys: &[Key]) -> Scans {
    let classes = keys.iter().map(|key| all_equal(&[&key.left, &key.right]));
    let scans = sides.left.scans.and(&sides.right.scans, classes);
    // What is computed has no class to be compared by.
    let is_known = |key: &Key| key.left.class.is_some() && key.right.class.is_some();
    let is_all = sides.filter.is_none() && keys.iter().all(is_known);
    if is_all { scans } else { scans.restricted() }
}

/// Both sides' columns side by side, of inner pairs.
fn beside(sides: &JoinSides<'_>, keys: &[Key], rows: f64) -> Estimate {
    let (l, r) = (sides.left, sides.right);
    let rows = rows.max(1.0);
    let of_side = |side: &Estimate| {
        let before = side.rows;
        let columns = side.columns.iter();
        columns.map(|c| c.clone().sampled(before, rows.min(before))).collect::<Vec<_>>()
    };
    let mut columns = of_side(l);
    columns.extend(of_side(r));
    for key in keys {
        let (Some(a), Some(b)) = (&key.left.class, &key.right.class) else { continue };
        let smaller = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let domain = smaller(key.left.domain, key.right.domain);
        let distinct = smaller(key.left.distinct, key.right.distinct);
        let equal: Arc<[Origin]> = all_equal(&[&key.left, &key.right]).into();
        let sets = of_both(&key.left, &key.right);
        for column in &mut columns {
            if column.class.as_ref().is_some_and(|class| class == a || class == b) {
                column.class = Some(a.clone());
                column.equal = Arc::clone(&equal);
                column.sets = Arc::clone(&sets);
                column.domain = domain;
                column.distinct = smaller(column.distinct, distinct);
                if !sides.nulls_equal {
                    column.null_fraction = Some(0.0);
                }
            }
        }
    }
    let (left_unique, right_unique) = unique_sides(sides);
    let width = l.columns.len();
    let mut unique: Vec<BTreeSet<usize>> = Vec::new();
    if right_unique {
        unique.extend(l.keys.iter().cloned());
    }
    if left_unique {
        unique.extend(r.keys.iter().map(|key| key.iter().map(|at| at + width).collect()));
    }
    let estimate = Estimate {
        rows,
        base_rows: l.base_rows.max(r.base_rows),
        is_guess: l.is_guess || r.is_guess,
        skew: l.skew.max(r.skew),
        keys: unique.into(),
        scans: joined_scans(sides, keys),
        ..l.clone()
    };
    estimate.of_columns(columns)
}

/// Whether the equalities give a key of the left side, and of the right one.
fn unique_sides(sides: &JoinSides<'_>) -> (bool, bool) {
    if sides.nulls_equal {
        return (false, false);
    }
    // A cast of a column may be a column of its own: both have the same class.
    let is_given = |side: &Estimate, at: usize, exprs: &[&Arc<dyn PhysicalExpr>]| {
        let class = side.columns.get(at).and_then(|column| column.class.as_ref());
        exprs.iter().any(|expr| {
            let of_expr = || facts_of(expr, &side.columns).class;
            Test::column(expr, &side.columns) == Some(at)
                || class.is_some_and(|class| of_expr().as_ref() == Some(class))
        })
    };
    let is_unique = |side: &Estimate, exprs: &[&Arc<dyn PhysicalExpr>]| {
        side.keys.iter().any(|key| key.iter().all(|at| is_given(side, *at, exprs)))
    };
    let left: Vec<_> = sides.on.iter().map(|(left, _)| left).collect();
    let right: Vec<_> = sides.on.iter().map(|(_, right)| right).collect();
    (is_unique(sides.left, &left), is_unique(sides.right, &right))
}

fn product(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}
