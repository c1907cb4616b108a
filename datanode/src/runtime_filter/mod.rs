//! What a join's build side lets its probe side drop.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

/// What is known of a build side's keys, once it has been read to its end.
#[derive(Debug, Default)]
pub(crate) struct RuntimeFilter {
    keys: OnceLock<KeySet>,
}

/// The keys.
#[derive(Debug)]
pub(crate) enum KeySet {
    /// Nothing can join.
    Empty,
    /// Exact, over a range of keys.
    Bitmap { min: i64, bits: Vec<bool> },
    /// Strings.
    Strings(HashSet<String>),
}

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
            Self::Bitmap { min, bits } => Some((*min, min + bits.len() as i64 - 1)),
            Self::Empty | Self::Strings(_) => None,
        }
    }

    pub(crate) fn may_contain(&self, key: i64) -> bool {
        match self {
            Self::Empty => false,
            Self::Bitmap { min, bits } => {
                let at = key.checked_sub(*min).and_then(|at| usize::try_from(at).ok());
                at.and_then(|at| bits.get(at)).is_some_and(|bit| *bit)
            }
            Self::Strings(_) => true,
        }
    }

    pub(crate) fn may_contain_string(&self, key: &str) -> bool {
        match self {
            Self::Strings(keys) => keys.contains(key),
            Self::Empty => false,
            Self::Bitmap { .. } => true,
        }
    }
}
