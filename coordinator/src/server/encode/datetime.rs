//! Dates and times in ISO style (PostgreSQL's `EncodeDateOnly`, `EncodeDateTime`, datetime.c).

use bytes::{BufMut, BytesMut};
use kestrel_planner::functions::Zone;

use super::integer;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Appends a date, given in days since 1970-01-01.
pub(super) fn put_date(out: &mut BytesMut, days: i32) {
    if put_infinity(out, days == i32::MIN, days == i32::MAX) {
        return;
    }
    let before_christ = put_day(out, i64::from(days));
    put_era(out, before_christ);
}

/// Appends a time of day, given in microseconds; `24:00:00` is one.
pub(super) fn put_time(out: &mut BytesMut, micros: i64) {
    let seconds = micros.div_euclid(MICROS_PER_SECOND).unsigned_abs();
    integer::put(out, seconds / 3_600, 2);
    out.put_u8(b':');
    integer::put(out, seconds / 60 % 60, 2);
    out.put_u8(b':');
    integer::put(out, seconds % 60, 2);
    put_fraction(out, micros.rem_euclid(MICROS_PER_SECOND).unsigned_abs());
}

/// Appends a timestamp, given in microseconds since 1970-01-01.
pub(super) fn put_timestamp(out: &mut BytesMut, micros: i64) {
    if put_infinity(out, micros == i64::MIN, micros == i64::MAX) {
        return;
    }
    let before_christ = put_day(out, micros.div_euclid(MICROS_PER_DAY));
    out.put_u8(b' ');
    put_time(out, micros.rem_euclid(MICROS_PER_DAY));
    put_era(out, before_christ);
}

/// Appends a timestamp with time zone, given in microseconds since 1970-01-01 UTC, as the clock
/// of `zone` shows it, with the zone's offset at that time.
pub(super) fn put_timestamptz(out: &mut BytesMut, micros: i64, zone: Zone) {
    if put_infinity(out, micros == i64::MIN, micros == i64::MAX) {
        return;
    }
    let offset = zone.offset_seconds(micros);
    let local = micros.saturating_add(offset * MICROS_PER_SECOND);
    let before_christ = put_day(out, local.div_euclid(MICROS_PER_DAY));
    out.put_u8(b' ');
    put_time(out, local.rem_euclid(MICROS_PER_DAY));
    put_offset(out, offset);
    put_era(out, before_christ);
}

/// Appends `.` and the fraction of a second without its trailing zeros; nothing for none.
pub(super) fn put_fraction(out: &mut BytesMut, mut micros: u64) {
    if micros == 0 {
        return;
    }
    let mut width = 6;
    while micros.is_multiple_of(10) {
        micros /= 10;
        width -= 1;
    }
    out.put_u8(b'.');
    integer::put(out, micros, width);
}

fn put_infinity(out: &mut BytesMut, negative: bool, positive: bool) -> bool {
    if negative {
        out.put_slice(b"-infinity");
    } else if positive {
        out.put_slice(b"infinity");
    }
    negative || positive
}

/// Appends `YYYY-MM-DD`; whether the year is before Christ, which goes behind the time.
fn put_day(out: &mut BytesMut, days: i64) -> bool {
    let (year, month, day) = civil(days);
    // There is no year zero: the year before 1 is 1 BC.
    let (shown, before_christ) = if year > 0 { (year, false) } else { (1 - year, true) };
    integer::put(out, shown.unsigned_abs(), 4);
    out.put_u8(b'-');
    integer::put(out, month, 2);
    out.put_u8(b'-');
    integer::put(out, day, 2);
    before_christ
}

fn put_era(out: &mut BytesMut, before_christ: bool) {
    if before_christ {
        out.put_slice(b" BC");
    }
}

fn put_offset(out: &mut BytesMut, offset: i64) {
    out.put_u8(if offset < 0 { b'-' } else { b'+' });
    let seconds = offset.unsigned_abs();
    integer::put(out, seconds / 3_600, 2);
    if seconds.is_multiple_of(3_600) {
        return;
    }
    out.put_u8(b':');
    integer::put(out, seconds / 60 % 60, 2);
    if !seconds.is_multiple_of(60) {
        out.put_u8(b':');
        integer::put(out, seconds % 60, 2);
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil(days: i64) -> (i64, u64, u64) {
    const DAYS_PER_ERA: i64 = 146_097;
    // Counted from 0000-03-01, so that the leap day is the last of its year.
    let days = days + 719_468;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month.unsigned_abs(), day.unsigned_abs())
}
