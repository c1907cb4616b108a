//! `pg_constraint`: PRIMARY KEY, UNIQUE and CHECK. A key has its index's OID.

use super::super::{
    SystemViewContext,
    relation::{keys, schema_oid},
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "oid, conname, connamespace, contype, convalidated, conrelid, conindid, confupdtype, \
         confdeltype, confmatchtype, conislocal, connoinherit, conkey, conbin",
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
                None::<String>,
            ]);
        }
        for check in &table.checks {
            rows.push(row![
                check.id,
                &check.name,
                schema.unwrap_or(0),
                "c",
                true,
                table.id,
                0,
                " ",
                " ",
                " ",
                true,
                false,
                check.columns.iter().map(|c| i64::from(*c)).collect::<Vec<_>>(),
                format!("({})", check.condition),
            ]);
        }
    }
    rows
}
