//! Texts that stand anywhere to a column of values: what COPY reads much of.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, ArrowPrimitiveType, PrimitiveBuilder, StringViewArray},
    datatypes::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    },
};
use kestrel_proto::Result;

use super::{datetime, input, read_text};
use crate::{catalog::SqlType, functions::SessionFormats};

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
    use super::*;

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
