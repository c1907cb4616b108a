//! Text to dates, times, timestamps and intervals: the ISO forms and the usual others of
//! PostgreSQL's datetime.c (month names, `m/d/y`, AM and PM, BC, zones).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{interval_input, iso_datetime};
use crate::functions::{
    civil::{self, Civil, DAY, SECOND, days_from_civil, month_length},
    formats::DateOrder,
    zone::Zone,
};

pub(crate) use interval_input::interval;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// What a date and time text says.
#[derive(Debug, Default)]
struct Parts<'a> {
    /// Days since 1970.
    date: Option<i64>,
    /// Microseconds of the day.
    time: Option<i64>,
    /// Seconds east of UTC, or a zone's name.
    offset: Option<i64>,
    zone: Option<&'a str>,
}

/// Why a text is not a date.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Syntax,
    Range,
    /// Perhaps they were in another order.
    MonthOrDay,
}

type Parsed<T> = std::result::Result<T, Fault>;

/// A date; a time in the text is ignored.
pub(crate) fn date(text: &str, order: DateOrder) -> Result<i32> {
    let parts = parse(text, order).map_err(|fault| error(fault, "date", text))?;
    let days = parts.date.ok_or_else(|| error(Fault::Syntax, "date", text))?;
    civil::date(days).map_err(|_| out_of_range("date", text))
}

/// A time of day; a date in the text is ignored.
pub(crate) fn time(text: &str, order: DateOrder) -> Result<i64> {
    let parts = parse(text, order).map_err(|fault| error(fault, "time", text))?;
    parts.time.ok_or_else(|| error(Fault::Syntax, "time", text))
}

/// A timestamp; a zone in the text is ignored.
pub(crate) fn timestamp(text: &str, order: DateOrder) -> Result<i64> {
    let parts = parse(text, order).map_err(|fault| error(fault, "timestamp", text))?;
    local(&parts, "timestamp", text)
}

/// A timestamptz; without a zone in the text the session's.
pub(crate) fn timestamp_tz(text: &str, order: DateOrder, session: Zone) -> Result<i64> {
    const NAME: &str = "timestamp with time zone";
    let parts = parse(text, order).map_err(|fault| error(fault, NAME, text))?;
    let local = local(&parts, NAME, text)?;
    match (parts.offset, parts.zone) {
        (Some(offset), _) => civil::timestamp(local.checked_sub(offset * SECOND)),
        (None, Some(zone)) => Zone::parse(zone)?.to_utc(local),
        (None, None) => session.to_utc(local),
    }
}

fn local(parts: &Parts, name: &str, text: &str) -> Result<i64> {
    let days = parts.date.ok_or_else(|| error(Fault::Syntax, name, text))?;
    let micros = days.checked_mul(DAY).and_then(|d| d.checked_add(parts.time.unwrap_or(0)));
    civil::timestamp(micros).map_err(|_| out_of_range(name, text))
}

fn error(fault: Fault, type_name: &str, text: &str) -> ErrorReport {
    match fault {
        Fault::Syntax => ErrorReport::new(
            SqlState::INVALID_DATETIME_FORMAT,
            format!("invalid input syntax for type {type_name}: \"{text}\""),
        ),
        Fault::Range | Fault::MonthOrDay => {
            let report = ErrorReport::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("date/time field value out of range: \"{text}\""),
            );
            match fault {
                Fault::MonthOrDay => {
                    report.hint("Perhaps you need a different \"datestyle\" setting.")
                }
                _ => report,
            }
        }
    }
}

fn out_of_range(type_name: &str, text: &str) -> ErrorReport {
    ErrorReport::new(
        SqlState::DATETIME_FIELD_OVERFLOW,
        format!("{type_name} out of range: \"{text}\""),
    )
}

fn parse(text: &str, order: DateOrder) -> Parsed<Parts<'_>> {
    if let Some((date, time)) = iso_datetime::date_and_time(text) {
        return Ok(Parts { date: Some(date), time, ..Parts::default() });
    }
    let mut parts = Parts::default();
    let words = text.split_ascii_whitespace().flat_map(split_at_t);
    let mut calendar = Calendar::default();
    let mut clock: Option<(i64, bool)> = None;
    let mut bc = false;
    for word in words {
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "bc" => bc = true,
            "ad" => {}
            "am" | "pm" => {
                let (micros, _) = clock.ok_or(Fault::Syntax)?;
                clock = Some((half_day(micros, lower == "pm")?, true));
            }
            "epoch" if parts.date.is_none() => parts.date = Some(0),
            _ if lower.contains(':') || (calendar.is_complete() && is_digits(&lower)) => {
                if clock.is_some() {
                    return Err(Fault::Syntax);
                }
                let (digits, rest) = split_clock(word);
                clock = Some((clock_micros(digits)?, false));
                suffix(rest, &mut parts, &mut clock)?;
            }
            _ if (clock.is_some() || calendar.is_complete()) && lower.starts_with(['+', '-']) => {
                parts.offset = Some(offset_seconds(word)?);
            }
            _ if clock.is_some() && lower.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                suffix(word, &mut parts, &mut clock)?;
            }
            _ => calendar.take(&lower)?,
        }
    }
    if let Some((micros, _)) = clock {
        parts.time = Some(micros);
    }
    if parts.date.is_none() && !calendar.is_empty() {
        parts.date = Some(calendar.days(bc, order)?);
    }
    if parts.date.is_none() && parts.time.is_none() {
        return Err(Fault::Syntax);
    }
    Ok(parts)
}

/// `2024-01-02T03:04:05` in two words; a T within a month's name stays.
fn split_at_t(word: &str) -> impl Iterator<Item = &str> {
    let bytes = word.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is_t = |at: &usize| matches!(bytes.get(*at), Some(b'T' | b't'));
    let at = (1..bytes.len()).find(|at| is_t(at) && is_digit(at - 1) && is_digit(at + 1));
    let (first, second) = match at.and_then(|at| Some((word.get(..at)?, word.get(at + 1..)?))) {
        Some((first, second)) => (first, Some(second)),
        None => (word, None),
    };
    std::iter::once(first).chain(second)
}

fn is_digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// The clock's digits, and what stands behind them (a zone, AM, PM).
fn split_clock(word: &str) -> (&str, &str) {
    let end = word.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.');
    word.split_at(end.unwrap_or(word.len()))
}

/// What may follow a clock: `+02`, `Z`, `PM`, a zone's name.
fn suffix<'a>(word: &'a str, parts: &mut Parts<'a>, clock: &mut Option<(i64, bool)>) -> Parsed<()> {
    if word.is_empty() {
        return Ok(());
    }
    let lower = word.to_ascii_lowercase();
    if lower == "am" || lower == "pm" {
        let (micros, _) = clock.ok_or(Fault::Syntax)?;
        *clock = Some((half_day(micros, lower == "pm")?, true));
    } else if lower.starts_with(['+', '-']) {
        parts.offset = Some(offset_seconds(word)?);
    } else if Zone::parse(word).is_ok() {
        parts.zone = Some(word);
    } else {
        return Err(Fault::Syntax);
    }
    Ok(())
}

fn half_day(micros: i64, pm: bool) -> Parsed<i64> {
    let hour = micros / (3600 * SECOND);
    if !(1..=12).contains(&hour) {
        return Err(Fault::Range);
    }
    let morning = if hour == 12 { micros - DAY / 2 } else { micros };
    Ok(if pm { morning + DAY / 2 } else { morning })
}

/// `HH:MM[:SS[.ffffff]]` or `HHMMSS`, in microseconds.
fn clock_micros(text: &str) -> Parsed<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fields: Vec<&str> = if clock.contains(':') {
        clock.split(':').collect()
    } else {
        match clock.len() {
            6 => vec![&clock[..2], &clock[2..4], &clock[4..]],
            4 => vec![&clock[..2], &clock[2..]],
            _ => return Err(Fault::Syntax),
        }
    };
    let number = |field: &&str| field.parse::<i64>().map_err(|_| Fault::Syntax);
    let (hour, minute, second) = match fields.as_slice() {
        [hour, minute] => (number(hour)?, number(minute)?, 0),
        [hour, minute, second] => (number(hour)?, number(minute)?, number(second)?),
        _ => return Err(Fault::Syntax),
    };
    let micros = fraction_micros(fraction)?;
    if hour > 24 || minute > 59 || second > 60 {
        return Err(Fault::Range);
    }
    let total = (hour * 3600 + minute * 60 + second) * SECOND + micros;
    if total > DAY { Err(Fault::Range) } else { Ok(total) }
}

/// Digits after a point, rounded to microseconds.
pub(super) fn fraction_digits(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut micros = 0;
    for at in 0..6 {
        micros = micros * 10 + digits.as_bytes().get(at).map_or(0, |b| i64::from(b - b'0'));
    }
    Some(micros + i64::from(digits.as_bytes().get(6).is_some_and(|b| *b >= b'5')))
}

fn fraction_micros(digits: &str) -> Parsed<i64> {
    fraction_digits(digits).ok_or(Fault::Syntax)
}

/// `+02`, `+02:30`, `-0530`, in seconds east.
fn offset_seconds(text: &str) -> Parsed<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.trim_start_matches('+')),
    };
    if !digits.bytes().all(|b| b.is_ascii_digit() || b == b':') {
        return Err(Fault::Syntax);
    }
    let fields: Vec<&str> = match (digits.contains(':'), digits.len()) {
        (true, _) => digits.split(':').collect(),
        (false, 4) => vec![&digits[..2], &digits[2..]],
        (false, 1 | 2) => vec![digits],
        _ => return Err(Fault::Syntax),
    };
    if fields.len() > 3 {
        return Err(Fault::Syntax);
    }
    let mut seconds = 0;
    let mut unit = 3600;
    for field in fields {
        let value: i64 = field.parse().map_err(|_| Fault::Syntax)?;
        seconds =
            value.checked_mul(unit).and_then(|v| v.checked_add(seconds)).ok_or(Fault::Range)?;
        unit /= 60;
    }
    // The widest zones are 15 h 59 min from Greenwich.
    if seconds >= 16 * 3600 { Err(Fault::Range) } else { Ok(sign * seconds) }
}

/// The fields of a date, as they come.
#[derive(Debug, Default)]
struct Calendar {
    month: Option<i64>,
    /// Other numbers, with their count of digits.
    numbers: Vec<(i64, usize)>,
    /// Order known from the form.
    ymd: Option<(i64, i64, i64)>,
}

impl Calendar {
    fn is_empty(&self) -> bool {
        self.month.is_none() && self.numbers.is_empty() && self.ymd.is_none()
    }

    fn is_complete(&self) -> bool {
        self.ymd.is_some() || self.numbers.len() + usize::from(self.month.is_some()) == 3
    }

    fn take(&mut self, word: &str) -> Parsed<()> {
        if self.is_complete() {
            return Err(Fault::Syntax);
        }
        let word = word.trim_end_matches(',');
        if word.len() == 8 && word.bytes().all(|b| b.is_ascii_digit()) {
            let number = |range: std::ops::Range<usize>| word[range].parse().unwrap_or(0);
            self.ymd = Some((number(0..4), number(4..6), number(6..8)));
            return Ok(());
        }
        for field in word.split(['-', '/', '.']) {
            if let Ok(number) = field.parse::<i64>() {
                if !field.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(Fault::Syntax);
                }
                if number > i64::from(i32::MAX) {
                    return Err(Fault::Range);
                }
                self.numbers.push((number, field.len()));
            } else {
                let month = MONTHS
                    .iter()
                    .position(|m| field.len() >= 3 && field.starts_with(m) && is_month(field))
                    .ok_or(Fault::Syntax)?;
                if self.month.replace(month as i64 + 1).is_some() {
                    return Err(Fault::Syntax);
                }
            }
        }
        Ok(())
    }

    /// Fields that are alike are in `order`.
    fn days(&self, bc: bool, order: DateOrder) -> Parsed<i64> {
        let (year, month, day) = match (self.ymd, self.month, self.numbers.as_slice()) {
            (Some(ymd), _, []) => ymd,
            // A year is known by its more than two digits.
            (None, Some(month), [(a, digits), (b, others)])
                if *digits > 2 || (order == DateOrder::Ymd && *others <= 2) =>
            {
                (full_year(*a, *digits), month, *b)
            }
            (None, Some(month), [(a, _), (b, digits)]) => (full_year(*b, *digits), month, *a),
            (None, None, [(a, digits), (b, _), (c, _)]) if *digits > 2 => (*a, *b, *c),
            (None, None, [(a, first), (b, _), (c, last)]) => match order {
                DateOrder::Mdy => (full_year(*c, *last), *a, *b),
                DateOrder::Dmy => (full_year(*c, *last), *b, *a),
                DateOrder::Ymd => (full_year(*a, *first), *b, *c),
            },
            // Year and day of the year: 2024.123
            (None, None, [(year, digits), (day, 3)]) if *digits > 2 => {
                let january = days_from_civil(Civil { year: *year, month: 1, day: 1 });
                return Ok(january + day - 1);
            }
            _ => return Err(Fault::Syntax),
        };
        let year = if bc { 1 - year } else { year };
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(Fault::MonthOrDay);
        }
        if day > month_length(year, month) {
            return Err(Fault::Range);
        }
        Ok(days_from_civil(Civil { year, month, day }))
    }
}

fn is_month(word: &str) -> bool {
    const LONG: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    LONG.iter().any(|long| word.len() == 3 || *long == word || word == "sept")
}

/// Years of two digits are 1970 to 2069.
fn full_year(year: i64, digits: usize) -> i64 {
    match digits {
        1 | 2 if year < 70 => year + 2000,
        1 | 2 => year + 1900,
        _ => year,
    }
}
