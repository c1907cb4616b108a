//! Numbers that are random enough to sample by: the planner has no source of others.

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// How many rows to leave out before the next one, when each is taken with this probability.
    pub(super) fn gap(&mut self, probability: f64) -> u64 {
        if probability >= 1.0 {
            return 0;
        }
        // In (0, 1].
        let uniform = ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        (uniform.ln() / (-probability).ln_1p()) as u64
    }
}
