//! Intervals: months, days and microseconds, as PostgreSQL's timestamp.c keeps them.

use arrow::datatypes::IntervalMonthDayNano;

use crate::functions::civil::{DAY, SECOND};

/// Nanoseconds of a microsecond: Arrow counts the time part in nanoseconds, PostgreSQL in
/// microseconds.
const MICRO: i64 = 1000;
/// Days that `interval * number` takes a month for.
const DAYS_PER_MONTH: f64 = 30.0;

/// An interval of so many months, days and microseconds; `None`: out of range.
pub(crate) fn new(months: i64, days: i64, micros: i64) -> Option<IntervalMonthDayNano> {
    Some(IntervalMonthDayNano::new(
        i32::try_from(months).ok()?,
        i32::try_from(days).ok()?,
        micros.checked_mul(MICRO)?,
    ))
}

/// The time part in microseconds.
pub(crate) fn micros(interval: IntervalMonthDayNano) -> i64 {
    interval.nanoseconds / MICRO
}

/// `a + b`.
pub(super) fn add(
    a: IntervalMonthDayNano,
    b: IntervalMonthDayNano,
) -> Option<IntervalMonthDayNano> {
    Some(IntervalMonthDayNano::new(
        a.months.checked_add(b.months)?,
        a.days.checked_add(b.days)?,
        a.nanoseconds.checked_add(b.nanoseconds)?,
    ))
}

/// `- a`.
pub(super) fn negate(a: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    Some(IntervalMonthDayNano::new(
        a.months.checked_neg()?,
        a.days.checked_neg()?,
        a.nanoseconds.checked_neg()?,
    ))
}

/// Hours into days, for differences of timestamps (`interval_justify_hours`).
pub(super) fn of_difference(micros: i64) -> Option<IntervalMonthDayNano> {
    new(0, micros / DAY, micros % DAY)
}

/// `a * factor` (`interval_mul`): fractions of a month go into days of 30 per month, fractions of a
/// day into time.
pub(super) fn multiply(a: IntervalMonthDayNano, factor: f64) -> Option<IntervalMonthDayNano> {
    scale(a, |part| part * factor)
}

/// `a / divisor` (`interval_div`). `divisor` is not zero.
pub(super) fn divide(a: IntervalMonthDayNano, divisor: f64) -> Option<IntervalMonthDayNano> {
    scale(a, |part| part / divisor)
}

fn scale(a: IntervalMonthDayNano, by: impl Fn(f64) -> f64) -> Option<IntervalMonthDayNano> {
    let months = whole(by(f64::from(a.months)))?;
    let days = whole(by(f64::from(a.days)))?;
    let month_rest = round_to_micro((by(f64::from(a.months)) - f64::from(months)) * DAYS_PER_MONTH);
    let mut seconds = round_to_micro(
        (by(f64::from(a.days)) - f64::from(days) + month_rest - month_rest.trunc()) * 86_400.0,
    );
    let mut days = i64::from(days);
    // Rounding may have made a whole day of the seconds.
    if seconds.abs() >= 86_400.0 {
        let whole_days = (seconds / 86_400.0).trunc();
        days += whole_days as i64;
        seconds -= whole_days * 86_400.0;
    }
    days += month_rest as i64;
    let time = (by(micros(a) as f64) + seconds * SECOND as f64).round_ties_even();
    if !(-9.2e18..=9.2e18).contains(&time) {
        return None;
    }
    new(i64::from(months), days, time as i64)
}

fn whole(value: f64) -> Option<i32> {
    let value = value.trunc();
    (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value).then_some(value as i32)
}

/// `TSROUND`.
fn round_to_micro(seconds: f64) -> f64 {
    (seconds * SECOND as f64).round_ties_even() / SECOND as f64
}

/// `low + (high - low) * share` (`interval_lerp`)
pub(crate) fn between(
    low: IntervalMonthDayNano,
    high: IntervalMonthDayNano,
    share: f64,
) -> Option<IntervalMonthDayNano> {
    add(multiply(add(high, negate(low)?)?, share)?, low)
}

/// The length by which intervals are compared: months of 30 days, days of 24 hours.
pub(crate) fn comparable(a: IntervalMonthDayNano) -> i128 {
    let days = i128::from(a.months) * 30 + i128::from(a.days);
    days * i128::from(DAY) * i128::from(MICRO) + i128::from(a.nanoseconds)
}
