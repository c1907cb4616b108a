//! One column of a chunk to an array.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, PrimitiveArray},
    buffer::{BooleanBuffer, Buffer, NullBuffer},
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type,
        Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType,
        TimestampMicrosecondType,
    },
};
use kestrel_planner::wire_binary::{
    MICROS_PER_DAY, POSTGRES_EPOCH_MICROS, out_of_range, received_date, received_interval,
    received_time, received_timestamp,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{bytes, fixed, numeric};
use crate::shard::kes::copy::{rows::Field, wire::Wire};

/// A column's fields, and the data they are in.
#[derive(Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) data: &'a [u8],
    pub(super) fields: &'a [Field],
}

impl<'a> Column<'a> {
    /// Which rows have a value; `None`: all.
    pub(super) fn nulls(&self) -> Option<NullBuffer> {
        let any = self.fields.iter().any(|field| field.len < 0);
        let is_valid = self.fields.iter().map(|field| field.len >= 0);
        any.then(|| NullBuffer::new(is_valid.collect::<BooleanBuffer>()))
    }

    /// A field's bytes; none of NULL.
    #[inline]
    pub(super) fn bytes(&self, field: Field) -> &'a [u8] {
        let len = usize::try_from(field.len).unwrap_or(0);
        let rest = self.data.get(field.start as usize..).unwrap_or_default();
        rest.get(..len).unwrap_or_default()
    }

    /// The array of this type, which is the one that the wire's values are held in.
    pub(super) fn decode(&self, wire: &Wire, data_type: &DataType) -> Result<ArrayRef> {
        match wire {
            Wire::Int2 => self.primitive::<Int16Type, 2>(data_type, |b| Ok(i16::from_be_bytes(b))),
            Wire::Int4 => self.primitive::<Int32Type, 4>(data_type, |b| Ok(i32::from_be_bytes(b))),
            Wire::Int8 => self.primitive::<Int64Type, 8>(data_type, |b| Ok(i64::from_be_bytes(b))),
            Wire::Oid => {
                let read = |b| Ok(i64::from(u32::from_be_bytes(b)));
                self.primitive::<Int64Type, 4>(data_type, read)
            }
            Wire::Float4 => {
                self.primitive::<Float32Type, 4>(data_type, |b| Ok(f32::from_be_bytes(b)))
            }
            Wire::Float8 => {
                self.primitive::<Float64Type, 8>(data_type, |b| Ok(f64::from_be_bytes(b)))
            }
            Wire::Numeric(reader, _) => {
                let values = numeric::decode(self, reader)?;
                self.array::<Decimal128Type>(values, data_type)
            }
            Wire::Boolean => self.booleans(),
            Wire::Text => bytes::text(self, bytes::as_they_are),
            Wire::Char => bytes::text(self, bytes::without_blanks),
            Wire::Jsonb => bytes::text(self, bytes::without_version),
            Wire::Date => {
                let read = |b| received_date(i32::from_be_bytes(b));
                self.primitive::<Date32Type, 4>(data_type, read)
            }
            Wire::MidnightAsDate => {
                let read = |b| midnight(received_timestamp(i64::from_be_bytes(b))?);
                self.primitive::<Date32Type, 8>(data_type, read)
            }
            Wire::Time => {
                let read = |b| received_time(i64::from_be_bytes(b));
                self.primitive::<Time64MicrosecondType, 8>(data_type, read)
            }
            Wire::Timestamp => {
                let read = |b| received_timestamp(i64::from_be_bytes(b));
                self.primitive::<TimestampMicrosecondType, 8>(data_type, read)
            }
            Wire::DateAsTimestamp => {
                let read = |b| date_as_timestamp(i32::from_be_bytes(b));
                self.primitive::<TimestampMicrosecondType, 4>(data_type, read)
            }
            Wire::Interval => self.primitive::<IntervalMonthDayNanoType, 16>(data_type, interval),
            Wire::Uuid => {
                let values = fixed::decode(self, |uuid: [u8; 16]| Ok(uuid))?;
                let values = Buffer::from_vec(values.into_flattened());
                let array = FixedSizeBinaryArray::try_new(16, values, self.nulls());
                array.map(|array| Arc::new(array) as ArrayRef).map_err(internal)
            }
            Wire::Bytea => Ok(bytes::bytea(self)),
        }
    }

    fn primitive<T: ArrowPrimitiveType, const N: usize>(
        &self,
        data_type: &DataType,
        read: impl Fn([u8; N]) -> Result<T::Native>,
    ) -> Result<ArrayRef> {
        self.array::<T>(fixed::decode(self, read)?, data_type)
    }

    fn array<T: ArrowPrimitiveType>(
        &self,
        values: Vec<T::Native>,
        data_type: &DataType,
    ) -> Result<ArrayRef> {
        let array = PrimitiveArray::<T>::try_new(values.into(), self.nulls()).map_err(internal)?;
        // Precision, scale and zone are only said; the numbers are the same.
        Ok(match array.data_type() == data_type {
            true => Arc::new(array),
            false => Arc::new(array.with_data_type(data_type.clone())),
        })
    }

    fn booleans(&self) -> Result<ArrayRef> {
        let values = fixed::decode(self, |[byte]: [u8; 1]| Ok(byte != 0))?;
        Ok(Arc::new(BooleanArray::new(values.into_iter().collect(), self.nulls())))
    }
}

fn interval(bytes: [u8; 16]) -> Result<arrow::datatypes::IntervalMonthDayNano> {
    let [a, b, c, d, e, f, g, h, days @ .., m, n, o, p] = bytes;
    let micros = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
    received_interval(micros, i32::from_be_bytes(days), i32::from_be_bytes([m, n, o, p]))
}

/// A timestamp as the date that it is, if it is one.
fn midnight(micros: i64) -> Result<i32> {
    match micros {
        i64::MIN => Ok(i32::MIN),
        i64::MAX => Ok(i32::MAX),
        // A timestamp's days are few enough for 32 bits.
        _ if micros % MICROS_PER_DAY == 0 => Ok((micros / MICROS_PER_DAY) as i32),
        _ => Err(ErrorReport::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "a timestamp with a time of day is no date",
        )
        .hint("Declare the column as timestamp.")),
    }
}

fn date_as_timestamp(days: i32) -> Result<i64> {
    match days {
        i32::MIN => Ok(i64::MIN),
        i32::MAX => Ok(i64::MAX),
        _ => {
            // Both ranges begin on the same day; dates end later.
            let micros = i64::from(received_date(days)?).checked_mul(MICROS_PER_DAY);
            let micros = micros.and_then(|micros| micros.checked_sub(POSTGRES_EPOCH_MICROS));
            received_timestamp(micros.ok_or_else(|| out_of_range("timestamp"))?)
        }
    }
}

fn internal(error: arrow::error::ArrowError) -> ErrorReport {
    ErrorReport::internal(error.to_string())
}
