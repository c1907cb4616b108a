//! `pg_stat_all_tables` and `pg_stat_user_tables`: the rows of each table, and when it was analyzed.
//! What nobody counts yet is zero.

use chrono::DateTime;

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "relid, schemaname, relname, seq_scan, seq_tup_read, n_tup_ins, n_tup_upd, \
         n_tup_del, n_tup_hot_upd, n_live_tup, n_dead_tup, n_mod_since_analyze, \
         n_ins_since_vacuum, last_analyze, last_autoanalyze, vacuum_count, autovacuum_count, \
         analyze_count, autoanalyze_count",
    );
    let catalog = &context.catalog;
    for table in catalog.tables.values() {
        let known = catalog.statistics_of(table.id);
        let time = |micros: Option<i64>| micros.and_then(DateTime::from_timestamp_micros);
        rows.push(row![
            table.id,
            &table.schema_name,
            &table.name,
            0,
            0,
            0,
            0,
            0,
            0,
            catalog.live_rows(table),
            0,
            catalog.changed_since_analyzed(table),
            0,
            time(known.and_then(|known| known.analyzed_at_us)),
            time(known.and_then(|known| known.auto_analyzed_at_us)),
            0,
            0,
            known.map_or(0, |known| known.analyze_count),
            known.map_or(0, |known| known.auto_analyze_count),
        ]);
    }
    rows
}
