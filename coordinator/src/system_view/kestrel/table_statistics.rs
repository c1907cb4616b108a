//! `kestrel.table_statistics`: what is known of each table's size, how old that is and how much has
//! changed since, and how evenly its rows lie on the datanodes.

use kestrel_planner::{advice::TableState, statistics::TableStatistics};

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "schema_name, table_name, rows, live_rows, bytes, changed_rows, health, analyzed_at, \
         age_seconds, analyzed_columns, columns, shard_rows, idle_fraction",
    );
    let catalog = &context.catalog;
    for table in catalog.tables.values() {
        let state = TableState::of(catalog, table);
        let (known, live, changed) = (state.statistics.as_ref(), state.rows, state.changed);
        let analyzed = known.and_then(|known| known.last_analyzed_at_us());
        let analyzed = analyzed.and_then(chrono::DateTime::from_timestamp_micros);
        let columns = known.map_or(0, |known| known.columns.len());
        rows.push(row![
            &table.schema_name,
            &table.name,
            known.map(|known| known.rows),
            live,
            state.bytes,
            changed,
            known.map_or(0, |_| i64::from(TableStatistics::health(changed, live))),
            analyzed,
            analyzed.map(|at| (context.now - at).num_seconds().max(0)),
            columns,
            table.columns.len(),
            state.shards.iter().map(|rows| rows.cast_signed()).collect::<Vec<_>>(),
            state.idle(),
        ]);
    }
    rows
}
