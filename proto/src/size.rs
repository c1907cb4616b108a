//! How many bytes a batch is.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::DataType,
};

/// The bytes of the values in `batch`: what would cross a wire. Buffers that a batch shares with
/// others count only with the part it uses, unlike in `RecordBatch::get_array_memory_size`.
pub fn batch_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| array_bytes(column.as_ref(), view_bytes) as u64).sum()
}

/// The same for who counts every batch and may not take time: of long strings in many rows about so
/// many, by the lengths of some. The time depends on the columns, not on the rows.
pub fn estimated_batch_bytes(batch: &RecordBatch) -> u64 {
    let columns = batch.columns().iter();
    columns.map(|column| array_bytes(column.as_ref(), some_view_bytes) as u64).sum()
}

/// Of views: the bytes that are elsewhere.
type ViewBytes = fn(&[u128]) -> usize;

/// So long a value stands in its view.
const MAX_INLINE_VIEW_LEN: u32 = 12;
/// Of so many views the lengths are looked at for an estimate.
const SAMPLED_VIEWS: usize = 128;

fn array_bytes(array: &dyn Array, view_bytes: ViewBytes) -> usize {
    // Arrow counts no values that are too long to stand in their views, and copies its list of all
    // buffers, which of views are many.
    let views: &[u128] = match array.data_type() {
        DataType::Utf8View => array.as_string_view().views(),
        DataType::BinaryView => array.as_binary_view().views(),
        _ => {
            let sliced = array.to_data().get_slice_memory_size();
            return sliced.unwrap_or_else(|_| array.get_array_memory_size());
        }
    };
    let nulls = if array.nulls().is_some() { array.len().div_ceil(8) } else { 0 };
    size_of_val(views) + view_bytes(views) + nulls
}

fn view_bytes(views: &[u128]) -> usize {
    views.iter().map(out_of_line).sum()
}

fn some_view_bytes(views: &[u128]) -> usize {
    let step = views.len() / SAMPLED_VIEWS;
    if step < 2 {
        return view_bytes(views);
    }
    let some = views.iter().step_by(step);
    let count = some.len();
    some.map(out_of_line).sum::<usize>() * views.len() / count
}

/// The length of a value is in the lowest four bytes of its view; a short value is there, too.
fn out_of_line(view: &u128) -> usize {
    match *view as u32 {
        0..=MAX_INLINE_VIEW_LEN => 0,
        length => length as usize,
    }
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
        for part in [batch.slice(0, 0), batch.slice(3, 100)] {
            assert_eq!(estimated_batch_bytes(&part), batch_bytes(&part));
        }
    }

    #[test]
    fn long_strings_in_many_rows_are_estimated() {
        let string = |row: usize| "x".repeat(20 + row % 5);
        let strings: ArrayRef =
            Arc::new(StringViewArray::from_iter_values((0..10_000).map(string)));
        let batch = RecordBatch::try_from_iter([("s", strings)]).unwrap();
        let (all, estimated) = (batch_bytes(&batch), estimated_batch_bytes(&batch));
        assert_eq!(all, 10_000 * (16 + 22));
        assert!(estimated.abs_diff(all) < all / 50, "{estimated}");
    }

    #[test]
    fn nulls_take_a_bit_for_each_row() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![None; 20]));
        let strings: ArrayRef = Arc::new(StringViewArray::from(vec![None::<&str>; 20]));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("s", strings)]).unwrap();
        assert_eq!(batch_bytes(&batch), 20 * (8 + 16) + 3 + 3);
    }
}
