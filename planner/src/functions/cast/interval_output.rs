//! Intervals to text in every `IntervalStyle` (PostgreSQL's `EncodeInterval`, datetime.c).

use arrow::datatypes::IntervalMonthDayNano;

use super::{
    datetime_output::{push_clock, push_seconds},
    output::push,
};
use crate::functions::formats::IntervalStyle;

const MICROS_PER_MINUTE: i64 = 60_000_000;

/// An interval.
pub fn interval(value: IntervalMonthDayNano, style: IntervalStyle) -> String {
    let fields = Fields::of(value);
    match style {
        IntervalStyle::Postgres => postgres(value),
        IntervalStyle::PostgresVerbose => verbose(fields),
        IntervalStyle::SqlStandard => sql_standard(fields),
        IntervalStyle::Iso8601 => iso_8601(fields),
    }
}

/// The numbers of an interval, each with its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    /// Microseconds, less than a minute.
    micros: i64,
}

impl Fields {
    fn of(value: IntervalMonthDayNano) -> Self {
        let micros = value.nanoseconds / 1000;
        Self {
            years: i64::from(value.months / 12),
            months: i64::from(value.months % 12),
            days: i64::from(value.days),
            hours: micros / (60 * MICROS_PER_MINUTE),
            minutes: micros / MICROS_PER_MINUTE % 60,
            micros: micros % MICROS_PER_MINUTE,
        }
    }

    fn all(self) -> [i64; 6] {
        [self.years, self.months, self.days, self.hours, self.minutes, self.micros]
    }

    fn absolute(self) -> Self {
        Self {
            years: self.years.abs(),
            months: self.months.abs(),
            days: self.days.abs(),
            hours: self.hours.abs(),
            minutes: self.minutes.abs(),
            micros: self.micros.abs(),
        }
    }
}

/// `1 year 2 mons 3 days 04:05:06.7`
fn postgres(value: IntervalMonthDayNano) -> String {
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

/// `@ 1 year -2 mons 3 hours 6.7 secs ago`: signs are relative to the first field's.
fn verbose(fields: Fields) -> String {
    let mut text = String::from("@");
    let counts = [
        (fields.years, "year"),
        (fields.months, "mon"),
        (fields.days, "day"),
        (fields.hours, "hour"),
        (fields.minutes, "min"),
    ];
    let mut ago = None;
    for (count, unit) in counts.into_iter().filter(|(count, _)| *count != 0) {
        let is_ago = *ago.get_or_insert(count < 0);
        let count = if is_ago { -count } else { count };
        let plural = if count == 1 { "" } else { "s" };
        push(&mut text, format_args!(" {count} {unit}{plural}"));
    }
    if fields.micros != 0 {
        let is_ago = *ago.get_or_insert(fields.micros < 0);
        text.push_str(if is_ago == (fields.micros < 0) { " " } else { " -" });
        push_seconds(&mut text, fields.micros.unsigned_abs(), 1);
        text.push_str(if fields.micros.abs() == 1_000_000 { " sec" } else { " secs" });
    }
    match ago {
        None => text.push_str(" 0"),
        Some(true) => text.push_str(" ago"),
        Some(false) => {}
    }
    text
}

/// `1-2`, `3 4:05:06`, or `+1-2 -3 +4:05:06` if the standard has no such interval.
fn sql_standard(fields: Fields) -> String {
    let is_negative = fields.all().iter().any(|field| *field < 0);
    let is_positive = fields.all().iter().any(|field| *field > 0);
    let has_months = fields.years != 0 || fields.months != 0;
    let has_time = fields.hours != 0 || fields.minutes != 0 || fields.micros != 0;
    let absolute = fields.absolute();
    let sign = |is_negative: bool| if is_negative { '-' } else { '+' };
    if !is_negative && !is_positive {
        return "0".into();
    }
    let mut text = String::new();
    if is_negative && is_positive || has_months && (fields.days != 0 || has_time) {
        let of_months = sign(fields.years < 0 || fields.months < 0);
        let of_time = sign(fields.hours < 0 || fields.minutes < 0 || fields.micros < 0);
        let (years, months, days) = (absolute.years, absolute.months, absolute.days);
        let of_days = sign(fields.days < 0);
        push(&mut text, format_args!("{of_months}{years}-{months} {of_days}{days} {of_time}"));
        push_hours(&mut text, absolute);
        return text;
    }
    if is_negative {
        text.push('-');
    }
    if has_months {
        push(&mut text, format_args!("{}-{}", absolute.years, absolute.months));
        return text;
    }
    if fields.days != 0 {
        push(&mut text, format_args!("{} ", absolute.days));
    }
    push_hours(&mut text, absolute);
    text
}

/// `4:05:06.7`
fn push_hours(text: &mut String, absolute: Fields) {
    push(text, format_args!("{}:{:02}:", absolute.hours, absolute.minutes));
    push_seconds(text, absolute.micros.unsigned_abs(), 2);
}

/// `P1Y2M3DT4H5M6.7S`
fn iso_8601(fields: Fields) -> String {
    if fields.all() == [0; 6] {
        return "PT0S".into();
    }
    let mut text = String::from("P");
    for (count, unit) in [(fields.years, 'Y'), (fields.months, 'M'), (fields.days, 'D')] {
        if count != 0 {
            push(&mut text, format_args!("{count}{unit}"));
        }
    }
    if fields.hours != 0 || fields.minutes != 0 || fields.micros != 0 {
        text.push('T');
    }
    for (count, unit) in [(fields.hours, 'H'), (fields.minutes, 'M')] {
        if count != 0 {
            push(&mut text, format_args!("{count}{unit}"));
        }
    }
    if fields.micros != 0 {
        if fields.micros < 0 {
            text.push('-');
        }
        push_seconds(&mut text, fields.micros.unsigned_abs(), 1);
        text.push('S');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles() {
        for (months, days, micros, expected) in [
            (
                14,
                3,
                14_706_700_000,
                [
                    "1 year 2 mons 3 days 04:05:06.7",
                    "@ 1 year 2 mons 3 days 4 hours 5 mins 6.7 secs",
                    "+1-2 +3 +4:05:06.7",
                    "P1Y2M3DT4H5M6.7S",
                ],
            ),
            (-1, 2, 0, ["-1 mons +2 days", "@ 1 mon -2 days ago", "-0-1 +2 +0:00:00", "P-1M2D"]),
            (
                0,
                1,
                -3_600_000_000,
                ["1 day -01:00:00", "@ 1 day -1 hours", "+0-0 +1 -1:00:00", "P1DT-1H"],
            ),
            (
                0,
                -1,
                3_600_000_000,
                ["-1 days +01:00:00", "@ 1 day -1 hours ago", "+0-0 -1 +1:00:00", "P-1DT1H"],
            ),
            (0, 0, 0, ["00:00:00", "@ 0", "0", "PT0S"]),
            (-14, 0, 0, ["-1 years -2 mons", "@ 1 year 2 mons ago", "-1-2", "P-1Y-2M"]),
            (
                0,
                -3,
                -61_000_000,
                ["-3 days -00:01:01", "@ 3 days 1 min 1 sec ago", "-3 0:01:01", "P-3DT-1M-1S"],
            ),
            (0, 0, -500_000, ["-00:00:00.5", "@ 0.5 secs ago", "-0:00:00.5", "PT-0.5S"]),
            (
                1,
                0,
                -1_000_000,
                ["1 mon -00:00:01", "@ 1 mon -1 sec", "+0-1 +0 -0:00:01", "P1MT-1S"],
            ),
        ] {
            let value = IntervalMonthDayNano::new(months, days, micros * 1000);
            let styles = [
                IntervalStyle::Postgres,
                IntervalStyle::PostgresVerbose,
                IntervalStyle::SqlStandard,
                IntervalStyle::Iso8601,
            ];
            assert_eq!(styles.map(|style| interval(value, style)), expected);
        }
    }
}
