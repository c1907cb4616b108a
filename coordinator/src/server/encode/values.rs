//! One column's values, downcast once.

use std::ops::Range;

use arrow::array::{
    Array, ArrayRef, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, StringViewArray,
    cast::AsArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
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
    /// jsonb, as it is printed
    Jsonb(&'a StringViewArray),
    /// An array
    Array(Elements<'a>),
    /// int2vector, oidvector
    Vector(Elements<'a>),
}

/// The elements of a column of arrays.
pub(super) struct Elements<'a> {
    /// Where each array's begin, and the last one's end.
    pub(super) offsets: &'a OffsetBuffer<i32>,
    /// The elements of all arrays.
    pub(super) values: Box<Values<'a>>,
    pub(super) nulls: Option<&'a NullBuffer>,
    /// The OID of the elements' type.
    pub(super) oid: u32,
}

impl Elements<'_> {
    /// The positions in [`Self::values`] of a row's elements.
    pub(super) fn of_row(&self, row: usize) -> Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    pub(super) fn is_null(&self, position: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(position))
    }
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
            SqlType::Text | SqlType::Varchar(_) | SqlType::Name | SqlType::Json => {
                array.as_string_view_opt().map(Self::Text)
            }
            SqlType::Jsonb => array.as_string_view_opt().map(Self::Jsonb),
            SqlType::Array(element) => elements(array, element.sql_type())?.map(Self::Array),
            SqlType::Int2Vector => elements(array, SqlType::SmallInt)?.map(Self::Vector),
            SqlType::OidVector => elements(array, SqlType::Oid)?.map(Self::Vector),
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

fn elements(array: &ArrayRef, element: SqlType) -> Result<Option<Elements<'_>>> {
    let Some(list) = array.as_list_opt::<i32>() else { return Ok(None) };
    Ok(Some(Elements {
        offsets: list.offsets(),
        values: Box::new(Values::new(list.values(), element)?),
        nulls: list.values().nulls(),
        oid: element.oid(),
    }))
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<&ScalarBuffer<T::Native>> {
    array.as_primitive_opt::<T>().map(|array| array.values())
}
