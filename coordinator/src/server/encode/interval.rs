//! interval in IntervalStyle postgres (PostgreSQL's `EncodeInterval`, datetime.c).

use arrow::datatypes::IntervalMonthDayNano;
use bytes::{BufMut, BytesMut};

use super::{datetime, integer};

/// Appends `1 year 2 mons 3 days 04:05:06.7`. Every field has its own sign; one that is positive
/// behind a negative one says so.
pub(super) fn put(out: &mut BytesMut, value: IntervalMonthDayNano) {
    let micros = value.nanoseconds / 1_000;
    let fields = [(value.months / 12, "year"), (value.months % 12, "mon"), (value.days, "day")];
    let mut empty = true;
    let mut after_negative = false;
    for (number, unit) in fields.into_iter().filter(|(number, _)| *number != 0) {
        if !empty {
            out.put_u8(b' ');
        }
        if after_negative && number > 0 {
            out.put_u8(b'+');
        }
        integer::put_signed(out, i64::from(number));
        out.put_u8(b' ');
        out.put_slice(unit.as_bytes());
        if number != 1 {
            out.put_u8(b's');
        }
        after_negative = number < 0;
        empty = false;
    }
    if !empty && micros == 0 {
        return;
    }
    if !empty {
        out.put_u8(b' ');
    }
    if micros < 0 {
        out.put_u8(b'-');
    } else if after_negative {
        out.put_u8(b'+');
    }
    let absolute = micros.unsigned_abs();
    let seconds = absolute / 1_000_000;
    integer::put(out, seconds / 3_600, 2);
    out.put_u8(b':');
    integer::put(out, seconds / 60 % 60, 2);
    out.put_u8(b':');
    integer::put(out, seconds % 60, 2);
    datetime::put_fraction(out, absolute % 1_000_000);
}
