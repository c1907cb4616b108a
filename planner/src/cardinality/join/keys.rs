//! The equalities of joins: how many pairs of rows have equal keys.

use std::collections::{BTreeSet, HashMap};

use super::{
    super::{ColumnFacts, Origin, expression::facts_of, value_set::shared},
    JoinSides, extreme,
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
    /// How many values both sides were found among, if fewer than their tables have.
    shared: Option<f64>,
    /// One side is the least or the greatest value of the other's row's group: the part of a group's
    /// rows that has it.
    pub(super) of_group: Option<f64>,
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
        let shared = shared((&left, &sides.left.scans), (&right, &sides.right.scans));
        let key = Key { left, right, left_origins, right_origins, shared, of_group: None };
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
    extreme::find(sides, &mut keys);
    keys
}

/// Pairs of rows with equal keys among all pairs; `None`: no key is known. Keys of the same two tables
/// go together to some degree, others do not.
pub(super) fn keys_selectivity(sides: &JoinSides<'_>, keys: &[Key]) -> Option<f64> {
    let mut groups: Vec<Vec<&Key>> = Vec::new();
    let mut of_groups = None;
    for key in keys {
        if let Some(part) = key.of_group {
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
    /// How many values both sides are among; `None`: unknown.
    pub(super) fn domain(&self) -> Option<f64> {
        let of_both = self.left.domain.zip(self.right.domain).map(|(left, right)| left.max(right));
        of_both.map(|domain| self.shared.map_or(domain, |shared| domain.min(shared)))
    }
}

/// Of keys of the same two tables.
fn together(sides: &JoinSides<'_>, keys: &[&Key]) -> Option<f64> {
    if let Some(distinct) = combined(keys) {
        return Some(values_of_all(keys) / distinct);
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

/// Among how many combinations both sides of several keys are, if one table has all of them.
fn combined(keys: &[&Key]) -> Option<f64> {
    if keys.len() < 2 {
        return None;
    }
    let (left, right) =
        (composite(keys, |key| &key.left_origins), composite(keys, |key| &key.right_origins));
    match (left, right) {
        (Some((a, _)), Some((b, _))) => Some(a.max(b)),
        (Some((one, true)), None) | (None, Some((one, true))) => Some(one),
        _ => None,
    }
}

/// The part of the pairs without NULLs.
fn values_of_all(keys: &[&Key]) -> f64 {
    let values = |key: &&Key| key.left.values_fraction() * key.right.values_fraction();
    keys.iter().map(values).fold(1.0, f64::min)
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

/// How many combinations the columns of one table have, with those of their values that both sides are
/// among, if the table's keys or CREATE STATISTICS tell; and whether it takes all of them to tell: else
/// some follow from others, which says nothing of what they are compared with.
fn composite<'a>(keys: &[&'a Key], of: fn(&Key) -> &Vec<Origin>) -> Option<(f64, bool)> {
    let columns: Vec<&'a [Origin]> = keys.iter().map(|key| of(key).as_slice()).collect();
    let origins = of_one_table(&columns)?;
    let (distinct, by_all) = combinations(&origins)?;
    let kept = keys.iter().zip(&origins).map(|(key, origin)| {
        let of_table = origin.distinct_in_table();
        key.domain().zip(of_table).map_or(1.0, |(domain, all)| (domain / all).min(1.0))
    });
    Some(((distinct * kept.product::<f64>()).max(1.0), by_all))
}

fn combinations(origins: &[&Origin]) -> Option<(f64, bool)> {
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
    let values = left.values_fraction() * right.values_fraction();
    let among_all = match Matches::of(left, right) {
        Some(matches) => matches.selectivity(a, b),
        None => values / a.max(b),
    };
    let shared = key.shared.filter(|shared| *shared < a.max(b));
    let equal = shared.map_or(among_all, |shared| among_all.max(values / shared));
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
fn matched_part(
    one: &ColumnFacts,
    other: &ColumnFacts,
    other_rows: f64,
    shared: Option<f64>,
) -> Option<f64> {
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
    let among_all = surely + (values - surely).max(0.0) * perhaps;
    let among_shared =
        shared.filter(|shared| *shared < domain).map(|shared| values * present / shared);
    Some(among_shared.map_or(among_all, |part| among_all.max(part)).clamp(0.0, values))
}

/// What `matched_part_of_all` knows of the side in which the rows find their like.
#[derive(Clone, Copy)]
pub(super) struct Other {
    pub(super) rows: f64,
    /// The keys are a key of it.
    pub(super) is_unique: bool,
    /// Something else must hold, too.
    pub(super) is_filtered: bool,
}

/// The part of one side's rows that finds its like on the other, by all keys. `None`: unknown.
pub(super) fn matched_part_of_all(keys: &[Key], side: Side, other: Other) -> Option<f64> {
    // A row that is its own like may fail what else must hold: then its like's likes count.
    let by_sets = other.is_unique || !other.is_filtered;
    let is_extreme =
        |key: &&Key| key.of_group.is_some() && side(key).1.among.is_some() && other.is_unique;
    let (extremes, keys): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(is_extreme);
    let of_groups = extremes.iter().filter_map(|key| key.of_group);
    let combinations = combined(&keys).filter(|_| other.is_unique);
    let known = match combinations {
        Some(combinations) => Some(values_of_all(&keys) * (other.rows / combinations).min(1.0)),
        None => {
            let parts = keys.iter().filter_map(|key| {
                let (one, like) = side(key);
                matched_part(one, like, other.rows, key.shared.filter(|_| by_sets))
            });
            let mut parts: Vec<f64> = parts.collect();
            (!parts.is_empty()).then(|| damped(&mut parts))
        }
    };
    known.into_iter().chain(of_groups).reduce(|product, part| product * part)
}
