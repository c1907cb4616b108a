//! Statistics of rows that are no longer there: of a whole table, or of some of its shards.

use super::{
    Delivery, Finding, Object, TableState, Thresholds, Usage,
    finding::{analyze, percent},
};
use crate::statistics::TableStatistics;
use kestrel_proto::DatanodeId;

/// So many points of 100 one shard is less like what was analyzed than another.
const DISAGREEMENT: f64 = 30.0;

pub(super) fn decide(state: &TableState, _: Usage<'_>, t: &Thresholds) -> Option<Finding> {
    let known = state.statistics.as_ref()?;
    let is_small = (state.rows.max(known.rows) as f64) < t.statistics_min_rows;
    if is_small || is_of_some_columns(state, known) {
        return None;
    }
    let (message, detail) = of_table(state, known, t).or_else(|| of_shards(state, known, t))?;
    let (object, hint) = (Object::table(&state.table), Some(analyze(&state.table)));
    Some(Finding { object, at_most: Delivery::Warning, message, detail, hint })
}

/// Were only some columns analyzed, now and then? What has changed since is not known. Of a table that
/// databases had before (`kestrel.adopt_table`), no changes are counted when it is analyzed either: but then
/// those that are counted since are not all its rows.
fn is_of_some_columns(state: &TableState, known: &TableStatistics) -> bool {
    let is_counted = known.changed_rows > 0 || known.rows == 0;
    let is_whole = state.table.columns.iter().all(|column| known.column(column.id).is_some());
    !is_counted && (!is_whole || state.changed >= state.rows)
}

/// More than `stale_min_rows` and `stale_fraction` of the rows have changed.
fn of_table(
    state: &TableState,
    known: &TableStatistics,
    t: &Thresholds,
) -> Option<(String, String)> {
    let changed = state.changed;
    if changed as f64 <= t.stale_min_rows + t.stale_fraction * known.rows as f64 {
        return None;
    }
    let (name, health) = (&state.table.name, TableStatistics::health(changed, state.rows));
    let detail = format!(
        "It had {} rows when it was analyzed and has {} now; {changed} have come, gone or changed since: \
         health {health} of 100.",
        known.rows, state.rows
    );
    Some((format!("statistics of table \"{name}\" are stale"), detail))
}

/// The table as a whole has changed little, and one shard much.
fn of_shards(
    state: &TableState,
    known: &TableStatistics,
    t: &Thresholds,
) -> Option<(String, String)> {
    if known.shards.len() != state.shards.len() {
        return None;
    }
    let healths = known.shards.iter().zip(&state.shards).map(|(then, now)| {
        let changed = then.rows.abs_diff(*now);
        let part = changed as f64 / then.rows.max(*now).max(1) as f64;
        (then, *now, changed, 1.0 - part)
    });
    let healths: Vec<_> = healths.collect();
    let best = healths.iter().map(|shard| shard.3).fold(0.0, f64::max);
    let worst = healths.iter().min_by(|a, b| a.3.total_cmp(&b.3))?;
    let (then, now, changed, health) = *worst;
    // By another distribution, rows are elsewhere and the same.
    if changed > state.changed {
        return None;
    }
    if 100.0 * (best - health) <= DISAGREEMENT || (changed as f64) < t.stale_min_rows {
        return None;
    }
    let datanode = DatanodeId(then.datanode).name();
    let detail = format!(
        "{datanode} had {} rows when the table was analyzed and has {now} now, which is {} the same; \
         another datanode is {} the same.",
        then.rows,
        percent(health),
        percent(best)
    );
    let name = &state.table.name;
    Some((format!("statistics of table \"{name}\" do not fit what {datanode} has"), detail))
}
