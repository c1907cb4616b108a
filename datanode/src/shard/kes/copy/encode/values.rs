//! One column's values, downcast once, and how they are written: what PostgreSQL's receive functions
//! read.

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray,
        StringViewArray,
    },
    buffer::ScalarBuffer,
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type,
        Int16Type, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
        Time64MicrosecondType, TimestampMicrosecondType,
    },
};
use kestrel_planner::wire_binary::{
    JSONB_VERSION, MICROS_PER_DAY, sent_date, sent_numeric, sent_timestamp,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::shard::kes::copy::wire::Wire;

/// A column's values by the way they are written.
pub(super) enum Values<'a> {
    Int2(&'a ScalarBuffer<i16>),
    Int4(&'a ScalarBuffer<i32>),
    Int8(&'a ScalarBuffer<i64>),
    Oid(&'a ScalarBuffer<i64>),
    Float4(&'a ScalarBuffer<f32>),
    Float8(&'a ScalarBuffer<f64>),
    Numeric(&'a ScalarBuffer<i128>, i8),
    Boolean(&'a BooleanArray),
    /// char(n), too: the shard adds the blanks.
    Text(&'a StringViewArray),
    Jsonb(&'a StringViewArray),
    Date(&'a ScalarBuffer<i32>),
    DateAsTimestamp(&'a ScalarBuffer<i32>),
    Time(&'a ScalarBuffer<i64>),
    Timestamp(&'a ScalarBuffer<i64>),
    MidnightAsDate(&'a ScalarBuffer<i64>),
    Interval(&'a ScalarBuffer<IntervalMonthDayNano>),
    Uuid(&'a FixedSizeBinaryArray),
    Bytea(&'a BinaryViewArray),
}

impl<'a> Values<'a> {
    /// The values of an array, to be read as the wire says.
    ///
    /// # Errors
    /// XX000: the array is not held as they are.
    pub(super) fn new(array: &'a ArrayRef, wire: &Wire) -> Result<Self> {
        let values = match wire {
            Wire::Int2 => primitive::<Int16Type>(array).map(Self::Int2),
            Wire::Int4 => primitive::<Int32Type>(array).map(Self::Int4),
            Wire::Int8 => primitive::<Int64Type>(array).map(Self::Int8),
            Wire::Oid => primitive::<Int64Type>(array).map(Self::Oid),
            Wire::Float4 => primitive::<Float32Type>(array).map(Self::Float4),
            Wire::Float8 => primitive::<Float64Type>(array).map(Self::Float8),
            Wire::Numeric(_, scale) => primitive::<Decimal128Type>(array)
                .filter(|_| matches!(array.data_type(), DataType::Decimal128(_, s) if s == scale))
                .map(|values| Self::Numeric(values, *scale)),
            Wire::Boolean => array.as_boolean_opt().map(Self::Boolean),
            Wire::Text | Wire::Char => array.as_string_view_opt().map(Self::Text),
            Wire::Jsonb => array.as_string_view_opt().map(Self::Jsonb),
            Wire::Date => primitive::<Date32Type>(array).map(Self::Date),
            Wire::MidnightAsDate => primitive::<Date32Type>(array).map(Self::DateAsTimestamp),
            Wire::Time => primitive::<Time64MicrosecondType>(array).map(Self::Time),
            Wire::Timestamp => primitive::<TimestampMicrosecondType>(array).map(Self::Timestamp),
            Wire::DateAsTimestamp => {
                primitive::<TimestampMicrosecondType>(array).map(Self::MidnightAsDate)
            }
            Wire::Interval => primitive::<IntervalMonthDayNanoType>(array).map(Self::Interval),
            Wire::Uuid => array.as_fixed_size_binary_opt().map(Self::Uuid),
            Wire::Bytea => array.as_binary_view_opt().map(Self::Bytea),
        };
        values.ok_or_else(|| {
            let held = array.data_type();
            ErrorReport::internal(format!("values held as {held} cannot be sent to the shard"))
        })
    }

    /// Appends a value behind its length; `row` is not null.
    ///
    /// # Errors
    /// 22003, 22008, 54000: the type on the shard has no such value.
    pub(super) fn put(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Int2(values) => put_fixed(out, values[row].to_be_bytes()),
            Self::Int4(values) => put_fixed(out, values[row].to_be_bytes()),
            Self::Int8(values) => put_fixed(out, values[row].to_be_bytes()),
            Self::Oid(values) => {
                let oid = u32::try_from(values[row]).map_err(|_| no_oid(values[row]))?;
                put_fixed(out, oid.to_be_bytes());
            }
            Self::Float4(values) => put_fixed(out, values[row].to_be_bytes()),
            Self::Float8(values) => put_fixed(out, values[row].to_be_bytes()),
            Self::Numeric(values, scale) => {
                put_bytes(out, sent_numeric(values[row], *scale).as_ref())?;
            }
            Self::Boolean(values) => put_fixed(out, [u8::from(values.value(row))]),
            Self::Text(values) => put_bytes(out, values.value(row).as_bytes())?,
            Self::Jsonb(values) => {
                let text = values.value(row).as_bytes();
                put_length(out, text.len() + 1)?;
                out.push(JSONB_VERSION);
                out.extend_from_slice(text);
            }
            Self::Date(values) => put_fixed(out, sent_date(values[row]).to_be_bytes()),
            Self::DateAsTimestamp(values) => put_fixed(out, midnight(values[row])?.to_be_bytes()),
            Self::Time(values) => put_fixed(out, values[row].to_be_bytes()),
            Self::Timestamp(values) => put_fixed(out, sent_timestamp(values[row]).to_be_bytes()),
            Self::MidnightAsDate(values) => put_fixed(out, day(values[row])?.to_be_bytes()),
            Self::Interval(values) => {
                let value = values[row];
                put_length(out, 16)?;
                out.extend_from_slice(&(value.nanoseconds / 1_000).to_be_bytes());
                out.extend_from_slice(&value.days.to_be_bytes());
                out.extend_from_slice(&value.months.to_be_bytes());
            }
            Self::Uuid(values) => put_bytes(out, values.value(row))?,
            Self::Bytea(values) => put_bytes(out, values.value(row))?,
        }
        Ok(())
    }
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<&ScalarBuffer<T::Native>> {
    array.as_primitive_opt::<T>().map(|array| array.values())
}

/// At most 8 bytes, and the length, appended at once.
#[inline]
fn put_fixed<const N: usize>(out: &mut Vec<u8>, value: [u8; N]) {
    let mut bytes = [0; 12];
    let (length, rest) = bytes.split_at_mut(4);
    length.copy_from_slice(&(N as u32).to_be_bytes());
    rest[..N].copy_from_slice(&value);
    out.extend_from_slice(&bytes[..4 + N]);
}

#[inline]
fn put_bytes(out: &mut Vec<u8>, value: &[u8]) -> Result<()> {
    put_length(out, value.len())?;
    out.extend_from_slice(value);
    Ok(())
}

#[inline]
fn put_length(out: &mut Vec<u8>, length: usize) -> Result<()> {
    let length = i32::try_from(length).map_err(|_| too_long(length))?;
    out.extend_from_slice(&length.to_be_bytes());
    Ok(())
}

/// The timestamp at which a date begins, in microseconds since 2000.
fn midnight(days: i32) -> Result<i64> {
    match days {
        i32::MIN => Ok(i64::MIN),
        i32::MAX => Ok(i64::MAX),
        _ => {
            let micros = i64::from(sent_date(days)).checked_mul(MICROS_PER_DAY);
            micros.ok_or_else(|| no_datetime("timestamp out of range"))
        }
    }
}

/// The date of a timestamp without a time of day, in days since 2000.
fn day(micros: i64) -> Result<i32> {
    match micros {
        i64::MIN => Ok(i32::MIN),
        i64::MAX => Ok(i32::MAX),
        // A timestamp's days are few enough for 32 bits.
        _ if micros % MICROS_PER_DAY == 0 => Ok(sent_date((micros / MICROS_PER_DAY) as i32)),
        _ => Err(no_datetime("a timestamp with a time of day is no date")),
    }
}

#[cold]
fn no_datetime(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

#[cold]
fn no_oid(value: i64) -> ErrorReport {
    let message = format!("value \"{value}\" is out of range for type oid");
    ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

#[cold]
fn too_long(bytes: usize) -> ErrorReport {
    let message = format!("a value of {bytes} bytes is too long");
    ErrorReport::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}
