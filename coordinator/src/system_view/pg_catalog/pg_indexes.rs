//! `pg_indexes`: indexes, also those that keys show as, with the statements that would make them.

use super::super::{
    SystemViewContext, name,
    relation::{Index, indexes},
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("schemaname, tablename, indexname, indexdef");
    for table in context.catalog.tables.values() {
        for Index { key, .. } in indexes(table) {
            let on = name::qualified(&table.schema_name, &table.name);
            let definition = name::index_definition(table, key, &on);
            rows.push(row![&table.schema_name, &table.name, &key.name, definition]);
        }
    }
    rows
}
