//! Dates, times and timestamps to text in every `DateStyle` (PostgreSQL's `EncodeDateOnly` and
//! `EncodeDateTime`, datetime.c).

use super::output::push;
use crate::functions::{
    civil::{Civil, DAY, SECOND, civil_from_days},
    formats::{DateOrder, DateStyle, DateStyleFormat},
    zone::Zone,
};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// 1970-01-01 was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A date (`date_out`), in days since 1970.
pub fn date(days: i32, style: DateStyle) -> String {
    let (civil, bc) = calendar(i64::from(days));
    let mut text = match (style.format, style.order) {
        (DateStyleFormat::Postgres, DateOrder::Dmy) => {
            format!("{:02}-{:02}-{:04}", civil.day, civil.month, civil.year)
        }
        (DateStyleFormat::Postgres, _) => {
            format!("{:02}-{:02}-{:04}", civil.month, civil.day, civil.year)
        }
        _ => day(civil, style),
    };
    text.push_str(bc);
    text
}

/// A time of day (`time_out`), in microseconds.
pub fn time(micros: i64) -> String {
    let mut text = String::with_capacity(15);
    push_clock(&mut text, micros.unsigned_abs());
    text
}

/// A timestamp (`timestamp_out`), in microseconds since 1970.
pub fn timestamp(micros: i64, style: DateStyle) -> String {
    let (mut text, bc) = moment(micros, style);
    text.push_str(bc);
    text
}

/// A timestamptz (`timestamptz_out`), in microseconds since 1970 UTC, on the wall clock of `zone`: with
/// its offset in style ISO, else with its name.
pub fn timestamp_tz(micros: i64, style: DateStyle, zone: Zone) -> String {
    let offset = zone.offset_seconds(micros);
    let (mut text, bc) = moment(micros.saturating_add(offset * SECOND), style);
    match style.format {
        DateStyleFormat::Iso => push_offset(&mut text, offset),
        DateStyleFormat::Sql | DateStyleFormat::Postgres | DateStyleFormat::German => {
            push(&mut text, format_args!(" {}", zone.abbreviation(micros)));
        }
    }
    text.push_str(bc);
    text
}

/// A local time without its era.
fn moment(micros: i64, style: DateStyle) -> (String, &'static str) {
    let (days, clock) = (micros.div_euclid(DAY), micros.rem_euclid(DAY).unsigned_abs());
    let (civil, bc) = calendar(days);
    if style.format != DateStyleFormat::Postgres {
        let mut text = day(civil, style);
        text.push(' ');
        push_clock(&mut text, clock);
        return (text, bc);
    }
    let name = |names: &[&'static str], at: i64| {
        usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default()
    };
    let (weekday, month) = (name(&WEEKDAYS, days.rem_euclid(7)), name(&MONTHS, civil.month - 1));
    let mut text = match style.order {
        DateOrder::Dmy => format!("{weekday} {:02} {month} ", civil.day),
        DateOrder::Mdy | DateOrder::Ymd => format!("{weekday} {month} {:02} ", civil.day),
    };
    push_clock(&mut text, clock);
    push(&mut text, format_args!(" {:04}", civil.year));
    (text, bc)
}

/// The day, as the styles write it in which it stands before the time.
fn day(civil: Civil, style: DateStyle) -> String {
    let Civil { year, month, day } = civil;
    match (style.format, style.order) {
        (DateStyleFormat::Sql, DateOrder::Dmy) => format!("{day:02}/{month:02}/{year:04}"),
        (DateStyleFormat::Sql, _) => format!("{month:02}/{day:02}/{year:04}"),
        (DateStyleFormat::German, _) => format!("{day:02}.{month:02}.{year:04}"),
        (DateStyleFormat::Iso | DateStyleFormat::Postgres, _) => {
            format!("{year:04}-{month:02}-{day:02}")
        }
    }
}

/// The day with a year from 1 on, and ` BC` for years before that.
fn calendar(days: i64) -> (Civil, &'static str) {
    let civil = civil_from_days(days);
    match civil.year > 0 {
        true => (civil, ""),
        false => (Civil { year: 1 - civil.year, ..civil }, " BC"),
    }
}

/// `+HH[:MM[:SS]]`
fn push_offset(text: &mut String, offset: i64) {
    text.push(if offset < 0 { '-' } else { '+' });
    let offset = offset.abs();
    push(text, format_args!("{:02}", offset / 3600));
    if offset % 3600 != 0 {
        push(text, format_args!(":{:02}", offset / 60 % 60));
    }
    if offset % 60 != 0 {
        push(text, format_args!(":{:02}", offset % 60));
    }
}

/// `HH:MM:SS[.ffffff]`, no zeros at the end of the fraction.
pub(super) fn push_clock(text: &mut String, micros: u64) {
    let seconds = micros / 1_000_000;
    push(text, format_args!("{:02}:{:02}:", seconds / 3600, seconds / 60 % 60));
    push_seconds(text, micros % 60_000_000, 2);
}

/// Seconds with their fraction, at least `width` digits before the point.
pub(super) fn push_seconds(text: &mut String, micros: u64, width: usize) {
    push(text, format_args!("{:0width$}", micros / 1_000_000));
    let fraction = micros % 1_000_000;
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        push(text, format_args!(".{}", digits.trim_end_matches('0')));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::cast::parse_timestamp_tz;

    #[test]
    fn styles() {
        let moment = parse_timestamp_tz("1997-12-07 07:37:16.5+00").unwrap();
        let before = parse_timestamp_tz("0044-03-15 00:00:00+00 BC").unwrap();
        let zone = Zone::named("America/Los_Angeles").unwrap();
        for (style, day, stamp, zoned) in [
            ("ISO, DMY", "1997-12-07", "1997-12-07 07:37:16.5", "1997-12-06 23:37:16.5-08"),
            ("SQL, MDY", "12/07/1997", "12/07/1997 07:37:16.5", "12/06/1997 23:37:16.5 PST"),
            ("SQL, DMY", "07/12/1997", "07/12/1997 07:37:16.5", "06/12/1997 23:37:16.5 PST"),
            ("SQL, YMD", "12/07/1997", "12/07/1997 07:37:16.5", "12/06/1997 23:37:16.5 PST"),
            ("German, MDY", "07.12.1997", "07.12.1997 07:37:16.5", "06.12.1997 23:37:16.5 PST"),
            (
                "Postgres, MDY",
                "12-07-1997",
                "Sun Dec 07 07:37:16.5 1997",
                "Sat Dec 06 23:37:16.5 1997 PST",
            ),
            (
                "Postgres, DMY",
                "07-12-1997",
                "Sun 07 Dec 07:37:16.5 1997",
                "Sat 06 Dec 23:37:16.5 1997 PST",
            ),
        ] {
            let style = DateStyle::default().changed(style).unwrap();
            assert_eq!(date(moment.div_euclid(DAY) as i32, style), day, "{style}");
            assert_eq!(timestamp(moment, style), stamp, "{style}");
            assert_eq!(timestamp_tz(moment, style, zone), zoned, "{style}");
        }
        let style = DateStyle::default().changed("Postgres").unwrap();
        assert_eq!(timestamp(before, style), "Fri Mar 15 00:00:00 0044 BC");
        assert_eq!(date(before.div_euclid(DAY) as i32, style), "03-15-0044 BC");
    }
}
