//! A value of any SQL type, for functions that work row by row.

use std::{cmp::Ordering, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryViewArray, BinaryViewBuilder,
        BooleanArray, FixedSizeBinaryBuilder, ListArray, NullArray, PrimitiveArray,
        StringViewArray, StringViewBuilder,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
        Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, Time64MicrosecondType,
        TimestampMicrosecondType, UInt64Type,
    },
};
use datafusion::common::{DataFusionError, Result};
use kestrel_proto::ErrorReport;

use crate::{
    error::to_datafusion,
    functions::{arithmetic::comparable_interval, decimal, operand::out_of_range},
};

/// A value; what it means beyond its form, its type says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Datum {
    Null,
    Bool(bool),
    /// smallint, integer, bigint
    Int(i64),
    /// Unscaled, and the scale.
    Numeric(i128, i8),
    /// real, double precision
    Double(f64),
    /// text, and what is held like it
    Text(String),
    Bytes(Vec<u8>),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// timestamp and timestamptz: microseconds since 1970.
    Timestamp(i64),
    Interval(IntervalMonthDayNano),
    Uuid([u8; 16]),
    List(Vec<Datum>),
}

impl Datum {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text, or nothing.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    /// The integer; `None` for NULL and everything else.
    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A number, as the nearest double.
    pub(crate) fn double(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Numeric(value, scale) => {
                Some(crate::functions::cast::double_of_decimal(*value, *scale))
            }
            Self::Double(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements of an array; none of NULL.
    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(elements) => elements,
            _ => &[],
        }
    }

    /// How values compare; `None` where one is NULL, or they are of kinds that do not compare. NaN
    /// is larger than all numbers, as in PostgreSQL.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        let float = |a: f64, b: f64| match (a.is_nan(), b.is_nan()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        };
        Some(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Double(_), Self::Int(_) | Self::Numeric(..) | Self::Double(_))
            | (Self::Int(_) | Self::Numeric(..), Self::Double(_)) => {
                float(self.double()?, other.double()?)
            }
            (Self::Int(_) | Self::Numeric(..), Self::Int(_) | Self::Numeric(..)) => {
                let exact = |value: &Self| match value {
                    Self::Numeric(value, scale) => (*value, *scale),
                    value => (i128::from(value.int().unwrap_or(0)), 0),
                };
                decimal::compare(exact(self), exact(other))
            }
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Time(a), Self::Time(b)) | (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            (Self::Interval(a), Self::Interval(b)) => {
                comparable_interval(*a).cmp(&comparable_interval(*b))
            }
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => {
                let unequal = a.iter().zip(b).map(|(a, b)| match (a.is_null(), b.is_null()) {
                    (true, true) => Ordering::Equal,
                    (true, false) => Ordering::Greater,
                    (false, true) => Ordering::Less,
                    (false, false) => a.compare(b).unwrap_or(Ordering::Equal),
                });
                let mut unequal = unequal.filter(|order| order.is_ne());
                unequal.next().unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            _ => return None,
        })
    }

    /// Equal, where NULL is equal to NULL.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self.is_null(), other.is_null()) {
            (false, false) => self.compare(other) == Some(Ordering::Equal),
            (a, b) => a && b,
        }
    }
}

/// The value of a row.
pub(crate) fn datum(array: &ArrayRef, row: usize) -> Result<Datum> {
    if array.is_null(row) {
        return Ok(Datum::Null);
    }
    Ok(match array.data_type() {
        DataType::Null => Datum::Null,
        DataType::Boolean => Datum::Bool(array.as_boolean().value(row)),
        DataType::Int16 => Datum::Int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Datum::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Datum::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => Datum::Numeric(array.as_primitive::<UInt64Type>().value(row).into(), 0),
        DataType::Float32 => Datum::Double(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Datum::Double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            Datum::Numeric(array.as_primitive::<Decimal128Type>().value(row), *scale)
        }
        DataType::Utf8View => Datum::Text(array.as_string_view().value(row).into()),
        DataType::Utf8 => Datum::Text(array.as_string::<i32>().value(row).into()),
        DataType::LargeUtf8 => Datum::Text(array.as_string::<i64>().value(row).into()),
        DataType::BinaryView => Datum::Bytes(array.as_binary_view().value(row).into()),
        DataType::Binary => Datum::Bytes(array.as_binary::<i32>().value(row).into()),
        DataType::Date32 => Datum::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Time64(arrow::datatypes::TimeUnit::Microsecond) => {
            Datum::Time(array.as_primitive::<Time64MicrosecondType>().value(row))
        }
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _) => {
            Datum::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano) => {
            Datum::Interval(array.as_primitive::<IntervalMonthDayNanoType>().value(row))
        }
        DataType::FixedSizeBinary(16) => {
            let bytes = array.as_fixed_size_binary().value(row);
            Datum::Uuid(bytes.try_into().unwrap_or_default())
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (from, to) = (list.offsets()[row] as usize, list.offsets()[row + 1] as usize);
            Datum::List((from..to).map(|at| datum(list.values(), at)).collect::<Result<_>>()?)
        }
        other => {
            let message = format!("values of type {other} are not supported here");
            return Err(to_datafusion(ErrorReport::unsupported(message)));
        }
    })
}

/// Values as a column of a type.
pub(crate) fn column(data_type: &DataType, values: Vec<Datum>) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Null => Arc::new(NullArray::new(values.len())),
        DataType::Boolean => Arc::new(booleans(&values)?),
        DataType::Int16 => primitive::<Int16Type>(&values, |v| i16::try_from(v.int()?).ok())?,
        DataType::Int32 => primitive::<Int32Type>(&values, |v| i32::try_from(v.int()?).ok())?,
        DataType::Int64 => primitive::<Int64Type>(&values, Datum::int)?,
        DataType::Float32 => primitive::<Float32Type>(&values, |v| Some(v.double()? as f32))?,
        DataType::Float64 => primitive::<Float64Type>(&values, Datum::double)?,
        DataType::Decimal128(_, scale) => {
            let numbers = primitive::<Decimal128Type>(&values, |value| match value {
                Datum::Numeric(value, from) => decimal::rescale(*value, *from, *scale),
                value => decimal::rescale(value.int()?.into(), 0, *scale),
            })?;
            let numbers = numbers.as_primitive::<Decimal128Type>().clone();
            Arc::new(numbers.with_data_type(data_type.clone()))
        }
        DataType::Utf8View => Arc::new(texts(&values)?),
        DataType::BinaryView => Arc::new(bytes(&values)?),
        DataType::FixedSizeBinary(16) => {
            let mut uuids = FixedSizeBinaryBuilder::with_capacity(values.len(), 16);
            for value in &values {
                match value {
                    Datum::Uuid(bytes) => uuids.append_value(bytes)?,
                    _ => uuids.append_null(),
                }
            }
            Arc::new(uuids.finish())
        }
        DataType::List(item) => {
            let nulls: NullBuffer = values.iter().map(|value| !value.is_null()).collect();
            let lengths = OffsetBuffer::from_lengths(values.iter().map(|v| v.list().len()));
            let elements = values.into_iter().flat_map(|value| match value {
                Datum::List(elements) => elements,
                _ => Vec::new(),
            });
            let elements = column(item.data_type(), elements.collect())?;
            Arc::new(ListArray::try_new(Arc::clone(item), lengths, elements, Some(nulls))?)
        }
        other => moments(other, &values)?,
    })
}

/// Dates, times, timestamps and intervals.
fn moments(data_type: &DataType, values: &[Datum]) -> Result<ArrayRef> {
    match data_type {
        DataType::Date32 => primitive::<Date32Type>(values, |value| match value {
            Datum::Date(days) => Some(*days),
            _ => None,
        }),
        DataType::Time64(_) => primitive::<Time64MicrosecondType>(values, |value| match value {
            Datum::Time(micros) => Some(*micros),
            _ => None,
        }),
        DataType::Timestamp(..) => {
            let stamps = primitive::<TimestampMicrosecondType>(values, |value| match value {
                Datum::Timestamp(micros) => Some(*micros),
                _ => None,
            })?;
            let stamps = stamps.as_primitive::<TimestampMicrosecondType>().clone();
            Ok(Arc::new(stamps.with_data_type(data_type.clone())))
        }
        DataType::Interval(_) => {
            primitive::<IntervalMonthDayNanoType>(values, |value| match value {
                Datum::Interval(interval) => Some(*interval),
                _ => None,
            })
        }
        other => {
            let message = format!("values of type {other} are not supported here");
            Err(to_datafusion(ErrorReport::unsupported(message)))
        }
    }
}

fn wrong(value: &Datum, wanted: &str) -> DataFusionError {
    to_datafusion(ErrorReport::internal(format!("{value:?} is no value of type {wanted}")))
}

fn booleans(values: &[Datum]) -> Result<BooleanArray> {
    let value = |value: &Datum| match value {
        Datum::Null => Ok(None),
        Datum::Bool(value) => Ok(Some(*value)),
        other => Err(wrong(other, "boolean")),
    };
    values.iter().map(value).collect()
}

fn texts(values: &[Datum]) -> Result<StringViewArray> {
    let mut column = StringViewBuilder::with_capacity(values.len());
    for value in values {
        match value {
            Datum::Null => column.append_null(),
            Datum::Text(text) => column.append_value(text),
            other => return Err(wrong(other, "text")),
        }
    }
    Ok(column.finish())
}

fn bytes(values: &[Datum]) -> Result<BinaryViewArray> {
    let mut column = BinaryViewBuilder::with_capacity(values.len());
    for value in values {
        match value {
            Datum::Null => column.append_null(),
            Datum::Bytes(bytes) => column.append_value(bytes),
            other => return Err(wrong(other, "bytea")),
        }
    }
    Ok(column.finish())
}

/// `None` of a value that is not NULL: the type does not hold it.
fn primitive<T: ArrowPrimitiveType>(
    values: &[Datum],
    get: impl Fn(&Datum) -> Option<T::Native>,
) -> Result<ArrayRef> {
    let values = values.iter().map(|value| match (value, get(value)) {
        (Datum::Null, _) => Ok(None),
        (_, Some(value)) => Ok(Some(value)),
        (_, None) => {
            let name = crate::functions::sql_name(&T::DATA_TYPE);
            Err(to_datafusion(out_of_range(&name)))
        }
    });
    Ok(Arc::new(values.collect::<Result<PrimitiveArray<T>>>()?))
}
