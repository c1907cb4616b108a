//! A Bloom filter whose bits for one key all lie in one word, so that a look at it costs at most one
//! cache miss (Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters", 2007).
//!
//! With ten bits for each key and four of them set, about two in a hundred other keys seem to be in
//! it.

/// Bits for each key.
const BITS_PER_KEY: usize = 10;
/// Of all keys together.
pub(super) const MAX_BYTES: usize = 16 << 20;
/// Keys that find room in those.
pub(super) const MAX_KEYS: usize = MAX_BYTES * 8 / BITS_PER_KEY;

/// A set of hashes that may seem to have more than it has.
pub(crate) struct Bloom {
    words: Box<[u64]>,
}

impl Bloom {
    /// An empty one with room for so many keys; `None`: those are more than [`MAX_KEYS`].
    pub(super) fn for_keys(keys: usize) -> Option<Self> {
        let words = (keys <= MAX_KEYS).then(|| (keys * BITS_PER_KEY).div_ceil(64).max(1))?;
        Some(Self { words: vec![0; words].into() })
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    /// Adds a hash, which must be well mixed: see [`mix`].
    pub(super) fn insert(&mut self, hash: u64) {
        let (index, bits) = self.place(hash);
        if let Some(word) = self.words.get_mut(index) {
            *word |= bits;
        }
    }

    /// Whether the hash may have been added; when it was, it is true.
    #[inline]
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        let (index, bits) = self.place(hash);
        self.words.get(index).is_some_and(|word| word & bits == bits)
    }

    /// The word of a hash, by its upper half, and its bits there, by its lower half.
    #[inline]
    fn place(&self, hash: u64) -> (usize, u64) {
        // Maps evenly to 0 .. words (Lemire: "Fast Random Integer Generation in an Interval").
        let index = ((hash >> 32) * self.words.len() as u64) >> 32;
        let bit = |shift: u32| 1_u64 << ((hash >> shift) & 63);
        (index as usize, bit(0) | bit(6) | bit(12) | bit(18))
    }
}

/// Spreads a number over all 64 bits (the finalizer of MurmurHash3 by Austin Appleby). No two numbers
/// become one.
#[inline]
pub(super) fn mix(number: u64) -> u64 {
    let mut hash = number;
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_was_added_is_in_it_and_little_else() {
        for keys in [1, 7, 1000, 100_000] {
            let mut bloom = Bloom::for_keys(keys).unwrap();
            // Even numbers, as a sequence with a gap would have them.
            (0..keys as u64).for_each(|key| bloom.insert(mix(2 * key)));
            assert!((0..keys as u64).all(|key| bloom.may_contain(mix(2 * key))), "{keys}");
            let wrong = (0..100_000).filter(|key| bloom.may_contain(mix(2 * key + 1))).count();
            assert!(wrong < 5_000, "{wrong} of 100000 seem to be among {keys}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        assert!(Bloom::for_keys(MAX_KEYS + 1).is_none());
        assert!(Bloom::for_keys(MAX_KEYS).unwrap().bytes() <= MAX_BYTES);
        assert_eq!(Bloom::for_keys(0).unwrap().bytes(), 8);
    }
}
