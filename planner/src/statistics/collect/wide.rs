//! Values that are too wide to be kept: samples and what is described of them would have no bound.

use std::{hash::BuildHasher, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryViewArray, StringViewArray},
    datatypes::DataType,
};
use datafusion::common::hash_utils::HLL_RANDOM_STATE;

use super::{super::Value, width::with_header};

/// Bytes of the widest value that is kept (PostgreSQL's `WIDTH_THRESHOLD`, analyze.c).
const WIDEST: usize = 1024;

/// How many values are wider, and how many bytes PostgreSQL would hold these in.
pub(super) fn counted(values: &ArrayRef) -> (u64, u64) {
    fn sum(lengths: impl Iterator<Item = usize>) -> (u64, u64) {
        let wide = lengths.filter(|length| *length > WIDEST);
        wide.fold((0, 0), |(count, bytes), length| (count + 1, bytes + with_header(length) as u64))
    }
    match values.data_type() {
        DataType::Utf8View => sum(values.as_string_view().iter().flatten().map(str::len)),
        DataType::BinaryView => sum(values.as_binary_view().iter().flatten().map(<[u8]>::len)),
        _ => (0, 0),
    }
}

/// NULL in the places of wider values.
pub(super) fn left_out(values: ArrayRef) -> ArrayRef {
    if counted(&values).0 == 0 {
        return values;
    }
    match values.data_type() {
        DataType::Utf8View => {
            let strings = values.as_string_view().iter();
            let kept = strings.map(|value| value.filter(|value| value.len() <= WIDEST));
            Arc::new(kept.collect::<StringViewArray>())
        }
        DataType::BinaryView => {
            let strings = values.as_binary_view().iter();
            let kept = strings.map(|value| value.filter(|value| value.len() <= WIDEST));
            Arc::new(kept.collect::<BinaryViewArray>())
        }
        _ => values,
    }
}

/// Something short in the places of wider values, for whoever asks only which are equal: their
/// length and hash, the same on every datanode.
pub(super) fn stood_in_for(values: ArrayRef) -> ArrayRef {
    fn stand_in(value: &[u8]) -> String {
        format!("{} bytes, {:016x}", value.len(), HLL_RANDOM_STATE.hash_one(value))
    }
    if counted(&values).0 == 0 {
        return values;
    }
    match values.data_type() {
        DataType::Utf8View => {
            let shorter = values.as_string_view().iter().map(|value| {
                value.map(|value| match value.len() > WIDEST {
                    true => stand_in(value.as_bytes()),
                    false => value.to_string(),
                })
            });
            Arc::new(shorter.collect::<StringViewArray>())
        }
        DataType::BinaryView => {
            let shorter = values.as_binary_view().iter().map(|value| {
                value.map(|value| match value.len() > WIDEST {
                    true => stand_in(value).into_bytes(),
                    false => value.to_vec(),
                })
            });
            Arc::new(shorter.collect::<BinaryViewArray>())
        }
        _ => values,
    }
}

/// The least value, or what it begins with, which is before it in order.
pub(super) fn lower_bound(value: Value) -> Value {
    match value {
        Value::Text(text) if text.len() > WIDEST => {
            let end = (0..=WIDEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            Value::Text(text[..end].into())
        }
        Value::Bytes(bytes) if bytes.len() > WIDEST => Value::Bytes(bytes[..WIDEST].into()),
        kept => kept,
    }
}

/// The greatest value; `None`: it is wider, and nothing that it begins with is behind all values.
pub(super) fn upper_bound(value: Value) -> Option<Value> {
    let length = match &value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    (length <= WIDEST).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_values_are_counted_and_replaced() {
        let wide = "é".repeat(600);
        let values: ArrayRef =
            Arc::new(StringViewArray::from(vec![Some("short"), None, Some(wide.as_str())]));
        assert_eq!(counted(&values), (1, 1204));
        let kept = left_out(Arc::clone(&values));
        assert_eq!((kept.len(), kept.null_count()), (3, 2));
        let stood_in = stood_in_for(values);
        assert_eq!(stood_in.null_count(), 1);
        assert!(stood_in.as_string_view().value(2).starts_with("1200 bytes, "));
        let bytes: ArrayRef = Arc::new(BinaryViewArray::from(vec![Some(wide.as_bytes())]));
        assert_eq!(left_out(Arc::clone(&bytes)).null_count(), 1);
        assert_eq!(stood_in_for(bytes).as_binary_view().value(0), stood_in_bytes(&stood_in));
    }

    fn stood_in_bytes(values: &ArrayRef) -> &[u8] {
        values.as_string_view().value(2).as_bytes()
    }

    #[test]
    fn bounds_hold() {
        // The 1024th byte is the second half of a character.
        let wide = Value::Text(format!("a{}", "é".repeat(600)).into());
        let Value::Text(least) = lower_bound(wide.clone()) else { panic!() };
        assert_eq!(least.len(), 1023);
        assert!(Value::Text(least) < wide);
        assert_eq!(upper_bound(wide), None);
        let narrow = Value::Bytes([1, 2].into());
        assert_eq!(lower_bound(narrow.clone()), narrow);
        assert_eq!(upper_bound(narrow.clone()), Some(narrow));
    }
}
