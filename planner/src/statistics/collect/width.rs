//! How many bytes PostgreSQL would hold values in.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Decimal128Type},
};

/// A header is shorter before values of this many bytes (`VARATT_CAN_MAKE_SHORT`).
const SHORT: usize = 126;

/// Bytes of a value that is not NULL, on average; 0: there is none.
pub(super) fn average(values: &ArrayRef) -> f64 {
    let present = values.len() - values.null_count();
    if present == 0 {
        return 0.0;
    }
    let total: usize = match values.data_type() {
        DataType::Utf8View => {
            let strings = values.as_string_view().iter().flatten();
            strings.map(|s| with_header(s.len())).sum()
        }
        DataType::BinaryView => {
            let strings = values.as_binary_view().iter().flatten();
            strings.map(|s| with_header(s.len())).sum()
        }
        DataType::Decimal128(_, scale) => {
            let numbers = values.as_primitive::<Decimal128Type>().iter().flatten();
            numbers.map(|n| numeric(n, (*scale).max(0).unsigned_abs().into())).sum()
        }
        // With microseconds, not nanoseconds: 16 bytes, too.
        DataType::Boolean => present,
        other => present * other.primitive_width().unwrap_or(16),
    };
    total as f64 / present as f64
}

pub(super) fn with_header(bytes: usize) -> usize {
    bytes + if bytes <= SHORT { 1 } else { 4 }
}

/// A header of three bytes, and two for every four digits on either side of the point but for the
/// zeros at the ends (numeric.c).
fn numeric(unscaled: i128, scale: u32) -> usize {
    // Groups of four digits begin at the point.
    let padding = (4 - scale % 4) % 4;
    let Some(mut rest) = unscaled.unsigned_abs().checked_mul(10u128.pow(padding)) else {
        return 23;
    };
    while rest != 0 && rest.is_multiple_of(10_000) {
        rest /= 10_000;
    }
    let mut groups = 0;
    while rest != 0 {
        (rest, groups) = (rest / 10_000, groups + 1);
    }
    3 + 2 * groups
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Int32Array, StringViewArray};

    use super::*;

    #[test]
    fn widths_are_postgresqls() {
        // What `pg_column_size` says of a stored value.
        assert_eq!(numeric(0, 2), 3);
        assert_eq!(numeric(100, 2), 5);
        assert_eq!(numeric(150, 2), 7);
        assert_eq!(numeric(12_345_678, 0), 7);
        assert_eq!(numeric(10_000, 0), 5);
        let strings: ArrayRef = Arc::new(StringViewArray::from(vec![Some("abc"), None]));
        assert_eq!(average(&strings), 4.0);
        assert_eq!(average(&(Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef)), 4.0);
        assert_eq!(average(&(Arc::new(BooleanArray::from(vec![true])) as ArrayRef)), 1.0);
        assert_eq!(average(&(Arc::new(Int32Array::from(vec![None])) as ArrayRef)), 0.0);
    }
}
