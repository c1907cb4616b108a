//! The same for tables with clustering columns: besides, segments whose values of these columns
//! overlap are sorted together, so that each of them has a range of values to itself.
//!
//! ```text
//!   keys      a . . . . . . . . . . . . . . . z
//!   segments  [--1--][---2---][----3----][-4-]      disjoint: nobody reads more than it asks for
//!                      [----5----]                  with 2 and 3: their rows are sorted anew
//! ```
//!
//! Segments that overlap, one with the next, are a *chain*. In each chain the heaviest segments that
//! are disjoint are its *base*, and the others its *rest*. If the rest has its share of the chain's
//! rows, all of the chain is sorted anew; else the base stays, and the rest is looked at by itself. So a
//! row is written anew only when rows in proportion have come, and a key is in as many segments as
//! there are such levels, at most: the rest of a rest is less than a share of a share. (Runs that are
//! merged when the next level has grown in proportion: O'Neil et al., "The Log-Structured
//! Merge-Tree", 1996. The heaviest disjoint intervals: weighted interval scheduling, Kleinberg and
//! Tardos, "Algorithm Design", 2005, section 6.1.)
//!
//! What is disjoint is never written anew for its keys, and what is sorted anew becomes disjoint, and
//! stays where it was among the keys. So it ends: without new rows, soon nothing is to be done.

use std::collections::BTreeSet;

use super::{Effort, SegmentSize, groups};

/// Of one chain so many segments of the usual size are sorted anew together, at most, when nobody has
/// asked.
const AUTOMATIC_PIECE: u64 = 16;
/// And so many when somebody has: the datanode needs 4 bytes for each row if others delete meanwhile.
const ASKED_PIECE: u64 = 128;

/// The values that a segment's rows have in the clustering columns, as bytes that compare as they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// No row is before it.
    pub first: Vec<u8>,
    /// No row is behind it, but for those that begin with it.
    pub last: Vec<u8>,
    /// The rows are in the order of the clustering columns.
    pub is_sorted: bool,
}

/// What is known of a segment of a table with clustering columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusteredSegment {
    /// Its rows.
    pub size: SegmentSize,
    /// `None`: it was written when the table had other clustering columns, or none.
    pub keys: Option<KeyRange>,
}

/// What is to be written anew of a datanode's segments of one table or partition, as positions in
/// `segments`: the rows of each group become segments in the order of the clustering columns.
/// Positions ascend in each group.
pub fn clustered_groups(
    segments: &[ClusteredSegment],
    effort: Effort,
    full_rows: u64,
) -> Vec<Vec<usize>> {
    let clustered = Clustered { segments, effort, full_rows: full_rows.max(2) };
    let mut found = match effort {
        Effort::Full if clustered.is_in_order() => return Vec::new(),
        Effort::Full if clustered.rows(&clustered.all()) <= clustered.most() => {
            vec![clustered.all()]
        }
        Effort::Automatic | Effort::Vacuum | Effort::Full => clustered.overlapping(),
    };
    found.extend(clustered.by_size(&found));
    found.iter_mut().for_each(|group| group.sort_unstable());
    found
}

struct Clustered<'a> {
    segments: &'a [ClusteredSegment],
    effort: Effort,
    full_rows: u64,
}

impl Clustered<'_> {
    fn all(&self) -> Vec<usize> {
        (0..self.segments.len()).collect()
    }

    fn size(&self, at: usize) -> SegmentSize {
        self.segments.get(at).map_or(SegmentSize { rows: 0, deleted: 0 }, |segment| segment.size)
    }

    fn rows(&self, segments: &[usize]) -> u64 {
        segments.iter().map(|at| self.size(*at).live()).fold(0, u64::saturating_add)
    }

    fn first(&self, at: usize) -> &[u8] {
        let keys = self.segments.get(at).and_then(|segment| segment.keys.as_ref());
        keys.map_or(&[], |keys| &keys.first)
    }

    /// `None`: it may be any.
    fn last(&self, at: usize) -> Option<&[u8]> {
        let keys = self.segments.get(at).and_then(|segment| segment.keys.as_ref());
        keys.map(|keys| keys.last.as_slice())
    }

    fn is_sorted(&self, at: usize) -> bool {
        let keys = self.segments.get(at).and_then(|segment| segment.keys.as_ref());
        keys.is_some_and(|keys| keys.is_sorted)
    }

    /// One in so many of a chain's rows must be its rest's.
    fn share(&self) -> u64 {
        match self.effort {
            // So a row is written anew when there are twice as many.
            Effort::Automatic => 2,
            Effort::Vacuum => 8,
            Effort::Full => u64::MAX,
        }
    }

    /// Rows that are sorted anew together.
    fn most(&self) -> u64 {
        let segments = match self.effort {
            Effort::Automatic => AUTOMATIC_PIECE,
            Effort::Vacuum | Effort::Full => ASKED_PIECE,
        };
        self.full_rows.saturating_mul(segments)
    }

    /// Whether VACUUM FULL has nothing to do.
    fn is_in_order(&self) -> bool {
        let all = self.all();
        let is_whole = |at: &usize| self.is_sorted(*at) && !self.size(*at).is_worn(Effort::Full);
        let small = all.iter().filter(|at| self.size(**at).rows < self.full_rows).count();
        let chains = self.chains(all.clone());
        small <= 1 && all.iter().all(is_whole) && chains.iter().all(|chain| chain.len() == 1)
    }

    /// Those that overlap, or are not sorted. Small ones wait until they are more, unless somebody
    /// has asked.
    fn overlapping(&self) -> Vec<Vec<usize>> {
        let mut eligible = self.all();
        if self.effort == Effort::Automatic {
            eligible.retain(|at| self.size(*at).live() >= self.full_rows / 2);
        }
        let mut found = Vec::new();
        let mut open = vec![eligible];
        while let Some(some) = open.pop() {
            for chain in self.chains(some) {
                let base: BTreeSet<_> = self.base(&chain).into_iter().collect();
                let rest: Vec<_> = chain.iter().copied().filter(|at| !base.contains(at)).collect();
                if rest.is_empty() {
                    continue;
                }
                let (rows, rest_rows) = (self.rows(&chain), self.rows(&rest));
                if rest_rows.saturating_mul(self.share()) < rows {
                    open.push(rest);
                } else if rows <= self.most() {
                    found.push(chain);
                } else if base.is_empty() {
                    // They will be sorted, and have bounds, at least.
                    found.extend(self.cut(chain));
                } else {
                    open.push(rest);
                }
            }
        }
        found
    }

    /// The others, as their sizes say: those whose keys are near each other together.
    fn by_size(&self, taken: &[Vec<usize>]) -> Vec<Vec<usize>> {
        let mut others = self.all();
        let taken: BTreeSet<_> = taken.iter().flatten().collect();
        others.retain(|at| !taken.contains(at));
        others.sort_by_key(|at| (self.first(*at), *at));
        if self.effort == Effort::Full {
            // Otherwise what is left over of all chains would become one that overlaps with all.
            others.retain(|at| self.size(*at).is_worn(Effort::Full));
            return others.into_iter().map(|at| vec![at]).collect();
        }
        let sizes: Vec<_> = others.iter().map(|at| self.size(*at)).collect();
        let groups = groups(&sizes, self.effort, self.full_rows);
        let positions = |group: Vec<usize>| {
            group.into_iter().filter_map(|at| others.get(at).copied()).collect()
        };
        groups.into_iter().map(positions).collect()
    }

    /// Cuts these into those that overlap, one with the next; each in the order of their first keys.
    /// A last key that is the next one's first is no overlap.
    fn chains(&self, mut some: Vec<usize>) -> Vec<Vec<usize>> {
        some.sort_by_key(|at| (self.first(*at), self.last(*at).is_none(), self.last(*at), *at));
        let mut chains: Vec<Vec<usize>> = Vec::new();
        let mut end: Option<&[u8]> = Some(&[]);
        for at in some {
            let overlaps = end.is_none_or(|end| self.first(at) < end);
            match chains.last_mut() {
                Some(chain) if overlaps => chain.push(at),
                _ => chains.push(vec![at]),
            }
            end = end.zip(self.last(at)).map(|(end, last)| end.max(last));
        }
        chains
    }

    /// The disjoint sorted segments that have the most rows together.
    fn base(&self, chain: &[usize]) -> Vec<usize> {
        let mut sorted: Vec<_> = chain.iter().copied().filter(|at| self.is_sorted(*at)).collect();
        sorted.sort_by_key(|at| (self.last(*at), self.first(*at), *at));
        // Of the first so many: the rows of the best, and whether the last of them is among these.
        let mut best = vec![(0_u64, false)];
        let before = |count: usize, at: usize| {
            let ends_before = |other: &usize| self.last(*other) <= Some(self.first(at));
            sorted.get(..count).map_or(0, |some| some.partition_point(ends_before))
        };
        for (count, at) in sorted.iter().enumerate() {
            let rows = |count: usize| best.get(count).map_or(0, |best| best.0);
            let with = self.size(*at).live().saturating_add(rows(before(count, *at)));
            let without = rows(count);
            best.push(if with >= without { (with, true) } else { (without, false) });
        }
        let mut base = Vec::new();
        let mut count = sorted.len();
        while let Some(at) = count.checked_sub(1).and_then(|last| sorted.get(last)) {
            if best.get(count).is_some_and(|best| best.1) {
                base.push(*at);
                count = before(count - 1, *at);
            } else {
                count -= 1;
            }
        }
        base
    }

    /// In their order, as many together as may be sorted anew together.
    fn cut(&self, chain: Vec<usize>) -> Vec<Vec<usize>> {
        let mut pieces: Vec<Vec<usize>> = Vec::new();
        let mut rows = u64::MAX;
        for at in chain {
            rows = rows.saturating_add(self.size(at).live());
            match pieces.last_mut() {
                Some(piece) if rows <= self.most() => piece.push(at),
                _ => {
                    rows = self.size(at).live();
                    pieces.push(vec![at]);
                }
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests;
