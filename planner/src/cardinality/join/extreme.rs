//! A column compared with the least or greatest value that it has in its row's group: one of the group's
//! rows has that, or as many as share a value.

use super::{
    super::{ColumnFacts, Estimate, Origin, distinct_taken},
    JoinSides,
    keys::{Key, Side, all_equal},
};

/// Finds the keys of which one side is `min` or `max` of a column of the other's group, if another key is
/// the group's.
pub(super) fn find(sides: &JoinSides<'_>, keys: &mut [Key]) {
    if !keys.iter().any(is_extreme) {
        return;
    }
    note(keys, |key| (&key.left, &key.right), sides.right);
    note(keys, |key| (&key.right, &key.left), sides.left);
}

/// `side`: first the groups', then that of `rows`.
fn note(keys: &mut [Key], side: Side, rows: &Estimate) {
    let is_group = |key: &&Key| {
        let (groups, others) = (all_equal(&[side(key).0]), all_equal(&[side(key).1]));
        let is_same = |one: &Origin| others.iter().any(|other| one.is_of_same_column(other));
        !is_extreme(key) && groups.iter().any(is_same)
    };
    let by: Vec<ColumnFacts> =
        keys.iter().filter(is_group).map(|key| side(key).1.clone()).collect();
    if by.is_empty() {
        return;
    }
    for key in keys {
        let (extreme, column) = side(key);
        let part = part_of_group(extreme, column, &by, rows);
        key.of_group = key.of_group.or(part);
    }
}

fn is_extreme(key: &Key) -> bool {
    key.left.among.is_some() || key.right.among.is_some()
}

/// Which part of a group's rows has its least or greatest value; `by`: what rows are grouped by.
fn part_of_group(
    extreme: &ColumnFacts,
    column: &ColumnFacts,
    by: &[ColumnFacts],
    rows: &Estimate,
) -> Option<f64> {
    let (one, other) = (extreme.origin.as_ref()?, column.origin.as_ref()?);
    let aggregated = extreme.among?;
    if column.among.is_some() || !one.is_of_same_column(other) {
        return None;
    }
    // There may be rows here that were not aggregated, and the same one several times.
    let groups_here = by.iter().filter_map(|column| column.distinct).fold(1.0, f64::max);
    let groups_there = by.iter().filter_map(|column| groups_in_table(column, other));
    let groups_there = groups_there.reduce(f64::max);
    let here = groups_there
        .map_or(0.0, |groups| (rows.rows / groups_here).min(other.table.rows / groups.max(1.0)));
    let values = column.values_fraction();
    let of_group = (aggregated.max(here) * values).max(1.0);
    let distinct = column.domain.map_or(of_group, |domain| distinct_taken(domain, of_group));
    Some(values / distinct.max(1.0))
}

/// Of the table that `beside` is of.
fn groups_in_table(column: &ColumnFacts, beside: &Origin) -> Option<f64> {
    let origins = all_equal(&[column]);
    origins.iter().find(|origin| origin.is_beside(beside))?.distinct_in_table()
}
