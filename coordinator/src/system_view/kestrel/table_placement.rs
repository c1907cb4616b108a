//! `kestrel.table_placement`: how many rows and bytes (on disk) of each table each datanode has.

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut out = Rows::new("schema_name, table_name, datanode, rows, bytes");
    for table in context.catalog.tables.values() {
        for datanode in &context.catalog.datanodes {
            let segments = table.segments.iter().filter(|s| s.datanode == datanode.id);
            let (rows, bytes) = segments.fold((0, 0), |(r, b), s| (r + s.rows, b + s.length));
            out.push(row![&table.schema_name, &table.name, &datanode.name, rows, bytes]);
        }
    }
    out
}
