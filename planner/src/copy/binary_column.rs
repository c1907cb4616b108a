//! A column's values in binary format to an array: what PostgreSQL's receive functions read.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, AsArray, BinaryViewBuilder, BooleanBuilder, FixedSizeBinaryBuilder,
        PrimitiveBuilder, StringViewArray, StringViewBuilder,
    },
    datatypes::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
        IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
    },
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::{
    catalog::SqlType,
    functions::{SessionFormats, read_text},
    wire_binary::{
        Input, JSONB_VERSION, NumericReader, malformed, received_date, received_interval,
        received_time, received_timestamp, utf8,
    },
};

/// Collects a column's values.
pub(super) struct ColumnBuilder {
    sql_type: SqlType,
    values: Values,
}

enum Values {
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    Real(PrimitiveBuilder<Float32Type>),
    Double(PrimitiveBuilder<Float64Type>),
    Numeric(PrimitiveBuilder<Decimal128Type>, NumericReader),
    Boolean(BooleanBuilder),
    Text(StringViewBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64MicrosecondType>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    Interval(PrimitiveBuilder<IntervalMonthDayNanoType>),
    Uuid(FixedSizeBinaryBuilder),
    Bytea(BinaryViewBuilder),
}

impl ColumnBuilder {
    /// No values yet.
    pub(super) fn new(sql_type: SqlType) -> Self {
        let values = match sql_type {
            SqlType::SmallInt => Values::Int16(PrimitiveBuilder::new()),
            SqlType::Integer => Values::Int32(PrimitiveBuilder::new()),
            SqlType::BigInt | SqlType::Oid => Values::Int64(PrimitiveBuilder::new()),
            SqlType::Real => Values::Real(PrimitiveBuilder::new()),
            SqlType::Double => Values::Double(PrimitiveBuilder::new()),
            SqlType::Numeric(precision, scale) => {
                let values = PrimitiveBuilder::new().with_data_type(sql_type.arrow());
                Values::Numeric(values, NumericReader::new(precision, scale))
            }
            SqlType::Boolean => Values::Boolean(BooleanBuilder::new()),
            SqlType::Text
            | SqlType::Varchar(_)
            | SqlType::Char(_)
            | SqlType::Name
            | SqlType::Json
            | SqlType::Jsonb => Values::Text(StringViewBuilder::new()),
            SqlType::Date => Values::Date(PrimitiveBuilder::new()),
            SqlType::Time => Values::Time(PrimitiveBuilder::new()),
            SqlType::Timestamp | SqlType::TimestampTz => {
                Values::Timestamp(PrimitiveBuilder::new().with_data_type(sql_type.arrow()))
            }
            SqlType::Interval => Values::Interval(PrimitiveBuilder::new()),
            SqlType::Uuid => Values::Uuid(FixedSizeBinaryBuilder::new(16)),
            SqlType::Bytea => Values::Bytea(BinaryViewBuilder::new()),
            // No column of a table has these types; their values are taken as bytes.
            SqlType::Array(_) | SqlType::Int2Vector | SqlType::OidVector => {
                Values::Bytea(BinaryViewBuilder::new())
            }
        };
        Self { sql_type, values }
    }

    /// Takes the next value; `None`: NULL. After an error, one value more or less may be there.
    ///
    /// # Errors
    /// 22P03, 08P01 and those of the type: the bytes are none of its values.
    pub(super) fn append(&mut self, value: Option<&[u8]>) -> Result<()> {
        let Some(bytes) = value else {
            self.append_null();
            return Ok(());
        };
        let input = &mut Input::new(bytes);
        match &mut self.values {
            Values::Int16(values) => values.append_value(i16::from_be_bytes(input.take()?)),
            Values::Int32(values) => values.append_value(input.i32()?),
            Values::Int64(values) if self.sql_type == SqlType::Oid => {
                values.append_value(i64::from(u32::from_be_bytes(input.take()?)));
            }
            Values::Int64(values) => values.append_value(input.i64()?),
            Values::Real(values) => values.append_value(f32::from_be_bytes(input.take()?)),
            Values::Double(values) => values.append_value(f64::from_be_bytes(input.take()?)),
            Values::Numeric(values, reader) => values.append_value(reader.read(input)?.value),
            Values::Boolean(values) => values.append_value(input.bool()?),
            Values::Text(values) if matches!(self.sql_type, SqlType::Json | SqlType::Jsonb) => {
                if self.sql_type == SqlType::Jsonb && input.take()? != [JSONB_VERSION] {
                    return Err(malformed("unsupported jsonb version number"));
                }
                let texts: ArrayRef = Arc::new(StringViewArray::from(vec![utf8(input.rest())?]));
                let read = read_text(&texts, self.sql_type, SessionFormats::default())?;
                values.append_option(read.as_string_view().iter().flatten().next());
            }
            Values::Text(values) => {
                values.append_value(limited(utf8(input.rest())?, self.sql_type)?);
            }
            Values::Date(values) => values.append_value(received_date(input.i32()?)?),
            Values::Time(values) => values.append_value(received_time(input.i64()?)?),
            Values::Timestamp(values) => values.append_value(received_timestamp(input.i64()?)?),
            Values::Interval(values) => {
                let (micros, days, months) = (input.i64()?, input.i32()?, input.i32()?);
                values.append_value(received_interval(micros, days, months)?);
            }
            Values::Uuid(values) => {
                let uuid: [u8; 16] = input.take()?;
                values.append_value(uuid).map_err(|e| ErrorReport::internal(e.to_string()))?;
            }
            Values::Bytea(values) => values.append_value(input.rest()),
        }
        input.end("")
    }

    fn append_null(&mut self) {
        match &mut self.values {
            Values::Int16(values) => values.append_null(),
            Values::Int32(values) => values.append_null(),
            Values::Int64(values) => values.append_null(),
            Values::Real(values) => values.append_null(),
            Values::Double(values) => values.append_null(),
            Values::Numeric(values, _) => values.append_null(),
            Values::Boolean(values) => values.append_null(),
            Values::Text(values) => values.append_null(),
            Values::Date(values) => values.append_null(),
            Values::Time(values) => values.append_null(),
            Values::Timestamp(values) => values.append_null(),
            Values::Interval(values) => values.append_null(),
            Values::Uuid(values) => values.append_null(),
            Values::Bytea(values) => values.append_null(),
        }
    }

    /// The values; there are none any more.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Int16(values) => Arc::new(values.finish()),
            Values::Int32(values) => Arc::new(values.finish()),
            Values::Int64(values) => Arc::new(values.finish()),
            Values::Real(values) => Arc::new(values.finish()),
            Values::Double(values) => Arc::new(values.finish()),
            Values::Numeric(values, _) => Arc::new(values.finish()),
            Values::Boolean(values) => Arc::new(values.finish()),
            Values::Text(values) => Arc::new(values.finish()),
            Values::Date(values) => Arc::new(values.finish()),
            Values::Time(values) => Arc::new(values.finish()),
            Values::Timestamp(values) => Arc::new(values.finish()),
            Values::Interval(values) => Arc::new(values.finish()),
            Values::Uuid(values) => Arc::new(values.finish()),
            Values::Bytea(values) => Arc::new(values.finish()),
        }
    }
}

/// A text as a column of this type holds it: varchar(n) and char(n) cut blanks off that are too
/// many, and char(n) is held without the blanks at its end.
fn limited(text: &str, sql_type: SqlType) -> Result<&str> {
    let (length, is_char) = match sql_type {
        SqlType::Varchar(Some(length)) => (length as usize, false),
        SqlType::Char(length) => (length as usize, true),
        _ => return Ok(text),
    };
    let end = text.char_indices().nth(length).map_or(text.len(), |(at, _)| at);
    let (kept, rest) = text.split_at(end);
    if rest.bytes().any(|byte| byte != b' ') {
        return Err(ErrorReport::new(
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
            format!("value too long for type {sql_type}"),
        ));
    }
    Ok(if is_char { kept.trim_end_matches(' ') } else { kept })
}
