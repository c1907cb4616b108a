//! Which table is to be analyzed next: a pure function of what has changed, what was analyzed, and
//! the time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use kestrel_planner::catalog::{Catalog, TableDef};

/// So many changed rows, and this part of all of them, make statistics stale (PostgreSQL's
/// `autovacuum_analyze_threshold` and `autovacuum_analyze_scale_factor`).
const THRESHOLD_ROWS: f64 = 50.0;
const THRESHOLD_FRACTION: f64 = 0.1;
/// How long a table that was analyzed is left alone. It doubles each time that this was not enough,
/// or that the table could not be analyzed.
const FIRST_COOLDOWN: Duration = Duration::from_secs(60);
const LONGEST_COOLDOWN: Duration = Duration::from_secs(3600);
/// After an analysis nothing is analyzed for so many times as long: it takes a tenth of the time.
const REST: u32 = 9;

/// What there is to know of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its id.
    pub table: u64,
    /// Rows when it was analyzed; 0: it never was.
    pub analyzed_rows: u64,
    /// Rows that have come, gone or changed since.
    pub changed_rows: u64,
}

/// What was analyzed, and when.
#[derive(Debug, Default)]
pub struct Decider {
    cooldowns: HashMap<u64, Cooldown>,
    /// Nothing is analyzed before.
    rests_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Cooldown {
    until: Instant,
    lasts: Duration,
}

impl Candidate {
    /// More than 1: its statistics are stale, and the more it is the more they are.
    fn staleness(&self) -> f64 {
        let threshold = THRESHOLD_ROWS + THRESHOLD_FRACTION * self.analyzed_rows as f64;
        self.changed_rows as f64 / threshold
    }
}

impl Decider {
    /// The table that needs it most, if one may be analyzed now.
    pub fn next(&self, candidates: &[Candidate], now: Instant) -> Option<Candidate> {
        if self.rests_until.is_some_and(|until| now < until) {
            return None;
        }
        let is_cool =
            |table: u64| self.cooldowns.get(&table).is_none_or(|cooldown| cooldown.until <= now);
        let due = candidates.iter().filter(|c| c.staleness() > 1.0 && is_cool(c.table));
        due.max_by(|a, b| {
            a.staleness().total_cmp(&b.staleness()).then_with(|| b.table.cmp(&a.table))
        })
        .copied()
    }

    /// A table was analyzed, or could not be.
    pub fn ended(&mut self, table: u64, (began, now): (Instant, Instant), succeeded: bool) {
        let took = now.saturating_duration_since(began);
        self.rests_until = Some(now + took * REST);
        let lasts = match self.cooldowns.get(&table) {
            // It was left alone for as long again.
            Some(before) if succeeded && began > before.until + before.lasts => FIRST_COOLDOWN,
            Some(before) => (before.lasts * 2).min(LONGEST_COOLDOWN),
            None => FIRST_COOLDOWN,
        };
        self.cooldowns.insert(table, Cooldown { until: now + lasts, lasts });
    }

    /// Only tables that there are.
    pub fn forget_all_but(&mut self, candidates: &[Candidate]) {
        self.cooldowns.retain(|table, _| candidates.iter().any(|c| c.table == *table));
    }
}

/// The tables that may be analyzed automatically: those that are not a session's own. Of those in databases
/// changes count that Kestrel has made.
pub fn candidates(catalog: &Catalog) -> Vec<Candidate> {
    let is_one = |table: &&TableDef| !table.is_temporary();
    let tables = catalog.tables.values().map(|table| &**table).filter(is_one);
    let candidate = |table: &TableDef| Candidate {
        table: table.id,
        analyzed_rows: catalog.statistics_of(table.id).map_or(0, |known| known.rows),
        changed_rows: catalog.changed_since_analyzed(table),
    };
    tables.map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(table: u64, analyzed_rows: u64, changed_rows: u64) -> Candidate {
        Candidate { table, analyzed_rows, changed_rows }
    }

    fn next(decider: &Decider, candidates: &[Candidate], now: Instant) -> Option<u64> {
        decider.next(candidates, now).map(|candidate| candidate.table)
    }

    #[test]
    fn stale_is_more_than_50_rows_and_a_tenth() {
        let (decider, now) = (Decider::default(), Instant::now());
        assert_eq!(next(&decider, &[candidate(1, 0, 50)], now), None);
        assert_eq!(next(&decider, &[candidate(1, 0, 51)], now), Some(1));
        assert_eq!(next(&decider, &[candidate(1, 1000, 150)], now), None);
        assert_eq!(next(&decider, &[candidate(1, 1000, 151)], now), Some(1));
        let several = [candidate(1, 1000, 300), candidate(2, 0, 500), candidate(3, 0, 500)];
        assert_eq!(next(&decider, &several, now), Some(2));
    }

    #[test]
    fn a_busy_table_is_left_alone_longer_and_longer() {
        let (mut decider, start) = (Decider::default(), Instant::now());
        let stale = [candidate(1, 0, 1000)];
        let (mut now, mut waits) = (start, Vec::new());
        for _ in 0..9 {
            decider.ended(1, (now, now), true);
            let ended = now;
            while next(&decider, &stale, now).is_none() {
                now += Duration::from_secs(1);
            }
            waits.push((now - ended).as_secs());
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        // It has been quiet.
        now += 3 * LONGEST_COOLDOWN;
        decider.ended(1, (now, now), true);
        assert_eq!(next(&decider, &stale, now + FIRST_COOLDOWN), Some(1));
    }

    #[test]
    fn failures_double_the_wait_and_others_go_on() {
        let (mut decider, now) = (Decider::default(), Instant::now());
        decider.ended(1, (now, now), false);
        decider.ended(1, (now + 10 * FIRST_COOLDOWN, now + 10 * FIRST_COOLDOWN), false);
        let then = now + 11 * FIRST_COOLDOWN;
        let stale = [candidate(1, 0, 1000), candidate(2, 0, 100)];
        assert_eq!(next(&decider, &stale, then), Some(2));
        assert_eq!(next(&decider, &stale, then + FIRST_COOLDOWN), Some(1));
    }

    #[test]
    fn it_takes_a_tenth_of_the_time() {
        let (mut decider, began) = (Decider::default(), Instant::now());
        let ended = began + Duration::from_secs(10);
        decider.ended(1, (began, ended), true);
        let stale = [candidate(2, 0, 1000)];
        assert_eq!(next(&decider, &stale, ended + Duration::from_secs(89)), None);
        assert_eq!(next(&decider, &stale, ended + Duration::from_secs(90)), Some(2));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let (mut decider, now) = (Decider::default(), Instant::now());
        decider.ended(1, (now, now), true);
        decider.forget_all_but(&[candidate(2, 0, 0)]);
        assert!(decider.cooldowns.is_empty());
    }
}
