//! Local time in a session's time zone.

mod abbreviation;
mod facts;
mod posix;
mod setting;
#[cfg(test)]
mod tests;

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeZone};
use chrono_tz::{OffsetComponents, OffsetName, TZ_VARIANTS, Tz};
use datafusion::config::ConfigOptions;
use kestrel_proto::{ErrorReport, SqlState};

use super::{
    civil::{self, Civil, DAY, SECOND, civil_from_days, days_from_civil},
    formats::SessionFormats,
};
pub(crate) use abbreviation::of_abbreviation;
pub use facts::{ZoneFacts, time_zone_abbreviations, time_zones};
use posix::{Posix, Word};
pub use setting::time_zone_setting;

/// A time zone: of the tz database (`Europe/Berlin`), or a POSIX string's (`CET-1CEST`, and offsets,
/// which are shown as such: `<+05:30>-05:30`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(Rules);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    Named(Tz),
    Posix(Posix),
}

impl Default for Zone {
    fn default() -> Self {
        Self(Rules::Named(Tz::UTC))
    }
}

/// The last year whose transitions the tz database's tables have in full; later ones follow the
/// rules of a year before with the same calendar, of which there is one in every 28.
const LAST_TABLED_YEAR: i64 = 2095;

impl Zone {
    /// The zone of this name or abbreviation, as functions take it (`AT TIME ZONE`), or `time zone
    /// "…" not recognized` (22023).
    pub(crate) fn parse(name: &str) -> Result<Self, ErrorReport> {
        of_abbreviation(name).or_else(|| Self::named(name)).ok_or_else(|| {
            ErrorReport::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("time zone \"{name}\" not recognized"),
            )
        })
    }

    /// The zone that the setting's value names, in any case: a name of the tz database, or a POSIX
    /// string (`pg_tzset` in PostgreSQL's pgtz.c).
    pub(crate) fn named(name: &str) -> Option<Self> {
        let tz = name.parse().ok().or_else(|| {
            TZ_VARIANTS.iter().find(|tz| tz.name().eq_ignore_ascii_case(name)).copied()
        });
        match tz {
            Some(tz) => Some(Self(Rules::Named(tz))),
            None => Posix::parse(name).map(|posix| Self(Rules::Posix(posix))),
        }
    }

    /// A fixed offset, in seconds east of Greenwich, under a name.
    fn fixed(name: &str, offset_seconds: i32) -> Option<Self> {
        Some(Self(Rules::Posix(Posix::fixed(Word::new(name)?, offset_seconds))))
    }

    /// The zone so many seconds east of Greenwich; less than a week.
    pub(crate) fn of_offset(offset_seconds: i32) -> Option<Self> {
        Self::named(&posix::offset_name(offset_seconds))
    }

    /// The session's time zone.
    pub(crate) fn of_session(options: &ConfigOptions) -> Self {
        SessionFormats::of_session(options).zone
    }

    /// Seconds east of UTC at an instant (microseconds since 1970).
    pub fn offset_seconds(self, utc_micros: i64) -> i64 {
        match self.0 {
            Rules::Named(Tz::UTC) => 0,
            Rules::Named(tz) => tabled(utc_micros).map_or(0, |(utc, _)| {
                i64::from(tz.offset_from_utc_datetime(&utc).fix().local_minus_utc())
            }),
            Rules::Posix(posix) => i64::from(posix.period(utc_micros).offset_seconds),
        }
    }

    /// What the zone calls its time at an instant: `CEST`, `+08`.
    pub fn abbreviation(self, utc_micros: i64) -> String {
        match self.0 {
            Rules::Named(tz) => {
                let offset = tabled(utc_micros).map(|(utc, _)| tz.offset_from_utc_datetime(&utc));
                let name = offset.as_ref().and_then(|offset| offset.abbreviation());
                name.map_or_else(|| numeric_name(self.offset_seconds(utc_micros)), str::to_string)
            }
            Rules::Posix(posix) => posix.period(utc_micros).name.as_str().to_string(),
        }
    }

    /// Whether clocks are ahead of standard time at an instant.
    fn is_daylight(self, utc_micros: i64) -> bool {
        match self.0 {
            Rules::Named(tz) => tabled(utc_micros)
                .is_some_and(|(utc, _)| !tz.offset_from_utc_datetime(&utc).dst_offset().is_zero()),
            Rules::Posix(posix) => posix.is_daylight(utc_micros),
        }
    }

    /// Wall-clock time of an instant, both in microseconds since 1970.
    pub(crate) fn to_local(self, utc_micros: i64) -> Result<i64, ErrorReport> {
        civil::timestamp(utc_micros.checked_add(self.offset_seconds(utc_micros) * SECOND))
    }

    /// The instant of a wall-clock time. Of two, the later one; a time that the clock skips is read
    /// with the offset before the change (`DetermineTimeZoneOffset` in PostgreSQL's datetime.c).
    pub(crate) fn to_utc(self, local_micros: i64) -> Result<i64, ErrorReport> {
        let offset = match (self.0, tabled(local_micros)) {
            (Rules::Named(Tz::UTC), _) => 0,
            (Rules::Named(tz), Some((local, false))) => named_offset(tz, &local),
            _ => self.offset_around(local_micros),
        };
        civil::timestamp(local_micros.checked_sub(offset * SECOND))
    }

    /// The offset of a wall-clock time, from those a day before and after it.
    fn offset_around(self, local_micros: i64) -> i64 {
        let before = self.offset_seconds(local_micros.saturating_sub(DAY));
        let after = self.offset_seconds(local_micros.saturating_add(DAY));
        let holds = |offset: i64| {
            self.offset_seconds(local_micros.saturating_sub(offset * SECOND)) == offset
        };
        if holds(after) { after } else { before }
    }
}

fn named_offset(tz: Tz, local: &NaiveDateTime) -> i64 {
    let seconds = |offset: chrono_tz::TzOffset| i64::from(offset.fix().local_minus_utc());
    match tz.offset_from_local_datetime(local) {
        LocalResult::Single(offset) => seconds(offset),
        LocalResult::Ambiguous(a, b) => seconds(a).min(seconds(b)),
        LocalResult::None => {
            seconds(tz.offset_from_utc_datetime(&(*local - chrono::Duration::days(1))))
        }
    }
}

/// `+08`, `-03:30`, as zones without names for their times are shown.
fn numeric_name(offset_seconds: i64) -> String {
    let sign = if offset_seconds < 0 { '-' } else { '+' };
    let minutes = offset_seconds.abs() / 60;
    match minutes % 60 {
        0 => format!("{sign}{:02}", minutes / 60),
        rest => format!("{sign}{:02}{rest:02}", minutes / 60),
    }
}

/// A moment in the years that tables have, and whether it was moved there. `None`: beyond chrono's
/// calendar.
fn tabled(micros: i64) -> Option<(NaiveDateTime, bool)> {
    let days = micros.div_euclid(DAY);
    let year = civil_from_days(days).year;
    if year <= LAST_TABLED_YEAR {
        return DateTime::from_timestamp_micros(micros).map(|t| (t.naive_utc(), false));
    }
    let new_year = |year| days_from_civil(Civil { year, month: 1, day: 1 });
    let alike = |other: &i64| {
        (new_year(*other) - new_year(year)) % 7 == 0
            && new_year(other + 1) - new_year(*other) == new_year(year + 1) - new_year(year)
    };
    let other = (LAST_TABLED_YEAR - 27..=LAST_TABLED_YEAR).find(alike)?;
    let moved = micros.checked_add((new_year(other) - new_year(year)).checked_mul(DAY)?)?;
    DateTime::from_timestamp_micros(moved).map(|t| (t.naive_utc(), true))
}
