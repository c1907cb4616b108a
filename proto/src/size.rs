//! How many bytes a batch is.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::DataType,
};

/// The bytes of the values in `batch`: what would cross a wire. Buffers that a batch shares with
/// others count only with the part it uses, unlike in `RecordBatch::get_array_memory_size`.
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
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringViewArray};

    use super::*;

    #[test]
    fn only_the_used_part_of_shared_buffers_counts() {
        let long = "a string that does not fit into a view";
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let strings: ArrayRef = Arc::new(StringViewArray::from_iter_values(
            (0..1000).map(|i| if i % 2 == 0 { long } else { "short" }),
        ));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("s", strings)]).unwrap();
        let one_row = 8 + 16;
        assert_eq!(batch_bytes(&batch), 1000 * one_row + 500 * long.len() as u64);
        assert_eq!(batch_bytes(&batch.slice(10, 2)), 2 * one_row + long.len() as u64);
        assert_eq!(batch_bytes(&batch.slice(10, 0)), 0);
    }
}
