//! `pg_constraint`: PRIMARY KEY and UNIQUE constraints. A constraint has its index's OID.

use super::super::{
    SystemViewContext,
    relation::{keys, schema_oid},
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "oid, conname, connamespace, contype, convalidated, conrelid, conindid, confupdtype, \
         confdeltype, confmatchtype, conislocal, connoinherit, conkey",
    );
    for table in context.catalog.tables.values() {
        let schema = schema_oid(&context.catalog, &table.schema_name);
        for (key, is_primary) in keys(table) {
            rows.push(row![
                key.id,
                &key.name,
                schema.unwrap_or(0),
                if is_primary { "p" } else { "u" },
                true,
                table.id,
                key.id,
                " ",
                " ",
                " ",
                true,
                true,
                key.columns.iter().map(|c| i64::from(*c)).collect::<Vec<_>>(),
            ]);
        }
    }
    rows
}
