//! Local time in a session's time zone.

use std::str::FromStr;

use arrow::array::timezone::Tz;
use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeZone};
use datafusion::config::ConfigOptions;
use kestrel_proto::{ErrorReport, SqlState};

use super::civil;

/// A time zone, by name (`Europe/Berlin`) or offset (`+08:00`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zone(Tz);

impl Zone {
    /// The session's time zone; UTC if it has none.
    pub(crate) fn of_session(options: &ConfigOptions) -> Result<Self, ErrorReport> {
        match options.execution.time_zone.as_deref() {
            None => Self::parse("UTC"),
            Some(name) => Self::parse(name),
        }
    }

    /// The zone of this name, or `time zone "…" not recognized` (22023).
    pub(crate) fn parse(name: &str) -> Result<Self, ErrorReport> {
        let canonical = match name.to_ascii_uppercase().as_str() {
            "UTC" | "Z" | "ZULU" | "GMT" => "UTC",
            _ => name,
        };
        Tz::from_str(canonical).map(Self).map_err(|_| {
            ErrorReport::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("time zone \"{name}\" not recognized"),
            )
        })
    }

    /// Seconds east of UTC at an instant (microseconds since 1970).
    pub(crate) fn offset_seconds(self, utc_micros: i64) -> i64 {
        let Some(utc) = naive(utc_micros) else { return 0 };
        i64::from(self.0.offset_from_utc_datetime(&utc).fix().local_minus_utc())
    }

    /// Wall-clock time of an instant, both in microseconds since 1970.
    pub(crate) fn to_local(self, utc_micros: i64) -> Result<i64, ErrorReport> {
        civil::timestamp(utc_micros.checked_add(self.offset_seconds(utc_micros) * civil::SECOND))
    }

    /// The instant of a wall-clock time. Of two, the one in standard time; a time that the clock
    /// skips is read with the offset before the change (`DetermineTimeZoneOffset` in PostgreSQL's
    /// datetime.c).
    pub(crate) fn to_utc(self, local_micros: i64) -> Result<i64, ErrorReport> {
        let offset = match naive(local_micros) {
            None => 0,
            Some(local) => match self.0.offset_from_local_datetime(&local) {
                LocalResult::Single(offset) => offset.fix().local_minus_utc(),
                LocalResult::Ambiguous(a, b) => {
                    a.fix().local_minus_utc().min(b.fix().local_minus_utc())
                }
                LocalResult::None => self
                    .0
                    .offset_from_utc_datetime(&(local - chrono::Duration::days(1)))
                    .fix()
                    .local_minus_utc(),
            },
        };
        civil::timestamp(local_micros.checked_sub(i64::from(offset) * civil::SECOND))
    }
}

/// `None`: beyond chrono's calendar, where no zone has rules anyway.
fn naive(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|t| t.naive_utc())
}
