//! Dates and timestamps in binary format, counted from 2000 (PostgreSQL's `date_recv`, date.c, and
//! `timestamp_recv`, timestamp.c). The ends of the range are the infinities in either count.

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::server::encode::{POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS};

/// Days before 2000-01-01 that PostgreSQL's calendar begins: 4714-11-24 BC.
const FIRST_DAY: i32 = -2_451_545;
/// The day after its last, counted from 2000-01-01: 5874898-01-01.
const END_OF_DAYS: i32 = 2_145_031_949;
/// The same for timestamps, in microseconds: 4714-11-24 BC and 294277-01-01.
const FIRST_MICROS: i64 = -211_813_488_000_000_000;
const END_OF_MICROS: i64 = 9_223_371_331_200_000_000;

/// Days since 2000 to days since 1970.
///
/// # Errors
/// 22008: the calendar has no such day.
pub(crate) fn received_date(days: i32) -> Result<i32> {
    match days {
        i32::MIN | i32::MAX => Ok(days),
        FIRST_DAY..END_OF_DAYS => Ok(days + POSTGRES_EPOCH_DAYS),
        _ => Err(out_of_range("date")),
    }
}

/// Microseconds since 2000 to microseconds since 1970.
///
/// # Errors
/// 22008: the calendar has no such time, or it is one of the last 30 years, which do not fit the
/// other count.
pub(crate) fn received_timestamp(micros: i64) -> Result<i64> {
    match micros {
        i64::MIN | i64::MAX => Ok(micros),
        FIRST_MICROS..END_OF_MICROS => {
            micros.checked_add(POSTGRES_EPOCH_MICROS).ok_or_else(|| out_of_range("timestamp"))
        }
        _ => Err(out_of_range("timestamp")),
    }
}

/// 22008
pub(crate) fn out_of_range(sql_type: &str) -> ErrorReport {
    ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{sql_type} out of range"))
}
