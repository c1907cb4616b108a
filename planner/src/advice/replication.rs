//! Tables that have too many copies, or too few: replicated ones that are large, and small ones of which
//! queries move more than copies of them would take.

use super::{
    Delivery, Finding, Object, TableState, Thresholds, Usage,
    finding::{bytes, distribute_by, qualified},
};
use crate::catalog::Distribution;

const KB: f64 = 1024.0;

/// A copy of a replicated table has more than `replicated_max_size`.
pub(super) fn too_large(state: &TableState, usage: Usage<'_>, t: &Thresholds) -> Option<Finding> {
    let (table, size) = (&state.table, state.bytes as f64);
    let copies = state.shards.len();
    let is_replicated = table.distribution == Distribution::Replicated;
    if !is_replicated || copies < 2 || size <= t.replicated_max_size * KB {
        return None;
    }
    let message = format!("replicated table \"{}\" is large", table.name);
    let detail = format!(
        "Each of {copies} datanodes has a copy of {} rows, {}: it is read, changed and held in memory {copies} \
         times.",
        state.rows,
        bytes(size)
    );
    let key = super::storage_skew::best(state, usage.uses);
    let hint = key.map(|key| distribute_by(table, &key.columns));
    Some(Finding {
        object: Object::table(table),
        at_most: Delivery::Warning,
        message,
        detail,
        hint,
    })
}

/// A small table of which queries have moved more than its copies have.
pub(super) fn better_replicated(
    state: &TableState,
    usage: Usage<'_>,
    t: &Thresholds,
) -> Option<Finding> {
    let (table, size) = (&state.table, state.bytes as f64);
    let is_replicated = table.distribution == Distribution::Replicated;
    let moved = usage.uses.moved(table.id);
    let copies = state.shards.len() as f64;
    if is_replicated || table.is_temporary() || copies < 2.0 {
        return None;
    }
    let is_moved = moved.bytes as f64 >= (t.better_replicated_moved * KB).max(copies * size);
    if size > t.better_replicated_size * KB || !is_moved {
        return None;
    }
    let message = format!("table \"{}\" is small, and moved often", table.name);
    let detail = format!(
        "{} motions have carried {} of it; copies on {copies} datanodes have {}.",
        moved.motions,
        bytes(moved.bytes as f64),
        bytes(copies * size)
    );
    let hint = Some(format!("ALTER TABLE {} SET DISTRIBUTED REPLICATED;", qualified(table)));
    Some(Finding {
        object: Object::table(table),
        at_most: Delivery::Warning,
        message,
        detail,
        hint,
    })
}
