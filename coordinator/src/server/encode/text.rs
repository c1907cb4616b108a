//! Values in text format, as PostgreSQL 15's output functions write them.

use bytes::{BufMut, BytesMut};
use kestrel_planner::functions::{
    ByteaOutput, DateStyleFormat, IntervalStyle, SessionFormats, output,
};

use super::values::{Elements, Values};
use super::{datetime, float, integer, interval, numeric};

/// Appends one value; `row` is not null. The styles that sessions have by default are written here,
/// the others are those of casts to text.
pub(super) fn put(values: &Values<'_>, row: usize, style: &SessionFormats, out: &mut BytesMut) {
    match values {
        Values::SmallInt(values) => integer::put_signed(out, i64::from(values[row])),
        Values::Integer(values) => integer::put_signed(out, i64::from(values[row])),
        Values::BigInt(values) | Values::Oid(values) => integer::put_signed(out, values[row]),
        Values::Real(values) if style.extra_float_digits > 0 => float::put_f32(out, values[row]),
        Values::Real(values) => {
            put_text(out, &output::real(values[row], style.extra_float_digits));
        }
        Values::Double(values) if style.extra_float_digits > 0 => {
            float::put_f64(out, values[row]);
        }
        Values::Double(values) => {
            put_text(out, &output::double(values[row], style.extra_float_digits));
        }
        Values::Numeric(values, scale) => numeric::put_text(out, values[row], *scale),
        Values::Boolean(values) => out.put_u8(if values.value(row) { b't' } else { b'f' }),
        Values::Text(values) | Values::Jsonb(values) => put_text(out, values.value(row)),
        Values::Char(values, length) => put_padded(out, values.value(row), *length),
        Values::Date(values) => put_date(out, values[row], style),
        Values::Time(values) => datetime::put_time(out, values[row]),
        Values::Timestamp(values) => put_timestamp(out, values[row], style),
        Values::TimestampTz(values) => put_timestamptz(out, values[row], style),
        Values::Interval(values) => match style.interval_style {
            IntervalStyle::Postgres => interval::put(out, values[row]),
            other => put_text(out, &output::interval(values[row], other)),
        },
        Values::Uuid(values) => put_uuid(out, values.value(row)),
        Values::Bytea(values) => put_bytea(out, values.value(row), style.bytea_output),
        Values::Array(elements) => put_array(elements, row, style, out),
        Values::Vector(elements) => put_vector(elements, row, style, out),
    }
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_slice(text.as_bytes());
}

fn put_date(out: &mut BytesMut, days: i32, style: &SessionFormats) {
    let is_infinite = matches!(days, i32::MIN | i32::MAX);
    match style.date_style.format {
        DateStyleFormat::Iso => datetime::put_date(out, days),
        _ if is_infinite => datetime::put_date(out, days),
        _ => put_text(out, &output::date(days, style.date_style)),
    }
}

fn put_timestamp(out: &mut BytesMut, micros: i64, style: &SessionFormats) {
    let is_infinite = matches!(micros, i64::MIN | i64::MAX);
    match style.date_style.format {
        DateStyleFormat::Iso => datetime::put_timestamp(out, micros),
        _ if is_infinite => datetime::put_timestamp(out, micros),
        _ => put_text(out, &output::timestamp(micros, style.date_style)),
    }
}

fn put_timestamptz(out: &mut BytesMut, micros: i64, style: &SessionFormats) {
    let is_infinite = matches!(micros, i64::MIN | i64::MAX);
    match style.date_style.format {
        DateStyleFormat::Iso => datetime::put_timestamptz(out, micros, style.zone),
        _ if is_infinite => datetime::put_timestamptz(out, micros, style.zone),
        _ => put_text(out, &output::timestamp_tz(micros, style.date_style, style.zone)),
    }
}

fn put_bytea(out: &mut BytesMut, bytes: &[u8], format: ByteaOutput) {
    match format {
        ByteaOutput::Hex => {
            out.put_slice(b"\\x");
            put_hex(out, bytes);
        }
        ByteaOutput::Escape => put_text(out, &output::bytea(bytes, format)),
    }
}

/// `array_out` (arrayfuncs.c): `{1,NULL,"a b"}`.
fn put_array(elements: &Elements<'_>, row: usize, style: &SessionFormats, out: &mut BytesMut) {
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

/// `int2vectorout` (int.c), `oidvectorout` (oid.c): `1 2`.
fn put_vector(elements: &Elements<'_>, row: usize, style: &SessionFormats, out: &mut BytesMut) {
    for (at, position) in elements.of_row(row).enumerate() {
        if at > 0 {
            out.put_u8(b' ');
        }
        put(&elements.values, position, style, out);
    }
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

/// Appends char(n): held without its trailing blanks, shown with them.
fn put_padded(out: &mut BytesMut, value: &str, length: u32) {
    out.extend_from_slice(value.as_bytes());
    put_blanks(missing_blanks(value, length), out);
}

/// How many blanks a value of char(n) is shown with that it is not held with. n counts characters.
pub(super) fn missing_blanks(value: &str, length: u32) -> usize {
    // Counting is needed only where the bytes do not already tell that the value is short.
    let characters = if value.is_ascii() { value.len() } else { value.chars().count() };
    (length as usize).saturating_sub(characters)
}

/// Appends blanks.
pub(super) fn put_blanks(count: usize, out: &mut BytesMut) {
    const BLANKS: [u8; 32] = [b' '; 32];
    match BLANKS.get(..count) {
        Some(blanks) => out.extend_from_slice(blanks),
        None => out.put_bytes(b' ', count),
    }
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
