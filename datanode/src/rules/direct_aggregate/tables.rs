//! What is kept of each group: sums, least and greatest values, counts. Plain arrays by group.

/// Rows that follow each other often are of one group. They go to different places of it, so that
/// none waits for the sum that the one before it writes.
const WAYS: usize = 4;

/// Which groups the rows of a chunk are in.
#[derive(Clone, Copy, Debug)]
pub(super) enum GroupIds<'a> {
    /// All in the only group there is.
    One,
    Each(&'a [u16]),
}

/// Sums, by group.
#[derive(Debug)]
pub(super) struct Sums {
    /// What was added since the last fold.
    blocks: Vec<[i64; WAYS]>,
    totals: Vec<i128>,
    /// Rows whose sum 64 bits hold, whatever they are; 0: not even that of a chunk.
    block_rows: u64,
    rows: u64,
}

/// A fold costs a pass over all groups. It must not come often.
const LEAST_BLOCK: u64 = 1 << 16;

impl Sums {
    /// Of values that are at most so far from 0.
    pub(super) fn new(magnitude: u64) -> Self {
        let block_rows = i64::MAX as u64 / magnitude.max(1);
        let block_rows = if block_rows < LEAST_BLOCK { 0 } else { block_rows };
        Self { blocks: Vec::new(), totals: Vec::new(), block_rows, rows: 0 }
    }

    /// Makes room for so many groups.
    pub(super) fn resize(&mut self, groups: usize) {
        self.totals.resize(groups, 0);
        if self.block_rows > 0 {
            self.blocks.resize(groups, [0; WAYS]);
        }
    }

    /// Adds the values of a chunk.
    pub(super) fn add(&mut self, groups: GroupIds<'_>, values: &[i64]) {
        if self.block_rows == 0 {
            return self.add_wide(groups, values);
        }
        let rows = values.len() as u64;
        if rows > self.block_rows - self.rows {
            self.fold();
        }
        self.rows += rows;
        match groups {
            GroupIds::One => {
                if let Some([first, ..]) = self.blocks.first_mut() {
                    *first = values.iter().fold(*first, |sum, value| sum.wrapping_add(*value));
                }
            }
            GroupIds::Each(groups) => add_in_ways(&mut self.blocks, groups, values),
        }
    }

    fn add_wide(&mut self, groups: GroupIds<'_>, values: &[i64]) {
        match groups {
            GroupIds::One => {
                if let Some(total) = self.totals.first_mut() {
                    *total += values.iter().map(|value| i128::from(*value)).sum::<i128>();
                }
            }
            GroupIds::Each(groups) => {
                for (group, value) in groups.iter().zip(values) {
                    if let Some(total) = self.totals.get_mut(usize::from(*group)) {
                        *total += i128::from(*value);
                    }
                }
            }
        }
    }

    fn fold(&mut self) {
        self.rows = 0;
        for (total, block) in self.totals.iter_mut().zip(&mut self.blocks) {
            *total += std::mem::take(block).into_iter().map(i128::from).sum::<i128>();
        }
    }

    /// The sums of all groups; there are none afterwards.
    pub(super) fn take(&mut self) -> Vec<i128> {
        self.fold();
        self.blocks.clear();
        std::mem::take(&mut self.totals)
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        size_of_val(self.blocks.as_slice()) + size_of_val(self.totals.as_slice())
    }
}

fn add_in_ways(blocks: &mut [[i64; WAYS]], groups: &[u16], values: &[i64]) {
    let values = values.get(..groups.len()).unwrap_or(values);
    let (groups, last_groups) = groups.as_chunks::<WAYS>();
    let (values, last_values) = values.as_chunks::<WAYS>();
    for (groups, values) in groups.iter().zip(values) {
        for (way, (group, value)) in groups.iter().zip(values).enumerate() {
            if let Some(block) = blocks.get_mut(usize::from(*group)) {
                block[way] = block[way].wrapping_add(*value);
            }
        }
    }
    for (group, value) in last_groups.iter().zip(last_values) {
        if let Some(block) = blocks.get_mut(usize::from(*group)) {
            block[0] = block[0].wrapping_add(*value);
        }
    }
}

/// What rows count: to add them up takes a fraction of the time that counting up takes.
static ONES: [i64; 1024] = [1; 1024];

/// Counts of rows, by group.
#[derive(Debug, Default)]
pub(super) struct Counts {
    counts: Vec<[i64; WAYS]>,
}

impl Counts {
    /// Makes room for so many groups.
    pub(super) fn resize(&mut self, groups: usize) {
        self.counts.resize(groups, [0; WAYS]);
    }

    /// Counts the rows of a chunk, which has so many.
    pub(super) fn count(&mut self, groups: GroupIds<'_>, rows: usize) {
        match groups {
            GroupIds::One => {
                if let Some([first, ..]) = self.counts.first_mut() {
                    *first += rows as i64;
                }
            }
            GroupIds::Each(groups) => {
                for groups in groups.chunks(ONES.len()) {
                    add_in_ways(&mut self.counts, groups, &ONES);
                }
            }
        }
    }

    /// Adds the values of a chunk: 1 for a row that counts, 0 for another.
    pub(super) fn add(&mut self, groups: GroupIds<'_>, values: &[i64]) {
        match groups {
            GroupIds::One => {
                if let Some([first, ..]) = self.counts.first_mut() {
                    *first += values.iter().sum::<i64>();
                }
            }
            GroupIds::Each(groups) => add_in_ways(&mut self.counts, groups, values),
        }
    }

    /// The counts of all groups; there are none afterwards.
    pub(super) fn take(&mut self) -> Vec<i64> {
        let counts = std::mem::take(&mut self.counts);
        counts.into_iter().map(|ways| ways.into_iter().sum()).collect()
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        size_of_val(self.counts.as_slice())
    }
}

/// Least or greatest values, by group.
#[derive(Debug)]
pub(super) struct Extremes {
    values: Vec<i64>,
    greatest: bool,
}

impl Extremes {
    /// The greatest values, or the least ones.
    pub(super) fn new(greatest: bool) -> Self {
        Self { values: Vec::new(), greatest }
    }

    /// What changes nothing: the value of a group without rows.
    pub(super) fn identity(&self) -> i64 {
        if self.greatest { i64::MIN } else { i64::MAX }
    }

    /// Makes room for so many groups.
    pub(super) fn resize(&mut self, groups: usize) {
        self.values.resize(groups, self.identity());
    }

    /// Looks at the values of a chunk.
    pub(super) fn add(&mut self, groups: GroupIds<'_>, values: &[i64]) {
        if self.greatest {
            self.fold(groups, values, i64::max);
        } else {
            self.fold(groups, values, i64::min);
        }
    }

    #[inline(always)]
    fn fold(&mut self, groups: GroupIds<'_>, values: &[i64], better: impl Fn(i64, i64) -> i64) {
        match groups {
            GroupIds::One => {
                if let Some(first) = self.values.first_mut() {
                    *first = values.iter().fold(*first, |a, b| better(a, *b));
                }
            }
            GroupIds::Each(groups) => {
                for (group, value) in groups.iter().zip(values) {
                    if let Some(best) = self.values.get_mut(usize::from(*group)) {
                        *best = better(*best, *value);
                    }
                }
            }
        }
    }

    /// The values of all groups; there are none afterwards.
    pub(super) fn take(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.values)
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        size_of_val(self.values.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_folded_before_they_overflow() {
        // Blocks of 2^16 rows and a little: the sum of 5 * 2^16 rows needs folds in between.
        let value = i64::MAX / (1 << 16);
        let values = vec![value; 1 << 10];
        for magnitude in [value as u64, u64::MAX, 1 << 63] {
            let mut sums = Sums::new(magnitude);
            sums.resize(1);
            for _ in 0..5 * 64 {
                sums.add(GroupIds::One, &values);
            }
            sums.resize(3);
            sums.add(GroupIds::Each(&[2, 0, 2, 2, 0, 2]), &[-value, 1, -value, -value, 2, 5]);
            let expected = [i128::from(value) * 5 * (1 << 16) + 3, 0, -3 * i128::from(value) + 5];
            assert_eq!(sums.take(), expected, "{magnitude}");
        }
    }

    #[test]
    fn counts_and_extremes_are_by_group() {
        let mut counts = Counts::default();
        counts.resize(2);
        counts.count(GroupIds::Each(&[0, 1, 1, 1, 1, 1, 0]), 7);
        counts.add(GroupIds::Each(&[0, 1]), &[1, 0]);
        assert_eq!(counts.take(), [3, 5]);
        for (greatest, expected) in [(true, [9, 3]), (false, [-9, 3])] {
            let mut extremes = Extremes::new(greatest);
            extremes.resize(3);
            extremes.add(GroupIds::Each(&[0, 0, 1]), &[9, -9, 3]);
            let taken = extremes.take();
            assert_eq!(taken[..2], expected);
            assert_eq!(taken[2], Extremes::new(greatest).identity());
        }
    }
}
