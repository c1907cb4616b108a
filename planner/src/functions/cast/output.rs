//! Values to text, as PostgreSQL's output functions write them: numbers, bytes, uuids.

use std::fmt::Write;

pub use super::{
    datetime_output::{date, time, timestamp, timestamp_tz},
    interval_output::interval,
};
use crate::functions::formats::ByteaOutput;

/// A double (`float8out`) in its shortest digits, or in `15 + extra_digits` if that is not above 0.
pub fn double(value: f64, extra_digits: i8) -> String {
    match extra_digits > 0 {
        true => float(value, &format!("{value:e}"), 15),
        false => rounded(value, 15, extra_digits),
    }
}

/// A real (`float4out`) in its shortest digits, or in `6 + extra_digits` if that is not above 0.
pub fn real(value: f32, extra_digits: i8) -> String {
    match extra_digits > 0 {
        true => float(f64::from(value), &format!("{value:e}"), 6),
        false => rounded(f64::from(value), 6, extra_digits),
    }
}

/// As C's `%.*g` writes it: so many significant digits at most, no zeros at the end.
fn rounded(value: f64, exact_digits: i8, extra_digits: i8) -> String {
    let digits = exact_digits.saturating_add(extra_digits).max(1);
    let scientific = format!("{value:.*e}", digits.unsigned_abs() as usize - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    float(value, &format!("{mantissa}e{exponent}"), i32::from(digits))
}

/// `scientific`: shortest digits as `d.ddde±x`. Exponents from `limit` on stay scientific.
fn float(value: f64, scientific: &str, limit: i32) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    if !(-4..limit).contains(&exponent) {
        let mark = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{mark}{:02}", exponent.abs());
    }
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        format!("{sign}{digits:0<whole$}")
    } else {
        format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
    }
}

/// A uuid in lower case.
pub fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        push(&mut text, format_args!("{byte:02x}"));
    }
    text
}

/// A bytea: `\x6162`, or with backslashes (`byteaout`).
pub fn bytea(bytes: &[u8], format: ByteaOutput) -> String {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    match format {
        ByteaOutput::Hex => {
            text.push_str("\\x");
            for byte in bytes {
                push(&mut text, format_args!("{byte:02x}"));
            }
        }
        ByteaOutput::Escape => {
            for byte in bytes {
                match byte {
                    b'\\' => text.push_str("\\\\"),
                    b' '..=b'~' => text.push(char::from(*byte)),
                    _ => push(&mut text, format_args!("\\{byte:03o}")),
                }
            }
        }
    }
    text
}

/// Writing to a `String` cannot fail.
pub(super) fn push(text: &mut String, what: std::fmt::Arguments) {
    let _ = text.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-1234.5, "-1234.5"),
            (1.234_567_890_123_456_8e17, "1.2345678901234568e+17"),
            (1e100, "1e+100"),
        ] {
            assert_eq!(double(value, 1), expected);
        }
        for (value, expected) in
            [(1e6f32, "1e+06"), (123_456.0, "123456"), (1_234_567.0, "1.234567e+06"), (0.1, "0.1")]
        {
            assert_eq!(real(value, 3), expected);
        }
    }

    #[test]
    fn floats_in_fewer_digits() {
        for (value, extra_digits, expected) in [
            (0.1 + 0.2, 0, "0.3"),
            (1.0 / 3.0, 0, "0.333333333333333"),
            (1.0 / 3.0, -10, "0.33333"),
            (123_456.0, -10, "1.2346e+05"),
            (123_456.0, -15, "1e+05"),
            (1e15, 0, "1e+15"),
            (1e14, 0, "100000000000000"),
            (0.0, 0, "0"),
            (0.000_012_345, -12, "1.23e-05"),
            (f64::NAN, 0, "NaN"),
        ] {
            assert_eq!(double(value, extra_digits), expected);
        }
        assert_eq!(real(1.0 / 3.0, 0), "0.333333");
    }

    #[test]
    fn bytes() {
        let value = b"a\\\x00\x7f~\xff";
        assert_eq!(bytea(value, ByteaOutput::Hex), "\\x615c007f7eff");
        assert_eq!(bytea(value, ByteaOutput::Escape), r"a\\\000\177~\377");
    }
}
