//! Which rows of a segment: a set of their numbers, as a Roaring bitmap
//! (<https://github.com/RoaringBitmap/RoaringFormatSpec>).

use std::ops::Range;

use arrow::buffer::{BooleanBuffer, MutableBuffer};
use arrow::util::bit_util;
use roaring::RoaringBitmap;

/// A set of rows by their numbers in their segment, from 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowSet(RoaringBitmap);

impl RowSet {
    /// From the portable form; `None`: the bytes are no set, or more than one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let set = RoaringBitmap::deserialize_from(&mut rest).ok()?;
        rest.is_empty().then_some(Self(set))
    }

    /// The portable form, in as few bytes as it can have.
    pub fn encode(mut self) -> Vec<u8> {
        self.0.optimize();
        let mut bytes = Vec::with_capacity(self.0.serialized_size());
        // Into memory nothing fails.
        let _ = self.0.serialize_into(&mut bytes);
        bytes
    }

    /// Adds a row; whether it was not there.
    pub fn insert(&mut self, row: u32) -> bool {
        self.0.insert(row)
    }

    /// Adds all rows of another set.
    pub fn add(&mut self, other: &Self) {
        self.0 |= &other.0;
    }

    /// Takes the rows of another set away.
    pub fn remove(&mut self, other: &Self) {
        self.0 -= &other.0;
    }

    /// Have the two no row in common?
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.0.is_disjoint(&other.0)
    }

    /// The rows by other numbers: as they count without those of `left_out`, which has none of them,
    /// from `first` on. Those that do not get a number of `0..rows` are left out.
    pub fn moved(&self, left_out: &Self, first: i64, rows: u64) -> Self {
        let moved = self.0.iter().filter_map(|row| {
            let place = i64::from(row).checked_sub_unsigned(left_out.0.rank(row))?;
            let place = u64::try_from(place.checked_add(first)?).ok()?;
            u32::try_from(place).ok().filter(|_| place < rows)
        });
        moved.collect()
    }

    /// The rows by other numbers: as `places` has it for each of them, from `first` on. Those that do not
    /// get a number of `0..rows` are left out.
    pub fn placed(&self, places: &[u32], first: i64, rows: u64) -> Self {
        let placed = self.0.iter().filter_map(|row| {
            let place = i64::from(*places.get(row as usize)?);
            let place = u64::try_from(place.checked_add(first)?).ok()?;
            u32::try_from(place).ok().filter(|_| place < rows)
        });
        placed.collect()
    }

    /// How many they are.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The greatest number.
    pub fn last(&self) -> Option<u32> {
        self.0.max()
    }

    /// A bit for each row of `range`: set if it is not in the set. `None`: none is in it.
    pub fn others_in(&self, range: Range<u32>) -> Option<BooleanBuffer> {
        if range.is_empty() || self.0.range_cardinality(range.clone()) == 0 {
            return None;
        }
        let rows = range.len();
        let mut bits = MutableBuffer::from_len_zeroed(bit_util::ceil(rows, 8));
        bits.as_slice_mut().fill(0xff);
        for row in self.0.range(range.clone()) {
            bit_util::unset_bit(bits.as_slice_mut(), (row - range.start) as usize);
        }
        Some(BooleanBuffer::new(bits.into(), 0, rows))
    }
}

impl FromIterator<u32> for RowSet {
    fn from_iter<I: IntoIterator<Item = u32>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_survive_their_form() {
        let sets: [Vec<u32>; 5] = [
            vec![],
            vec![0],
            (0..2_000_000).collect(),
            (0..300_000).filter(|row| row % 3 == 0).collect(),
            vec![7, 65_536, u32::MAX],
        ];
        for rows in sets {
            let set: RowSet = rows.iter().copied().collect();
            assert_eq!(set.len(), rows.len() as u64);
            assert_eq!(set.last(), rows.last().copied());
            let bytes = set.clone().encode();
            assert_eq!(RowSet::decode(&bytes), Some(set));
            assert_eq!(RowSet::decode(&bytes[..bytes.len() - 1]), None);
            let longer: Vec<_> = bytes.iter().copied().chain([0]).collect();
            assert_eq!(RowSet::decode(&longer), None);
        }
        // What is all runs is small, however many rows it has.
        assert!((0..2_000_000).collect::<RowSet>().encode().len() < 1000);
    }

    #[test]
    fn the_rows_that_are_left() {
        let set: RowSet = [3, 9, 10, 100].into_iter().collect();
        for range in [0..8, 8..16, 3..4, 10..101, 0..200] {
            let bits = set.others_in(range.clone()).unwrap();
            for (at, row) in range.clone().enumerate() {
                assert_eq!(bits.value(at), ![3, 9, 10, 100].contains(&row), "{range:?} {row}");
            }
        }
        for range in [0..3, 4..9, 101..9000, 5..5] {
            assert_eq!(set.others_in(range.clone()), None, "{range:?}");
        }
    }

    #[test]
    fn rows_that_were_sorted_have_places() {
        let set: RowSet = [0, 2, 3].into_iter().collect();
        let places = [5, 0, 1, 6, 9];
        for (first, rows, expected) in
            [(0, 10, vec![1, 5, 6]), (0, 6, vec![1, 5]), (-5, 5, vec![0, 1]), (7, 9, vec![8])]
        {
            assert_eq!(set.placed(&places, first, rows), expected.into_iter().collect());
        }
        // What has no place is nowhere.
        assert!(RowSet::from_iter([7]).placed(&places, 0, 10).is_empty());
    }

    #[test]
    fn rows_that_move_keep_their_order() {
        let set: RowSet = [0, 3, 4, 9].into_iter().collect();
        for (left_out, first, rows, expected) in [
            (vec![], 0, 10, vec![0, 3, 4, 9]),
            (vec![1, 2, 5], 0, 10, vec![0, 1, 2, 6]),
            (vec![1, 2, 5], 100, 200, vec![100, 101, 102, 106]),
            // The first two rows went elsewhere, and those from the third on in the next segment.
            (vec![1, 2, 5], -2, 3, vec![0]),
            (vec![], -10, 10, vec![]),
        ] {
            let left_out: RowSet = left_out.into_iter().collect();
            let expected: RowSet = expected.into_iter().collect();
            assert_eq!(set.moved(&left_out, first, rows), expected, "{left_out:?} {first} {rows}");
        }
    }

    #[test]
    fn sets_together() {
        let mut set: RowSet = [1, 2, 3].into_iter().collect();
        let other: RowSet = [3, 4].into_iter().collect();
        assert!(!set.is_disjoint(&other));
        set.remove(&other);
        assert!(set.is_disjoint(&other));
        set.add(&other);
        assert_eq!(set, (1..5).collect());
    }
}
