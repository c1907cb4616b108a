//! Values in text format, as PostgreSQL 15's output functions write them.

use bytes::{BufMut, BytesMut};

use super::values::{Elements, Values};
use super::{TextStyle, datetime, float, integer, interval, numeric};

/// Appends one value; `row` is not null.
pub(super) fn put(values: &Values<'_>, row: usize, style: &TextStyle, out: &mut BytesMut) {
    match values {
        Values::SmallInt(values) => integer::put_signed(out, i64::from(values[row])),
        Values::Integer(values) => integer::put_signed(out, i64::from(values[row])),
        Values::BigInt(values) | Values::Oid(values) => integer::put_signed(out, values[row]),
        Values::Real(values) => float::put_f32(out, values[row]),
        Values::Double(values) => float::put_f64(out, values[row]),
        Values::Numeric(values, scale) => numeric::put_text(out, values[row], *scale),
        Values::Boolean(values) => out.put_u8(if values.value(row) { b't' } else { b'f' }),
        Values::Text(values) | Values::Jsonb(values) => {
            out.put_slice(values.value(row).as_bytes());
        }
        Values::Char(values, length) => put_padded(out, values.value(row), *length),
        Values::Date(values) => datetime::put_date(out, values[row]),
        Values::Time(values) => datetime::put_time(out, values[row]),
        Values::Timestamp(values) => datetime::put_timestamp(out, values[row]),
        Values::TimestampTz(values) => {
            datetime::put_timestamptz(out, values[row], style.time_zone);
        }
        Values::Interval(values) => interval::put(out, values[row]),
        Values::Uuid(values) => put_uuid(out, values.value(row)),
        Values::Bytea(values) => {
            out.put_slice(b"\\x");
            put_hex(out, values.value(row));
        }
        Values::Array(elements) => put_array(elements, row, style, out),
    }
}

/// `array_out` (arrayfuncs.c): `{1,NULL,"a b"}`.
fn put_array(elements: &Elements<'_>, row: usize, style: &TextStyle, out: &mut BytesMut) {
    out.put_u8(b'{');
    let mut element = BytesMut::new();
    for (at, position) in elements.of_row(row).enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        if elements.is_null(position) {
            out.put_slice(b"NULL");
            continue;
        }
        element.clear();
        put(&elements.values, position, style, &mut element);
        put_element(&element, out);
    }
    out.put_u8(b'}');
}

/// An element, in quotes where it would not be read back without.
fn put_element(element: &[u8], out: &mut BytesMut) {
    let special = |b: &u8| b"{},\"\\ \t\n\r\x0b\x0c".contains(b);
    let is_null = element.eq_ignore_ascii_case(b"null");
    if !element.is_empty() && !is_null && !element.iter().any(special) {
        out.put_slice(element);
        return;
    }
    out.put_u8(b'"');
    for byte in element {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(*byte);
    }
    out.put_u8(b'"');
}

/// Appends char(n): held without its trailing blanks, shown with them. n counts characters.
pub(super) fn put_padded(out: &mut BytesMut, value: &str, length: u32) {
    out.put_slice(value.as_bytes());
    // Counting is needed only where the bytes do not already tell that the value is short.
    let characters = if value.is_ascii() { value.len() } else { value.chars().count() };
    out.put_bytes(b' ', (length as usize).saturating_sub(characters));
}

fn put_uuid(out: &mut BytesMut, value: &[u8]) {
    for (i, byte) in value.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.put_u8(b'-');
        }
        put_hex(out, &[*byte]);
    }
}

fn put_hex(out: &mut BytesMut, value: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(value.len() * 2);
    for byte in value {
        out.put_u8(DIGITS[usize::from(byte >> 4)]);
        out.put_u8(DIGITS[usize::from(byte & 15)]);
    }
}
