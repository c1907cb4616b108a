//! Intervals in Parquet files: 16 bytes, little-endian, `months: i32, days: i32, nanoseconds: i64`.
//!
//! Parquet's own INTERVAL counts milliseconds; PostgreSQL's counts microseconds, Arrow's
//! nanoseconds.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, IntervalMonthDayNanoArray},
    buffer::{Buffer, ScalarBuffer},
    datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType},
};
use kestrel_proto::{ErrorReport, Result};

/// The type in the file.
pub(super) const FILE_TYPE: DataType = DataType::FixedSizeBinary(16);

/// Intervals as the file holds them.
///
/// # Errors
/// XX000 when `array` is not of intervals.
pub(super) fn encode(array: &ArrayRef) -> Result<ArrayRef> {
    let malformed = || ErrorReport::internal("an interval column holds no intervals");
    let intervals = array.as_primitive_opt::<IntervalMonthDayNanoType>().ok_or_else(malformed)?;
    let mut bytes = Vec::with_capacity(16 * intervals.len());
    for interval in intervals.values() {
        bytes.extend_from_slice(&interval.months.to_le_bytes());
        bytes.extend_from_slice(&interval.days.to_le_bytes());
        bytes.extend_from_slice(&interval.nanoseconds.to_le_bytes());
    }
    let encoded =
        FixedSizeBinaryArray::try_new(16, Buffer::from_vec(bytes), intervals.nulls().cloned());
    Ok(Arc::new(encoded.map_err(|_| malformed())?))
}

/// Intervals that a file holds.
///
/// # Errors
/// XX000 when `array` is not of the file's type.
pub(super) fn decoded(array: &ArrayRef) -> Result<ArrayRef> {
    let malformed =
        || ErrorReport::internal(format!("intervals in a segment are {}", array.data_type()));
    array.as_fixed_size_binary_opt().map(|array| Arc::new(decode(array)) as _).ok_or_else(malformed)
}

fn decode(array: &FixedSizeBinaryArray) -> IntervalMonthDayNanoArray {
    let intervals: ScalarBuffer<IntervalMonthDayNano> =
        (0..array.len()).map(|row| interval_of(array.value(row))).collect();
    IntervalMonthDayNanoArray::new(intervals, array.nulls().cloned())
}

/// Bytes of any length but 16 are zero: only NULL slots have such, and their value does not matter.
fn interval_of(bytes: &[u8]) -> IntervalMonthDayNano {
    let Ok(bytes) = <[u8; 16]>::try_from(bytes) else {
        return IntervalMonthDayNano::new(0, 0, 0);
    };
    let bits = i128::from_le_bytes(bytes);
    IntervalMonthDayNano::new(bits as i32, (bits >> 32) as i32, (bits >> 64) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_survive_with_their_nulls() {
        let intervals = IntervalMonthDayNanoArray::from(vec![
            Some(IntervalMonthDayNano::new(-14, 3, -5_000)),
            None,
            Some(IntervalMonthDayNano::new(i32::MAX, i32::MIN, i64::MIN)),
            Some(IntervalMonthDayNano::new(0, -1, i64::MAX)),
        ]);
        // A slice: offsets must not shift values.
        for (offset, length) in [(0, 4), (1, 3), (2, 0)] {
            let slice: ArrayRef = Arc::new(intervals.slice(offset, length));
            let encoded = encode(&slice).unwrap();
            assert_eq!(encoded.data_type(), &FILE_TYPE);
            assert_eq!(&decode(encoded.as_fixed_size_binary()), slice.as_primitive());
        }
    }

    #[test]
    fn the_layout_is_as_documented() {
        let array: ArrayRef =
            Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, -2, 3)]));
        let encoded = encode(&array).unwrap();
        let expected = [1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 3, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(encoded.as_fixed_size_binary().value(0), expected);
    }
}
