//! `kestrel.datanodes`: the datanodes, and what each of them holds.

use kestrel_proto::DatanodeId;

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut out = Rows::new("name, address, state, shard_kind, buckets, rows, bytes");
    let catalog = &context.catalog;
    for datanode in &catalog.datanodes {
        let owner = DatanodeId(datanode.id);
        let buckets = catalog.bucket_map.owners().iter().filter(|o| **o == owner).count();
        let stored = catalog.tables.values().map(|table| table.stored_on(owner));
        let (rows, bytes) = stored.fold((0, 0), |(rows, bytes), (r, b)| (rows + r, bytes + b));
        let state = context.datanode_states.get(&datanode.id);
        out.push(row![
            &datanode.name,
            &datanode.address,
            state.copied().unwrap_or("up"),
            &datanode.shard_kind,
            buckets,
            rows,
            bytes,
        ]);
    }
    out
}
