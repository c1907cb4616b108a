//! One column of one row group in memory, narrow: what scans read.
//!
//! ```text
//!   numeric(15,2)  901.00 .. 104949.50   base 90100, offsets of 32 bits
//!   integer        1 .. 50               base 1, offsets of 8 bits
//!   text           'A', 'N', 'R'         3 strings, codes of 8 bits
//!   double         anything              as Arrow has it
//! ```
//!
//! Operators see the column's Arrow type: rows are widened when they are taken.

mod encode;
mod strings;
mod widen;

use std::{fmt, ops::Range};

use arrow::{
    array::{Array, ArrayRef, Int64Array, StringViewArray},
    buffer::{BooleanBuffer, NullBuffer, ScalarBuffer},
    datatypes::DataType,
};
use kestrel_proto::Result;

/// Rows that one zone covers.
pub(crate) const ZONE_ROWS: usize = 8192;

/// One column of one row group, decoded. It never changes, and is shared.
pub(crate) struct Chunk {
    data_type: DataType,
    rows: usize,
    values: Values,
    /// `None`: no NULLs.
    nulls: Option<NullBuffer>,
    zones: Option<Box<[Zone]>>,
}

/// What a chunk's values look like in memory. Where a row is NULL, its value has no meaning.
#[derive(Debug)]
pub(crate) enum Values {
    /// Integers, dates, times, timestamps, and decimals of at most 18 digits by their unscaled
    /// value, as base + offset.
    U8 {
        /// The least value.
        base: i64,
        /// By row.
        offsets: ScalarBuffer<u8>,
    },
    /// The same, where the range is wider.
    U16 {
        /// The least value.
        base: i64,
        /// By row.
        offsets: ScalarBuffer<u16>,
    },
    /// The same, where the range is wider still.
    U32 {
        /// The least value.
        base: i64,
        /// By row.
        offsets: ScalarBuffer<u32>,
    },
    /// The same without a base.
    I64(ScalarBuffer<i64>),
    /// Strings of which few are distinct: at most 256, and a quarter of the rows.
    Coded {
        /// Each once, in the order in which they come; its buffers hold nothing else.
        dictionary: StringViewArray,
        /// Positions in the dictionary, by row.
        codes: ScalarBuffer<u8>,
    },
    /// Anything else, in the column's own type.
    Plain(ArrayRef),
}

/// What is known of up to [`ZONE_ROWS`] rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    /// The least value, unscaled. When all are NULL, it is greater than `max`.
    pub(crate) min: i64,
    /// The greatest value.
    pub(crate) max: i64,
    /// How many are NULL.
    pub(crate) nulls: usize,
    /// How many there are, NULL ones too.
    pub(crate) rows: usize,
}

impl Zone {
    /// Of all rows of an array; `None`: its type is not one that chunks hold as integers.
    pub(crate) fn of(array: &ArrayRef) -> Option<Self> {
        encode::zone(array)
    }

    /// Of the rows of both.
    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            nulls: self.nulls + other.nulls,
            rows: self.rows + other.rows,
        }
    }
}

impl Chunk {
    /// The chunk of a column's values, which have the column's Arrow type.
    ///
    /// # Errors
    /// XX000 when there are more rows than positions can count.
    pub(crate) fn encode(array: &ArrayRef) -> Result<Self> {
        encode::encode(array)
    }

    /// How many there are, NULL ones too.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of memory, all told.
    pub(crate) fn bytes(&self) -> usize {
        let values = match &self.values {
            Values::U8 { offsets, .. } => offsets.inner().capacity(),
            Values::U16 { offsets, .. } => offsets.inner().capacity(),
            Values::U32 { offsets, .. } => offsets.inner().capacity(),
            Values::I64(values) => values.inner().capacity(),
            Values::Coded { dictionary, codes } => {
                dictionary.get_array_memory_size() + codes.inner().capacity()
            }
            // With its NULLs.
            Values::Plain(array) => return size_of::<Self>() + array.get_array_memory_size(),
        };
        let nulls = self.nulls.as_ref().map_or(0, |nulls| nulls.buffer().capacity());
        let zones = self.zones.as_ref().map_or(0, |zones| size_of_val(&**zones));
        size_of::<Self>() + values + nulls + zones
    }

    /// The column's Arrow type.
    #[cfg(test)]
    pub(crate) fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The values.
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// Which rows are NULL; `None`: none is.
    pub(crate) fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref()
    }

    /// By [`ZONE_ROWS`] rows, the last with the rest. `None`: the values are not integers.
    pub(crate) fn zones(&self) -> Option<&[Zone]> {
        self.zones.as_deref()
    }

    /// Rows `range`, in the column's type.
    pub(crate) fn slice(&self, range: Range<usize>) -> ArrayRef {
        let range = self.within(range);
        let nulls = self.nulls_in(&range);
        widen::slice(self, range, nulls)
    }

    /// The rows at these positions in `range`, which count from its start and ascend, in the
    /// column's type.
    pub(crate) fn take(&self, range: Range<usize>, positions: &[u32]) -> ArrayRef {
        let range = self.within(range);
        let nulls = self.nulls_at(&range, positions);
        widen::take(self, range, positions, nulls)
    }

    /// As [`Chunk::slice`], but unscaled integers; `None`: the values are not integers.
    pub(crate) fn raw_slice(&self, range: Range<usize>) -> Option<Int64Array> {
        let range = self.within(range);
        let nulls = self.nulls_in(&range);
        Int64Array::try_new(widen::integers(&self.values, range)?, nulls).ok()
    }

    /// As [`Chunk::take`], but unscaled integers; `None`: the values are not integers.
    pub(crate) fn raw_take(&self, range: Range<usize>, positions: &[u32]) -> Option<Int64Array> {
        let range = self.within(range);
        let nulls = self.nulls_at(&range, positions);
        Int64Array::try_new(widen::integers_at(&self.values, range, positions)?, nulls).ok()
    }

    fn within(&self, range: Range<usize>) -> Range<usize> {
        let end = range.end.min(self.rows);
        range.start.min(end)..end
    }

    fn nulls_in(&self, range: &Range<usize>) -> Option<NullBuffer> {
        let nulls = self.nulls.as_ref()?.slice(range.start, range.len());
        (nulls.null_count() > 0).then_some(nulls)
    }

    fn nulls_at(&self, range: &Range<usize>, positions: &[u32]) -> Option<NullBuffer> {
        let nulls = self.nulls_in(range)?;
        let validity = nulls.inner();
        let is_valid = |row: usize| {
            let at = positions.get(row).map_or(usize::MAX, |at| *at as usize);
            at < validity.len() && validity.value(at)
        };
        let taken = NullBuffer::new(BooleanBuffer::collect_bool(positions.len(), is_valid));
        (taken.null_count() > 0).then_some(taken)
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match &self.values {
            Values::U8 { .. } => "u8",
            Values::U16 { .. } => "u16",
            Values::U32 { .. } => "u32",
            Values::I64(_) => "i64",
            Values::Coded { .. } => "coded",
            Values::Plain(_) => "plain",
        };
        write!(f, "Chunk({} rows of {} as {form})", self.rows, self.data_type)
    }
}

#[cfg(test)]
mod tests;
