//! Text to values, with the errors of PostgreSQL's input functions.

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::functions::decimal;

/// `invalid input syntax for type integer: "abc"` (22P02).
pub(crate) fn invalid(type_name: &str, text: &str) -> ErrorReport {
    ErrorReport::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {type_name}: \"{text}\""),
    )
}

fn out_of_range(type_name: &str, text: &str) -> ErrorReport {
    ErrorReport::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value \"{text}\" is out of range for type {type_name}"),
    )
}

/// An integer between `min` and `max` (`pg_strtoint32`).
pub(crate) fn integer(text: &str, type_name: &str, min: i64, max: i64) -> Result<i64> {
    let in_range = |value: &i64| (min..=max).contains(value);
    if let Some(value) = decimal::short_integer(text) {
        return Some(value).filter(in_range).ok_or_else(|| out_of_range(type_name, text));
    }
    let trimmed = text.trim_ascii();
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid(type_name, text));
    }
    trimmed.parse::<i64>().ok().filter(in_range).ok_or_else(|| out_of_range(type_name, text))
}

/// A double (`float8in_internal`): decimal notation, `NaN`, `Infinity`.
pub(crate) fn double(text: &str) -> Result<f64> {
    const NAME: &str = "double precision";
    let value = float(text, NAME)?;
    if value.is_infinite() && !is_infinity(text) || value == 0.0 && has_nonzero_digit(text) {
        return Err(float_out_of_range(NAME, text));
    }
    Ok(value)
}

/// A real (`float4in_internal`).
pub(crate) fn real(text: &str) -> Result<f32> {
    const NAME: &str = "real";
    let value = float(text, NAME)?;
    // Parsed again as what it is: rounding twice would not be exact.
    let value = text.trim_ascii().parse::<f32>().unwrap_or(value as f32);
    if value.is_infinite() && !is_infinity(text) || value == 0.0 && has_nonzero_digit(text) {
        return Err(float_out_of_range(NAME, text));
    }
    Ok(value)
}

fn float(text: &str, type_name: &str) -> Result<f64> {
    let trimmed = text.trim_ascii();
    let known = match trimmed.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str() {
        "nan" => true,
        "inf" | "infinity" => true,
        rest => rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'),
    };
    let value = if known { trimmed.parse::<f64>().ok() } else { None };
    value.ok_or_else(|| invalid(type_name, text))
}

fn is_infinity(text: &str) -> bool {
    text.to_ascii_lowercase().contains("inf")
}

fn has_nonzero_digit(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    mantissa.bytes().any(|b| (b'1'..=b'9').contains(&b))
}

fn float_out_of_range(type_name: &str, text: &str) -> ErrorReport {
    ErrorReport::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("\"{text}\" is out of range for type {type_name}"),
    )
}

/// A numeric of this precision and scale, unscaled.
pub(crate) fn numeric(text: &str, precision: u8, scale: i8) -> Result<i128> {
    match decimal::parse(text, scale) {
        Ok(value) if value.unsigned_abs() < decimal::power(u32::from(precision)).unsigned_abs() => {
            Ok(value)
        }
        Ok(_) | Err(true) => Err(decimal::field_overflow(precision, scale)),
        Err(false)
            if matches!(
                text.trim_ascii().to_ascii_lowercase().as_str(),
                "nan" | "inf" | "-inf" | "infinity" | "-infinity"
            ) =>
        {
            Err(ErrorReport::unsupported("numeric values NaN and infinity are not supported"))
        }
        Err(false) => Err(invalid("numeric", text)),
    }
}

/// A boolean: any unique prefix of true, false, yes, no, on, off, or 1, 0 (`parse_bool`).
pub(crate) fn boolean(text: &str) -> Result<bool> {
    let word = text.trim_ascii().to_ascii_lowercase();
    let prefix = |full: &str, shortest: usize| word.len() >= shortest && full.starts_with(&word);
    if prefix("true", 1) || prefix("yes", 1) || word == "on" || word == "1" {
        Ok(true)
    } else if prefix("false", 1) || prefix("no", 1) || prefix("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(invalid("boolean", text))
    }
}

/// A uuid: 32 hexadecimal digits, hyphens after every fourth allowed, braces around allowed.
pub(crate) fn uuid(text: &str) -> Result<[u8; 16]> {
    let inner = text
        .strip_prefix('{')
        .map_or(Some(text), |rest| rest.strip_suffix('}'))
        .ok_or_else(|| invalid("uuid", text))?;
    let mut value = [0; 16];
    let mut digits = 0;
    for byte in inner.bytes() {
        if byte == b'-' && digits > 0 && digits < 32 && digits % 4 == 0 {
            continue;
        }
        let digit = (byte as char).to_digit(16).filter(|_| digits < 32);
        let Some(digit) = digit else { return Err(invalid("uuid", text)) };
        value[digits / 2] |= (digit as u8) << (if digits % 2 == 0 { 4 } else { 0 });
        digits += 1;
    }
    if digits == 32 && !inner.ends_with('-') { Ok(value) } else { Err(invalid("uuid", text)) }
}

/// A bytea in hex (`\x6162`) or escape format (`a\142`).
pub(crate) fn bytea(text: &str) -> Result<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return hex_bytes(hex);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        match tail {
            [b'\\', tail @ ..] => {
                bytes.push(b'\\');
                rest = tail;
            }
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = tail;
            }
            _ => return Err(invalid("bytea", text)),
        }
    }
    Ok(bytes)
}

fn hex_bytes(hex: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    let mut high = None;
    for c in hex.chars().filter(|c| !c.is_ascii_whitespace()) {
        let Some(digit) = c.to_digit(16) else {
            return Err(ErrorReport::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid hexadecimal digit: \"{c}\""),
            ));
        };
        match high.take() {
            None => high = Some(digit as u8),
            Some(first) => bytes.push(first << 4 | digit as u8),
        }
    }
    match high {
        None => Ok(bytes),
        Some(_) => Err(ErrorReport::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "invalid hexadecimal data: odd number of digits",
        )),
    }
}
