//! Parts of dates and times: their names, and how to take them out (`timestamp_part_common` and
//! `interval_part_common` in PostgreSQL's timestamp.c).

use arrow::datatypes::{DataType, IntervalMonthDayNano};
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::functions::{
    arithmetic::{interval_micros, types::Class},
    civil::{Civil, DAY, SECOND, civil_from_days, days_from_civil},
    sql_name,
    zone::Zone,
};

/// A field that EXTRACT or date_trunc can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Microseconds,
    Milliseconds,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    IsoYear,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Epoch,
    Julian,
    Timezone,
    TimezoneHour,
    TimezoneMinute,
}

/// Names and abbreviations (`deltatktbl` and `datetktbl` in datetime.c).
const NAMES: &[(Part, &[&str])] = &[
    (
        Part::Microseconds,
        &["microseconds", "microsecond", "us", "usec", "usecs", "useconds", "usecond"],
    ),
    (
        Part::Milliseconds,
        &["milliseconds", "millisecond", "ms", "msec", "msecs", "mseconds", "msecond"],
    ),
    (Part::Second, &["second", "seconds", "s", "sec", "secs"]),
    (Part::Minute, &["minute", "minutes", "m", "min", "mins"]),
    (Part::Hour, &["hour", "hours", "h", "hr", "hrs"]),
    (Part::Day, &["day", "days", "d"]),
    (Part::Week, &["week", "weeks", "w"]),
    (Part::Month, &["month", "months", "mon", "mons"]),
    (Part::Quarter, &["quarter", "qtr"]),
    (Part::Year, &["year", "years", "y", "yr", "yrs"]),
    (Part::Decade, &["decade", "decades", "dec", "decs"]),
    (Part::Century, &["century", "centuries", "c", "cent"]),
    (Part::Millennium, &["millennium", "millennia", "mil", "mils"]),
    (Part::IsoYear, &["isoyear"]),
    (Part::DayOfWeek, &["dow"]),
    (Part::IsoDayOfWeek, &["isodow"]),
    (Part::DayOfYear, &["doy"]),
    (Part::Epoch, &["epoch"]),
    (Part::Julian, &["julian", "jd", "j"]),
    (Part::Timezone, &["timezone"]),
    (Part::TimezoneHour, &["timezone_h", "timezone_hour"]),
    (Part::TimezoneMinute, &["timezone_m", "timezone_minute"]),
];

impl Part {
    /// The part of this name in any case of letters, or `unit "…" not recognized` (22023).
    pub(crate) fn parse(name: &str, of: &DataType) -> Result<Self> {
        let lower = name.trim().to_ascii_lowercase();
        NAMES
            .iter()
            .find(|(_, names)| names.contains(&lower.as_str()))
            .map(|(part, _)| *part)
            .ok_or_else(|| {
                ErrorReport::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unit \"{lower}\" not recognized for type {}", sql_name(of)),
                )
            })
    }

    /// `unit "hour" not supported for type date` (0A000).
    pub(crate) fn unsupported(self, of: &DataType) -> ErrorReport {
        let name = NAMES
            .iter()
            .find(|(part, _)| *part == self)
            .and_then(|(_, names)| names.first())
            .map_or("", |name| name);
        ErrorReport::unsupported(format!("unit \"{name}\" not supported for type {}", sql_name(of)))
    }

    /// Fractional digits of the part of a value of this class.
    pub(crate) fn scale(self, class: Class) -> i8 {
        match self {
            Self::Second => 6,
            Self::Epoch if class != Class::Date => 6,
            Self::Milliseconds => 3,
            _ => 0,
        }
    }

    /// Digits of the part.
    pub(crate) fn precision(self, class: Class) -> u8 {
        match self {
            Self::Epoch | Self::Microseconds => 20,
            _ => (10 + self.scale(class)).unsigned_abs(),
        }
    }

    /// The part of a wall-clock moment, in units of its scale; `None`: not a part of it.
    /// `offset_seconds` is the zone's, for timestamptz.
    pub(crate) fn of_moment(self, class: Class, local: i64, offset: Option<i64>) -> Option<i64> {
        let clock = local.rem_euclid(DAY);
        let days = local.div_euclid(DAY);
        let has_clock = class != Class::Date;
        let has_calendar = class != Class::Time;
        match self {
            Self::Microseconds | Self::Milliseconds | Self::Second if has_clock => {
                Some(clock % (60 * SECOND))
            }
            Self::Minute if has_clock => Some(clock / (60 * SECOND) % 60),
            Self::Hour if has_clock => Some(clock / (3600 * SECOND)),
            Self::Epoch if class == Class::Date => Some(days * 86_400),
            Self::Epoch if class == Class::Time => Some(clock),
            Self::Epoch => Some(local - offset.unwrap_or(0) * SECOND),
            Self::Timezone => offset,
            Self::TimezoneHour => offset.map(|o| o / 3600),
            Self::TimezoneMinute => offset.map(|o| o / 60 % 60),
            Self::Julian if class == Class::Date => Some(days + 2_440_588),
            _ if has_calendar => self.of_day(days),
            _ => None,
        }
    }

    fn of_day(self, days: i64) -> Option<i64> {
        let civil = civil_from_days(days);
        let Civil { year, month, day } = civil;
        let iso_weekday = (days + 3).rem_euclid(7) + 1;
        Some(match self {
            Self::Day => day,
            Self::Month => month,
            Self::Quarter => (month - 1) / 3 + 1,
            // There is no year 0 between 1 BC and 1 AD.
            Self::Year => without_zero(year),
            Self::Decade if year >= 0 => year / 10,
            Self::Decade => -((8 - (year - 1)) / 10),
            Self::Century if year > 0 => (year + 99) / 100,
            Self::Century => -((99 - (year - 1)) / 100),
            Self::Millennium if year > 0 => (year + 999) / 1000,
            Self::Millennium => -((999 - (year - 1)) / 1000),
            Self::Week => iso_week(days, iso_weekday).1,
            Self::IsoYear => without_zero(iso_week(days, iso_weekday).0),
            Self::DayOfWeek => iso_weekday % 7,
            Self::IsoDayOfWeek => iso_weekday,
            Self::DayOfYear => days - days_from_civil(Civil { year, month: 1, day: 1 }) + 1,
            _ => return None,
        })
    }

    /// The part of an interval, in units of its scale; `None`: not a part of it.
    pub(crate) fn of_interval(self, interval: IntervalMonthDayNano) -> Option<i64> {
        let months = i64::from(interval.months);
        let days = i64::from(interval.days);
        let micros = interval_micros(interval);
        Some(match self {
            Self::Microseconds | Self::Milliseconds | Self::Second => micros % (60 * SECOND),
            Self::Minute => micros / (60 * SECOND) % 60,
            Self::Hour => micros / (3600 * SECOND),
            Self::Day => days,
            Self::Month => months % 12,
            Self::Quarter => months % 12 / 3 + 1,
            Self::Year => months / 12,
            Self::Decade => months / 120,
            Self::Century => months / 1200,
            Self::Millennium => months / 12_000,
            // Years of 365.25 days, months of 30.
            Self::Epoch => {
                let quarter_days = 1461 * (months / 12) + 120 * (months % 12) + 4 * days;
                quarter_days * (DAY / 4) + micros
            }
            _ => return None,
        })
    }

    /// The beginning of the part that a wall-clock moment lies in; `None`: nothing to truncate to.
    pub(crate) fn truncate(self, local: i64) -> Option<i64> {
        let floor = |unit: i64| Some(local - local.rem_euclid(unit));
        let days = local.div_euclid(DAY);
        let start = |year: i64, month: i64| days_from_civil(Civil { year, month, day: 1 });
        let Civil { year, month, .. } = civil_from_days(days);
        let first_day = match self {
            Self::Microseconds => return Some(local),
            Self::Milliseconds => return floor(1000),
            Self::Second => return floor(SECOND),
            Self::Minute => return floor(60 * SECOND),
            Self::Hour => return floor(3600 * SECOND),
            Self::Day => days,
            Self::Week => days - (days + 3).rem_euclid(7),
            Self::Month => start(year, month),
            Self::Quarter => start(year, (month - 1) / 3 * 3 + 1),
            Self::Year => start(year, 1),
            Self::Decade if year > 0 => start(year / 10 * 10, 1),
            Self::Decade => start(-((8 - (year - 1)) / 10) * 10, 1),
            Self::Century if year > 0 => start((year + 99) / 100 * 100 - 99, 1),
            Self::Century => start(-((99 - (year - 1)) / 100) * 100 + 1, 1),
            Self::Millennium if year > 0 => start((year + 999) / 1000 * 1000 - 999, 1),
            Self::Millennium => start(-((999 - (year - 1)) / 1000) * 1000 + 1, 1),
            _ => return None,
        };
        first_day.checked_mul(DAY)
    }

    /// The same for an interval.
    pub(crate) fn truncate_interval(
        self,
        interval: IntervalMonthDayNano,
    ) -> Option<IntervalMonthDayNano> {
        let IntervalMonthDayNano { months, days, .. } = interval;
        let micros = interval_micros(interval);
        let (months, days, micros) = match self {
            Self::Microseconds => (months, days, micros),
            Self::Milliseconds => (months, days, micros / 1000 * 1000),
            Self::Second => (months, days, micros / SECOND * SECOND),
            Self::Minute => (months, days, micros / (60 * SECOND) * (60 * SECOND)),
            Self::Hour => (months, days, micros / (3600 * SECOND) * (3600 * SECOND)),
            Self::Day => (months, days, 0),
            Self::Month => (months, 0, 0),
            Self::Quarter => (months / 12 * 12 + months % 12 / 3 * 3, 0, 0),
            Self::Year => (months / 12 * 12, 0, 0),
            Self::Decade => (months / 120 * 120, 0, 0),
            Self::Century => (months / 1200 * 1200, 0, 0),
            Self::Millennium => (months / 12_000 * 12_000, 0, 0),
            _ => return None,
        };
        Some(IntervalMonthDayNano::new(months, days, micros * 1000))
    }

    /// Whether truncation to it depends on the zone's offset at the beginning of a day.
    pub(crate) fn is_calendar(self) -> bool {
        !matches!(
            self,
            Self::Microseconds | Self::Milliseconds | Self::Second | Self::Minute | Self::Hour
        )
    }
}

fn without_zero(year: i64) -> i64 {
    if year > 0 { year } else { year - 1 }
}

/// Year and number of the ISO 8601 week: that of its Thursday.
fn iso_week(days: i64, iso_weekday: i64) -> (i64, i64) {
    let thursday = days - iso_weekday + 4;
    let year = civil_from_days(thursday).year;
    let january = days_from_civil(Civil { year, month: 1, day: 1 });
    (year, (thursday - january) / 7 + 1)
}

/// Wall clock and offset of an instant.
pub(crate) fn local_of(zone: Zone, utc: i64) -> Result<(i64, i64)> {
    let offset = zone.offset_seconds(utc);
    Ok((zone.to_local(utc)?, offset))
}
