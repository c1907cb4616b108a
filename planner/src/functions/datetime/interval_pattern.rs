//! `to_char(interval, template)` (`interval_to_char` in PostgreSQL's formatting.c): hours are not
//! those of a day, and there are no names of months and days.

use arrow::datatypes::IntervalMonthDayNano;
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::pattern::{Piece, Template, ordinal_suffix};
use crate::functions::{arithmetic::interval_micros, civil::SECOND};

impl Template {
    /// An interval in the form of the template.
    ///
    /// Errors: 22007 for a field that only a date has.
    pub(super) fn format_interval(&self, interval: IntervalMonthDayNano) -> Result<String> {
        let mut text = String::new();
        for piece in self.pieces() {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Field { keyword, fill, ordinal } => {
                    let field = field(keyword, interval, *fill)?;
                    text.push_str(&field);
                    if let Some(upper) = ordinal {
                        text.push_str(&ordinal_suffix(&field, *upper));
                    }
                }
            }
        }
        Ok(text)
    }
}

/// Negative numbers have a place more, for their sign.
fn number(value: i64, width: usize, fill: bool) -> String {
    match fill {
        true => format!("{value:0width$}", width = width + usize::from(value < 0)),
        false => value.to_string(),
    }
}

fn field(keyword: &str, interval: IntervalMonthDayNano, fill: bool) -> Result<String> {
    let micros = interval_micros(interval);
    let (years, months) = (i64::from(interval.months / 12), i64::from(interval.months % 12));
    let days = i64::from(interval.days);
    let seconds = micros / SECOND;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let all_days = (years * 12 + months) * 30 + days;
    let half_day = |words: [&str; 2]| words[usize::from(hours % 24 >= 12)].to_string();
    Ok(match keyword {
        "HH24" => number(hours, 2, fill),
        "HH12" | "HH" => number(if hours % 12 == 0 { 12 } else { hours % 12 }, 2, fill),
        "MI" => number(minutes, 2, fill),
        "SS" => number(seconds % 60, 2, fill),
        "SSSS" | "SSSSS" => seconds.to_string(),
        "MS" => format!("{:03}", micros % SECOND / 1000),
        "US" => format!("{:06}", micros % SECOND),
        "AM" | "PM" => half_day(["AM", "PM"]),
        "am" | "pm" => half_day(["am", "pm"]),
        "A.M." | "P.M." => half_day(["A.M.", "P.M."]),
        "a.m." | "p.m." => half_day(["a.m.", "p.m."]),
        "YYYY" => number(years, 4, fill),
        "YYY" => number(years % 1000, 3, fill),
        "YY" => number(years % 100, 2, fill),
        "Y" => (years % 10).to_string(),
        "Y,YYY" => format!("{},{:03}", years / 1000, years % 1000),
        "MM" => number(months, 2, fill),
        // Here a sign takes a digit's place.
        "DDD" if fill => format!("{all_days:03}"),
        "DDD" => all_days.to_string(),
        "DD" if fill => format!("{days:02}"),
        "DD" => days.to_string(),
        "WW" => number((all_days - 1) / 7 + 1, 2, fill),
        "W" => ((days - 1) / 7 + 1).to_string(),
        "CC" => number(years / 100, 2, fill),
        "Q" if months == 0 => String::new(),
        "Q" => ((months - 1) / 3 + 1).to_string(),
        "J" | "IYYY" => {
            let message = format!("to_char(interval, '{keyword}') is not supported");
            return Err(ErrorReport::unsupported(message));
        }
        _ => {
            let message = "invalid format specification for an interval value";
            return Err(ErrorReport::new(SqlState::INVALID_DATETIME_FORMAT, message)
                .hint("Intervals are not tied to specific calendar dates."));
        }
    })
}
