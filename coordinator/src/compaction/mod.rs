//! Segments written anew, for VACUUM and by themselves: small ones become one, deleted rows go.
//!
//! ```text
//!   which ones      planner::compaction, per datanode          a round: a group on each datanode
//!   their rows      the datanodes write new segments           seen by nobody
//!   one commit      the new ones in the place of the old       with what was deleted meanwhile
//!   the old files   go as garbage does                         when no snapshot has them
//! ```
//!
//! Nobody waits for it, and nobody's transaction fails for it. Readers have their snapshots. What others
//! delete in the old segments and commit before it, is deleted in the new ones, too, before anybody sees
//! them; who commits after it finds the rows there ([`crate::engine::Moves`]). Where others delete all
//! the time, their commits wait for it in the end, for as long as it takes to write what they have
//! deleted. Before its commit it takes the lock of VACUUM if it can be had at once: so DDL that looks at a table's segments has them
//! to itself. A crash leaves the old segments or the new ones; files that nobody refers to go at the
//! next start.

mod auto;
mod replace;
mod round;

pub use auto::{AutoVacuum, vacuum_automatically};
pub(crate) use round::{Commit, Ended, Rewritten, Round, rewrite, rounds};

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;

/// What is written anew, and was.
#[derive(Debug)]
pub struct Compaction {
    /// How it happens by itself.
    pub auto: AutoVacuum,
    /// Tables that somebody works on.
    claimed: Arc<Mutex<BTreeSet<u64>>>,
    counts: Mutex<CompactionCounts>,
}

/// What has been done since the coordinator started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionCounts {
    /// Rounds whose segments are in the catalog.
    pub finished: u64,
    /// Rounds that others' changes have made useless, or their locks.
    pub given_up: u64,
    /// Rounds that ended with an error.
    pub failed: u64,
    /// Segments that have gone.
    pub old_segments: u64,
    /// Segments in their place.
    pub new_segments: u64,
    /// Bytes of the files that have gone.
    pub old_bytes: u64,
    /// Deleted rows that have gone with them.
    pub removed_rows: u64,
}

/// The right to write a table's segments anew; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    table: u64,
    claimed: Arc<Mutex<BTreeSet<u64>>>,
}

impl Compaction {
    /// Nothing is done yet.
    pub fn new(auto: AutoVacuum) -> Self {
        Self { auto, claimed: Arc::default(), counts: Mutex::default() }
    }

    /// What has been done.
    pub fn counts(&self) -> CompactionCounts {
        *self.counts.lock()
    }

    /// The table is the caller's; `None`: somebody else works on it.
    pub(crate) fn claim(&self, table: u64) -> Option<Claim> {
        let is_free = self.claimed.lock().insert(table);
        is_free.then(|| Claim { table, claimed: Arc::clone(&self.claimed) })
    }

    fn note(&self, rewritten: &Rewritten) {
        let mut counts = self.counts.lock();
        counts.finished += 1;
        counts.old_segments += rewritten.old_segments;
        counts.new_segments += rewritten.new_segments;
        counts.old_bytes += rewritten.old_bytes;
        counts.removed_rows += rewritten.removed_rows;
    }

    fn note_given_up(&self) {
        self.counts.lock().given_up += 1;
    }

    fn note_failed(&self) {
        self.counts.lock().failed += 1;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claimed.lock().remove(&self.table);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_claimed_once() {
        let compaction = Compaction::new(AutoVacuum::default());
        let claim = compaction.claim(7).unwrap();
        assert!(compaction.claim(7).is_none());
        assert!(compaction.claim(8).is_some());
        drop(claim);
        assert!(compaction.claim(7).is_some());
    }
}
