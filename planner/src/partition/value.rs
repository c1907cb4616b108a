//! Values in partitions' bounds.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use kestrel_proto::{ErrorReport, Result};

use crate::{catalog::SqlType, error::report};

/// Can a column of this type be in a partition key? Those whose order in memory is PostgreSQL's.
pub(crate) fn is_key_type(sql_type: SqlType) -> bool {
    match sql_type {
        SqlType::SmallInt
        | SqlType::Integer
        | SqlType::BigInt
        | SqlType::Real
        | SqlType::Double
        | SqlType::Numeric(..)
        | SqlType::Boolean
        | SqlType::Text
        | SqlType::Varchar(_)
        | SqlType::Char(_)
        | SqlType::Date
        | SqlType::Time
        | SqlType::Timestamp
        | SqlType::TimestampTz
        | SqlType::Uuid
        | SqlType::Bytea => true,
        SqlType::Interval
        | SqlType::Oid
        | SqlType::Name
        | SqlType::Json
        | SqlType::Jsonb
        | SqlType::Array(_)
        | SqlType::Int2Vector
        | SqlType::OidVector => false,
    }
}

/// The value of a number or a string that stands in a statement, without what a session would know.
///
/// Errors: 0A000 for any other expression.
pub(crate) fn plain_value(expression: &str, sql_type: SqlType) -> Result<ScalarValue> {
    let text = expression.trim();
    let target = sql_type.arrow();
    if text.eq_ignore_ascii_case("null") {
        return ScalarValue::try_from(&target).map_err(report);
    }
    let quoted = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let value = match quoted {
        Some(inside) => ScalarValue::Utf8View(Some(inside.replace("''", "'"))),
        None => match text.parse::<i64>() {
            Ok(number) => ScalarValue::Int64(Some(number)),
            Err(_) => {
                let message = format!("a bound is no constant here: {text}");
                return Err(ErrorReport::unsupported(message));
            }
        },
    };
    value.cast_to(&target).map_err(report)
}

/// A value as SQL, as PostgreSQL prints it in bounds (`get_const_expr`, utils/adt/ruleutils.c): only
/// integers and numerics that are not negative, and booleans, stand without quotes.
pub(crate) fn value_text(value: &ScalarValue, sql_type: SqlType) -> Result<String> {
    let text = bare_text(value, sql_type)?;
    let is_plain = match sql_type {
        SqlType::Boolean => true,
        SqlType::Integer | SqlType::Numeric(..) => text.starts_with(|c: char| c.is_ascii_digit()),
        _ => false,
    };
    Ok(if is_plain { text } else { quoted(&text) })
}

/// A value with its type, as an expression: `'2024-01-01'::date`.
pub(crate) fn literal(value: &ScalarValue, sql_type: SqlType) -> Result<String> {
    Ok(format!("{}::{sql_type}", quoted(&bare_text(value, sql_type)?)))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn bare_text(value: &ScalarValue, sql_type: SqlType) -> Result<String> {
    let bytes = match value {
        ScalarValue::FixedSizeBinary(_, Some(bytes)) | ScalarValue::BinaryView(Some(bytes)) => {
            Some(bytes)
        }
        _ => None,
    };
    if let Some(bytes) = bytes {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        return Ok(match (sql_type, uuid::Uuid::from_slice(bytes)) {
            (SqlType::Uuid, Ok(uuid)) => uuid.to_string(),
            _ => format!("\\x{hex}"),
        });
    }
    let text = match value.cast_to(&DataType::Utf8).map_err(report)? {
        ScalarValue::Utf8(Some(text)) => text,
        _ => return Err(ErrorReport::internal("a bound's value has no text")),
    };
    Ok(match sql_type {
        SqlType::Timestamp => timestamp_text(&text),
        SqlType::TimestampTz => {
            let bare = text.trim_end_matches('Z').trim_end_matches("+00:00");
            format!("{}+00", timestamp_text(bare))
        }
        SqlType::Time => without_zeros(&text),
        _ => text,
    })
}

/// `2024-01-01T00:00:00` as PostgreSQL writes it.
fn timestamp_text(iso: &str) -> String {
    without_zeros(&iso.replacen('T', " ", 1))
}

/// Fractions of seconds without zeros at their end.
fn without_zeros(text: &str) -> String {
    match text.split_once('.') {
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => whole.to_string(),
            rest => format!("{whole}.{rest}"),
        },
        None => text.to_string(),
    }
}

/// The next value of a type whose values can be counted, or, with `step` -1, the one before; `None`:
/// they cannot be, or there is no other.
pub(crate) fn neighbour(value: &ScalarValue, step: i8) -> Option<ScalarValue> {
    Some(match value {
        ScalarValue::Int16(Some(v)) => ScalarValue::Int16(Some(v.checked_add(step.into())?)),
        ScalarValue::Int32(Some(v)) => ScalarValue::Int32(Some(v.checked_add(step.into())?)),
        ScalarValue::Int64(Some(v)) => ScalarValue::Int64(Some(v.checked_add(step.into())?)),
        ScalarValue::Date32(Some(v)) => ScalarValue::Date32(Some(v.checked_add(step.into())?)),
        ScalarValue::TimestampMicrosecond(Some(v), zone) => {
            ScalarValue::TimestampMicrosecond(Some(v.checked_add(step.into())?), zone.clone())
        }
        ScalarValue::Decimal128(Some(v), precision, scale) => {
            ScalarValue::Decimal128(Some(v.checked_add(step.into())?), *precision, *scale)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printed_as_postgresql_prints_them() {
        for (expression, sql_type, expected) in [
            ("10", SqlType::Integer, "10"),
            ("-5", SqlType::Integer, "'-5'"),
            ("10", SqlType::BigInt, "'10'"),
            ("'x''y'", SqlType::Text, "'x''y'"),
            ("'2024-02-29'", SqlType::Date, "'2024-02-29'"),
            ("'2024-02-29 10:00:00.5'", SqlType::Timestamp, "'2024-02-29 10:00:00.5'"),
            ("'1.5'", SqlType::Numeric(10, 2), "1.50"),
            ("'true'", SqlType::Boolean, "true"),
        ] {
            let value = plain_value(expression, sql_type).unwrap();
            assert_eq!(value_text(&value, sql_type).unwrap(), expected, "{expression}");
        }
        assert!(plain_value("1 + 1", SqlType::Integer).is_err());
        assert!(plain_value("NULL", SqlType::Integer).unwrap().is_null());
        let next = |value: i32| neighbour(&ScalarValue::Int32(Some(value)), 1);
        assert_eq!(next(1), Some(ScalarValue::Int32(Some(2))));
        assert_eq!(next(i32::MAX), None);
    }
}
