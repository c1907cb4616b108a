//! Joins filter the scans below them: what a hash join's build side has read tells which rows of its
//! probe side can join at all, and the others need not leave their scan.
//!
//! ```text
//!   HashJoin  a = b                        HashJoin  a = b
//!     Scan t                                 KeyCollector  a   publishes at its input's end: keys of a
//!     Projection                      =>       Scan t
//!       Aggregate  by b                      Projection
//!         Scan u                               KeyFilter  b    groups of which the scan kept a part
//!                                                Aggregate  by b
//!                                                  Scan u      drops rows whose b is not among them
//! ```
//!
//! [`with_runtime_filters`] puts them into a plan that DataFusion's rules are through with; `passage`
//! decides how far down a filter may go. Nobody ever waits for a filter: until its keys are there all
//! rows pass, and they may never come. So whatever is between a scan and the join must be right with
//! any part of the rows that cannot join.

mod bloom;
mod collect;
mod filter;
mod key_set;
mod passage;
mod place;
mod scans;
#[cfg(test)]
mod tests;

pub(crate) use collect::KeyCollectorExec;
pub(crate) use key_set::KeySet;
pub(crate) use place::{Scans, with_runtime_filters};
pub(crate) use scans::ShardScans;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// What is known of a build side's keys, once it has been read to its end: before, everything may
/// pass.
#[derive(Debug, Default)]
pub(crate) struct RuntimeFilter {
    keys: OnceLock<KeySet>,
    is_outdated: AtomicBool,
}

impl RuntimeFilter {
    /// One that lets everything pass.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The build side has been read. Only the first keys count: those of a second reading are the
    /// same.
    pub(crate) fn set(&self, keys: KeySet) {
        // Fails when there are some.
        let _ = self.keys.set(keys);
    }

    /// The keys; `None`: not known yet, or never, so that all rows may pass. Once there, they stay,
    /// as long as the plan is not run anew.
    pub(crate) fn keys(&self) -> Option<&KeySet> {
        if self.is_outdated.load(Ordering::Acquire) {
            return None;
        }
        self.keys.get()
    }

    /// The build side is about to be read anew, and may have other rows: the keys say nothing more.
    fn give_up(&self) {
        self.is_outdated.store(true, Ordering::Release);
    }
}
