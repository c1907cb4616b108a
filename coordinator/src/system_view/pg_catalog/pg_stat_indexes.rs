//! `pg_stat_all_indexes` and `pg_stat_user_indexes`: the indexes of each table. No query scans one.

use super::super::{
    SystemViewContext,
    relation::{Index, indexes},
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "relid, indexrelid, schemaname, relname, indexrelname, idx_scan, idx_tup_read, \
         idx_tup_fetch",
    );
    for table in context.catalog.tables.values() {
        for Index { key, .. } in indexes(table) {
            let (schema, name) = (&table.schema_name, &table.name);
            rows.push(row![table.id, key.id, schema, name, &key.name, 0, 0, 0]);
        }
    }
    rows
}
