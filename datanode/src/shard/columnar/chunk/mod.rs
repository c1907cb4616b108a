//! A column of a row group in memory: a plain form, every integer as an `i64`.

use std::ops::Range;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, StringViewArray, UInt32Array},
    buffer::{NullBuffer, ScalarBuffer},
    compute::take,
    datatypes::{
        DataType, Date32Type, Decimal128Type, Int16Type, Int32Type, Int64Type,
        Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
    },
};
use kestrel_proto::Result;

/// Rows that one zone covers: chunks carry least and greatest per zone.
pub(crate) const ZONE_ROWS: usize = 8192;

/// One column of one row group, decoded. Immutable, shared.
#[derive(Debug)]
pub(crate) struct Chunk {
    array: ArrayRef,
    values: Values,
    zones: Option<Vec<Zone>>,
}

/// What a chunk's values look like in memory.
#[derive(Debug)]
#[allow(dead_code, reason = "the narrow forms are made elsewhere")]
pub(crate) enum Values {
    /// value = base + offset.
    U8 { base: i64, offsets: ScalarBuffer<u8> },
    /// value = base + offset.
    U16 { base: i64, offsets: ScalarBuffer<u16> },
    /// value = base + offset.
    U32 { base: i64, offsets: ScalarBuffer<u32> },
    /// The values.
    I64(ScalarBuffer<i64>),
    /// Strings with few distinct values.
    Coded { dictionary: StringViewArray, codes: ScalarBuffer<u8> },
    /// Anything else.
    Plain(ArrayRef),
}

/// What is known of a zone's values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zone {
    /// The least that is not NULL; all NULL: more than `max`.
    pub(crate) min: i64,
    /// The greatest.
    pub(crate) max: i64,
    /// NULLs.
    pub(crate) nulls: usize,
    /// Rows.
    pub(crate) rows: usize,
}

impl Chunk {
    pub(crate) fn encode(array: &ArrayRef) -> Result<Self> {
        let integers = integers(array);
        let zones = integers.as_ref().map(zones);
        let values = match integers {
            Some(integers) => Values::I64(integers.values().clone()),
            None => Values::Plain(ArrayRef::clone(array)),
        };
        Ok(Self { array: ArrayRef::clone(array), values, zones })
    }

    pub(crate) fn rows(&self) -> usize {
        self.array.len()
    }

    pub(crate) fn data_type(&self) -> &DataType {
        self.array.data_type()
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    pub(crate) fn nulls(&self) -> Option<&NullBuffer> {
        self.array.nulls()
    }

    pub(crate) fn zones(&self) -> Option<&[Zone]> {
        self.zones.as_deref()
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> ArrayRef {
        self.array.slice(range.start, range.len())
    }

    pub(crate) fn take(&self, range: Range<usize>, positions: &[u32]) -> ArrayRef {
        let slice = self.slice(range);
        let positions = UInt32Array::from(positions.to_vec());
        take(&slice, &positions, None).unwrap_or(slice)
    }

    pub(crate) fn raw_slice(&self, range: Range<usize>) -> Option<Int64Array> {
        integers(&self.slice(range))
    }

    pub(crate) fn raw_take(&self, range: Range<usize>, positions: &[u32]) -> Option<Int64Array> {
        integers(&self.take(range, positions))
    }
}

fn zones(integers: &Int64Array) -> Vec<Zone> {
    let zones = (0..integers.len()).step_by(ZONE_ROWS).map(|from| {
        let zone = integers.slice(from, ZONE_ROWS.min(integers.len() - from));
        Zone {
            min: zone.iter().flatten().min().unwrap_or(i64::MAX),
            max: zone.iter().flatten().max().unwrap_or(i64::MIN),
            nulls: zone.null_count(),
            rows: zone.len(),
        }
    });
    zones.collect()
}

fn integers(array: &ArrayRef) -> Option<Int64Array> {
    let values: ScalarBuffer<i64> = match array.data_type() {
        DataType::Int16 => {
            array.as_primitive::<Int16Type>().values().iter().map(|v| i64::from(*v)).collect()
        }
        DataType::Int32 => {
            array.as_primitive::<Int32Type>().values().iter().map(|v| i64::from(*v)).collect()
        }
        DataType::Date32 => {
            array.as_primitive::<Date32Type>().values().iter().map(|v| i64::from(*v)).collect()
        }
        DataType::Int64 => array.as_primitive::<Int64Type>().values().clone(),
        DataType::Time64(TimeUnit::Microsecond) => {
            array.as_primitive::<Time64MicrosecondType>().values().clone()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().values().clone()
        }
        DataType::Decimal128(precision, _) if *precision <= 18 => {
            array.as_primitive::<Decimal128Type>().values().iter().map(|v| *v as i64).collect()
        }
        _ => return None,
    };
    Some(Int64Array::new(values, array.nulls().cloned()))
}
