//! Which catalog versions are being read: files of a version go only when nobody reads it.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

/// Counts readers per catalog version.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    readers: Arc<Mutex<BTreeMap<u64, usize>>>,
}

/// One reader; dropping it ends the reading.
#[derive(Debug)]
pub struct Pin {
    version: u64,
    pins: Pins,
}

impl Pins {
    /// A reader of `version` starts.
    pub fn pin(&self, version: u64) -> Pin {
        *self.readers.lock().entry(version).or_default() += 1;
        Pin { version, pins: self.clone() }
    }

    /// The oldest version that is read; `None`: nobody reads.
    pub fn oldest(&self) -> Option<u64> {
        self.readers.lock().keys().next().copied()
    }
}

impl Clone for Pin {
    fn clone(&self) -> Self {
        self.pins.pin(self.version)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut readers = self.pins.readers.lock();
        if let Some(count) = readers.get_mut(&self.version) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.version);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_reader_counts() {
        let pins = Pins::default();
        assert_eq!(pins.oldest(), None);
        let (new, old) = (pins.pin(7), pins.pin(5));
        let old_again = old.clone();
        drop(old);
        assert_eq!(pins.oldest(), Some(5));
        drop(old_again);
        assert_eq!(pins.oldest(), Some(7));
        drop(new);
        assert_eq!(pins.oldest(), None);
    }
}
