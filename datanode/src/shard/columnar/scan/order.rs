//! In which order conjuncts are tried: the cheapest kind first, then as they have proved.
//!
//! A conjunct should come early when it is cheap and drops many rows: by its cost per row, divided
//! by the share of rows that it drops. After each piece, neighbours whose ranks say so change places.
//! The choice is an execution partition's own.

use std::time::Duration;

use super::conjuncts::Conjuncts;

/// Of so many rows a conjunct must have seen, before it is judged.
const ROWS_MIN: f64 = 16_384.0;
/// By so much the later one must be better. Measured times are not exact.
const BETTER: f64 = 0.8;
/// What has been seen counts half as much after each piece.
const DECAY: f64 = 0.5;
/// A runtime filter that keeps more than this share of rows is not worth its time.
const KEPT_MAX: f64 = 0.6;

/// The order of a scan's conjuncts in one execution partition.
#[derive(Debug)]
pub(super) struct Order {
    /// Conjuncts by their places in the list.
    sequence: Vec<usize>,
    seen: Vec<Seen>,
    is_adaptive: bool,
}

/// What a conjunct has done lately.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    rows: f64,
    kept: f64,
    nanoseconds: f64,
    /// A runtime filter that has dropped too little.
    is_off: bool,
}

impl Order {
    pub(super) fn new(conjuncts: &Conjuncts, is_adaptive: bool) -> Self {
        let count = conjuncts.list.len();
        Self { sequence: (0..count).collect(), seen: vec![Seen::default(); count], is_adaptive }
    }

    /// The conjuncts, the first to be tried first.
    pub(super) fn sequence(&self) -> impl Iterator<Item = usize> + '_ {
        self.sequence.iter().copied()
    }

    /// Whether a runtime filter has proved useless.
    pub(super) fn is_off(&self, conjunct: usize) -> bool {
        self.seen.get(conjunct).is_some_and(|seen| seen.is_off)
    }

    /// Notes what a conjunct has done to the rows of a zone.
    pub(super) fn record(&mut self, conjunct: usize, rows: usize, kept: usize, time: Duration) {
        if let Some(seen) = self.seen.get_mut(conjunct) {
            seen.rows += rows as f64;
            seen.kept += kept as f64;
            seen.nanoseconds += time.as_nanos() as f64;
        }
    }

    /// Judges a runtime filter by what it has done so far.
    pub(super) fn judge_filter(&mut self, conjunct: usize) {
        if self.is_adaptive
            && let Some(seen) = self.seen.get_mut(conjunct)
            && seen.rows >= ROWS_MIN
        {
            seen.is_off |= seen.kept > KEPT_MAX * seen.rows;
        }
    }

    /// A piece is done: neighbours change places where that pays.
    pub(super) fn adapt(&mut self) {
        if !self.is_adaptive {
            return;
        }
        for at in 1..self.sequence.len() {
            let (Some(&first), Some(&second)) = (self.sequence.get(at - 1), self.sequence.get(at))
            else {
                continue;
            };
            if let (Some(first), Some(second)) = (self.rank(first), self.rank(second))
                && second < BETTER * first
            {
                self.sequence.swap(at - 1, at);
            }
        }
        for seen in &mut self.seen {
            seen.rows *= DECAY;
            seen.kept *= DECAY;
            seen.nanoseconds *= DECAY;
        }
    }

    /// Nanoseconds for each row that it drops; `None`: not known yet.
    fn rank(&self, conjunct: usize) -> Option<f64> {
        let seen = self.seen.get(conjunct).filter(|seen| seen.rows >= ROWS_MIN)?;
        // One that drops nothing comes last, but its cost still counts among such.
        let dropped = (seen.rows - seen.kept).max(seen.rows * 1e-3);
        Some(seen.nanoseconds / dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Conjuncts that cost so many nanoseconds a row and keep such a share, after some pieces.
    fn order_of(conjuncts: &[(f64, f64)], is_adaptive: bool) -> Vec<usize> {
        let count = conjuncts.len();
        let mut order = Order {
            sequence: (0..count).collect(),
            seen: vec![Seen::default(); count],
            is_adaptive,
        };
        for _ in 0..8 {
            for (conjunct, (cost, kept)) in conjuncts.iter().enumerate() {
                let time = Duration::from_nanos((cost * 100_000.0) as u64);
                order.record(conjunct, 100_000, (kept * 100_000.0) as usize, time);
            }
            order.adapt();
        }
        order.sequence().collect()
    }

    #[test]
    fn cheap_and_selective_conjuncts_come_first() {
        for (conjuncts, expected) in [
            (&[(1.0, 0.5), (1.0, 0.1)][..], &[1, 0][..]),
            (&[(1.0, 0.5), (10.0, 0.1)], &[0, 1]),
            // Not by so little that it may be chance.
            (&[(1.0, 0.5), (1.0, 0.45)], &[0, 1]),
            (&[(1.0, 1.0), (5.0, 0.9), (2.0, 0.01)], &[2, 1, 0]),
        ] {
            assert_eq!(order_of(conjuncts, true), expected, "{conjuncts:?}");
            assert!(order_of(conjuncts, false).is_sorted());
        }
    }

    #[test]
    fn filters_that_keep_most_rows_are_switched_off() {
        for (rows, kept, expected) in
            [(1_000, 1_000, false), (20_000, 11_000, false), (20_000, 13_000, true)]
        {
            let seen = vec![Seen::default()];
            let mut order = Order { sequence: vec![0], seen, is_adaptive: true };
            order.record(0, rows, kept, Duration::ZERO);
            order.judge_filter(0);
            assert_eq!(order.is_off(0), expected, "{rows} {kept}");
        }
    }
}
