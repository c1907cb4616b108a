//! The value of the setting `TimeZone` (`check_timezone` in PostgreSQL's variable.c).

use super::{Rules, Zone, posix::offset_name};
use crate::functions::{arithmetic::interval_micros, cast::parse_interval, civil::SECOND};

/// Offsets of zones stay within a week.
const OFFSET_MAX_SECONDS: i64 = 24 * 7 * 3600 - 3600;

/// The zone's name, as SHOW prints it, of what SET was given: a name in any case, a number of hours,
/// `INTERVAL '+05:30'`, a POSIX string.
///
/// # Errors
/// The DETAIL of the error, if there is more to say than that the value is not valid.
pub fn time_zone_setting(value: &str) -> Result<String, Option<String>> {
    if let Some(interval) = strip_interval(value) {
        let interval = parse_interval(interval).map_err(|_| None)?;
        let cannot = |what| Err(Some(format!("Cannot specify {what} in time zone interval.")));
        if interval.months != 0 {
            return cannot("months");
        }
        if interval.days != 0 {
            return cannot("days");
        }
        return of_seconds(interval_micros(interval) / SECOND);
    }
    let is_number = value.bytes().all(|b| b.is_ascii_digit() || b"+-.eE ".contains(&b));
    if let (true, Ok(hours)) = (is_number, value.trim().parse::<f64>()) {
        return of_seconds((hours * 3600.0) as i64);
    }
    match Zone::named(value).ok_or(None)?.0 {
        Rules::Named(tz) => Ok(tz.name().to_string()),
        Rules::Posix(_) => Ok(value.to_ascii_uppercase()),
    }
}

fn of_seconds(seconds: i64) -> Result<String, Option<String>> {
    let valid = i32::try_from(seconds).ok().filter(|_| seconds.abs() <= OFFSET_MAX_SECONDS);
    let out_of_range = || Some("UTC timezone offset is out of range.".to_string());
    valid.map(offset_name).ok_or_else(out_of_range)
}

/// What stands between the quotes of `INTERVAL '…'`.
fn strip_interval(value: &str) -> Option<&str> {
    let (word, rest) = value.split_at_checked("interval".len())?;
    let quoted = word.eq_ignore_ascii_case("interval").then(|| rest.trim())?;
    quoted.strip_prefix('\'')?.strip_suffix('\'')
}
