//! Joins.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use arrow::datatypes::DataType;
use datafusion::{
    common::{JoinSide, JoinType},
    physical_expr::PhysicalExpr,
    physical_plan::joins::utils::JoinFilter,
};

use super::{ColumnFacts, Estimate, Origin, Selectivity, expression::facts_of, selectivity::Test};
use crate::statistics::{ColumnStatistics, Value};

/// Each further key counts with this power of the one before (Trino's
/// `optimizer.join-multi-clause-independence-factor`).
const FURTHER_KEY: f64 = 0.25;
/// The part of the rows that finds its like, where nothing is known.
const MATCHED: f64 = 0.5;

/// What is joined, and how.
#[derive(Clone, Copy, Debug)]
pub struct JoinSides<'a> {
    /// The left side.
    pub left: &'a Estimate,
    /// The right side.
    pub right: &'a Estimate,
    /// The equalities, each over its own side.
    pub on: &'a [(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)],
    /// What else must hold.
    pub filter: Option<&'a JoinFilter>,
    /// Inner, Left, …
    pub join_type: JoinType,
    /// NULL equals NULL.
    pub nulls_equal: bool,
}

/// One equality that does not follow from those before it.
struct Key {
    left: ColumnFacts,
    right: ColumnFacts,
}

/// A key's column on one side, and that on the other.
type Side = fn(&Key) -> (&ColumnFacts, &ColumnFacts);

/// The joined rows, before any embedded projection. An inner join is a part of all pairs: the product
/// over its equivalence classes of `1 / max(distinct)`.
pub fn join(sides: JoinSides<'_>) -> Estimate {
    let keys = keys_of(&sides);
    let inner = inner(&sides, &keys);
    let (l, r) = (sides.left, sides.right);
    match sides.join_type {
        JoinType::Inner => inner,
        JoinType::Left | JoinType::Right | JoinType::Full => outer(&sides, &keys, inner),
        JoinType::LeftSemi => matched(l, r, &keys, |key| (&key.left, &key.right), false),
        JoinType::LeftAnti => matched(l, r, &keys, |key| (&key.left, &key.right), true),
        JoinType::RightSemi => matched(r, l, &keys, |key| (&key.right, &key.left), false),
        JoinType::RightAnti => matched(r, l, &keys, |key| (&key.right, &key.left), true),
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

/// What DataFusion compares, without what follows: of columns that are equal already, one.
fn keys_of(sides: &JoinSides<'_>) -> Vec<Key> {
    // Pairs of equal classes: by the first one's position.
    let mut classes: Vec<Vec<Origin>> = Vec::new();
    let mut keys = Vec::new();
    for (left, right) in sides.on {
        let key = Key {
            left: facts_of(left, &sides.left.columns),
            right: facts_of(right, &sides.right.columns),
        };
        if let (Some(a), Some(b)) = (&key.left.class, &key.right.class) {
            let find =
                |classes: &[Vec<Origin>], one| classes.iter().position(|class| class.contains(one));
            let (at_a, at_b) = (find(&classes, a), find(&classes, b));
            match (at_a, at_b) {
                (Some(at_a), Some(at_b)) if at_a == at_b => continue,
                (Some(at_a), Some(at_b)) => {
                    let merged = classes.swap_remove(at_a.max(at_b));
                    classes[at_a.min(at_b)].extend(merged);
                }
                (Some(at), None) => classes[at].push(b.clone()),
                (None, Some(at)) => classes[at].push(a.clone()),
                (None, None) => classes.push(vec![a.clone(), b.clone()]),
            }
        }
        keys.push(key);
    }
    keys
}

fn inner(sides: &JoinSides<'_>, keys: &[Key]) -> Estimate {
    let (l, r) = (sides.left, sides.right);
    let known = keys_selectivity(sides, keys);
    let by_size = 1.0 / l.base_rows.min(r.base_rows).max(1.0);
    let (part, filter_is_guess) = filter_part(sides);
    let rows = l.rows * r.rows * known.unwrap_or(by_size) * part;
    let mut joined = beside(sides, keys, rows);
    joined.is_guess |= known.is_none() || filter_is_guess;
    joined.upper = product(l.upper, r.upper);
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

/// Pairs of rows with equal keys among all pairs; `None`: no key is known.
fn keys_selectivity(sides: &JoinSides<'_>, keys: &[Key]) -> Option<f64> {
    if keys.len() > 1 {
        let left = composite(keys.iter().map(|key| &key.left));
        let right = composite(keys.iter().map(|key| &key.right));
        let distinct = match (left, right) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (one, other) => one.or(other),
        };
        if let Some(distinct) = distinct {
            let values = |key: &Key| key.left.values_fraction() * key.right.values_fraction();
            let values = keys.iter().map(values).fold(1.0, f64::min);
            return Some(values / distinct.max(1.0));
        }
    }
    let known = keys.iter().filter_map(|key| key_selectivity(key, sides.nulls_equal));
    let mut known: Vec<f64> = known.collect();
    if known.is_empty() {
        return None;
    }
    let damped = damped(&mut known);
    // There are no more combinations of several keys than rows.
    let least = 1.0 / sides.left.base_rows.max(sides.right.base_rows).max(1.0);
    Some(if known.len() > 1 { damped.max(least) } else { damped })
}

fn damped(known: &mut [f64]) -> f64 {
    known.sort_by(f64::total_cmp);
    let mut exponent = 1.0;
    known.iter().fold(1.0, |product, part| {
        let product = product * part.powf(exponent);
        exponent *= FURTHER_KEY;
        product
    })
}

/// How many combinations the columns of one table have, if its keys or CREATE STATISTICS tell.
fn composite<'a>(columns: impl Iterator<Item = &'a ColumnFacts>) -> Option<f64> {
    let origins = columns.map(|column| column.origin.as_ref()).collect::<Option<Vec<_>>>()?;
    let first = origins.first()?;
    if !origins.iter().all(|origin| origin.is_beside(first)) {
        return None;
    }
    let ids: BTreeSet<u32> = origins.iter().map(|origin| origin.column).collect();
    let table = &first.table;
    if table.table.unique_sets().any(|key| key.columns.iter().all(|id| ids.contains(id))) {
        return Some(table.rows.max(1.0));
    }
    let groups = table.statistics.iter().flat_map(|statistics| &statistics.groups);
    let mut sets = groups.flat_map(|group| &group.distinct);
    let found = sets.find(|set| set.columns.iter().copied().eq(ids.iter().copied()));
    found.map(|set| set.distinct)
}

/// Of one key (PostgreSQL's `eqjoinsel_inner`): common values of both sides are matched with each
/// other, what is left has its values in common as far as it can.
fn key_selectivity(key: &Key, nulls_equal: bool) -> Option<f64> {
    let (left, right) = (&key.left, &key.right);
    let (a, b) = match (left.domain, right.domain) {
        (Some(a), Some(b)) => (a.max(1.0), b.max(1.0)),
        // A constant on one side says nothing of the other.
        (Some(one), None) | (None, Some(one)) if one > 1.0 => (one, one),
        _ => return None,
    };
    let equal = match Matches::of(left, right) {
        Some(matches) => matches.selectivity(a, b),
        None => left.values_fraction() * right.values_fraction() / a.max(b),
    };
    let nulls = (1.0 - left.values_fraction()) * (1.0 - right.values_fraction());
    Some(if nulls_equal { equal + nulls } else { equal }.clamp(0.0, 1.0))
}

/// The common values of two columns, matched.
struct Matches {
    count: usize,
    /// Pairs of rows among all pairs.
    product: f64,
    left: Matched,
    right: Matched,
}

/// One side of them.
struct Matched {
    /// How many common values it has.
    common: usize,
    /// The part of its rows whose common value the other has, too; that of its other common ones; and
    /// that of the rest.
    matched: f64,
    unmatched: f64,
    rest: f64,
}

impl Matches {
    /// `None`: one of them has no common values.
    fn of(left: &ColumnFacts, right: &ColumnFacts) -> Option<Self> {
        let (l, r) = (left.statistics.as_ref()?, right.statistics.as_ref()?);
        if l.common.is_empty() || r.common.is_empty() {
            return None;
        }
        let of_right: HashMap<&Value, f64> =
            r.common.iter().map(|common| (&common.value, common.frequency)).collect();
        let (mut count, mut product, mut of_left, mut of_other) = (0, 0.0, 0.0, 0.0);
        for common in &l.common {
            if let Some(frequency) = of_right.get(&common.value) {
                count += 1;
                product += common.frequency * frequency;
                of_left += common.frequency;
                of_other += frequency;
            }
        }
        let side = |facts: &ColumnFacts, statistics: &ColumnStatistics, matched: f64| {
            let unmatched = (statistics.common_fraction() - matched).max(0.0);
            let rest = (facts.values_fraction() - matched - unmatched).max(0.0);
            Matched { common: statistics.common.len(), matched, unmatched, rest }
        };
        let (left, right) = (side(left, l, of_left), side(right, r, of_other));
        Some(Self { count, product, left, right })
    }

    /// Of sides with so many distinct values: the smaller of what they say.
    fn selectivity(&self, left: f64, right: f64) -> f64 {
        let seen_from = |one: &Matched, other: &Matched, distinct: f64| {
            let beyond_common = distinct - other.common as f64;
            let beyond_matched = distinct - self.count as f64;
            let mut sum = self.product;
            if beyond_common > 0.5 {
                sum += one.unmatched * other.rest / beyond_common;
            }
            if beyond_matched > 0.5 {
                sum += one.rest * (other.rest + other.unmatched) / beyond_matched;
            }
            sum
        };
        let of_left = seen_from(&self.left, &self.right, right);
        let of_right = seen_from(&self.right, &self.left, left);
        of_left.min(of_right)
    }
}

/// The part of one side's rows that finds its like on the other (PostgreSQL's `eqjoinsel_semi`).
/// `None`: unknown.
fn matched_part(one: &ColumnFacts, other: &ColumnFacts, other_rows: f64) -> Option<f64> {
    let present = match (other.distinct, one.domain) {
        (Some(present), _) => present,
        (None, Some(domain)) if other_rows < domain => other_rows,
        (None, _) => return None,
    };
    let domain = match (one.domain, other.domain) {
        (Some(a), Some(b)) => a.max(b),
        (Some(a), None) => a,
        (None, Some(b)) => b,
        (None, None) => return None,
    };
    let values = one.values_fraction();
    let (count, surely) = match Matches::of(one, other) {
        Some(matches) => (matches.count as f64, matches.left.matched),
        None => (0.0, 0.0),
    };
    let perhaps = ((present - count).max(0.0) / (domain - count).max(1.0)).min(1.0);
    Some((surely + (values - surely).max(0.0) * perhaps).clamp(0.0, 1.0))
}

fn matched_part_of_all(keys: &[Key], side: Side, other_rows: f64) -> Option<f64> {
    let parts = keys.iter().filter_map(|key| {
        let (one, other) = side(key);
        matched_part(one, other, other_rows)
    });
    let mut parts: Vec<f64> = parts.collect();
    (!parts.is_empty()).then(|| damped(&mut parts))
}

/// Rows of `one` that find their like in `other`, or that do not.
fn matched(one: &Estimate, other: &Estimate, keys: &[Key], side: Side, is_anti: bool) -> Estimate {
    let known = matched_part_of_all(keys, side, other.rows);
    let part = known.unwrap_or(MATCHED);
    let rows = (one.rows * if is_anti { 1.0 - part } else { part }).max(1.0);
    let mut left = Estimate { lower: 0.0, ..one.sampled(rows) };
    left.is_guess |= other.is_guess || known.is_none();
    if is_anti {
        return left;
    }
    let columns = left.columns.iter().map(|column| {
        let mut column = column.clone();
        let is_key = |key: &&Key| side(key).0.class.is_some() && side(key).0.class == column.class;
        let present = keys.iter().find(is_key).and_then(|key| side(key).1.distinct);
        if let Some(present) = present {
            column.distinct = column.distinct.map(|distinct| distinct.min(present));
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
    let of_left = matched_part_of_all(keys, |key| (&key.left, &key.right), r.rows);
    let of_right = matched_part_of_all(keys, |key| (&key.right, &key.left), l.rows);
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
    let (left_unique, right_unique) = unique_sides(sides);
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
    Estimate { rows, lower, upper, ..inner }.of_columns(columns).bounded()
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
        for column in &mut columns {
            if column.class.as_ref().is_some_and(|class| class == a || class == b) {
                column.class = Some(a.clone());
                column.domain = domain;
                column.distinct = smaller(column.distinct, distinct);
                column.null_fraction = Some(0.0);
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

/// The part of the pairs that passes what else must hold. A guess counts for nothing.
fn filter_part(sides: &JoinSides<'_>) -> (f64, bool) {
    let Some(filter) = sides.filter else { return (1.0, false) };
    let columns = filter.column_indices().iter().map(|column| {
        let side = if column.side == JoinSide::Left { sides.left } else { sides.right };
        side.columns.get(column.index).cloned().unwrap_or_default()
    });
    let columns: Vec<_> = columns.collect();
    let Selectivity { fraction, is_guess } = Selectivity::of(filter.expression(), &columns);
    if is_guess { (1.0, true) } else { (fraction, false) }
}

fn product(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}
