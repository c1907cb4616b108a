//! Which tables' rows are going to another distribution now, and how far they are.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

/// The statements that run. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Redistributions(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
struct Running {
    next: u64,
    facts: BTreeMap<u64, RedistributionFacts>,
}

/// What a statement does now. They follow in this order, the second again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedistributionPhase {
    /// It copies the rows of a snapshot.
    Copying,
    /// It copies and deletes what others have added and deleted since.
    CatchingUp,
    /// It waits for those who have written and not committed; new ones wait for it.
    Locking,
    /// Nobody else writes: it does what is left, and the catalog gets the new layout.
    Switching,
}

impl RedistributionPhase {
    /// For users.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copying => "copying",
            Self::CatchingUp => "catching up",
            Self::Locking => "waiting for writers",
            Self::Switching => "switching",
        }
    }
}

/// A statement, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedistributionFacts {
    /// The session's number.
    pub session_pid: i32,
    /// Its user.
    pub user: String,
    /// The table's schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// DISTRIBUTED …: where its rows are to be.
    pub distribution: String,
    /// What it does now.
    pub phase: RedistributionPhase,
    /// How often it has looked for what others have changed.
    pub rounds: u64,
    /// Rows to be copied, as far as is known.
    pub rows_total: u64,
    /// Rows that were copied.
    pub rows: u64,
    /// When it began.
    pub started_at: DateTime<Utc>,
}

impl Redistributions {
    /// A statement begins; it ends when the handle is dropped.
    pub fn begin(&self, facts: RedistributionFacts) -> Redistribution {
        let mut running = self.0.lock();
        let id = running.next;
        running.next += 1;
        running.facts.insert(id, facts);
        Redistribution { all: self.clone(), id }
    }

    /// All that run, in the order in which they began.
    pub fn facts(&self) -> Vec<RedistributionFacts> {
        self.0.lock().facts.values().cloned().collect()
    }
}

/// A statement that runs.
#[derive(Debug)]
pub struct Redistribution {
    all: Redistributions,
    id: u64,
}

impl Redistribution {
    /// What it does now.
    pub fn is(&self, phase: RedistributionPhase) {
        self.change(|facts| facts.phase = phase);
    }

    /// It looks for what there is to do, and has found so many rows more to copy.
    pub fn has_found(&self, rows: u64) {
        self.change(|facts| {
            facts.rounds += 1;
            facts.rows_total += rows;
        });
    }

    /// It has copied so many rows more.
    pub fn has_copied(&self, rows: u64) {
        self.change(|facts| facts.rows += rows);
    }

    fn change(&self, change: impl FnOnce(&mut RedistributionFacts)) {
        if let Some(facts) = self.all.0.lock().facts.get_mut(&self.id) {
            change(facts);
        }
    }
}

impl Drop for Redistribution {
    fn drop(&mut self) {
        self.all.0.lock().facts.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_seen_while_they_run() {
        let all = Redistributions::default();
        let facts = RedistributionFacts {
            session_pid: 7,
            user: "ann".into(),
            schema: "public".into(),
            table: "t".into(),
            distribution: "DISTRIBUTED BY (a)".into(),
            phase: RedistributionPhase::Copying,
            rounds: 0,
            rows_total: 0,
            rows: 0,
            started_at: DateTime::UNIX_EPOCH,
        };
        let running = all.begin(facts.clone());
        running.has_found(10);
        running.has_copied(4);
        running.is(RedistributionPhase::CatchingUp);
        running.has_found(2);
        let phase = RedistributionPhase::CatchingUp;
        let expected = RedistributionFacts { phase, rounds: 2, rows_total: 12, rows: 4, ..facts };
        assert_eq!(all.facts(), [expected]);
        drop(running);
        assert_eq!(all.facts(), []);
    }
}
