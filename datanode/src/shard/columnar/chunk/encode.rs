//! From Arrow's arrays to chunks.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray},
    buffer::{NullBuffer, ScalarBuffer},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Int16Type, Int32Type, Int64Type,
        Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
    },
};
use kestrel_proto::{ErrorReport, Result};

use super::{Chunk, Values, ZONE_ROWS, Zone, strings};

/// Decimals of so many digits fit into an `i64`.
const DIGITS_OF_I64: u8 = 18;

/// See [`Chunk::encode`].
pub(super) fn encode(array: &ArrayRef) -> Result<Chunk> {
    if u32::try_from(array.len()).is_err() {
        let text = format!("a row group of {} rows is too large", array.len());
        return Err(ErrorReport::internal(text));
    }
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
    let (values, zones) = match integers_of(array) {
        Some(integers) => {
            let zones = zones(&integers, nulls.as_ref());
            (narrowed(integers, nulls.as_ref(), &zones), Some(zones.into()))
        }
        None => (coded_or_plain(array), None),
    };
    Ok(Chunk { data_type: array.data_type().clone(), rows: array.len(), values, nulls, zones })
}

/// See [`Zone::of`].
pub(super) fn zone(array: &ArrayRef) -> Option<Zone> {
    let integers = integers_of(array)?;
    Some(zone_in(&integers, array.nulls().filter(|nulls| nulls.null_count() > 0)))
}

fn coded_or_plain(array: &ArrayRef) -> Values {
    let Some(array) = array.as_string_view_opt() else {
        return Values::Plain(Arc::clone(array));
    };
    strings::coded(array).unwrap_or_else(|| Values::Plain(Arc::new(strings::compact(array))))
}

/// The values of a type that chunks hold as integers, unscaled; `None`: another type, or a decimal
/// that has more digits than its type says.
fn integers_of(array: &ArrayRef) -> Option<Vec<i64>> {
    match array.data_type() {
        DataType::Int16 => widened::<Int16Type>(array),
        DataType::Int32 => widened::<Int32Type>(array),
        DataType::Date32 => widened::<Date32Type>(array),
        DataType::Int64 => widened::<Int64Type>(array),
        DataType::Time64(TimeUnit::Microsecond) => widened::<Time64MicrosecondType>(array),
        DataType::Timestamp(TimeUnit::Microsecond, _) => widened::<TimestampMicrosecondType>(array),
        DataType::Decimal128(precision, _) if *precision <= DIGITS_OF_I64 => {
            let values = array.as_primitive_opt::<Decimal128Type>()?.values();
            // Where a row is NULL the value may be anything; it is replaced later.
            let lost = values.iter().fold(0, |lost, v| lost | (*v ^ i128::from(*v as i64)));
            let fits = |(row, v): (usize, &i128)| array.is_null(row) || i64::try_from(*v).is_ok();
            (lost == 0 || values.iter().enumerate().all(fits))
                .then(|| values.iter().map(|v| *v as i64).collect())
        }
        _ => None,
    }
}

fn widened<T: ArrowPrimitiveType<Native: Into<i64>>>(array: &ArrayRef) -> Option<Vec<i64>> {
    let values = array.as_primitive_opt::<T>()?.values();
    Some(values.iter().map(|value| (*value).into()).collect())
}

fn zones(values: &[i64], nulls: Option<&NullBuffer>) -> Vec<Zone> {
    let zone = |(at, values): (usize, &[i64])| {
        let nulls = nulls.map(|nulls| nulls.slice(at * ZONE_ROWS, values.len()));
        zone_in(values, nulls.as_ref())
    };
    values.chunks(ZONE_ROWS).enumerate().map(zone).collect()
}

fn zone_in(values: &[i64], nulls: Option<&NullBuffer>) -> Zone {
    match nulls {
        None => zone_of(values.iter().copied(), values.len()),
        Some(nulls) => {
            let valid = values.iter().zip(nulls.iter()).filter(|(_, is_valid)| *is_valid);
            zone_of(valid.map(|(value, _)| *value), values.len())
        }
    }
}

fn zone_of(valid: impl Iterator<Item = i64>, rows: usize) -> Zone {
    let mut zone = Zone { min: i64::MAX, max: i64::MIN, nulls: rows, rows };
    for value in valid {
        zone.min = zone.min.min(value);
        zone.max = zone.max.max(value);
        zone.nulls -= 1;
    }
    zone
}

/// The integers as offsets that are as narrow as their range allows.
fn narrowed(mut values: Vec<i64>, nulls: Option<&NullBuffer>, zones: &[Zone]) -> Values {
    let least = zones.iter().map(|zone| zone.min).min().unwrap_or(0);
    let greatest = zones.iter().map(|zone| zone.max).max().unwrap_or(0);
    let range = if least <= greatest { least..greatest } else { 0..0 };
    if let Some(nulls) = nulls {
        for (value, is_valid) in values.iter_mut().zip(nulls.iter()) {
            if !is_valid {
                *value = range.start;
            }
        }
    }
    of_range(values, &range)
}

/// `range`: the least and the greatest of the values.
fn of_range(values: Vec<i64>, range: &Range<i64>) -> Values {
    let base = range.start;
    let offset = |value: &i64| value.wrapping_sub(base);
    match range.end.wrapping_sub(base) as u64 {
        0..=0xff => {
            let offsets = values.iter().map(|v| offset(v) as u8).collect();
            Values::U8 { base, offsets }
        }
        0x100..=0xffff => {
            let offsets = values.iter().map(|v| offset(v) as u16).collect();
            Values::U16 { base, offsets }
        }
        0x1_0000..=0xffff_ffff => {
            let offsets = values.iter().map(|v| offset(v) as u32).collect();
            Values::U32 { base, offsets }
        }
        _ => Values::I64(ScalarBuffer::from(values)),
    }
}
