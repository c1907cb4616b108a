//! The keys of a build side, small enough to be looked at for each row of a scan.

use std::{borrow::Cow, fmt};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    buffer::BooleanBuffer,
    datatypes::{
        DataType, Date32Type, Decimal128Type, Int16Type, Int32Type, Int64Type, TimeUnit,
        TimestampMicrosecondType,
    },
};
use datafusion::{
    common::hash_utils::{RandomState, with_hashes},
    error::Result,
};

use super::bloom::{Bloom, mix};

/// Numbers from the least key to the greatest that a bitmap has a bit for, at most: 8 MiB.
const MAX_BITS: u64 = 64 << 20;
/// A bitmap this small is always taken: 1 MiB.
const FEW_BITS: u64 = 8 << 20;
/// A larger one only when it has at most so many bits for each key; a Bloom filter has ten, but is
/// slower and not exact.
const MAX_BITS_PER_KEY: u64 = 32;
/// So much of a bitmap is looked through for a key in a range, in words: 32 KiB.
const MAX_WORDS_IN_RANGE: u64 = 4096;
/// So many numbers of a range are looked for in a Bloom filter one by one.
const MAX_NUMBERS_IN_RANGE: u64 = 64;
/// The largest precision of decimals whose unscaled values are 64-bit integers.
const MAX_PRECISION: u8 = 18;
/// Both sides of a join hash strings with this.
const STRING_HASHER: RandomState = RandomState::with_seed(0x6b65_7973);

/// What is known of keys. NULL is none: it joins nothing.
///
/// Integers are in the domain of `i64`: int2, int4, int8, dates (days) and timestamps (microseconds)
/// by their values, decimals of precision up to 18 unscaled. Who asks must have a column of the same
/// Arrow type as the keys'.
pub(crate) enum KeySet {
    /// There is none: nothing can join.
    Empty,
    /// Exactly these integers: a bit for each number from `min` on.
    Bitmap {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
        /// Bit n of word m: `min` + 64 m + n.
        words: Box<[u64]>,
    },
    /// Integers, and some that only seem to be among them.
    Bloom {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
        /// Their hashes.
        hashes: Bloom,
    },
    /// Strings, and some that only seem to be among them.
    Strings(Bloom),
}

impl KeySet {
    /// Whether keys of this type can be collected.
    pub(super) fn supports(data_type: &DataType) -> bool {
        match data_type {
            DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Date32 => true,
            DataType::Timestamp(unit, _) => *unit == TimeUnit::Microsecond,
            DataType::Decimal128(precision, _) => *precision <= MAX_PRECISION,
            DataType::Utf8View => true,
            _ => false,
        }
    }

    /// The keys in these columns, which are of one type; `None`: the type is not supported, or they
    /// are too many.
    ///
    /// # Errors
    /// XX000 from hashing, which fails for no type that is supported.
    pub(crate) fn of(columns: &[ArrayRef]) -> Result<Option<Self>> {
        let keys: usize = columns.iter().map(|column| column.len() - column.null_count()).sum();
        if keys == 0 {
            return Ok(Some(Self::Empty));
        }
        if columns.iter().all(|column| *column.data_type() == DataType::Utf8View) {
            return Self::of_strings(columns, keys);
        }
        let (mut min, mut max) = (i64::MAX, i64::MIN);
        for column in columns {
            let is_integer = for_each_integer(column, |key| {
                min = min.min(key);
                max = max.max(key);
            });
            if !is_integer {
                return Ok(None);
            }
        }
        Ok(match has_bitmap(min, max, keys) {
            true => Some(Self::bitmap(columns, min, max)),
            false => Self::bloom(columns, min, max, keys),
        })
    }

    fn bitmap(columns: &[ArrayRef], min: i64, max: i64) -> Self {
        let last = max.wrapping_sub(min) as u64;
        let mut words = vec![0_u64; (last / 64) as usize + 1].into_boxed_slice();
        for column in columns {
            for_each_integer(column, |key| {
                let bit = key.wrapping_sub(min) as u64;
                if let Some(word) = words.get_mut((bit / 64) as usize) {
                    *word |= 1 << (bit % 64);
                }
            });
        }
        Self::Bitmap { min, max, words }
    }

    fn bloom(columns: &[ArrayRef], min: i64, max: i64, keys: usize) -> Option<Self> {
        let mut hashes = Bloom::for_keys(keys)?;
        for column in columns {
            for_each_integer(column, |key| hashes.insert(mix(key as u64)));
        }
        Some(Self::Bloom { min, max, hashes })
    }

    fn of_strings(columns: &[ArrayRef], keys: usize) -> Result<Option<Self>> {
        let Some(mut bloom) = Bloom::for_keys(keys) else { return Ok(None) };
        for column in columns {
            with_hashes([column], &STRING_HASHER, |hashes| {
                for (row, hash) in hashes.iter().enumerate() {
                    if column.is_valid(row) {
                        bloom.insert(mix(*hash));
                    }
                }
                Ok(())
            })?;
        }
        Ok(Some(Self::Strings(bloom)))
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Bitmap { words, .. } => words.len() * size_of::<u64>(),
            Self::Bloom { hashes, .. } | Self::Strings(hashes) => hashes.bytes(),
        }
    }

    /// Whether there may be a key from `low` to `high`, both inclusive, to leave zones, segments and
    /// partitions out by; when there is one, it is true. Of strings nothing is known by this.
    pub(crate) fn may_contain_between(&self, low: i64, high: i64) -> bool {
        let (min, max) = match self {
            Self::Empty => return false,
            Self::Strings(_) => return true,
            Self::Bitmap { min, max, .. } | Self::Bloom { min, max, .. } => (*min, *max),
        };
        let (low, high) = (low.max(min), high.min(max));
        if low > high {
            return false;
        }
        match self {
            Self::Bitmap { words, .. } => {
                let (first, last) = (low.wrapping_sub(min) as u64, high.wrapping_sub(min) as u64);
                any_is_set(words, first, last)
            }
            Self::Bloom { .. } if (high.wrapping_sub(low) as u64) < MAX_NUMBERS_IN_RANGE => {
                (low..=high).any(|key| self.may_contain(key))
            }
            Self::Empty | Self::Bloom { .. } | Self::Strings(_) => true,
        }
    }

    /// Whether an integer may be among the keys; when it is, it is true. Of strings nothing is known
    /// by this: see [`KeySet::select`].
    #[inline]
    pub(crate) fn may_contain(&self, key: i64) -> bool {
        match self {
            Self::Empty => false,
            Self::Bitmap { min, words, .. } => is_set(words, *min, key),
            Self::Bloom { hashes, .. } => hashes.may_contain(mix(key as u64)),
            Self::Strings(_) => true,
        }
    }

    /// Which rows of a column may join: bits of those whose value may be among the keys; `None`: all,
    /// since the column is of another type.
    ///
    /// # Errors
    /// XX000 from hashing, which fails for no type that is supported.
    pub(crate) fn select(&self, column: &ArrayRef) -> Result<Option<BooleanBuffer>> {
        let rows = column.len();
        let selected = match self {
            Self::Empty => Some(BooleanBuffer::new_unset(rows)),
            Self::Strings(bloom) => match column.data_type() {
                DataType::Utf8View => Some(with_hashes([column], &STRING_HASHER, |hashes| {
                    let is_in = |hash: &u64| bloom.may_contain(mix(*hash));
                    Ok(hashes.iter().map(is_in).collect::<BooleanBuffer>())
                })?),
                _ => None,
            },
            Self::Bitmap { min, words, .. } => integers(column)
                .map(|keys| keys.iter().map(|key| is_set(words, *min, *key)).collect()),
            Self::Bloom { hashes, .. } => integers(column)
                .map(|keys| keys.iter().map(|key| hashes.may_contain(mix(*key as u64))).collect()),
        };
        Ok(match (selected, column.nulls()) {
            (Some(selected), Some(nulls)) => Some(&selected & nulls.inner()),
            (selected, _) => selected,
        })
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bitmap { min, max, .. } => write!(f, "Bitmap({min} to {max})"),
            Self::Bloom { min, max, .. } => write!(f, "Bloom({min} to {max})"),
            Self::Strings(_) => f.write_str("Strings"),
        }
    }
}

/// Whether so many keys, some of which may be the same, are a bitmap.
fn has_bitmap(min: i64, max: i64, keys: usize) -> bool {
    // Right for all of `i64`, as a number without sign.
    let last = max.wrapping_sub(min) as u64;
    last < MAX_BITS && (last < FEW_BITS || last < (keys as u64).saturating_mul(MAX_BITS_PER_KEY))
}

#[inline]
fn is_set(words: &[u64], min: i64, key: i64) -> bool {
    // A key below `min` becomes a number that is beyond all words, since these are few.
    let bit = key.wrapping_sub(min) as u64;
    words.get((bit / 64) as usize).is_some_and(|word| (word >> (bit % 64)) & 1 == 1)
}

/// Whether a bit from `first` to `last`, both inclusive, is set; where these are far apart, it is said
/// that one is.
fn any_is_set(words: &[u64], first: u64, last: u64) -> bool {
    let (first_word, last_word) = (first / 64, last / 64);
    if last_word - first_word >= MAX_WORDS_IN_RANGE {
        return true;
    }
    let after_first = u64::MAX << (first % 64);
    let before_last = u64::MAX >> (63 - last % 64);
    (first_word..=last_word).any(|at| {
        let mut bits = words.get(at as usize).copied().unwrap_or_default();
        if at == first_word {
            bits &= after_first;
        }
        if at == last_word {
            bits &= before_last;
        }
        bits != 0
    })
}

/// Gives each value that is not NULL to `f`; false: the column has no integers.
fn for_each_integer(column: &ArrayRef, mut f: impl FnMut(i64)) -> bool {
    let Some(values) = integers(column) else { return false };
    match column.nulls() {
        None => values.iter().for_each(|value| f(*value)),
        Some(nulls) => {
            let valid = values.iter().zip(nulls.iter()).filter(|(_, is_valid)| *is_valid);
            valid.for_each(|(value, _)| f(*value));
        }
    }
    true
}

/// A column's values in the domain of `i64`, anything where they are NULL.
fn integers(column: &ArrayRef) -> Option<Cow<'_, [i64]>> {
    Some(match column.data_type() {
        DataType::Int64 => {
            let values = column.as_primitive_opt::<Int64Type>()?.values();
            Cow::Borrowed(&values[..])
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = column.as_primitive_opt::<TimestampMicrosecondType>()?.values();
            Cow::Borrowed(&values[..])
        }
        DataType::Int16 => {
            let values = column.as_primitive_opt::<Int16Type>()?.values();
            Cow::Owned(values.iter().map(|value| i64::from(*value)).collect())
        }
        DataType::Int32 => {
            let values = column.as_primitive_opt::<Int32Type>()?.values();
            Cow::Owned(values.iter().map(|value| i64::from(*value)).collect())
        }
        DataType::Date32 => {
            let values = column.as_primitive_opt::<Date32Type>()?.values();
            Cow::Owned(values.iter().map(|value| i64::from(*value)).collect())
        }
        DataType::Decimal128(precision, _) if *precision <= MAX_PRECISION => {
            let values = column.as_primitive_opt::<Decimal128Type>()?.values();
            // Only a value that its type does not allow is changed by this, on both sides alike.
            let narrow = |value: &i128| (*value).clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            Cow::Owned(values.iter().map(narrow).collect())
        }
        _ => return None,
    })
}
