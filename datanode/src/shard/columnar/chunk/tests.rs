//! What goes into chunks comes out, as Arrow's own kernels would have taken it.

use std::sync::Arc;

use arrow::{
    array::*,
    buffer::NullBuffer,
    compute::{cast, take},
    datatypes::{DataType, IntervalMonthDayNano, TimeUnit},
};

use super::*;

/// Encodes, and compares all that a chunk gives with what the array gives.
fn check(array: ArrayRef, form: &str) {
    let chunk = Chunk::encode(&array).unwrap();
    let what = format!("{chunk:?}");
    assert!(what.ends_with(&format!(" as {form})")), "{what}, not {form}");
    assert_eq!((chunk.rows(), chunk.data_type()), (array.len(), array.data_type()), "{what}");
    assert_eq!(chunk.nulls().is_some(), array.null_count() > 0, "{what}");
    check_zones(&chunk, &array);
    let rows = array.len();
    for range in [0..rows, 0..1, 1..rows / 2, rows / 3..rows, rows..rows, 3..rows + 5, rows + 1..9]
    {
        let end = range.end.min(rows);
        let expected = array.slice(range.start.min(end), end.saturating_sub(range.start));
        let found = chunk.slice(range.clone());
        found.to_data().validate_full().unwrap();
        assert_eq!(&found, &expected, "{what}: {range:?}");
        let raw = chunk.raw_slice(range.clone());
        assert_eq!(raw.is_some(), chunk.zones().is_some(), "{what}");
        if let Some(raw) = raw {
            assert_eq!(raw, unscaled(&expected), "{what}: {range:?}");
        }
        for step in [1, 2, 7, 1000] {
            let positions: Vec<u32> = (0..expected.len() as u32).step_by(step).collect();
            let indices = UInt32Array::from(positions.clone());
            let expected = take(&expected, &indices, None).unwrap();
            let found = chunk.take(range.clone(), &positions);
            found.to_data().validate_full().unwrap();
            assert_eq!(&found, &expected, "{what}: every {step} of {range:?}");
            if let Some(raw) = chunk.raw_take(range.clone(), &positions) {
                assert_eq!(raw, unscaled(&expected), "{what}: every {step} of {range:?}");
            }
        }
    }
}

fn unscaled(array: &ArrayRef) -> Int64Array {
    match array.data_type() {
        DataType::Decimal128(..) => {
            array.as_primitive::<arrow::datatypes::Decimal128Type>().iter().map(as_i64).collect()
        }
        DataType::Date32 => unscaled(&cast(array, &DataType::Int32).unwrap()),
        _ => cast(array, &DataType::Int64).unwrap().as_primitive().clone(),
    }
}

fn as_i64(value: Option<i128>) -> Option<i64> {
    value.map(|value| value.try_into().unwrap())
}

fn check_zones(chunk: &Chunk, array: &ArrayRef) {
    let Some(zones) = chunk.zones() else { return };
    let values = unscaled(array);
    assert_eq!(zones.len(), array.len().div_ceil(ZONE_ROWS));
    for (at, zone) in zones.iter().enumerate() {
        let from = at * ZONE_ROWS;
        let values = values.slice(from, ZONE_ROWS.min(array.len() - from));
        assert_eq!((zone.rows, zone.nulls), (values.len(), values.null_count()));
        let bounds = (arrow::compute::min(&values), arrow::compute::max(&values));
        match bounds {
            (Some(min), Some(max)) => assert_eq!((zone.min, zone.max), (min, max)),
            _ => assert!(zone.min > zone.max),
        }
    }
}

/// Rows of two zones and a piece; a prime, so that no step divides it.
const ROWS: usize = 2 * ZONE_ROWS + 1009;

/// The same each time.
fn numbers(count: usize, below: u64) -> impl Iterator<Item = u64> {
    let mut state = 7_u64;
    (0..count).map(move |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 20) % below.max(1)
    })
}

/// The values, and the same with NULLs here and there, and a first zone of only NULLs.
fn with_and_without_nulls(values: Vec<i64>) -> [Int64Array; 2] {
    let some = values.iter().enumerate();
    let some = some.map(|(row, v)| (row >= ZONE_ROWS && row % 5 != 3).then_some(*v));
    [Int64Array::from(values.clone()), some.collect()]
}

#[test]
fn integers_are_as_narrow_as_their_range() {
    let cases: [(i64, u64, &str); 9] = [
        (0, 1, "u8"),
        (-3, 256, "u8"),
        (1_000_000, 257, "u16"),
        (-40_000, 65_536, "u16"),
        (i64::MIN, 65_537, "u32"),
        (-1, 1 << 32, "u32"),
        (i64::MAX - (1 << 32), (1 << 32) + 1, "i64"),
        (0, i64::MAX as u64, "i64"),
        (i64::MIN, u64::MAX, "i64"),
    ];
    for (least, width, form) in cases {
        let mut values: Vec<i64> =
            numbers(ROWS, width).map(|n| least.wrapping_add_unsigned(n)).collect();
        // Where both arrays have them.
        values[ZONE_ROWS] = least;
        values[ZONE_ROWS + 2] = least.wrapping_add_unsigned(width - 1);
        for array in with_and_without_nulls(values) {
            check(Arc::new(array), form);
        }
    }
}

#[test]
fn every_type_of_integers() {
    use DataType::*;
    let types = [
        (Int16, 1 << 15, "u16"),
        (Int32, 1 << 20, "u32"),
        (Date32, 1 << 12, "u16"),
        (Int64, 1 << 30, "u32"),
        (Time64(TimeUnit::Microsecond), 86_400_000_000, "i64"),
        (Timestamp(TimeUnit::Microsecond, None), 1 << 40, "i64"),
        (Timestamp(TimeUnit::Microsecond, Some("UTC".into())), 1 << 31, "u32"),
    ];
    for (data_type, below, form) in types {
        let values = numbers(ROWS, below).map(|n| n as i64).collect();
        for array in with_and_without_nulls(values) {
            let narrow =
                if data_type == Date32 { cast(&array, &Int32).unwrap() } else { Arc::new(array) };
            check(cast(&narrow, &data_type).unwrap(), form);
        }
    }
}

fn decimals(values: impl Iterator<Item = Option<i128>>, precision: u8) -> ArrayRef {
    let array: Decimal128Array = values.collect();
    Arc::new(array.with_precision_and_scale(precision, 2).unwrap())
}

#[test]
fn decimals_of_up_to_18_digits_are_integers() {
    let values = |below| numbers(ROWS, below).map(|n| Some(i128::from(n) - 500));
    check(decimals(values(100), 4), "u8");
    check(decimals(values(10_000_000), 15), "u32");
    let widest = 10_i128.pow(18) - 1;
    check(decimals([Some(widest), None, Some(-widest), Some(0)].into_iter(), 18), "i64");
    check(decimals(values(100), 19), "plain");
    // Wider than its type says, where it counts and where it does not.
    let wide = i128::from(i64::MAX) + 1;
    check(decimals([Some(wide), Some(1)].into_iter(), 18), "plain");
    let hidden = Decimal128Array::new(
        vec![wide, 1, 2].into(),
        Some(NullBuffer::from(vec![false, true, true])),
    );
    check(Arc::new(hidden.with_precision_and_scale(18, 2).unwrap()), "u8");
}

#[test]
fn few_strings_are_codes() {
    let long = "a string that is too long for a view";
    let strings = |distinct: u64| {
        numbers(ROWS, distinct)
            .map(|n| if n % 2 == 0 { format!("s{n}") } else { format!("{long}: {n} é") })
            .collect::<Vec<_>>()
    };
    let array =
        |strings: &[String]| -> ArrayRef { Arc::new(StringViewArray::from_iter_values(strings)) };
    check(array(&strings(1)), "coded");
    check(array(&strings(256)), "coded");
    check(array(&strings(257)), "plain");
    // Not worth it.
    check(array(&strings(256)[..40]), "plain");
    let some = strings(9).into_iter().enumerate();
    let some: StringViewArray = some.map(|(row, s)| (row % 4 != 1).then_some(s)).collect();
    check(Arc::new(some), "coded");
    check(Arc::new(StringViewArray::new_null(ROWS)), "coded");
    check(Arc::new(StringViewArray::from_iter_values(["", ""].repeat(9))), "coded");
}

#[test]
fn anything_else_is_as_it_was() {
    let floats = |row: usize| (!row.is_multiple_of(3)).then_some(row as f64 / 3.0);
    check(Arc::new((0..ROWS).map(floats).collect::<Float64Array>()), "plain");
    let booleans = (0..ROWS).map(|row| (row % 3 > 0).then_some(row % 2 == 0));
    check(Arc::new(booleans.collect::<BooleanArray>()), "plain");
    let bytes = numbers(ROWS, 3).map(|n| vec![n as u8; n as usize]);
    check(Arc::new(BinaryViewArray::from_iter_values(bytes)), "plain");
    let interval = |n: u64| IntervalMonthDayNano::new(n as i32, 3, -9);
    let intervals: Vec<_> = numbers(ROWS, 9).map(interval).collect();
    check(Arc::new(IntervalMonthDayNanoArray::from(intervals)), "plain");
    let uuids = numbers(ROWS, 1000).map(|n| u128::from(n).to_le_bytes());
    check(Arc::new(FixedSizeBinaryArray::try_from_iter(uuids).unwrap()), "plain");
}

#[test]
fn chunks_without_rows_or_values() {
    for data_type in [DataType::Int32, DataType::Utf8View, DataType::Boolean] {
        let chunk = Chunk::encode(&new_empty_array(&data_type)).unwrap();
        assert_eq!((chunk.rows(), chunk.slice(0..9).len()), (0, 0), "{chunk:?}");
        assert_eq!(chunk.slice(0..9).data_type(), &data_type);
    }
    check(new_null_array(&DataType::Int32, ROWS), "u8");
    check(new_null_array(&DataType::Decimal128(15, 2), ROWS), "u8");
    check(new_null_array(&DataType::Boolean, ROWS), "plain");
}

/// A slice of an array is encoded alone, without the rows and the bytes around it.
#[test]
fn a_chunk_holds_its_own_rows_only() {
    let values: Int64Array = (0..100_000).map(|n| (n % 3 > 0).then_some(n)).collect();
    let sliced: ArrayRef = Arc::new(values.slice(50_000, 200));
    check(Arc::clone(&sliced), "u8");
    assert!(Chunk::encode(&sliced).unwrap().bytes() < 20_000);
    let long = |n: u64| format!("{n}: a string that is too long for a view");
    let strings = StringViewArray::from_iter_values(numbers(50_000, 1 << 30).map(long));
    let bytes = |array: StringViewArray| Chunk::encode(&(Arc::new(array) as _)).unwrap().bytes();
    let whole = bytes(strings.clone());
    assert!(bytes(strings.slice(0, 500)) < whole / 50);
    assert!((1..3).contains(&(whole / (50_000 * 60))), "{whole}");
}

/// Bytes per row, which decide what fits into the cache.
#[test]
fn narrow_chunks_are_small() {
    let rows = 16 * ZONE_ROWS;
    let prices = numbers(rows, 10_000_000).map(|n| Some(i128::from(n)));
    let few = numbers(rows, 7).map(|n| format!("ship mode {n}"));
    let cases: [(ArrayRef, usize); 3] = [
        (decimals(prices, 15), 4),
        (decimals(numbers(rows, 11).map(|n| Some(i128::from(n))), 15), 1),
        (Arc::new(StringViewArray::from_iter_values(few)), 1),
    ];
    for (array, bytes) in cases {
        let chunk = Chunk::encode(&array).unwrap();
        let expected = bytes * rows..bytes * rows + rows / 8;
        assert!(expected.contains(&chunk.bytes()), "{chunk:?}: {} bytes", chunk.bytes());
    }
}
