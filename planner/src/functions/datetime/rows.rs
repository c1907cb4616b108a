//! Functions of dates, times and intervals that are computed row by row (PostgreSQL's timestamp.c,
//! date.c).

use std::cmp::Ordering;

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::functions::{
    arithmetic::{interval_micros, new_interval},
    civil::{self, Civil, DAY, SECOND, days_from_civil, month_length},
    row::{
        Call, Datum, Function,
        Type::{Boolean, Date, Double, Integer, Interval, Text, Time, Timestamp, TimestampTz},
        lenient, strict,
    },
    series,
    zone::Zone,
};

pub(crate) const ROW_FUNCTIONS: &[Function] = &[
    Function {
        name: "date_bin",
        overloads: &[
            strict(&[Interval, Timestamp, Timestamp], Timestamp, bin),
            strict(&[Interval, TimestampTz, TimestampTz], TimestampTz, bin),
        ],
    },
    Function {
        name: "isfinite",
        overloads: &[
            strict(&[Date], Boolean, |_, a| Ok(Datum::Bool(is_finite(&a[0])))),
            strict(&[Interval], Boolean, |_, a| Ok(Datum::Bool(is_finite(&a[0])))),
            strict(&[Timestamp], Boolean, |_, a| Ok(Datum::Bool(is_finite(&a[0])))),
            strict(&[TimestampTz], Boolean, |_, a| Ok(Datum::Bool(is_finite(&a[0])))),
        ],
    },
    Function {
        name: "justify_days",
        overloads: &[strict(&[Interval], Interval, |_, a| interval(days_to_months(parts(&a[0]))))],
    },
    Function {
        name: "justify_hours",
        overloads: &[strict(&[Interval], Interval, |_, a| interval(hours_to_days(parts(&a[0]))))],
    },
    Function {
        name: "justify_interval",
        overloads: &[strict(&[Interval], Interval, |_, a| interval(justified(parts(&a[0]))))],
    },
    Function {
        name: "kestrel_make_interval",
        overloads: &[strict(
            &[Integer, Integer, Integer, Integer, Integer, Integer, Double],
            Interval,
            make_interval,
        )],
    },
    Function {
        name: "make_time",
        overloads: &[strict(&[Integer, Integer, Double], Time, |_, a| {
            time_of(&a[0], &a[1], &a[2]).map(Datum::Time)
        })],
    },
    Function {
        name: "make_timestamp",
        overloads: &[strict(
            &[Integer, Integer, Integer, Integer, Integer, Double],
            Timestamp,
            |_, a| moment_of(a).map(Datum::Timestamp),
        )],
    },
    Function {
        name: "make_timestamptz",
        overloads: &[
            strict(
                &[Integer, Integer, Integer, Integer, Integer, Double],
                TimestampTz,
                |call, a| call.formats.zone.to_utc(moment_of(a)?).map(Datum::Timestamp),
            ),
            strict(
                &[Integer, Integer, Integer, Integer, Integer, Double, Text],
                TimestampTz,
                |_, a| Zone::parse(a[6].text())?.to_utc(moment_of(a)?).map(Datum::Timestamp),
            ),
        ],
    },
    Function {
        name: "kestrel_overlaps",
        overloads: &[
            lenient(&[Time, Time, Time, Time], Boolean, |_, a| Ok(overlaps(a))),
            lenient(&[Timestamp, Timestamp, Timestamp, Timestamp], Boolean, |_, a| Ok(overlaps(a))),
            lenient(&[TimestampTz, TimestampTz, TimestampTz, TimestampTz], Boolean, |_, a| {
                Ok(overlaps(a))
            }),
            lenient(&[Timestamp, Interval, Timestamp, Interval], Boolean, |_, a| span_overlaps(a)),
            lenient(&[TimestampTz, Interval, TimestampTz, Interval], Boolean, |_, a| {
                span_overlaps(a)
            }),
        ],
    },
];

fn out_of_range(what: &str) -> ErrorReport {
    ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, what)
}

fn is_finite(value: &Datum) -> bool {
    !matches!(value, Datum::Date(i32::MIN | i32::MAX) | Datum::Timestamp(i64::MIN | i64::MAX))
}

/// `date_bin(stride, source, origin)` (`timestamp_bin`): the start of the bin that has the source.
fn bin(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let [Datum::Interval(stride), Datum::Timestamp(source), Datum::Timestamp(origin)] = arguments
    else {
        return Ok(Datum::Null);
    };
    if stride.months != 0 {
        return Err(ErrorReport::unsupported(
            "timestamps cannot be binned into intervals containing months or years",
        ));
    }
    let length = i64::from(stride.days) * DAY + interval_micros(*stride);
    if length <= 0 {
        return Err(out_of_range("stride must be greater than zero"));
    }
    let distance =
        source.checked_sub(*origin).ok_or_else(|| out_of_range("interval out of range"))?;
    civil::timestamp(source.checked_sub(distance.rem_euclid(length))).map(Datum::Timestamp)
}

/// Months, days and microseconds.
type Parts = (i64, i64, i64);

fn parts(value: &Datum) -> Parts {
    match value {
        Datum::Interval(interval) => {
            (interval.months.into(), interval.days.into(), interval_micros(*interval))
        }
        _ => (0, 0, 0),
    }
}

fn interval((months, days, micros): Parts) -> Result<Datum> {
    new_interval(months, days, micros)
        .map(Datum::Interval)
        .ok_or_else(|| out_of_range("interval out of range"))
}

fn hours_to_days((months, days, micros): Parts) -> Parts {
    let (mut days, mut micros) = (days + micros / DAY, micros % DAY);
    if days > 0 && micros < 0 {
        (days, micros) = (days - 1, micros + DAY);
    } else if days < 0 && micros > 0 {
        (days, micros) = (days + 1, micros - DAY);
    }
    (months, days, micros)
}

fn days_to_months((months, days, micros): Parts) -> Parts {
    let (mut months, mut days) = (months + days / 30, days % 30);
    if months > 0 && days < 0 {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && days > 0 {
        (months, days) = (months + 1, days - 30);
    }
    (months, days, micros)
}

/// `interval_justify_interval`: all parts with one sign.
fn justified((months, days, micros): Parts) -> Parts {
    let (mut months, mut days, mut micros) = (months, days + micros / DAY, micros % DAY);
    (months, days) = (months + days / 30, days % 30);
    if months > 0 && (days < 0 || days == 0 && micros < 0) {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && (days > 0 || days == 0 && micros > 0) {
        (months, days) = (months + 1, days - 30);
    }
    if days > 0 && micros < 0 {
        (days, micros) = (days - 1, micros + DAY);
    } else if days < 0 && micros > 0 {
        (days, micros) = (days + 1, micros - DAY);
    }
    (months, days, micros)
}

/// (years, months, weeks, days, hours, minutes, seconds)
fn make_interval(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let part = |at: usize| arguments[at].int().unwrap_or(0);
    let seconds = arguments[6].double().unwrap_or(0.0);
    if !seconds.is_finite() {
        return Err(out_of_range("interval out of range"));
    }
    let micros = (seconds * SECOND as f64).round_ties_even();
    let hours = part(4) * 3600 * SECOND + part(5) * 60 * SECOND;
    let Some(micros) = hours.checked_add(micros as i64) else {
        return Err(out_of_range("interval out of range"));
    };
    interval((part(0) * 12 + part(1), part(2) * 7 + part(3), micros))
}

/// Microseconds since midnight of hours, minutes and seconds.
fn time_of(hours: &Datum, minutes: &Datum, seconds: &Datum) -> Result<i64> {
    let (hour, minute) = (hours.int().unwrap_or(0), minutes.int().unwrap_or(0));
    let second = seconds.double().unwrap_or(0.0);
    let micros = (second * SECOND as f64).round_ties_even();
    let total = (hour * 60 + minute) * 60 * SECOND + micros as i64;
    let is_valid = (0..=24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..=60.0).contains(&second)
        && total <= DAY;
    if !is_valid {
        let message = format!("time field value out of range: {hour}:{minute:02}:{second:02}");
        return Err(out_of_range(&message));
    }
    Ok(total)
}

/// Of year, month, day, hour, minute and seconds; negative years are before Christ.
fn moment_of(arguments: &[Datum]) -> Result<i64> {
    let part = |at: usize| arguments[at].int().unwrap_or(0);
    let (year, month, day) = (part(0), part(1), part(2));
    let astronomical = if year < 0 { year + 1 } else { year };
    let is_valid = year != 0
        && (1..=12).contains(&month)
        && (1..=month_length(astronomical, month)).contains(&day);
    if !is_valid {
        let message = format!("date field value out of range: {year}-{month:02}-{day:02}");
        return Err(out_of_range(&message));
    }
    let days = days_from_civil(Civil { year: astronomical, month, day });
    let time = time_of(&arguments[3], &arguments[4], &arguments[5])?;
    civil::timestamp(days.checked_mul(DAY).and_then(|d| d.checked_add(time)))
}

/// The end of a span is its start and a length.
fn span_overlaps(arguments: &[Datum]) -> Result<Datum> {
    let end = |start: &Datum, length: &Datum| match (start, length) {
        (Datum::Timestamp(start), Datum::Interval(length)) => {
            series::plus(*start, *length).map(Datum::Timestamp)
        }
        _ => Ok(Datum::Null),
    };
    let (first, second) = (end(&arguments[0], &arguments[1])?, end(&arguments[2], &arguments[3])?);
    Ok(overlaps(&[arguments[0].clone(), first, arguments[2].clone(), second]))
}

/// `(start, end) OVERLAPS (start, end)` (`overlaps_timestamp`): the ends may be given in either order,
/// and are not part of the span unless that is one moment.
fn overlaps(arguments: &[Datum]) -> Datum {
    let [start1, end1, start2, end2] = arguments else { return Datum::Null };
    // Of a span with one known end that end is the start.
    let span = |start: &Datum, end: &Datum| match (start.is_null(), end.is_null()) {
        (true, true) => None,
        (true, false) => Some((end.clone(), Datum::Null)),
        (false, true) => Some((start.clone(), Datum::Null)),
        (false, false) => Some(match start.compare(end) {
            Some(Ordering::Greater) => (end.clone(), start.clone()),
            _ => (start.clone(), end.clone()),
        }),
    };
    let (Some((start1, end1)), Some((start2, end2))) = (span(start1, end1), span(start2, end2))
    else {
        return Datum::Null;
    };
    let before_end = |start: &Datum, end: &Datum| match end.is_null() {
        true => Datum::Null,
        false => Datum::Bool(start.compare(end) == Some(Ordering::Less)),
    };
    match start1.compare(&start2) {
        Some(Ordering::Equal) => match end1.is_null() || end2.is_null() {
            true => Datum::Null,
            false => Datum::Bool(true),
        },
        Some(Ordering::Greater) => match before_end(&start1, &end2) {
            Datum::Bool(false) if end1.is_null() => Datum::Bool(false),
            other => other,
        },
        Some(Ordering::Less) => before_end(&start2, &end1),
        None => Datum::Null,
    }
}
