//! What a join's build side lets its probe side drop.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use arrow::{
    array::{Array, ArrayRef, AsArray},
    buffer::BooleanBuffer,
};
use datafusion::error::Result;

/// What is known of a build side's keys, once it has been read to its end.
#[derive(Debug, Default)]
pub(crate) struct RuntimeFilter {
    keys: OnceLock<KeySet>,
}

/// The keys.
#[derive(Debug)]
#[allow(dead_code, reason = "made by joins")]
pub(crate) enum KeySet {
    /// Nothing can join.
    Empty,
    /// Exactly these integers: a bit for each number from `min` on.
    Bitmap { min: i64, max: i64, words: Box<[u64]> },
    /// Strings.
    Strings(HashSet<String>),
}

#[allow(dead_code, reason = "used by joins")]
impl RuntimeFilter {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn set(&self, keys: KeySet) {
        let _ = self.keys.set(keys);
    }

    pub(crate) fn keys(&self) -> Option<&KeySet> {
        self.keys.get()
    }
}

impl KeySet {
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        match self {
            Self::Bitmap { min, max, .. } => Some((*min, *max)),
            Self::Empty => Some((i64::MAX, i64::MIN)),
            Self::Strings(_) => None,
        }
    }

    pub(crate) fn may_contain(&self, key: i64) -> bool {
        match self {
            Self::Empty => false,
            Self::Bitmap { min, words, .. } => {
                let bit = key.wrapping_sub(*min) as u64;
                words.get((bit / 64) as usize).is_some_and(|word| word >> (bit % 64) & 1 == 1)
            }
            Self::Strings(_) => true,
        }
    }

    pub(crate) fn select(&self, column: &ArrayRef) -> Result<Option<BooleanBuffer>> {
        Ok(match (self, column.as_string_view_opt()) {
            (Self::Empty, _) => Some(BooleanBuffer::new_unset(column.len())),
            (Self::Strings(keys), Some(strings)) => {
                Some(strings.iter().map(|s| s.is_some_and(|s| keys.contains(s))).collect())
            }
            _ => None,
        })
    }
}
