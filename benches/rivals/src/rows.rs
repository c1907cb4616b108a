//! The rows that are moved: the batch of `benches/wire.rs`, and its size in the same unit.

use std::sync::Arc;

use datafusion::arrow::{
    array::{
        Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Int64Array, RecordBatch,
        StringViewArray,
    },
    datatypes::DataType,
};

const BATCH_ROWS: i64 = 8192;

/// Some columns of TPC-H lineitem.
pub fn batch() -> RecordBatch {
    let rows = 0..BATCH_ROWS;
    let amounts = Decimal128Array::from_iter_values(rows.clone().map(i128::from));
    let columns: [(&str, ArrayRef); 4] = [
        ("l_orderkey", Arc::new(Int64Array::from_iter_values(rows.clone()))),
        ("l_extendedprice", Arc::new(amounts)),
        ("l_shipdate", Arc::new(Date32Array::from_iter_values(rows.clone().map(|i| i as i32)))),
        (
            "l_comment",
            Arc::new(StringViewArray::from_iter_values(
                rows.map(|i| format!("carefully packed {i}")),
            )),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap_or_else(|_| unreachable!("columns of one length"))
}

/// The bytes of the values in `batch`, as `kestrel_proto::batch_bytes` counts them.
pub fn batch_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| array_bytes(column.as_ref()) as u64).sum()
}

fn array_bytes(array: &dyn Array) -> usize {
    let fixed = match array.to_data().get_slice_memory_size() {
        Ok(bytes) => bytes,
        Err(_) => array.get_array_memory_size(),
    };
    // The views are in `fixed`; the values too long to stand in them are not.
    let out_of_line = match array.data_type() {
        DataType::Utf8View => array.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => array.as_binary_view().total_buffer_bytes_used(),
        _ => 0,
    };
    fixed + out_of_line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_is_that_of_wire() {
        let comments: usize = (0..BATCH_ROWS).map(|i| format!("carefully packed {i}").len()).sum();
        let fixed = 8 + 16 + 4 + 16;
        assert_eq!(batch_bytes(&batch()), BATCH_ROWS as u64 * fixed + comments as u64);
    }
}
