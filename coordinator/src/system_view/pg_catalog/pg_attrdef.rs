//! `pg_attrdef`: the columns' defaults, as SQL text.

use super::super::{
    SystemViewContext,
    name::default_text,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new("oid, adrelid, adnum, adbin");
    for table in context.catalog.tables.values() {
        for column in &table.columns {
            let default = column.default.as_ref().filter(|_| column.identity.is_none());
            if let Some(default) = default {
                let type_oid = i64::from(column.sql_type.oid());
                let text = default_text(default, type_oid, &context.session.search_path);
                rows.push(row![oid(table.id, column.id), table.id, column.id, text]);
            }
        }
    }
    rows
}

/// The catalog gives defaults no OID of their own. A table has at most 1600 columns, as in
/// PostgreSQL; the upper half of the OIDs is used by nothing else.
pub(super) fn oid(table: u64, column: u32) -> u64 {
    (1 << 31) + (table * 1600 + u64::from(column)) % (1 << 31)
}
