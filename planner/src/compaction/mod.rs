//! Which segments of a table are to be written anew, on one datanode: small ones into one, and those
//! of which much is deleted.
//!
//! Every statement that writes makes a segment on each datanode, however few rows it has. By its rows
//! that are not deleted a segment is in a *tier*: 0 has those of less than [`FAN_IN`] rows, and each
//! tier goes up to [`FAN_IN`] times as many rows as the one below; a segment of half the usual size
//! is *full*, and in none. As soon as a tier has [`FAN_IN`] segments, these and all of lower tiers
//! become one:
//!
//! ```text
//!   tier 0   1 1 1 1 1 1 1 1  --.
//!   tier 1   8 20 9             |  one of 1·8 + 8 + 20 + 9 rows, if tier 1 has as many; else of 8
//! ```
//!
//! So what is folded gets into a higher tier, or is full: by folding, a row is written at most as
//! often as there are tiers, 7 for segments of 2 Mi rows, besides its first time. And a datanode keeps
//! less than `FAN_IN` small segments of each tier. Segments half of which is deleted are written
//! anew besides: less than a row for each that was deleted. (Tiers by size, with all smaller ones:
//! O'Neil et al., "The Log-Structured Merge-Tree", 1996; Cassandra's size-tiered compaction.)

mod clustered;
mod keys;

pub use clustered::{ClusteredSegment, KeyRange, clustered_groups};

/// Rows of a segment, unless there are fewer.
pub const SEGMENT_ROWS: u64 = 2 << 20;

/// So many segments of a tier become one, and so many times larger is each tier than the one below.
pub const FAN_IN: u64 = 8;

/// Of VACUUM FULL, so many segments' rows are written in one piece: few of them end in a segment that
/// is not full.
const FULL_PIECE: u64 = 8;

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSize {
    /// Rows in its file, deleted ones too.
    pub rows: u64,
    /// How many of these are deleted.
    pub deleted: u64,
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Nobody has asked: as little as keeps the number of segments low, and half of them filled.
    Automatic,
    /// VACUUM: all small segments become one; those with a fifth deleted are written anew.
    Vacuum,
    /// VACUUM FULL, CLUSTER: nothing deleted stays, and all segments but a few are of the usual size.
    Full,
}

impl SegmentSize {
    /// Rows that are not deleted.
    fn live(self) -> u64 {
        self.rows.saturating_sub(self.deleted)
    }

    fn is_worn(self, effort: Effort) -> bool {
        let share = match effort {
            Effort::Automatic => 2,
            Effort::Vacuum => 5,
            Effort::Full => u64::MAX,
        };
        self.deleted > 0 && self.deleted.saturating_mul(share) >= self.rows
    }

    fn tier(self) -> u32 {
        self.live().max(1).ilog(FAN_IN)
    }
}

/// What is to be written anew of a datanode's segments of one table or partition, as positions in
/// `segments`: the rows of each group, in this order, become one segment, or several of the usual
/// size, `full_rows`. Positions ascend.
pub fn groups(segments: &[SegmentSize], effort: Effort, full_rows: u64) -> Vec<Vec<usize>> {
    let full_rows = full_rows.max(2);
    let at = |of: &dyn Fn(SegmentSize) -> bool| -> Vec<usize> {
        segments.iter().enumerate().filter(|(_, s)| of(**s)).map(|(at, _)| at).collect()
    };
    let is_small = |segment: SegmentSize| segment.live() < full_rows / 2;
    match effort {
        Effort::Automatic => {
            let small = at(&|s| is_small(s) && !s.is_worn(effort));
            let worn = at(&|s| s.is_worn(effort));
            let mut groups = folded(segments, small, full_rows);
            groups.extend(packed(segments, worn, full_rows));
            groups
        }
        Effort::Vacuum => {
            let open = at(&|s| is_small(s) || s.is_worn(effort));
            let mut groups = packed(segments, open, full_rows);
            groups.retain(|group| is_worthwhile(segments, group, effort));
            groups
        }
        Effort::Full => {
            let open = at(&|s| s.rows < full_rows || s.is_worn(effort));
            let mut groups = packed(segments, open, full_rows.saturating_mul(FULL_PIECE));
            groups.retain(|group| is_worthwhile(segments, group, effort));
            groups
        }
    }
}

/// Writing one segment anew that has lost nothing changes nothing.
fn is_worthwhile(segments: &[SegmentSize], group: &[usize], effort: Effort) -> bool {
    group.len() > 1 || of(segments, group).any(|segment| segment.is_worn(effort))
}

fn of(segments: &[SegmentSize], group: &[usize]) -> impl Iterator<Item = SegmentSize> {
    group.iter().filter_map(|at| segments.get(*at)).copied()
}

/// The small segments up to the highest tier that has enough.
fn folded(segments: &[SegmentSize], small: Vec<usize>, full_rows: u64) -> Vec<Vec<usize>> {
    let is_enough = |tier: u32| {
        let (mut count, mut rows) = (0, 0_u64);
        for segment in of(segments, &small).filter(|segment| segment.tier() == tier) {
            (count, rows) = (count + 1, rows.saturating_add(segment.live()));
        }
        // Two, which become a full one, need not wait for more.
        count >= FAN_IN || count > 1 && rows >= full_rows / 2
    };
    let highest = (0..=u64::MAX.ilog(FAN_IN)).rev().find(|tier| is_enough(*tier));
    let Some(highest) = highest else { return Vec::new() };
    let chosen = of_tiers(segments, small, highest);
    let mut groups = packed(segments, chosen, full_rows);
    groups.retain(|group| {
        let rows: u64 = of(segments, group).map(SegmentSize::live).sum();
        let tier = of(segments, group).map(SegmentSize::tier).max().unwrap_or_default();
        // What the last group has may be too little to rise.
        group.len() > 1 && (rows >= full_rows / 2 || rows.max(1).ilog(FAN_IN) > tier)
    });
    groups
}

fn of_tiers(segments: &[SegmentSize], mut small: Vec<usize>, highest: u32) -> Vec<usize> {
    small.retain(|at| segments.get(*at).is_some_and(|segment| segment.tier() <= highest));
    small
}

/// In their order, as many together as have no more rows than `most`.
fn packed(segments: &[SegmentSize], chosen: Vec<usize>, most: u64) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut rows = 0_u64;
    for at in chosen {
        let live = segments.get(at).map_or(0, |segment| segment.live());
        match groups.last_mut() {
            Some(group) if rows.saturating_add(live) <= most => {
                group.push(at);
                rows += live;
            }
            _ => {
                groups.push(vec![at]);
                rows = live;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(rows: &[(u64, u64)]) -> Vec<SegmentSize> {
        rows.iter().map(|(rows, deleted)| SegmentSize { rows: *rows, deleted: *deleted }).collect()
    }

    fn of_rows(rows: &[u64]) -> Vec<(u64, u64)> {
        rows.iter().map(|rows| (*rows, 0)).collect()
    }

    /// Of segments of 1000 rows.
    #[track_caller]
    fn check(effort: Effort, segments: &[(u64, u64)], expected: &[&[usize]]) {
        let groups = groups(&sizes(segments), effort, 1000);
        assert_eq!(groups, expected, "{effort:?} {segments:?}");
    }

    #[test]
    fn small_segments_become_one() {
        let check = |rows: &[u64], expected| check(Effort::Automatic, &of_rows(rows), expected);
        check(&[], &[]);
        check(&[1; 7], &[]);
        check(&[1; 8], &[&[0, 1, 2, 3, 4, 5, 6, 7]]);
        // Of two tiers none has enough.
        check(&[1, 1, 1, 1, 9, 9, 9, 9], &[]);
        // The higher tier takes the lower one along, and what is between stays where it is.
        check(&[8, 8, 700, 8, 8, 1, 8, 8, 8, 8], &[&[0, 1, 3, 4, 5, 6, 7, 8, 9]]);
        // Without it the lower one goes alone.
        check(&[9, 1, 1, 1, 1, 1, 1, 1, 1], &[&[1, 2, 3, 4, 5, 6, 7, 8]]);
        // Half of the usual size is enough; less is not.
        check(&[300, 300], &[&[0, 1]]);
        check(&[499, 500], &[]);
        check(&[70, 70, 70, 70, 70, 70, 70], &[]);
        // More than one segment can have. What is left over would not rise.
        check(&[400, 400, 400, 70], &[&[0, 1]]);
        check(&[400, 400, 400, 400], &[&[0, 1], &[2, 3]]);
    }

    #[test]
    fn worn_segments_are_written_anew() {
        let auto = |segments: &[(u64, u64)], expected| check(Effort::Automatic, segments, expected);
        auto(&[(1000, 499), (1000, 500), (1000, 0)], &[&[1]]);
        auto(&[(1000, 999), (10, 5), (1000, 600), (1000, 700)], &[&[0, 1, 2, 3]]);
        auto(&[(1000, 500), (1000, 500), (1000, 500)], &[&[0, 1], &[2]]);
        let vacuum = |segments: &[(u64, u64)], expected| check(Effort::Vacuum, segments, expected);
        vacuum(&[(1000, 199), (1000, 200), (1000, 0)], &[&[1]]);
        vacuum(&[(1, 0), (1000, 0), (9, 0), (499, 0), (500, 0)], &[&[0, 2, 3]]);
        vacuum(&[(1, 0), (1000, 0)], &[]);
        vacuum(&[(499, 0), (499, 0), (499, 0)], &[&[0, 1]]);
        let full = |segments: &[(u64, u64)], expected| check(Effort::Full, segments, expected);
        full(&[(1000, 1), (1000, 0), (999, 0)], &[&[0, 2]]);
        full(&[(600, 0), (600, 0), (600, 0)], &[&[0, 1, 2]]);
        full(&[(600, 0), (1000, 0)], &[]);
        full(&[(1000, 1)], &[&[0]]);
    }

    /// Rows that come one by one: how often each is written, and how many segments there are.
    #[test]
    fn the_work_is_bounded() {
        for every in [1, 5, 300] {
            let mut segments: Vec<SegmentSize> = Vec::new();
            let (mut inserted, mut written) = (0_u64, 0_u64);
            for _ in 0..40_000 {
                segments.push(SegmentSize { rows: 1, deleted: 0 });
                inserted += 1;
                if inserted.is_multiple_of(every) {
                    let groups = groups(&segments, Effort::Automatic, 4096);
                    let gone: Vec<usize> = groups.iter().flatten().copied().collect();
                    let new = groups.iter().map(|group| {
                        let rows = of(&segments, group).map(|segment| segment.rows).sum();
                        SegmentSize { rows, deleted: 0 }
                    });
                    let new: Vec<_> = new.collect();
                    written += new.iter().map(|segment| segment.rows).sum::<u64>();
                    let mut at = 0;
                    segments.retain(|_| {
                        at += 1;
                        !gone.contains(&(at - 1))
                    });
                    segments.extend(new);
                    let full = (inserted / 2048) as usize;
                    // Tiers of less than 8, 64, 512 and 2048 rows.
                    assert!(segments.len() <= full + 4 * 7, "{every}: {segments:?}");
                }
            }
            assert_eq!(segments.iter().map(|segment| segment.rows).sum::<u64>(), inserted);
            assert!(written <= 4 * inserted, "{every}: {written}");
        }
    }
}
