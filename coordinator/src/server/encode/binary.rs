//! Values in binary format, as PostgreSQL's send functions write them: big-endian, dates and
//! times counted from 2000-01-01.

use bytes::{BufMut, BytesMut};

use super::values::{Elements, Values};
use super::{POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS, numeric, set_length, text};

/// What `jsonb_send` begins with.
const JSONB_VERSION: u8 = 1;

/// Appends one value behind its length; `row` is not null. What has always the same length is
/// copied together with it.
pub(super) fn put(values: &Values<'_>, row: usize, out: &mut BytesMut) {
    match values {
        Values::SmallInt(values) => put_2(values[row].to_be_bytes(), out),
        Values::Integer(values) => put_4(values[row].to_be_bytes(), out),
        Values::BigInt(values) | Values::Time(values) => put_8(values[row].to_be_bytes(), out),
        Values::Oid(values) => put_4((values[row] as u32).to_be_bytes(), out),
        Values::Real(values) => put_4(values[row].to_be_bytes(), out),
        Values::Double(values) => put_8(values[row].to_be_bytes(), out),
        Values::Numeric(values, scale) => numeric::put_binary(out, values[row], *scale),
        Values::Boolean(values) => put_bytes(&[u8::from(values.value(row))], out),
        Values::Text(values) => put_bytes(values.value(row).as_bytes(), out),
        Values::Char(values, length) => put_char(values.value(row), *length, out),
        Values::Date(values) => {
            let days = match values[row] {
                // The ends of the range are PostgreSQL's infinities in either count.
                infinity @ (i32::MIN | i32::MAX) => infinity,
                days => days.saturating_sub(POSTGRES_EPOCH_DAYS),
            };
            put_4(days.to_be_bytes(), out);
        }
        Values::Timestamp(values) | Values::TimestampTz(values) => {
            let micros = match values[row] {
                infinity @ (i64::MIN | i64::MAX) => infinity,
                micros => micros.saturating_sub(POSTGRES_EPOCH_MICROS),
            };
            put_8(micros.to_be_bytes(), out);
        }
        Values::Interval(values) => {
            let value = values[row];
            out.put_i32(16);
            out.put_i64(value.nanoseconds / 1_000);
            out.put_i32(value.days);
            out.put_i32(value.months);
        }
        Values::Uuid(values) => put_bytes(values.value(row), out),
        Values::Bytea(values) => put_bytes(values.value(row), out),
        Values::Jsonb(values) => {
            let value = values.value(row).as_bytes();
            put_length(value.len() + 1, out);
            out.put_u8(JSONB_VERSION);
            out.put_slice(value);
        }
        Values::Array(elements) => put_array(elements, row, 1, out),
        Values::Vector(elements) => put_array(elements, row, 0, out),
    }
}

fn put_2([a, b]: [u8; 2], out: &mut BytesMut) {
    out.extend_from_slice(&[0, 0, 0, 2, a, b]);
}

fn put_4([a, b, c, d]: [u8; 4], out: &mut BytesMut) {
    out.extend_from_slice(&[0, 0, 0, 4, a, b, c, d]);
}

fn put_8([a, b, c, d, e, f, g, h]: [u8; 8], out: &mut BytesMut) {
    out.extend_from_slice(&[0, 0, 0, 8, a, b, c, d, e, f, g, h]);
}

fn put_bytes(value: &[u8], out: &mut BytesMut) {
    put_length(value.len(), out);
    out.extend_from_slice(value);
}

/// A length that does not fit belongs to a row that is too long for its message, which is refused.
fn put_length(length: usize, out: &mut BytesMut) {
    out.extend_from_slice(&(length as i32).to_be_bytes());
}

fn put_char(value: &str, length: u32, out: &mut BytesMut) {
    match (value.as_bytes(), length) {
        (&[byte], 1) => out.extend_from_slice(&[0, 0, 0, 1, byte]),
        _ => {
            let missing = text::missing_blanks(value, length);
            put_length(value.len() + missing, out);
            out.extend_from_slice(value.as_bytes());
            text::put_blanks(missing, out);
        }
    }
}

/// `array_send` (arrayfuncs.c): dimensions (none for an empty array), whether there are NULLs, the
/// elements' type; of the one dimension the length and lower bound; each element with its length.
/// Vectors, whose lower bound is 0, have their dimension also when they are empty.
fn put_array(elements: &Elements<'_>, row: usize, lower_bound: i32, out: &mut BytesMut) {
    let range = elements.of_row(row);
    let has_dimension = lower_bound == 0 || !range.is_empty();
    let start = out.len();
    out.put_i32(0);
    out.put_i32(i32::from(has_dimension));
    out.put_i32(i32::from(range.clone().any(|position| elements.is_null(position))));
    out.put_u32(elements.oid);
    if has_dimension {
        out.put_i32(range.len() as i32);
        out.put_i32(lower_bound);
        for position in range {
            match elements.is_null(position) {
                true => out.put_i32(-1),
                false => put(&elements.values, position, out),
            }
        }
    }
    set_length(out, start, out.len() - start - 4);
}
