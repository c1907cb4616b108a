//! The equalities of joins: how many pairs of rows have equal keys.

use std::collections::{BTreeSet, HashMap};

use super::{
    super::{ColumnFacts, Origin, expression::facts_of},
    JoinSides,
};
use crate::statistics::{ColumnStatistics, Value};

/// Each further key counts with this power of the one before (Trino's
/// `optimizer.join-multi-clause-independence-factor`).
const FURTHER_KEY: f64 = 0.25;

/// One equality that does not follow from those before it.
pub(super) struct Key {
    pub(super) left: ColumnFacts,
    pub(super) right: ColumnFacts,
    /// The columns of tables that have the same value as `left`.
    left_origins: Vec<Origin>,
    right_origins: Vec<Origin>,
}

/// A key's column on one side, and that on the other.
pub(super) type Side = fn(&Key) -> (&ColumnFacts, &ColumnFacts);

/// What DataFusion compares, without what follows: of columns that are equal already, one.
pub(super) fn keys_of(sides: &JoinSides<'_>) -> Vec<Key> {
    // Pairs of equal classes: by the first one's position.
    let mut classes: Vec<Vec<Origin>> = Vec::new();
    let mut keys = Vec::new();
    for (left, right) in sides.on {
        let left = facts_of(left, &sides.left.columns);
        let right = facts_of(right, &sides.right.columns);
        let (mut left_origins, mut right_origins) = (Vec::new(), Vec::new());
        // Asked for only where keys may go together.
        if sides.on.len() > 1 {
            left_origins = all_equal(&[&left]);
            right_origins = all_equal(&[&right]);
        }
        let key = Key { left, right, left_origins, right_origins };
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

/// Pairs of rows with equal keys among all pairs; `None`: no key is known. Keys of the same two tables
/// go together to some degree, others do not.
pub(super) fn keys_selectivity(sides: &JoinSides<'_>, keys: &[Key]) -> Option<f64> {
    let mut groups: Vec<Vec<&Key>> = Vec::new();
    let mut of_groups = None;
    for key in keys {
        if let Some(part) = key.one_of_group() {
            of_groups = Some(of_groups.unwrap_or(1.0) * part);
            continue;
        }
        let fits = |group: &&mut Vec<&Key>| {
            let all = || group.iter().copied().chain([key]);
            let is_beside = |origins: Vec<&[Origin]>| {
                origins.iter().all(|origins| origins.is_empty()) || of_one_table(&origins).is_some()
            };
            is_beside(all().map(|key| key.left_origins.as_slice()).collect())
                && is_beside(all().map(|key| key.right_origins.as_slice()).collect())
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(key),
            None => groups.push(vec![key]),
        }
    }
    let known = groups.iter().filter_map(|group| together(sides, group));
    known.chain(of_groups).reduce(|product, part| product * part)
}

impl Key {
    /// A column compared with the least or greatest value that it has in the row's group: one of the
    /// group's rows has that, or as many as share a value.
    fn one_of_group(&self) -> Option<f64> {
        let of = |of_group: &ColumnFacts, column: &ColumnFacts| {
            let (one, other) = (of_group.origin.as_ref()?, column.origin.as_ref()?);
            let is_same = one.table.table.id == other.table.table.id && one.column == other.column;
            let rows = of_group.among.filter(|_| is_same && column.among.is_none())?;
            let values = column.domain.map_or(rows, |values| values.min(rows));
            Some(column.values_fraction() / values.max(1.0))
        };
        of(&self.left, &self.right).or_else(|| of(&self.right, &self.left))
    }
}

/// Of keys of the same two tables.
fn together(sides: &JoinSides<'_>, keys: &[&Key]) -> Option<f64> {
    if keys.len() > 1 {
        let left = composite(keys.iter().map(|key| key.left_origins.as_slice()));
        let right = composite(keys.iter().map(|key| key.right_origins.as_slice()));
        let distinct = match (left, right) {
            (Some((a, _)), Some((b, _))) => Some(a.max(b)),
            (Some((one, true)), None) | (None, Some((one, true))) => Some(one),
            _ => None,
        };
        if let Some(distinct) = distinct {
            let values = |key: &&Key| key.left.values_fraction() * key.right.values_fraction();
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

/// The columns of tables that have the values of these: their own, and those that they were compared
/// with before.
pub(super) fn all_equal(columns: &[&ColumnFacts]) -> Vec<Origin> {
    let mut origins: Vec<Origin> = Vec::new();
    for column in columns {
        for origin in column.origin.iter().chain(&column.class).chain(column.equal.iter()) {
            if !origins.contains(origin) {
                origins.push(origin.clone());
            }
        }
    }
    origins
}

/// One column for each key, all of them of one scan.
fn of_one_table<'a>(keys: &[&'a [Origin]]) -> Option<Vec<&'a Origin>> {
    let (first, others) = keys.split_first()?;
    first.iter().find_map(|table| {
        let beside = |key: &&'a [Origin]| key.iter().find(|origin| origin.is_beside(table));
        let others = others.iter().map(beside).collect::<Option<Vec<_>>>()?;
        Some([table].into_iter().chain(others).collect())
    })
}

/// How many combinations the columns of one table have, if its keys or CREATE STATISTICS tell; and
/// whether it takes all of them to tell: else some follow from others, which says nothing of what
/// they are compared with.
fn composite<'a>(columns: impl Iterator<Item = &'a [Origin]>) -> Option<(f64, bool)> {
    let columns: Vec<_> = columns.collect();
    let origins = of_one_table(&columns)?;
    let first = origins.first()?;
    let ids: BTreeSet<u32> = origins.iter().map(|origin| origin.column).collect();
    let table = &first.table;
    let keys = table.table.unique_sets().filter(|key| !key.columns.is_empty());
    let inside = keys.filter(|key| key.columns.iter().all(|id| ids.contains(id)));
    if let Some(columns) = inside.map(|key| key.columns.len()).max() {
        return Some((table.rows.max(1.0), columns == ids.len()));
    }
    let groups = table.statistics.iter().flat_map(|statistics| &statistics.groups);
    let mut sets = groups.flat_map(|group| &group.distinct);
    let found = sets.find(|set| set.columns.iter().copied().eq(ids.iter().copied()));
    found.map(|set| (set.distinct, true))
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

pub(super) fn matched_part_of_all(keys: &[Key], side: Side, other_rows: f64) -> Option<f64> {
    let parts = keys.iter().filter_map(|key| {
        let (one, other) = side(key);
        matched_part(one, other, other_rows)
    });
    let mut parts: Vec<f64> = parts.collect();
    (!parts.is_empty()).then(|| damped(&mut parts))
}
