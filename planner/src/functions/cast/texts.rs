//! Texts that stand anywhere to a column of values: what COPY reads much of.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveBuilder, StringViewArray},
    compute::cast,
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
        Int64Type,
    },
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use memchr::memchr;

use super::{CastKind, datetime, evaluate, input, is_allowed, read_text};
use crate::{
    catalog::SqlType,
    error::report,
    functions::{SessionFormats, sql_name},
};

/// The same as [`read_text`] of an array of these texts; numbers and dates need none.
///
/// # Errors
/// Those of the type's input function: 22P02, 22003, …
pub fn read_texts<'a>(
    texts: impl ExactSizeIterator<Item = Option<&'a str>>,
    to: SqlType,
    formats: SessionFormats,
) -> Result<ArrayRef> {
    match to {
        SqlType::SmallInt => primitives::<Int16Type>(texts, |text| {
            let value = input::integer(text, "smallint", i16::MIN.into(), i16::MAX.into())?;
            Ok(value as i16)
        }),
        SqlType::Integer => primitives::<Int32Type>(texts, |text| {
            let value = input::integer(text, "integer", i32::MIN.into(), i32::MAX.into())?;
            Ok(value as i32)
        }),
        SqlType::BigInt => primitives::<Int64Type>(texts, |text| {
            input::integer(text, "bigint", i64::MIN, i64::MAX)
        }),
        SqlType::Real => primitives::<Float32Type>(texts, input::real),
        SqlType::Double => primitives::<Float64Type>(texts, input::double),
        SqlType::Numeric(precision, scale) => {
            let values = PrimitiveBuilder::<Decimal128Type>::with_capacity(texts.len());
            let values = values.with_data_type(to.arrow());
            collect(values, texts, |text| input::numeric(text, precision, scale))
        }
        SqlType::Date => {
            primitives::<Date32Type>(texts, |text| datetime::date(text, formats.date_style.order))
        }
        SqlType::Oid
        | SqlType::Boolean
        | SqlType::Text
        | SqlType::Name
        | SqlType::Varchar(_)
        | SqlType::Char(_)
        | SqlType::Time
        | SqlType::Timestamp
        | SqlType::TimestampTz
        | SqlType::Interval
        | SqlType::Uuid
        | SqlType::Bytea
        | SqlType::Json
        | SqlType::Jsonb
        | SqlType::Array(_)
        | SqlType::Int2Vector
        | SqlType::OidVector => {
            let texts: ArrayRef = Arc::new(StringViewArray::from_iter(texts));
            read_text(&texts, to, formats)
        }
    }
}

/// Any values as those of a column: what COPY does with those of Parquet files.
///
/// # Errors
/// 42804: no cast leads there. 22021: a text has a zero byte. Those of the cast.
pub fn assign_values(values: &ArrayRef, to: SqlType, formats: SessionFormats) -> Result<ArrayRef> {
    let known = match values.data_type() {
        DataType::Int8 | DataType::UInt8 => Some(DataType::Int16),
        DataType::UInt16 => Some(DataType::Int32),
        DataType::UInt32 => Some(DataType::Int64),
        DataType::UInt64 => Some(DataType::Decimal128(20, 0)),
        DataType::Float16 => Some(DataType::Float32),
        _ => None,
    };
    let values = match known {
        Some(known) => &cast(values, &known).map_err(|error| report(error.into()))?,
        None => values,
    };
    if !is_allowed(values.data_type(), to) {
        let from = sql_name(values.data_type());
        let message =
            format!("column is of type {to} but its values in the file are of type {from}");
        return Err(ErrorReport::new(SqlState::DATATYPE_MISMATCH, message));
    }
    check_texts(values)?;
    evaluate::convert(values, to, &evaluate::Context { kind: CastKind::Assignment, formats })
        .map_err(report)
}

/// The zero byte, which no text of PostgreSQL has: in texts, also in those of lists.
fn check_texts(values: &ArrayRef) -> Result<()> {
    let has_zero = match values.data_type() {
        DataType::Utf8 => any_zero(values.as_string::<i32>()),
        DataType::LargeUtf8 => any_zero(values.as_string::<i64>()),
        DataType::Utf8View => any_zero(values.as_string_view()),
        DataType::Dictionary(_, _) => return check_texts(values.as_any_dictionary().values()),
        DataType::List(_) => return check_texts(values.as_list::<i32>().values()),
        DataType::LargeList(_) => return check_texts(values.as_list::<i64>().values()),
        DataType::FixedSizeList(_, _) => return check_texts(values.as_fixed_size_list().values()),
        _ => false,
    };
    if has_zero {
        let message = "invalid byte sequence for encoding \"UTF8\": 0x00";
        return Err(ErrorReport::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message));
    }
    Ok(())
}

fn any_zero<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> bool {
    texts.into_iter().flatten().any(|text| memchr(0, text.as_bytes()).is_some())
}

fn primitives<'a, T: ArrowPrimitiveType>(
    texts: impl ExactSizeIterator<Item = Option<&'a str>>,
    read: impl Fn(&str) -> Result<T::Native>,
) -> Result<ArrayRef> {
    collect(PrimitiveBuilder::<T>::with_capacity(texts.len()), texts, read)
}

fn collect<'a, T: ArrowPrimitiveType>(
    mut values: PrimitiveBuilder<T>,
    texts: impl Iterator<Item = Option<&'a str>>,
    read: impl Fn(&str) -> Result<T::Native>,
) -> Result<ArrayRef> {
    for text in texts {
        match text {
            Some(text) => values.append_value(read(text)?),
            None => values.append_null(),
        }
    }
    Ok(Arc::new(values.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, LargeStringArray, StringArray, UInt8Array};

    use super::*;

    #[test]
    fn values_of_files_become_those_of_columns() {
        let formats = SessionFormats::default();
        let assigned = |values: ArrayRef, to| assign_values(&values, to, formats);
        let bytes: ArrayRef = Arc::new(UInt8Array::from(vec![Some(200), None]));
        let expected: ArrayRef = Arc::new(Int32Array::from(vec![Some(200), None]));
        assert_eq!(assigned(Arc::clone(&bytes), SqlType::Integer), Ok(expected));
        let error = assigned(bytes, SqlType::Date).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::DATATYPE_MISMATCH);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["abcd"]));
        let error = assigned(Arc::clone(&texts), SqlType::Varchar(Some(3))).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::STRING_DATA_RIGHT_TRUNCATION);
        let expected: ArrayRef = Arc::new(StringViewArray::from(vec!["abcd"]));
        assert_eq!(assigned(texts, SqlType::Text), Ok(expected));
        let zero = vec![Some("a"), None, Some("a\0")];
        let long: ArrayRef = Arc::new(LargeStringArray::from(zero.clone()));
        let view: ArrayRef = Arc::new(StringViewArray::from(zero));
        for texts in [long, view] {
            let error = assigned(texts, SqlType::Text).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::CHARACTER_NOT_IN_REPERTOIRE);
        }
    }

    #[test]
    fn texts_are_read_as_an_array_of_them_is() {
        let texts = [Some("7"), None, Some(" 12 "), Some("1995-02-28"), Some("x"), Some("1e400")];
        let types = [
            SqlType::SmallInt,
            SqlType::Integer,
            SqlType::BigInt,
            SqlType::Real,
            SqlType::Double,
            SqlType::Numeric(10, 2),
            SqlType::Date,
            SqlType::Text,
            SqlType::Boolean,
        ];
        let formats = SessionFormats::default();
        for sql_type in types {
            for texts in texts.iter().map(|text| vec![*text]).chain([texts[..3].to_vec()]) {
                let array: ArrayRef = Arc::new(StringViewArray::from(texts.clone()));
                let expected = read_text(&array, sql_type, formats);
                let read = read_texts(texts.iter().copied(), sql_type, formats);
                assert_eq!(read, expected, "{texts:?} as {sql_type}");
            }
        }
    }
}
