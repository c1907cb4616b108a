//! Days and the proleptic Gregorian calendar, over the whole range of PostgreSQL's dates.
//!
//! The conversions are Howard Hinnant's "chrono-compatible low-level date algorithms"
//! (<https://howardhinnant.github.io/date_algorithms.html>).

use kestrel_proto::{ErrorReport, SqlState};

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;
/// Microseconds of a second.
pub(crate) const SECOND: i64 = 1_000_000;

/// A day of the calendar; years before 1 AD are 0, -1, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
}

/// First and last day that a `date` can be: 4714-11-24 BC and 5874897-12-31.
const DATES: std::ops::RangeInclusive<i64> = -2_440_588..=2_145_042_905;
/// First and last microsecond that a `timestamp` can be: 4714-11-24 BC, and in 294247 what 64 bits
/// can hold (PostgreSQL counts from 2000 and goes on to 294276).
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -210_866_803_200_000_000..=i64::MAX;

/// The calendar day of a count of days since 1970-01-01.
pub(crate) fn civil_from_days(days: i64) -> Civil {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil { year, month, day }
}

/// The count of days since 1970-01-01 of a calendar day.
pub(crate) fn days_from_civil(civil: Civil) -> i64 {
    let Civil { year, month, day } = civil;
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Days of a month.
pub(crate) fn month_length(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The day that is `months` later; the last of its month if the month is too short.
pub(crate) fn add_months(days: i64, months: i64) -> i64 {
    if months == 0 {
        return days;
    }
    let civil = civil_from_days(days);
    let total = civil.year * 12 + civil.month - 1 + months;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
    let day = civil.day.min(month_length(year, month));
    days_from_civil(Civil { year, month, day })
}

/// A day as a `date`, or `date out of range` (22008).
pub(crate) fn date(days: i64) -> Result<i32, ErrorReport> {
    match i32::try_from(days) {
        Ok(date) if DATES.contains(&days) => Ok(date),
        _ => Err(ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range")),
    }
}

/// Microseconds since 1970 as a `timestamp`, or `timestamp out of range` (22008).
pub(crate) fn timestamp(micros: Option<i64>) -> Result<i64, ErrorReport> {
    micros.filter(|m| TIMESTAMPS.contains(m)).ok_or_else(|| {
        ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
    })
}

/// The midnight that begins a day, or `date out of range for timestamp` (22008).
pub(crate) fn midnight(date: i32) -> Result<i64, ErrorReport> {
    i64::from(date).checked_mul(DAY).filter(|m| TIMESTAMPS.contains(m)).ok_or_else(|| {
        ErrorReport::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_calendar_agree() {
        for (days, year, month, day) in [
            (0, 1970, 1, 1),
            (-1, 1969, 12, 31),
            (10_957, 2000, 1, 1),
            (11_016, 2000, 2, 29),
            (-719_528, 0, 1, 1),
            (*DATES.start(), -4713, 11, 24),
            (*DATES.end(), 5_874_897, 12, 31),
        ] {
            let civil = Civil { year, month, day };
            assert_eq!(civil_from_days(days), civil);
            assert_eq!(days_from_civil(civil), days);
        }
        for days in (-800_000..800_000).step_by(97) {
            assert_eq!(days_from_civil(civil_from_days(days)), days);
        }
    }

    #[test]
    fn month_ends_are_clamped() {
        let day = |year, month, day| days_from_civil(Civil { year, month, day });
        assert_eq!(add_months(day(2024, 1, 31), 1), day(2024, 2, 29));
        assert_eq!(add_months(day(2023, 3, 31), -1), day(2023, 2, 28));
        assert_eq!(add_months(day(2023, 12, 15), 1), day(2024, 1, 15));
    }
}
