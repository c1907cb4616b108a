//! The partitions that a scan reads, and their lists of values, as messages.

use datafusion::error::Result;
use kestrel_proto::{
    TableId,
    message::{self, ListedValues},
};

use super::{decode_value, encode_value};
use crate::{error::to_datafusion, operators::ScanPartition};

/// XX000 for values that no table has.
pub(super) fn encode(partition: &ScanPartition) -> Result<message::ScanPartition> {
    let listed = |(column, values): &(usize, Vec<_>)| {
        let values = values.iter().map(encode_value).collect::<kestrel_proto::Result<_>>();
        Ok(ListedValues { column: *column as u32, values: values.map_err(to_datafusion)? })
    };
    let values = partition.values.iter().map(listed).collect::<Result<_>>()?;
    Ok(message::ScanPartition { table_id: partition.table_id.0, values })
}

/// XX000 for what [`encode`] did not make.
pub(super) fn decode(partition: message::ScanPartition) -> Result<ScanPartition> {
    let listed = |listed: ListedValues| {
        let values = listed.values.iter().map(|value| decode_value(value));
        let values = values.collect::<kestrel_proto::Result<_>>().map_err(to_datafusion)?;
        Ok((listed.column as usize, values))
    };
    let values = partition.values.into_iter().map(listed).collect::<Result<_>>()?;
    Ok(ScanPartition { table_id: TableId(partition.table_id), values })
}
