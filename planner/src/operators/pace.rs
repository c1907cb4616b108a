//! How much a join may take on at a time, so that it looks up often enough.

use std::time::{Duration, Instant};

/// A join that takes longer over what it was handed is handed less. A query runs some ten joins at a
/// time on each core, and each must look up before all have stopped.
const LONG: Duration = Duration::from_millis(4);
/// One that is done sooner may have more.
const SHORT: Duration = Duration::from_millis(1);
/// By how much more.
const GROWTH: usize = 4;

/// The rows that a join is handed next, from what the last ones cost it. Not their number alone
/// counts: each may have one partner or a million.
#[derive(Debug)]
pub(super) struct Pace {
    rows: usize,
    /// What the join has spent since it last let others run, its turns that have ended.
    spent: Duration,
    /// The longest that it has spent so on the last rows.
    longest: Duration,
    /// When its turn began, while it has one.
    turn: Option<Instant>,
}

impl Pace {
    /// A pace that starts with so many rows.
    pub(super) fn new(rows: usize) -> Self {
        Self { rows, spent: Duration::ZERO, longest: Duration::ZERO, turn: None }
    }

    /// The join works from here on.
    pub(super) fn start(&mut self, now: Instant) {
        self.turn = Some(now);
    }

    /// It waits, or another operator works for it.
    pub(super) fn stop(&mut self, now: Instant) {
        let turn = self.turn.take().map(|since| now.saturating_duration_since(since));
        self.spent += turn.unwrap_or_default();
    }

    /// It has stopped, and others may run.
    pub(super) fn let_others_run(&mut self) {
        self.longest = self.longest.max(std::mem::take(&mut self.spent));
    }

    /// The rows that the join may have now that it is done with the last ones.
    pub(super) fn next_rows(&mut self) -> usize {
        self.let_others_run();
        let longest = std::mem::take(&mut self.longest);
        if longest > LONG {
            let share = LONG.as_secs_f64() / longest.as_secs_f64();
            self.rows = ((self.rows as f64 * share) as usize).max(1);
        } else if longest < SHORT {
            self.rows = self.rows.saturating_mul(GROWTH);
        }
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows handed out one after the other, when a row costs so much.
    fn paced(first: usize, per_row: Duration) -> Vec<usize> {
        let mut pace = Pace::new(first);
        let mut now = Instant::now();
        let mut rows = first;
        let mut handed = vec![];
        for _ in 0..10 {
            pace.start(now);
            now += per_row * rows as u32;
            pace.stop(now);
            // Not the join's time.
            now += Duration::from_secs(1);
            rows = pace.next_rows();
            handed.push(rows);
        }
        handed
    }

    #[test]
    fn cheap_rows_come_in_whole_batches_soon() {
        let handed = paced(1, Duration::from_nanos(50));
        assert!(handed[6] > 8192, "{handed:?}");
    }

    #[test]
    fn costly_rows_come_one_by_one() {
        assert_eq!(paced(1, Duration::from_secs(1)), [1; 10]);
        let handed = paced(1 << 20, Duration::from_millis(2));
        assert_eq!(handed[0], 2, "{handed:?}");
        assert_eq!(handed[9], 2, "{handed:?}");
    }

    #[test]
    fn what_is_output_piece_by_piece_may_take_long() {
        let mut pace = Pace::new(16);
        let now = Instant::now();
        for _ in 0..100 {
            pace.start(now);
            pace.stop(now + SHORT);
            pace.let_others_run();
        }
        assert_eq!(pace.next_rows(), 16);
    }

    #[test]
    fn a_batch_takes_some_milliseconds() {
        let handed = paced(1, Duration::from_micros(20));
        assert!((50..=200).contains(&handed[9]), "{handed:?}");
    }
}
