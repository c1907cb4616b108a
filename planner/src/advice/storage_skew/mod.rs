//! Rows that lie unevenly on the datanodes: how unevenly, why, and by which key they would lie evenly.

mod cause;
mod keys;
mod spread;

use kestrel_proto::DatanodeId;

pub(super) use self::cause::Cause;
pub(super) use self::keys::{Candidate, best, candidates};
use super::{
    Delivery, Finding, Object, TableState, Thresholds, Usage,
    finding::{column_names, distribute_by, percent, qualified},
    variation,
};
use crate::catalog::Distribution;

pub(super) fn decide(state: &TableState, usage: Usage<'_>, t: &Thresholds) -> Option<Finding> {
    let table = &state.table;
    let is_replicated = table.distribution == Distribution::Replicated;
    let is_small =
        (state.rows as f64) < t.skew_min_rows && (state.bytes as f64) < t.skew_min_size * 1024.0;
    let idle = state.idle();
    if is_replicated || state.shards.len() < 2 || is_small || idle < t.skew_idle_notice {
        return None;
    }
    let (most_at, most) = largest(&state.shards)?;
    let part = percent(most as f64 / state.rows.max(1) as f64);
    let (name, datanode) = (&table.name, DatanodeId(most_at).name());
    let message = format!("table \"{name}\" is skewed: {datanode} has {part} of its rows");
    let key = keys::best(state, usage.uses);
    let mut detail = format!(
        "Idle fraction {idle:.2}, coefficient of variation {:.2}; rows on each datanode: {}. {}",
        variation(&state.shards),
        shards(&state.shards),
        state.cause().sentence(state)
    );
    let hint = match (key, &state.statistics) {
        (Some(key), _) => {
            let columns = column_names(table, key.columns.iter().copied());
            detail.push_str(&format!(
                " Distributed by {columns} the idle fraction would be {:.2}{}.",
                key.idle,
                if key.is_guess { ", if they do not depend on one another" } else { "" }
            ));
            let served = usage.uses.served_by(table.id, &key.columns);
            if served > 0 {
                detail.push_str(&format!(" Joins and groupings by that of late: {served}."));
            }
            Some(distribute_by(table, &key.columns))
        }
        // Only what is known can be predicted.
        (None, None) => Some(super::finding::analyze(table)),
        (None, Some(_)) if may_be_random(state) => {
            detail.push_str(" No column has values that lie evenly.");
            // By itself RANDOMLY leaves rows where they are.
            let how = "SET WITH (REORGANIZE = true) DISTRIBUTED RANDOMLY";
            Some(format!("ALTER TABLE {} {how};", qualified(table)))
        }
        (None, Some(_)) => None,
    };
    let at_most = match idle >= t.skew_idle_warning {
        true => Delivery::Warning,
        false => Delivery::Notice,
    };
    Some(Finding { object: Object::table(table), at_most, message, detail, hint })
}

/// No key is even, and none is asked for: a table with a unique key must be distributed by columns of it.
fn may_be_random(state: &TableState) -> bool {
    let best = state.candidates().first();
    matches!(state.table.distribution, Distribution::Hash(_))
        && best.is_some_and(|best| best.idle >= keys::IDLE_MAX)
        && state.table.unique_sets().next().is_none()
}

/// Which datanode has most rows, and how many.
fn largest(shards: &[u64]) -> Option<(u32, u64)> {
    let numbered = shards.iter().zip(0..);
    numbered.max_by_key(|(rows, _)| **rows).map(|(rows, at)| (at, *rows))
}

/// `dn1 10, dn2 20`; of many datanodes the first and the last in their order.
fn shards(shards: &[u64]) -> String {
    const SHOWN: usize = 8;
    let mut numbered: Vec<_> = shards.iter().zip(0..).collect();
    let is_cut = numbered.len() > SHOWN;
    if is_cut {
        numbered.sort_by_key(|(rows, _)| std::cmp::Reverse(**rows));
        numbered.drain(SHOWN / 2..numbered.len() - SHOWN / 2);
    }
    let texts = numbered.into_iter().map(|(rows, at)| format!("{} {rows}", DatanodeId(at).name()));
    let text = texts.collect::<Vec<_>>().join(", ");
    if is_cut { format!("{text} (the fullest and the emptiest)") } else { text }
}
