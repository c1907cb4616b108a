//! From chunks to Arrow's arrays. One loop per width and type, over slices: the compiler makes them
//! vector instructions.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, StringViewArray, UInt32Array,
        new_empty_array,
    },
    buffer::{NullBuffer, ScalarBuffer},
    compute::take as take_kernel,
    datatypes::{
        ArrowNativeType, DataType, Date32Type, Decimal128Type, Int16Type, Int32Type, Int64Type,
        Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
    },
};

use super::{Chunk, Values};

/// Rows `range`, which are there; `nulls` are theirs.
pub(super) fn slice(chunk: &Chunk, range: Range<usize>, nulls: Option<NullBuffer>) -> ArrayRef {
    match &chunk.values {
        Values::Plain(array) => array.slice(range.start, range.len()),
        Values::Coded { dictionary, codes } => {
            let codes = codes.get(range).unwrap_or_default();
            decoded(dictionary, codes.iter().map(|code| u32::from(*code)).collect(), nulls)
        }
        _ => typed(chunk, Rows::All(range), nulls),
    }
}

/// The rows at `positions` in `range`, which are there; `nulls` are theirs.
pub(super) fn take(
    chunk: &Chunk,
    range: Range<usize>,
    positions: &[u32],
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    match &chunk.values {
        Values::Plain(array) => {
            let positions = UInt32Array::from(positions.to_vec());
            taken(array.slice(range.start, range.len()).as_ref(), &positions)
        }
        Values::Coded { dictionary, codes } => {
            let codes = at(codes.get(range).unwrap_or_default(), positions);
            decoded(dictionary, codes.map(u32::from).collect(), nulls)
        }
        _ => typed(chunk, Rows::At(range, positions), nulls),
    }
}

/// Unscaled; `None`: the values are not integers.
pub(super) fn integers(values: &Values, range: Range<usize>) -> Option<ScalarBuffer<i64>> {
    match values {
        // They are shared, not copied.
        Values::I64(values) => Some(values.slice(range.start, range.len())),
        _ => Rows::All(range).of(values),
    }
}

/// Unscaled; `None`: the values are not integers.
pub(super) fn integers_at(
    values: &Values,
    range: Range<usize>,
    positions: &[u32],
) -> Option<ScalarBuffer<i64>> {
    Rows::At(range, positions).of(values)
}

/// An array of the chunk's type from a chunk of integers.
fn typed(chunk: &Chunk, rows: Rows<'_>, nulls: Option<NullBuffer>) -> ArrayRef {
    let array = match &chunk.data_type {
        DataType::Int16 => primitive::<Int16Type>(chunk, &rows, nulls),
        DataType::Int32 => primitive::<Int32Type>(chunk, &rows, nulls),
        DataType::Date32 => primitive::<Date32Type>(chunk, &rows, nulls),
        DataType::Int64 => primitive_i64::<Int64Type>(chunk, rows, nulls),
        DataType::Time64(TimeUnit::Microsecond) => {
            primitive_i64::<Time64MicrosecondType>(chunk, rows, nulls)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            primitive_i64::<TimestampMicrosecondType>(chunk, rows, nulls)
        }
        DataType::Decimal128(..) => primitive::<Decimal128Type>(chunk, &rows, nulls),
        _ => None,
    };
    or_none(array, &chunk.data_type)
}

fn primitive<T: ArrowPrimitiveType<Native: FromInteger>>(
    chunk: &Chunk,
    rows: &Rows<'_>,
    nulls: Option<NullBuffer>,
) -> Option<ArrayRef> {
    let array = PrimitiveArray::<T>::try_new(rows.of(&chunk.values)?, nulls).ok()?;
    Some(Arc::new(array.with_data_type(chunk.data_type.clone())))
}

fn primitive_i64<T: ArrowPrimitiveType<Native = i64>>(
    chunk: &Chunk,
    rows: Rows<'_>,
    nulls: Option<NullBuffer>,
) -> Option<ArrayRef> {
    let values = match rows {
        Rows::All(range) => integers(&chunk.values, range)?,
        Rows::At(range, positions) => integers_at(&chunk.values, range, positions)?,
    };
    let array = PrimitiveArray::<T>::try_new(values, nulls).ok()?;
    Some(Arc::new(array.with_data_type(chunk.data_type.clone())))
}

/// The strings of codes.
fn decoded(dictionary: &StringViewArray, codes: Vec<u32>, nulls: Option<NullBuffer>) -> ArrayRef {
    match UInt32Array::try_new(codes.into(), nulls) {
        Ok(codes) => taken(dictionary, &codes),
        Err(_) => or_none(None, dictionary.data_type()),
    }
}

fn taken(values: &dyn Array, positions: &UInt32Array) -> ArrayRef {
    or_none(take_kernel(values, positions, None).ok(), values.data_type())
}

/// A chunk that contradicts itself, which none does, gives fewer rows than it was asked for: no
/// batch can be made of them.
fn or_none(array: Option<ArrayRef>, data_type: &DataType) -> ArrayRef {
    array.unwrap_or_else(|| new_empty_array(data_type))
}

/// Which rows of a chunk of integers.
enum Rows<'a> {
    All(Range<usize>),
    /// Positions in the range.
    At(Range<usize>, &'a [u32]),
}

impl Rows<'_> {
    /// `None`: the values are not integers.
    fn of<N: FromInteger>(&self, values: &Values) -> Option<ScalarBuffer<N>> {
        match values {
            Values::U8 { base, offsets } => self.widened(offsets, *base),
            Values::U16 { base, offsets } => self.widened(offsets, *base),
            Values::U32 { base, offsets } => self.widened(offsets, *base),
            Values::I64(values) => self.widened(values, 0),
            Values::Coded { .. } | Values::Plain(_) => None,
        }
    }

    fn widened<O, N>(&self, offsets: &[O], base: i64) -> Option<ScalarBuffer<N>>
    where
        O: Copy + Default + Into<i64>,
        N: FromInteger,
    {
        let value = |offset: O| N::from_integer(base.wrapping_add(offset.into()));
        Some(match self {
            Self::All(range) => {
                offsets.get(range.clone())?.iter().map(|offset| value(*offset)).collect()
            }
            Self::At(range, positions) => {
                at(offsets.get(range.clone())?, positions).map(value).collect()
            }
        })
    }
}

/// No position is outside: the default costs less than to panic would.
fn at<'a, T: Copy + Default>(
    values: &'a [T],
    positions: &'a [u32],
) -> impl ExactSizeIterator<Item = T> + 'a {
    positions.iter().map(|at| values.get(*at as usize).copied().unwrap_or_default())
}

/// An integer type that has all values of its chunks.
trait FromInteger: ArrowNativeType {
    fn from_integer(value: i64) -> Self;
}

macro_rules! from_integer {
    ($($native:ty),*) => {$(
        impl FromInteger for $native {
            #[inline(always)]
            fn from_integer(value: i64) -> Self {
                value as Self
            }
        }
    )*};
}

from_integer!(i16, i32, i64, i128);
