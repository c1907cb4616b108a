//! Dates, times and intervals in binary format: dates and timestamps are counted from 2000
//! (PostgreSQL's date.c and timestamp.c). The ends of the range are the infinities in either count.

use arrow::datatypes::IntervalMonthDayNano;
use kestrel_proto::{ErrorReport, Result, SqlState};

/// Days from 1970-01-01, Arrow's day zero, to 2000-01-01, PostgreSQL's.
pub const POSTGRES_EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Of a day without leap seconds.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Days before 2000-01-01 that PostgreSQL's calendar begins: 4714-11-24 BC.
const FIRST_DAY: i32 = -2_451_545;
/// The day after its last, counted from 2000-01-01: 5874898-01-01.
const END_OF_DAYS: i32 = 2_145_031_949;
/// The same for timestamps, in microseconds: 4714-11-24 BC and 294277-01-01.
const FIRST_MICROS: i64 = -211_813_488_000_000_000;
const END_OF_MICROS: i64 = 9_223_371_331_200_000_000;

/// Days since 2000 to days since 1970 (`date_recv`).
///
/// # Errors
/// 22008: the calendar has no such day.
#[inline]
pub fn received_date(days: i32) -> Result<i32> {
    match days {
        FIRST_DAY..END_OF_DAYS => Ok(days + POSTGRES_EPOCH_DAYS),
        i32::MIN | i32::MAX => Ok(days),
        _ => Err(out_of_range("date")),
    }
}

/// Microseconds since 2000 to microseconds since 1970 (`timestamp_recv`).
///
/// # Errors
/// 22008: the calendar has no such time, or it is one of the last 30 years, which do not fit the
/// other count.
#[inline]
pub fn received_timestamp(micros: i64) -> Result<i64> {
    match micros {
        FIRST_MICROS..END_OF_MICROS => {
            micros.checked_add(POSTGRES_EPOCH_MICROS).ok_or_else(|| out_of_range("timestamp"))
        }
        i64::MIN | i64::MAX => Ok(micros),
        _ => Err(out_of_range("timestamp")),
    }
}

/// Microseconds since midnight; 24:00 is one (`time_recv`).
///
/// # Errors
/// 22008: a day has no such time.
#[inline]
pub fn received_time(micros: i64) -> Result<i64> {
    match micros {
        0..=MICROS_PER_DAY => Ok(micros),
        _ => Err(out_of_range("time")),
    }
}

/// An interval of its three fields (`interval_recv`).
///
/// # Errors
/// 22008: so many microseconds, 292 years, do not fit 64 bits as nanoseconds.
#[inline]
pub fn received_interval(micros: i64, days: i32, months: i32) -> Result<IntervalMonthDayNano> {
    let nanos = micros.checked_mul(1_000).ok_or_else(|| out_of_range("interval"))?;
    Ok(IntervalMonthDayNano::new(months, days, nanos))
}

/// Days since 1970 to days since 2000 (`date_send`).
#[inline]
pub fn sent_date(days: i32) -> i32 {
    match days {
        i32::MIN | i32::MAX => days,
        days => days.saturating_sub(POSTGRES_EPOCH_DAYS),
    }
}

/// Microseconds since 1970 to microseconds since 2000 (`timestamp_send`).
#[inline]
pub fn sent_timestamp(micros: i64) -> i64 {
    match micros {
        i64::MIN | i64::MAX => micros,
        micros => micros.saturating_sub(POSTGRES_EPOCH_MICROS),
    }
}

/// 22008
#[cold]
pub fn out_of_range(sql_type: &str) -> ErrorReport {
    ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{sql_type} out of range"))
}
