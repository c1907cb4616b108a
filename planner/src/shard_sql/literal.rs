//! A value in SQL text: exactly this value, of exactly this type.
//!
//! ```text
//! 'it''s'::pg_catalog.text      '-5'::pg_catalog.int4      NULL::pg_catalog.date
//! ```
//!
//! The text in the quotes is read by the type's input function. All forms are such that no setting
//! of the session (`DateStyle`, `IntervalStyle`, `TimeZone`) changes what it reads.

use crate::{
    catalog::SqlType,
    functions::{DateStyle, Zone, output},
};
use arrow::{
    array::types::{Decimal128Type, DecimalType},
    datatypes::IntervalMonthDayNano,
};
use datafusion::common::ScalarValue;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{quote::string, types::bare_name};

/// First and last day of a `date`: 4714-11-24 BC and 5874897-12-31, in days since 1970.
const DATES: std::ops::RangeInclusive<i32> = -2_440_588..=2_145_042_905;
/// The first microsecond of a `timestamp`, 4714-11-24 BC. The last is in 294276, which microseconds
/// since 1970 do not reach; the largest number of them is nobody's moment.
const TIMESTAMPS: std::ops::Range<i64> = -210_866_803_200_000_000..i64::MAX;
const SECOND: u64 = 1_000_000;

/// `value`, which is one of `sql_type`'s, as a literal.
///
/// # Errors
/// 22021: a text with NUL; 22008: a date or timestamp that PostgreSQL does not have;
/// 0A000: an array; XX000: a value that is not of this type.
pub fn literal(value: &ScalarValue, sql_type: SqlType) -> Result<String> {
    let name = bare_name(sql_type)?;
    if value.is_null() {
        return Ok(format!("NULL::{name}"));
    }
    if let Some(bytes) = bytes(value, sql_type) {
        let digits = output::bytea(bytes, crate::functions::ByteaOutput::Hex);
        let digits = digits.trim_start_matches("\\x");
        return Ok(format!("pg_catalog.decode('{digits}', 'hex')"));
    }
    let text = match text(value, sql_type) {
        Some(text) => text?,
        None => {
            let message = format!("a value of type {} is no {sql_type}", value.data_type());
            return Err(ErrorReport::internal(message));
        }
    };
    Ok(format!("{}::{name}", string(&text)?))
}

/// The bytes of a `bytea`, whose text form has a backslash.
fn bytes(value: &ScalarValue, sql_type: SqlType) -> Option<&[u8]> {
    match value {
        ScalarValue::Binary(Some(bytes))
        | ScalarValue::LargeBinary(Some(bytes))
        | ScalarValue::BinaryView(Some(bytes))
            if sql_type == SqlType::Bytea =>
        {
            Some(bytes)
        }
        _ => None,
    }
}

/// What the input function reads; `None`: the value is of another type.
fn text(value: &ScalarValue, sql_type: SqlType) -> Option<Result<String>> {
    use ScalarValue as V;
    use SqlType as T;
    Some(Ok(match (sql_type, value) {
        (T::SmallInt | T::Integer | T::BigInt | T::Oid, V::Int16(Some(v))) => v.to_string(),
        (T::Integer | T::BigInt | T::Oid, V::Int32(Some(v))) => v.to_string(),
        (T::BigInt | T::Oid, V::Int64(Some(v))) => v.to_string(),
        (T::Numeric(..), V::Decimal128(Some(v), precision, scale)) => {
            Decimal128Type::format_decimal(*v, *precision, *scale)
        }
        // Their shortest digits are read back as the same bits; NaN and Infinity are words.
        (T::Real, V::Float32(Some(v))) => output::real(*v, 1),
        (T::Double, V::Float64(Some(v))) => output::double(*v, 1),
        (T::Boolean, V::Boolean(Some(v))) => v.to_string(),
        (
            T::Text | T::Varchar(_) | T::Char(_) | T::Name | T::Json | T::Jsonb,
            V::Utf8(Some(v)) | V::LargeUtf8(Some(v)) | V::Utf8View(Some(v)),
        ) => v.clone(),
        (T::Date, V::Date32(Some(days))) => return Some(date(*days)),
        (T::Time, V::Time64Microsecond(Some(micros))) => output::time(*micros),
        (T::Timestamp, V::TimestampMicrosecond(Some(micros), None)) => {
            let text = || output::timestamp(*micros, DateStyle::default());
            return Some(moment(*micros, text));
        }
        (T::TimestampTz, V::TimestampMicrosecond(Some(micros), Some(_))) => {
            let text = || output::timestamp_tz(*micros, DateStyle::default(), Zone::default());
            return Some(moment(*micros, text));
        }
        (T::Interval, V::IntervalMonthDayNano(Some(value))) => return Some(interval(*value)),
        (T::Uuid, V::FixedSizeBinary(16, Some(bytes))) => output::uuid(bytes),
        _ => return None,
    }))
}

/// `YYYY-MM-DD[ BC]`
fn date(days: i32) -> Result<String> {
    if !DATES.contains(&days) {
        let message = format!("date out of range: {days} days since 1970-01-01");
        return Err(ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, message));
    }
    Ok(output::date(days, DateStyle::default()))
}

fn moment(micros: i64, text: impl Fn() -> String) -> Result<String> {
    if !TIMESTAMPS.contains(&micros) {
        let message = format!("timestamp out of range: {micros} microseconds since 1970-01-01");
        return Err(ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, message));
    }
    Ok(text())
}

/// Every field has its sign: with `IntervalStyle = sql_standard` a sign would count for the fields
/// without one that follow it.
fn interval(value: IntervalMonthDayNano) -> Result<String> {
    let sign = if value.nanoseconds < 0 { '-' } else { '+' };
    let micros = (value.nanoseconds / 1000).unsigned_abs();
    let (seconds, micros) = (micros / SECOND, micros % SECOND);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Ok(format!(
        "{:+} mons {:+} days {sign}{hours:02}:{minutes:02}:{seconds:02}.{micros:06}",
        value.months, value.days
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        use ScalarValue as V;
        use SqlType as T;
        let interval = IntervalMonthDayNano::new(14, -3, -5_400_000_001_000);
        for (value, sql_type, expected) in [
            (V::Int16(Some(-5)), T::SmallInt, "'-5'::pg_catalog.int2"),
            (V::Int32(Some(i32::MIN)), T::Integer, "'-2147483648'::pg_catalog.int4"),
            (V::Int64(Some(7)), T::BigInt, "'7'::pg_catalog.int8"),
            (V::Float64(Some(-0.0)), T::Double, "'-0'::pg_catalog.float8"),
            (V::Float64(Some(0.1 + 0.2)), T::Double, "'0.30000000000000004'::pg_catalog.float8"),
            (V::Float32(Some(0.1)), T::Real, "'0.1'::pg_catalog.float4"),
            (V::Float64(Some(f64::NAN)), T::Double, "'NaN'::pg_catalog.float8"),
            (V::Float64(Some(f64::NEG_INFINITY)), T::Double, "'-Infinity'::pg_catalog.float8"),
            (V::Decimal128(Some(-5), 15, 2), T::Numeric(15, 2), "'-0.05'::pg_catalog.numeric"),
            (V::Boolean(Some(true)), T::Boolean, "'true'::pg_catalog.bool"),
            (V::Utf8View(Some("it's".into())), T::Text, "'it''s'::pg_catalog.text"),
            (V::Utf8View(Some("a".into())), T::Varchar(Some(3)), "'a'::pg_catalog.varchar"),
            (V::Utf8View(Some("a".into())), T::Char(3), "'a'::pg_catalog.bpchar"),
            (V::Utf8View(Some("{}".into())), T::Jsonb, "'{}'::pg_catalog.jsonb"),
            (V::Date32(Some(0)), T::Date, "'1970-01-01'::pg_catalog.date"),
            (V::Date32(Some(-719_163)), T::Date, "'0001-12-31 BC'::pg_catalog.date"),
            (V::Time64Microsecond(Some(86_400_000_000)), T::Time, "'24:00:00'::pg_catalog.time"),
            (
                V::TimestampMicrosecond(Some(-1), None),
                T::Timestamp,
                "'1969-12-31 23:59:59.999999'::pg_catalog.timestamp",
            ),
            (
                V::TimestampMicrosecond(Some(0), Some("UTC".into())),
                T::TimestampTz,
                "'1970-01-01 00:00:00+00'::pg_catalog.timestamptz",
            ),
            (
                V::IntervalMonthDayNano(Some(interval)),
                T::Interval,
                "'+14 mons -3 days -01:30:00.000001'::pg_catalog.interval",
            ),
            (
                V::FixedSizeBinary(16, Some(vec![0xab; 16])),
                T::Uuid,
                "'abababab-abab-abab-abab-abababababab'::pg_catalog.uuid",
            ),
            (V::BinaryView(Some(vec![0, 255])), T::Bytea, "pg_catalog.decode('00ff', 'hex')"),
            (V::BinaryView(None), T::Bytea, "NULL::pg_catalog.bytea"),
            (V::Null, T::Date, "NULL::pg_catalog.date"),
        ] {
            assert_eq!(literal(&value, sql_type).unwrap(), expected);
        }
    }

    #[test]
    fn values_that_postgresql_does_not_have() {
        use ScalarValue as V;
        for (value, sql_type, sqlstate) in [
            (V::Utf8View(Some("\0".into())), SqlType::Text, SqlState::CHARACTER_NOT_IN_REPERTOIRE),
            (V::Date32(Some(i32::MAX)), SqlType::Date, SqlState::DATETIME_FIELD_OVERFLOW),
            (
                V::TimestampMicrosecond(Some(i64::MIN), None),
                SqlType::Timestamp,
                SqlState::DATETIME_FIELD_OVERFLOW,
            ),
            (V::Int32(Some(1)), SqlType::Text, SqlState::INTERNAL_ERROR),
        ] {
            assert_eq!(literal(&value, sql_type).unwrap_err().sqlstate, sqlstate, "{value:?}");
        }
    }
}
