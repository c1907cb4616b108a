//! Text to intervals: `1 year 2 mons 3 days 04:05:06.7`, `1-2`, `P1Y2M3DT4H5M6S` (`DecodeInterval`
//! and `DecodeISO8601Interval` in PostgreSQL's datetime.c).

use std::borrow::Cow;

use arrow::datatypes::IntervalMonthDayNano;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::datetime::fraction_digits;
use crate::functions::{
    arithmetic::new_interval,
    civil::{DAY, SECOND},
    formats::IntervalStyle,
};

/// An interval. In style `sql_standard` a sign before the first field, if it is the only one, is that
/// of all.
pub(crate) fn interval(text: &str, style: IntervalStyle) -> Result<IntervalMonthDayNano> {
    let trimmed = text.trim_ascii();
    let sums = match trimmed.strip_prefix(['P', 'p']) {
        Some(rest) => iso(rest),
        None if style == IntervalStyle::SqlStandard => words(&all_negative(trimmed)),
        None => words(trimmed),
    };
    let sums = sums.ok_or_else(|| {
        ErrorReport::new(
            SqlState::INVALID_DATETIME_FORMAT,
            format!("invalid input syntax for type interval: \"{text}\""),
        )
    })?;
    let whole = |v: f64| (v.abs() < 9.0e18).then_some(v as i64);
    whole(sums.months)
        .zip(whole(sums.days))
        .zip(whole(sums.micros.round_ties_even()))
        .and_then(|((months, days), micros)| new_interval(months, days, micros))
        .ok_or_else(|| {
            ErrorReport::new(
                SqlState::INTERVAL_FIELD_OVERFLOW,
                format!("interval field value out of range: \"{text}\""),
            )
        })
}

/// Whole months, whole days, microseconds.
#[derive(Debug, Default)]
struct Sums {
    months: f64,
    days: f64,
    micros: f64,
}

impl Sums {
    /// Adds `value` units of so many months: fractions go on as days of 30 per month.
    fn add_months(&mut self, value: f64, unit: f64) {
        let months = value * unit;
        // A fraction of a year is rounded to whole months, as PostgreSQL does.
        let kept = if unit >= 12.0 { months.round_ties_even() } else { months.trunc() };
        self.months += kept;
        if unit < 12.0 {
            self.add_days((months - kept) * 30.0);
        }
    }

    fn add_days(&mut self, days: f64) {
        self.days += days.trunc();
        self.micros += (days.fract() * DAY as f64).round_ties_even();
    }

    fn add(&mut self, value: f64, unit: &str) -> Option<()> {
        match unit {
            "millennium" | "millennia" | "mil" | "mils" => self.add_months(value, 12_000.0),
            "century" | "centuries" | "cent" | "c" => self.add_months(value, 1200.0),
            "decade" | "decades" | "dec" | "decs" => self.add_months(value, 120.0),
            "year" | "years" | "yr" | "yrs" | "y" => self.add_months(value, 12.0),
            "month" | "months" | "mon" | "mons" => self.add_months(value, 1.0),
            "week" | "weeks" | "w" => self.add_days(value * 7.0),
            "day" | "days" | "d" => self.add_days(value),
            "hour" | "hours" | "hr" | "hrs" | "h" => self.micros += value * 3600.0 * SECOND as f64,
            "minute" | "minutes" | "min" | "mins" | "m" => {
                self.micros += value * 60.0 * SECOND as f64
            }
            "second" | "seconds" | "sec" | "secs" | "s" => self.micros += value * SECOND as f64,
            "millisecond" | "milliseconds" | "msec" | "msecs" | "ms" | "msecond" | "mseconds" => {
                self.micros += value * 1000.0;
            }
            "microsecond" | "microseconds" | "usec" | "usecs" | "us" | "useconds" | "usecond" => {
                self.micros += value;
            }
            _ => return None,
        }
        Some(())
    }
}

fn words(text: &str) -> Option<Sums> {
    let mut sums = Sums::default();
    let lower = text.to_ascii_lowercase();
    let mut tokens = tokens(&lower).into_iter().peekable();
    let mut any = false;
    let mut ago = false;
    while let Some(token) = tokens.next() {
        match token {
            "@" if !any => continue,
            "ago" if any && tokens.peek().is_none() => ago = true,
            clock if clock.contains(':') => sums.micros += clock_micros(clock)?,
            number => {
                if let Some(months) = year_month(number) {
                    sums.months += months;
                } else {
                    let value: f64 = number.parse().ok()?;
                    match tokens.peek() {
                        Some(unit) if unit.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                            sums.add(value, unit)?;
                            tokens.next();
                        }
                        // A number without a unit is in seconds, or days before a clock.
                        Some(clock) if clock.contains(':') => sums.add_days(value),
                        Some(_) => return None,
                        None => sums.micros += value * SECOND as f64,
                    }
                }
            }
        }
        any = true;
    }
    if ago {
        sums = Sums { months: -sums.months, days: -sums.days, micros: -sums.micros };
    }
    any.then_some(sums)
}

/// `-1 2:03` as `-1 -2:03`; a text with other signs, or none, as it is.
fn all_negative(text: &str) -> Cow<'_, str> {
    let mut fields = text.split_ascii_whitespace();
    let is_negative = fields.next().is_some_and(|first| first.starts_with('-'));
    if !is_negative || fields.any(|field| field.starts_with(['+', '-'])) {
        return text.into();
    }
    let fields = text.split_ascii_whitespace().enumerate().map(|(at, field)| {
        match at > 0 && field.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            true => format!("-{field}"),
            false => field.to_string(),
        }
    });
    fields.collect::<Vec<_>>().join(" ").into()
}

/// Splits at blanks and between a number and its unit.
fn tokens(text: &str) -> Vec<&str> {
    text.split_ascii_whitespace()
        .flat_map(|word| {
            let numeric = word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
            match word.find(|c: char| c.is_ascii_alphabetic()) {
                Some(at) if numeric && at > 0 && !word.contains(':') => {
                    let (number, unit) = word.split_at(at);
                    vec![number, unit]
                }
                _ => vec![word],
            }
        })
        .collect()
}

/// `1-2`: years and months.
fn year_month(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.trim_start_matches('+')),
    };
    let (years, months) = digits.split_once('-')?;
    let months: f64 = months.parse().ok().filter(|m| (0.0..12.0).contains(m))?;
    Some(sign * (years.parse::<f64>().ok()? * 12.0 + months))
}

/// `[+-]HH:MM[:SS[.f]]`, in microseconds.
fn clock_micros(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.trim_start_matches('+')),
    };
    let (clock, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let field = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
    let fields: Vec<i64> = clock.split(':').map(field).collect::<Option<_>>()?;
    let (hours, seconds) = match fields.as_slice() {
        [hours, minutes] if *minutes < 60 => (*hours, minutes * 60),
        [hours, minutes, seconds] if *minutes < 60 && *seconds <= 60 => {
            (*hours, minutes * 60 + seconds)
        }
        _ => return None,
    };
    let seconds = hours as f64 * 3600.0 + seconds as f64;
    Some(sign * (seconds * SECOND as f64 + fraction_digits(fraction)? as f64))
}

/// The form with designators: `1Y2M3DT4H5M6S`.
fn iso(text: &str) -> Option<Sums> {
    let mut sums = Sums::default();
    let mut in_time = false;
    let mut number = String::new();
    let mut any = false;
    for c in text.chars() {
        match c.to_ascii_uppercase() {
            'T' if number.is_empty() => in_time = true,
            c @ ('0'..='9' | '.' | '-' | '+') => number.push(c),
            designator => {
                let value: f64 = number.parse().ok()?;
                number.clear();
                any = true;
                let unit = match (designator, in_time) {
                    ('Y', false) => "y",
                    ('M', false) => "mon",
                    ('W', false) => "w",
                    ('D', false) => "d",
                    ('H', true) => "h",
                    ('M', true) => "m",
                    ('S', true) => "s",
                    _ => return None,
                };
                sums.add(value, unit)?;
            }
        }
    }
    (any && number.is_empty()).then_some(sums)
}
