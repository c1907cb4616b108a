//! Parameters in text format: what PostgreSQL's input functions read.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::scalar::ScalarValue;
use kestrel_planner::catalog::SqlType;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{numeric, string};
use crate::server::encode::TextStyle;

/// Reads a value.
pub(super) fn decode(sql_type: SqlType, text: &str, style: &TextStyle) -> Result<ScalarValue> {
    let trimmed = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    Ok(match sql_type {
        SqlType::SmallInt => ScalarValue::Int16(Some(integer(sql_type, text, trimmed)?)),
        SqlType::Integer => ScalarValue::Int32(Some(integer(sql_type, text, trimmed)?)),
        SqlType::BigInt => ScalarValue::Int64(Some(integer(sql_type, text, trimmed)?)),
        SqlType::Oid => {
            let oid: u32 = integer(sql_type, text, trimmed)?;
            ScalarValue::Int64(Some(i64::from(oid)))
        }
        SqlType::Real => {
            let value: f32 = float(sql_type, text, trimmed)?;
            check_finite(sql_type, text, trimmed, value.is_infinite())?;
            ScalarValue::Float32(Some(value))
        }
        SqlType::Double => {
            let value: f64 = float(sql_type, text, trimmed)?;
            check_finite(sql_type, text, trimmed, value.is_infinite())?;
            ScalarValue::Float64(Some(value))
        }
        SqlType::Numeric(..) => decode_numeric(sql_type, text, trimmed)?,
        SqlType::Boolean => ScalarValue::Boolean(Some(boolean(text, trimmed)?)),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Name => {
            string(sql_type, text.to_string())
        }
        SqlType::Date
        | SqlType::Time
        | SqlType::Timestamp
        | SqlType::TimestampTz
        | SqlType::Interval => date_or_time(sql_type, text, trimmed, style)?,
        SqlType::Uuid => ScalarValue::FixedSizeBinary(16, Some(uuid(text, trimmed)?)),
        SqlType::Bytea => ScalarValue::BinaryView(Some(bytea(text)?)),
    })
}

/// `numeric`, not `numeric(38,10)`: messages name the type without what the column adds to it.
fn type_name(sql_type: SqlType) -> String {
    match sql_type {
        SqlType::Numeric(..) => "numeric".to_string(),
        other => other.to_string(),
    }
}

fn invalid(sql_type: SqlType, text: &str) -> ErrorReport {
    let sqlstate = match sql_type {
        SqlType::Date
        | SqlType::Time
        | SqlType::Timestamp
        | SqlType::TimestampTz
        | SqlType::Interval => SqlState::INVALID_DATETIME_FORMAT,
        _ => SqlState::INVALID_TEXT_REPRESENTATION,
    };
    let name = type_name(sql_type);
    ErrorReport::new(sqlstate, format!("invalid input syntax for type {name}: \"{text}\""))
}

fn out_of_range(sql_type: SqlType, text: &str) -> ErrorReport {
    ErrorReport::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value \"{text}\" is out of range for type {}", type_name(sql_type)),
    )
}

fn integer<T: FromStr>(sql_type: SqlType, text: &str, trimmed: &str) -> Result<T> {
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid(sql_type, text));
    }
    trimmed.parse().map_err(|_| out_of_range(sql_type, text))
}

fn float<T: FromStr>(sql_type: SqlType, text: &str, trimmed: &str) -> Result<T> {
    trimmed.parse().map_err(|_| invalid(sql_type, text))
}

/// Numbers too large read as infinity; only the word means it.
fn check_finite(sql_type: SqlType, text: &str, trimmed: &str, is_infinite: bool) -> Result<()> {
    match is_infinite && trimmed.contains(|c: char| c.is_ascii_digit()) {
        true => Err(ErrorReport::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("\"{text}\" is out of range for type {sql_type}"),
        )),
        false => Ok(()),
    }
}

fn decode_numeric(sql_type: SqlType, text: &str, trimmed: &str) -> Result<ScalarValue> {
    let (negative, rest) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let (digits, exponent) = match rest.split_once(['e', 'E']) {
        Some((digits, exponent)) => {
            let exponent = exponent.parse::<i32>().map_err(|_| invalid(sql_type, text))?;
            (digits, i64::from(exponent))
        }
        None => (rest, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return Err(match rest.to_ascii_lowercase().as_str() {
            "nan" | "inf" | "infinity" => {
                ErrorReport::unsupported("NaN and infinity of type numeric are not supported")
            }
            _ => invalid(sql_type, text),
        });
    }
    let mut value = Some(0i128);
    for digit in whole.bytes().chain(fraction.bytes()) {
        let digit = i128::from(digit - b'0');
        value = value.and_then(|v| v.checked_mul(10)?.checked_add(digit));
    }
    let mut scale = fraction.len() as i64 - exponent;
    if scale < 0 && value != Some(0) {
        let power = u32::try_from(-scale).ok().and_then(|zeros| 10i128.checked_pow(zeros));
        value = value.and_then(|v| v.checked_mul(power?));
    }
    scale = scale.max(0);
    numeric(value.map(|v| if negative { -v } else { v }), scale)
}

/// parse_bool (bool.c): any unambiguous beginning of the words.
fn boolean(text: &str, trimmed: &str) -> Result<bool> {
    let word = trimmed.to_ascii_lowercase();
    let begins = |whole: &str, least: usize| word.len() >= least && whole.starts_with(&word);
    if begins("true", 1) || begins("yes", 1) || word == "on" || word == "1" {
        Ok(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(invalid(SqlType::Boolean, text))
    }
}

fn date_or_time(
    sql_type: SqlType,
    text: &str,
    trimmed: &str,
    style: &TextStyle,
) -> Result<ScalarValue> {
    // A timestamptz without an offset is in the session's zone.
    let read_as = match (sql_type, style.time_zone) {
        (SqlType::TimestampTz, Some(zone)) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone.to_string().into()))
        }
        _ => sql_type.arrow(),
    };
    let array: ArrayRef = Arc::new(StringArray::from(vec![trimmed]));
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let array =
        cast_with_options(&array, &read_as, &options).map_err(|_| invalid(sql_type, text))?;
    let array = cast_with_options(&array, &sql_type.arrow(), &options);
    let array = array.map_err(|_| invalid(sql_type, text))?;
    ScalarValue::try_from_array(&array, 0).map_err(|_| invalid(sql_type, text))
}

/// 32 hexadecimal digits; a hyphen may stand behind every fourth, braces around them all.
fn uuid(text: &str, trimmed: &str) -> Result<Vec<u8>> {
    let inner = trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let mut digits = vec![];
    for character in inner.unwrap_or(trimmed).chars() {
        match character.to_digit(16) {
            Some(digit) => digits.push(digit as u8),
            None if character == '-' && !digits.is_empty() && digits.len() % 4 == 0 => {}
            None => return Err(invalid(SqlType::Uuid, text)),
        }
    }
    match digits.len() {
        32 => Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
        _ => Err(invalid(SqlType::Uuid, text)),
    }
}

/// `\x` and hexadecimal digits, blanks between pairs allowed; or the escape form, in which `\\`
/// is a backslash and `\ooo` a byte.
fn bytea(text: &str) -> Result<Vec<u8>> {
    let error = || invalid(SqlType::Bytea, text);
    let mut bytes = vec![];
    if let Some(hex) = text.strip_prefix("\\x") {
        let mut digits = hex.chars().filter(|c| !c.is_ascii_whitespace());
        while let Some(high) = digits.next() {
            let low = digits.next().ok_or_else(error)?;
            let high = high.to_digit(16).ok_or_else(error)?;
            let low = low.to_digit(16).ok_or_else(error)?;
            bytes.push((high << 4 | low) as u8);
        }
        return Ok(bytes);
    }
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                tail
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                tail
            }
            (b'\\', _) => return Err(error()),
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    Ok(bytes)
}
