//! `pg_stat_all_tables` and `pg_stat_user_tables`: the rows of each table. What nobody counts yet
//! is zero.

use super::super::{
    SystemViewContext,
    relation::row_count,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "relid, schemaname, relname, seq_scan, seq_tup_read, n_tup_ins, n_tup_upd, \
         n_tup_del, n_tup_hot_upd, n_live_tup, n_dead_tup, n_mod_since_analyze, \
         n_ins_since_vacuum, vacuum_count, autovacuum_count, analyze_count, autoanalyze_count",
    );
    for table in context.catalog.tables.values() {
        let live = row_count(&context.catalog, table);
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
            live,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ]);
    }
    rows
}
