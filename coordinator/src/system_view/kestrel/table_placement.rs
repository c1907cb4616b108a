//! `kestrel.table_placement`: how many rows and bytes (on disk) of each table each datanode has.

use kestrel_proto::DatanodeId;

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut out = Rows::new("schema_name, table_name, datanode, rows, bytes");
    for table in context.catalog.tables.values() {
        for datanode in &context.catalog.datanodes {
            let (rows, bytes) = table.stored_on(DatanodeId(datanode.id));
            out.push(row![&table.schema_name, &table.name, &datanode.name, rows, bytes]);
        }
    }
    out
}
