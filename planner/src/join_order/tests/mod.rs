//! The search is compared with an enumeration of all splits of all sets, over all graphs of up to six
//! relations and thousands of seven, and what it enumerates is evaluated over small tables: all plans
//! of a set must have the same rows.

mod costs;
mod places;
mod rows;
mod written;

use super::RelationSet;

/// SplitMix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014): a test says its seed when it fails.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 … count - 1.
    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn one_of(&mut self, set: RelationSet) -> usize {
        let at = self.below(set.len());
        set.iter().nth(at).unwrap()
    }
}

#[test]
fn subsets_come_before_what_contains_them() {
    let set: RelationSet = [1, 4, 63].into_iter().collect();
    let subsets: Vec<_> = set.subsets().collect();
    assert_eq!(subsets.len(), 7);
    for (at, subset) in subsets.iter().enumerate() {
        assert!(subset.is_subset(set));
        assert!(subsets[at + 1..].iter().all(|later| !later.is_subset(*subset)));
    }
    assert_eq!(RelationSet::EMPTY.subsets().count(), 0);
    assert_eq!(RelationSet::first_ones(64).len(), 64);
}
