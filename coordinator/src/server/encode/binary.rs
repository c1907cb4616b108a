//! Values in binary format, as PostgreSQL's send functions write them: big-endian, dates and
//! times counted from 2000-01-01.

use bytes::{BufMut, BytesMut};

use super::values::{Elements, Values};
use super::{POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS, numeric, set_length, text};

/// What `jsonb_send` begins with.
const JSONB_VERSION: u8 = 1;

/// Appends one value; `row` is not null.
pub(super) fn put(values: &Values<'_>, row: usize, out: &mut BytesMut) {
    match values {
        Values::SmallInt(values) => out.put_i16(values[row]),
        Values::Integer(values) => out.put_i32(values[row]),
        Values::BigInt(values) => out.put_i64(values[row]),
        Values::Oid(values) => out.put_u32(values[row] as u32),
        Values::Real(values) => out.put_f32(values[row]),
        Values::Double(values) => out.put_f64(values[row]),
        Values::Numeric(values, scale) => numeric::put_binary(out, values[row], *scale),
        Values::Boolean(values) => out.put_u8(u8::from(values.value(row))),
        Values::Text(values) => out.put_slice(values.value(row).as_bytes()),
        Values::Char(values, length) => text::put_padded(out, values.value(row), *length),
        Values::Date(values) => out.put_i32(match values[row] {
            // The ends of the range are PostgreSQL's infinities in either count.
            infinity @ (i32::MIN | i32::MAX) => infinity,
            days => days.saturating_sub(POSTGRES_EPOCH_DAYS),
        }),
        Values::Time(values) => out.put_i64(values[row]),
        Values::Timestamp(values) | Values::TimestampTz(values) => out.put_i64(match values[row] {
            infinity @ (i64::MIN | i64::MAX) => infinity,
            micros => micros.saturating_sub(POSTGRES_EPOCH_MICROS),
        }),
        Values::Interval(values) => {
            let value = values[row];
            out.put_i64(value.nanoseconds / 1_000);
            out.put_i32(value.days);
            out.put_i32(value.months);
        }
        Values::Uuid(values) => out.put_slice(values.value(row)),
        Values::Bytea(values) => out.put_slice(values.value(row)),
        Values::Jsonb(values) => {
            out.put_u8(JSONB_VERSION);
            out.put_slice(values.value(row).as_bytes());
        }
        Values::Array(elements) => put_array(elements, row, 1, out),
        Values::Vector(elements) => put_array(elements, row, 0, out),
    }
}

/// `array_send` (arrayfuncs.c): dimensions (none for an empty array), whether there are NULLs, the
/// elements' type; of the one dimension the length and lower bound; each element with its length.
/// Vectors, whose lower bound is 0, have their dimension also when they are empty.
fn put_array(elements: &Elements<'_>, row: usize, lower_bound: i32, out: &mut BytesMut) {
    let range = elements.of_row(row);
    let has_dimension = lower_bound == 0 || !range.is_empty();
    out.put_i32(i32::from(has_dimension));
    out.put_i32(i32::from(range.clone().any(|position| elements.is_null(position))));
    out.put_u32(elements.oid);
    if !has_dimension {
        return;
    }
    out.put_i32(range.len() as i32);
    out.put_i32(lower_bound);
    for position in range {
        if elements.is_null(position) {
            out.put_i32(-1);
            continue;
        }
        let length = out.len();
        out.put_i32(0);
        put(&elements.values, position, out);
        set_length(out, length, out.len() - length - 4);
    }
}
