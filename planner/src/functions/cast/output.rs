//! Values to text, as PostgreSQL's output functions write them (`DateStyle` ISO, `IntervalStyle`
//! postgres, `extra_float_digits` 1, `bytea_output` hex).

use std::fmt::Write;

use arrow::datatypes::IntervalMonthDayNano;

use crate::functions::{
    civil::{Civil, DAY, SECOND, civil_from_days},
    zone::Zone,
};

/// A double in its shortest digits (`float8out`).
pub(crate) fn double(value: f64) -> String {
    float(value, &format!("{value:e}"), 15)
}

/// A real in its shortest digits (`float4out`).
pub(crate) fn real(value: f32) -> String {
    float(f64::from(value), &format!("{value:e}"), 6)
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

/// A date (`date_out`).
pub(crate) fn date(days: i32) -> String {
    let (date, bc) = calendar(i64::from(days));
    format!("{date}{bc}")
}

/// A time of day (`time_out`).
pub(crate) fn time(micros: i64) -> String {
    let mut text = String::with_capacity(15);
    push_time(&mut text, micros);
    text
}

/// A timestamp (`timestamp_out`).
pub(crate) fn timestamp(micros: i64) -> String {
    let (mut text, bc) = calendar(micros.div_euclid(DAY));
    text.push(' ');
    push_time(&mut text, micros.rem_euclid(DAY));
    text.push_str(bc);
    text
}

/// A timestamptz on the wall clock of `zone`, with its offset (`timestamptz_out`).
pub(crate) fn timestamp_tz(micros: i64, zone: Zone) -> String {
    let offset = zone.offset_seconds(micros);
    let local = micros.saturating_add(offset * SECOND);
    let (mut text, bc) = calendar(local.div_euclid(DAY));
    text.push(' ');
    push_time(&mut text, local.rem_euclid(DAY));
    text.push(if offset < 0 { '-' } else { '+' });
    let offset = offset.abs();
    push(&mut text, format_args!("{:02}", offset / 3600));
    if offset % 3600 != 0 {
        push(&mut text, format_args!(":{:02}", offset / 60 % 60));
    }
    if offset % 60 != 0 {
        push(&mut text, format_args!(":{:02}", offset % 60));
    }
    text.push_str(bc);
    text
}

/// An interval (`EncodeInterval`, style postgres).
pub(crate) fn interval(value: IntervalMonthDayNano) -> String {
    let mut text = String::new();
    let mut negative_before = false;
    for (count, unit) in
        [(value.months / 12, "year"), (value.months % 12, "mon"), (value.days, "day")]
    {
        if count == 0 {
            continue;
        }
        let blank = if text.is_empty() { "" } else { " " };
        let plus = if negative_before && count > 0 { "+" } else { "" };
        let plural = if count == 1 { "" } else { "s" };
        push(&mut text, format_args!("{blank}{plus}{count} {unit}{plural}"));
        negative_before = count < 0;
    }
    let micros = value.nanoseconds / 1000;
    if micros != 0 || text.is_empty() {
        if !text.is_empty() {
            text.push(' ');
        }
        if micros < 0 {
            text.push('-');
        } else if negative_before {
            text.push('+');
        }
        push_clock(&mut text, micros.unsigned_abs());
    }
    text
}

/// A uuid in lower case.
pub(crate) fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        push(&mut text, format_args!("{byte:02x}"));
    }
    text
}

/// A bytea in hex.
pub(crate) fn bytea(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("\\x");
    for byte in bytes {
        push(&mut text, format_args!("{byte:02x}"));
    }
    text
}

/// `YYYY-MM-DD`, and ` BC` for years before 1.
fn calendar(days: i64) -> (String, &'static str) {
    let Civil { year, month, day } = civil_from_days(days);
    let (year, bc) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    (format!("{year:04}-{month:02}-{day:02}"), bc)
}

fn push_time(text: &mut String, micros: i64) {
    push_clock(text, micros.unsigned_abs());
}

/// `HH:MM:SS[.ffffff]`, no zeros at the end of the fraction.
fn push_clock(text: &mut String, micros: u64) {
    let seconds = micros / 1_000_000;
    push(text, format_args!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
    let fraction = micros % 1_000_000;
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        push(text, format_args!(".{}", digits.trim_end_matches('0')));
    }
}

/// Writing to a `String` cannot fail.
fn push(text: &mut String, what: std::fmt::Arguments) {
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
            assert_eq!(double(value), expected);
        }
        for (value, expected) in
            [(1e6f32, "1e+06"), (123_456.0, "123456"), (1_234_567.0, "1.234567e+06"), (0.1, "0.1")]
        {
            assert_eq!(real(value), expected);
        }
    }

    #[test]
    fn intervals() {
        for (months, days, micros, expected) in [
            (14, 3, 14_706_700_000, "1 year 2 mons 3 days 04:05:06.7"),
            (-1, 2, 0, "-1 mons +2 days"),
            (0, 1, -3_600_000_000, "1 day -01:00:00"),
            (0, -1, 3_600_000_000, "-1 days +01:00:00"),
            (0, 0, 0, "00:00:00"),
        ] {
            let value = IntervalMonthDayNano::new(months, days, micros * 1000);
            assert_eq!(interval(value), expected);
        }
    }
}
