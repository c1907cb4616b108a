//! One column's values, downcast once.

use arrow::array::{
    Array, ArrayRef, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, StringViewArray,
    cast::AsArray,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use kestrel_planner::catalog::SqlType;
use kestrel_proto::{ErrorReport, Result};

/// A column's values by the way they are written.
pub(super) enum Values<'a> {
    /// smallint
    SmallInt(&'a ScalarBuffer<i16>),
    /// integer
    Integer(&'a ScalarBuffer<i32>),
    /// bigint
    BigInt(&'a ScalarBuffer<i64>),
    /// oid: an unsigned 32-bit number held in 64
    Oid(&'a ScalarBuffer<i64>),
    /// real
    Real(&'a ScalarBuffer<f32>),
    /// double precision
    Double(&'a ScalarBuffer<f64>),
    /// numeric, unscaled, with its scale
    Numeric(&'a ScalarBuffer<i128>, i8),
    /// boolean
    Boolean(&'a BooleanArray),
    /// text, varchar, name
    Text(&'a StringViewArray),
    /// char(n), with n
    Char(&'a StringViewArray, u32),
    /// date, in days since 1970
    Date(&'a ScalarBuffer<i32>),
    /// time, in microseconds
    Time(&'a ScalarBuffer<i64>),
    /// timestamp, in microseconds since 1970
    Timestamp(&'a ScalarBuffer<i64>),
    /// timestamptz, in microseconds since 1970 UTC
    TimestampTz(&'a ScalarBuffer<i64>),
    /// interval
    Interval(&'a ScalarBuffer<IntervalMonthDayNano>),
    /// uuid
    Uuid(&'a FixedSizeBinaryArray),
    /// bytea
    Bytea(&'a BinaryViewArray),
}

impl<'a> Values<'a> {
    /// The values of an array that is held as `sql_type` is.
    pub(super) fn new(array: &'a ArrayRef, sql_type: SqlType) -> Result<Self> {
        let values = match sql_type {
            SqlType::SmallInt => primitive::<Int16Type>(array).map(Self::SmallInt),
            SqlType::Integer => primitive::<Int32Type>(array).map(Self::Integer),
            SqlType::BigInt => primitive::<Int64Type>(array).map(Self::BigInt),
            SqlType::Oid => primitive::<Int64Type>(array).map(Self::Oid),
            SqlType::Real => primitive::<Float32Type>(array).map(Self::Real),
            SqlType::Double => primitive::<Float64Type>(array).map(Self::Double),
            SqlType::Numeric(_, scale) => {
                primitive::<Decimal128Type>(array).map(|values| Self::Numeric(values, scale))
            }
            SqlType::Boolean => array.as_boolean_opt().map(Self::Boolean),
            SqlType::Text | SqlType::Varchar(_) | SqlType::Name => {
                array.as_string_view_opt().map(Self::Text)
            }
            SqlType::Char(length) => {
                array.as_string_view_opt().map(|values| Self::Char(values, length))
            }
            SqlType::Date => primitive::<Date32Type>(array).map(Self::Date),
            SqlType::Time => primitive::<Time64MicrosecondType>(array).map(Self::Time),
            SqlType::Timestamp => primitive::<TimestampMicrosecondType>(array).map(Self::Timestamp),
            SqlType::TimestampTz => {
                primitive::<TimestampMicrosecondType>(array).map(Self::TimestampTz)
            }
            SqlType::Interval => primitive::<IntervalMonthDayNanoType>(array).map(Self::Interval),
            SqlType::Uuid => array.as_fixed_size_binary_opt().map(Self::Uuid),
            SqlType::Bytea => array.as_binary_view_opt().map(Self::Bytea),
        };
        values.ok_or_else(|| {
            ErrorReport::internal(format!("{} held as {}", sql_type, array.data_type()))
        })
    }
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<&ScalarBuffer<T::Native>> {
    array.as_primitive_opt::<T>().map(|array| array.values())
}
