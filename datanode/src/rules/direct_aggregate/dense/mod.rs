//! Aggregates over a scan by one integer whose values lie close together: nothing is hashed.
//!
//! ```text
//!   keys 17 .. 20, NULL       place   0     1   2   3   4
//!                             key     NULL  17  18  19  20
//!                             rows    1     3   0   2   9
//!                             sum     4     7   0   1   8
//! ```
//!
//! Each key that there can be has a place, by its distance from the least one ([`Dense`]), and what is
//! kept of a group lies there ([`places`], [`accumulation`]). The execution partitions of a datanode
//! lay their places together ([`gather`]): what goes on to the other datanodes has each group once.
//! Only the places that a row has met come out ([`groups`]), as states, or, where no other phase
//! follows, as results ([`finish`]). The memory is taken before the first row; when there is too little,
//! the ordinary aggregate runs ([`stream`]).

mod accumulation;
mod finish;
mod gather;
mod groups;
mod places;
mod stream;

pub(super) use finish::Finish;
pub(super) use gather::Rounds;
pub(super) use stream::DenseRun;

use datafusion::execution::memory_pool::MemoryLimit;

use crate::rules::{narrow::Range, raw_scan::RowCount};

/// Places for each row, in all execution partitions together. At 12 bytes or more for each they cost
/// no more memory than twice what a hash table does when every row is a group of its own, and clearing
/// and looking through eight of them costs less time than looking up one row.
const PLACES_PER_ROW: u64 = 8;

/// So many places are looked through in less than a millisecond: they need not be dense in the rows
/// that pass the scan's filters, only in those of the table.
const FREE_PLACES: u64 = 1 << 20;

/// The places of all execution partitions take no more than this part of a query's memory. They cannot
/// go to disk, as what the ordinary aggregate has can, and joins want some.
const MEMORY_PART: usize = 4;

/// A key that has a place for each of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dense {
    /// That of NULL, and one for each value that there can be.
    pub(super) places: usize,
    /// At most so many rows come, in all execution partitions together.
    pub(super) rows: u32,
    /// Execution partitions, each with all places.
    pub(super) partitions: usize,
}

impl Dense {
    /// Of a key in this range; `None`: its values are too far apart for so many rows.
    pub(super) fn of(range: Range, rows: RowCount, partitions: usize) -> Option<Self> {
        let places = u32::try_from(range.values()).ok()?.checked_add(1)?;
        let all = u64::from(places).checked_mul(partitions as u64)?;
        let few = FREE_PLACES / PLACES_PER_ROW;
        let for_rows = rows.most.min(rows.expected.max(few)).saturating_mul(PLACES_PER_ROW);
        let rows = u32::try_from(rows.most).ok()?;
        (all <= for_rows).then_some(Self { places: places as usize, rows, partitions })
    }

    /// Whether so many bytes for the places of an execution partition leave enough of a query's memory
    /// to others.
    fn may_take(&self, bytes: usize, memory: &MemoryLimit) -> bool {
        match memory {
            MemoryLimit::Finite(limit) => {
                bytes.saturating_mul(self.partitions) <= limit / MEMORY_PART
            }
            MemoryLimit::Infinite | MemoryLimit::Unknown => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places of a key between these values, for so many rows that all pass, in one partition.
    fn places(least: i64, greatest: i64, rows: u64) -> Option<usize> {
        let rows = RowCount { most: rows, expected: rows };
        Dense::of(Range { least, greatest }, rows, 1).map(|dense| dense.places)
    }

    #[test]
    fn values_close_together_have_places() {
        assert_eq!(places(1, 200_000, 6_000_000), Some(200_001));
        assert_eq!(places(-5, -5, 1), Some(2));
        assert_eq!(places(-100, 100, 1_000), Some(202));
        assert_eq!(places(i64::MAX - 1, i64::MAX, 1), Some(3));
        // NULL's place counts.
        assert_eq!(places(1, 799, 100), Some(800));
        assert_eq!(places(1, 800, 100), None);
        assert_eq!(places(1, 1, 0), None);
    }

    #[test]
    fn ranges_beyond_all_memory_have_none() {
        let most = u64::from(u32::MAX);
        assert_eq!(places(i64::MIN, i64::MAX, most), None);
        assert_eq!(places(i64::MIN, 0, most), None);
        assert_eq!(places(i32::MIN.into(), i32::MAX.into(), most), None);
        assert_eq!(places(1, i64::from(u32::MAX), most), None);
        assert_eq!(places(1, i64::from(u32::MAX) - 1, most), Some(u32::MAX as usize));
        // More rows of one group than can be counted.
        assert_eq!(places(1, 10, most + 1), None);
    }

    #[test]
    fn every_partition_has_its_places() {
        let range = Range { least: 1, greatest: 399 };
        let rows = RowCount { most: 100, expected: 100 };
        let fits = |partitions| Dense::of(range, rows, partitions).is_some();
        assert!(fits(2) && !fits(3) && !fits(usize::MAX));
    }

    #[test]
    fn a_part_of_the_memory_is_enough() {
        let dense = Dense { places: 100, rows: 100, partitions: 2 };
        assert!(dense.may_take(100, &MemoryLimit::Finite(800)));
        assert!(!dense.may_take(101, &MemoryLimit::Finite(800)));
        assert!(!dense.may_take(usize::MAX, &MemoryLimit::Finite(usize::MAX)));
        assert!(dense.may_take(usize::MAX, &MemoryLimit::Infinite));
        assert!(dense.may_take(usize::MAX, &MemoryLimit::Unknown));
    }

    /// A million places are few; more must be worth it for the rows that pass.
    #[test]
    fn few_rows_of_many_need_few_places() {
        let of = |values, expected| {
            let range = Range { least: 1, greatest: values };
            let rows = RowCount { most: 1 << 30, expected };
            Dense::of(range, rows, 1).is_some()
        };
        assert!(of(1_000_000, 0));
        assert!(!of(2_000_000, 0));
        assert!(!of(2_000_000, 200_000));
        assert!(of(2_000_000, 300_000));
    }
}
