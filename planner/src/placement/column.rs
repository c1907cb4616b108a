//! The hashes of a column's values, folded into the hashes of their rows.

use arrow::{
    array::{Array, ArrayRef, AsArray, PrimitiveArray},
    compute::cast,
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type,
        Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit,
        Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
    },
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    jenkins::combine,
    numeric::NumericHasher,
    scalar::{
        PARTITION_SEED, hash_binary, hash_char, hash_date, hash_float8, hash_int4, hash_int8,
        hash_interval, hash_timestamp,
    },
};
use crate::catalog::HashClass;

/// Folds one more key column into the hashes of its rows, which start at 0. A NULL leaves the hash
/// of its row as it is, as PostgreSQL does.
///
/// `column` holds values of `class` in any of the Arrow types of [`SqlType::arrow`]; strings and
/// binaries of all widths and dictionaries of any of them are understood too.
///
/// # Errors
///
/// Internal errors (XX000), when the planner has mixed up columns: an Arrow type that `class` is
/// never held in, or a column and `rows` of different lengths.
///
/// [`SqlType::arrow`]: crate::catalog::SqlType::arrow
pub fn hash_column(column: &ArrayRef, class: HashClass, rows: &mut [u64]) -> Result<()> {
    if column.len() != rows.len() {
        return Err(ErrorReport::internal(format!(
            "a key column has {} rows where {} are hashed",
            column.len(),
            rows.len()
        )));
    }
    match (class, column.data_type()) {
        (_, DataType::Null) => {}
        (_, DataType::Dictionary(_, values)) => {
            let plain = cast(column, values)
                .map_err(|e| ErrorReport::internal(format!("cannot hash a dictionary: {e}")))?;
            hash_column(&plain, class, rows)?;
        }
        (HashClass::Text | HashClass::Char, DataType::Utf8View) => {
            fold_text(column.as_string_view().iter(), class, rows);
        }
        (HashClass::Text | HashClass::Char, DataType::Utf8) => {
            fold_text(column.as_string::<i32>().iter(), class, rows);
        }
        (HashClass::Text | HashClass::Char, DataType::LargeUtf8) => {
            fold_text(column.as_string::<i64>().iter(), class, rows);
        }
        (HashClass::Bytea, DataType::BinaryView) => {
            fold_binary(column.as_binary_view().iter(), rows);
        }
        (HashClass::Bytea, DataType::Binary) => fold_binary(column.as_binary::<i32>().iter(), rows),
        (HashClass::Bytea, DataType::LargeBinary) => {
            fold_binary(column.as_binary::<i64>().iter(), rows);
        }
        (HashClass::Uuid, DataType::FixedSizeBinary(16)) => {
            fold_binary(column.as_fixed_size_binary().iter(), rows);
        }
        (HashClass::Boolean, DataType::Boolean) => {
            let hashes = [false, true].map(|b| hash_int4(b.into(), PARTITION_SEED));
            fold(column.as_boolean().iter(), rows, |value| hashes[usize::from(value)]);
        }
        _ => return hash_fixed_width(column, class, rows),
    }
    Ok(())
}

/// The classes that are held as numbers.
fn hash_fixed_width(column: &ArrayRef, class: HashClass, rows: &mut [u64]) -> Result<()> {
    use TimeUnit::Microsecond;
    const SEED: u64 = PARTITION_SEED;

    match (class, column.data_type()) {
        (HashClass::Integer, DataType::Int16) => {
            fold_numbers::<Int16Type>(column, rows, |value| hash_int4(value.into(), SEED));
        }
        (HashClass::Integer, DataType::Int32) => {
            fold_numbers::<Int32Type>(column, rows, |value| hash_int4(value, SEED));
        }
        (HashClass::Integer, DataType::Int64) => {
            fold_numbers::<Int64Type>(column, rows, |value| hash_int8(value, SEED));
        }
        (HashClass::Float, DataType::Float32) => {
            fold_numbers::<Float32Type>(column, rows, |value| hash_float8(value.into(), SEED));
        }
        (HashClass::Float, DataType::Float64) => {
            fold_numbers::<Float64Type>(column, rows, |value| hash_float8(value, SEED));
        }
        (HashClass::Numeric, DataType::Decimal128(_, scale)) => {
            let hasher = NumericHasher::new(*scale);
            fold_numbers::<Decimal128Type>(column, rows, |value| hasher.hash(value, SEED));
        }
        (HashClass::Date, DataType::Date32) => {
            fold_numbers::<Date32Type>(column, rows, |days| hash_date(days, SEED));
        }
        (HashClass::Time, DataType::Time64(Microsecond)) => {
            fold_numbers::<Time64MicrosecondType>(column, rows, |us| hash_int8(us, SEED));
        }
        (HashClass::Timestamp, DataType::Timestamp(Microsecond, None))
        | (HashClass::TimestampTz, DataType::Timestamp(Microsecond, Some(_))) => {
            fold_numbers::<TimestampMicrosecondType>(column, rows, |us| hash_timestamp(us, SEED));
        }
        (HashClass::Interval, DataType::Interval(IntervalUnit::MonthDayNano)) => {
            fold_numbers::<IntervalMonthDayNanoType>(column, rows, |i| hash_interval(i, SEED));
        }
        (class, found) => {
            return Err(ErrorReport::internal(format!(
                "a distribution key of class {class:?} is held as {found}"
            )));
        }
    }
    Ok(())
}

/// Folds a column of numbers: without NULLs a loop that the compiler vectorises, with NULLs one
/// that hashes what stands under them too, and drops it.
#[inline]
fn fold_numbers<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    rows: &mut [u64],
    hash: impl Fn(T::Native) -> u64,
) {
    let column: &PrimitiveArray<T> = column.as_primitive();
    let values = rows.iter_mut().zip(column.values());
    match column.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => values.for_each(|(row, value)| *row = combine(*row, hash(*value))),
        Some(nulls) => values.zip(nulls).for_each(|((row, value), valid)| {
            let combined = combine(*row, hash(*value));
            *row = if valid { combined } else { *row };
        }),
    }
}

fn fold_text<'a>(
    values: impl Iterator<Item = Option<&'a str>>,
    class: HashClass,
    rows: &mut [u64],
) {
    let values = values.map(|value| value.map(str::as_bytes));
    match class {
        HashClass::Char => fold(values, rows, |value| hash_char(value, PARTITION_SEED)),
        _ => fold_binary(values, rows),
    }
}

fn fold_binary<'a>(values: impl Iterator<Item = Option<&'a [u8]>>, rows: &mut [u64]) {
    fold(values, rows, |value| hash_binary(value, PARTITION_SEED));
}

#[inline]
fn fold<V>(values: impl Iterator<Item = Option<V>>, rows: &mut [u64], hash: impl Fn(V) -> u64) {
    for (row, value) in rows.iter_mut().zip(values) {
        if let Some(value) = value {
            *row = combine(*row, hash(value));
        }
    }
}
