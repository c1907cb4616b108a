//! Locks of the coordinator: LOCK TABLE, writers of tables, DDL, advisory locks. Queries take none:
//! they read a snapshot.
//!
//! A lock is a tag in a mode; modes conflict as PostgreSQL's do. An owner is a session: it never
//! waits for itself, and may hold a lock several times. Who waits stands in a queue behind those
//! that came before it, unless it holds the lock in another mode already. A wait that closes a circle
//! fails at once (40P01), so that no deadlock comes to be (PostgreSQL's lock.c, proc.c and
//! deadlock.c; it looks after `deadlock_timeout`).

mod facts;
mod mode;
mod table;
#[cfg(test)]
mod tests;

use std::{future::pending, sync::Arc, time::Duration};

use chrono::Utc;
use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

pub use facts::{LockFacts, LockIdentity};
pub use mode::LockMode;
use table::{Grant, LockTable, Waiter};

/// What is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockTag {
    /// A table, by its id.
    Table(u64),
    /// The rows of a table with unique keys, which one transaction updates or deletes at a time.
    RowChanges(u64),
    /// The unique keys of a table: all of them (EXCLUSIVE), or single ones (ROW EXCLUSIVE), each of
    /// which then is locked itself.
    Keys(u64),
    /// A key of a table's new row, by its hash.
    Key(u64, u64),
    /// Changes of the catalog by statements, which one transaction makes at a time: it gives out
    /// OIDs from its snapshot.
    Ddl,
    /// An advisory lock of one key.
    Advisory(i64),
    /// An advisory lock of two keys.
    AdvisoryPair(i32, i32),
}

/// How long a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockScope {
    /// Until it is unlocked as often as it was locked, or the session ends.
    Session,
    /// Until the transaction ends.
    Transaction,
}

/// What ends a wait besides the lock.
#[derive(Clone, Debug, Default)]
pub struct WaitLimits {
    /// `lock_timeout`
    pub lock_timeout: Option<Duration>,
    /// When the statement must have ended.
    pub deadline: Option<std::time::Instant>,
    /// The statement is cancelled.
    pub cancel: CancellationToken,
}

/// All locks. Cheap to share.
#[derive(Clone, Debug, Default)]
pub struct Locks {
    table: Arc<Mutex<LockTable>>,
}

impl Locks {
    /// The locks as one session sees them; what it holds goes when this is dropped.
    pub fn owner(&self, process_id: i32) -> Arc<LockOwner> {
        Arc::new(LockOwner { locks: self.clone(), process_id })
    }

    /// Who holds what, and who waits for it.
    pub fn facts(&self) -> Vec<LockFacts> {
        self.table.lock().facts()
    }
}

/// A session that locks.
#[derive(Debug)]
pub struct LockOwner {
    locks: Locks,
    process_id: i32,
}

impl LockOwner {
    /// Takes a lock if nobody has to be waited for.
    pub fn try_lock(&self, tag: LockTag, mode: LockMode, scope: LockScope) -> bool {
        self.locks.table.lock().try_grant(self.process_id, tag, mode, scope)
    }

    /// Whether the session has a lock in this mode.
    pub fn holds(&self, tag: LockTag, mode: LockMode) -> bool {
        self.locks.table.lock().holds(self.process_id, tag, mode)
    }

    /// How many locks the session has.
    pub fn count(&self) -> usize {
        self.locks.table.lock().count(self.process_id)
    }

    /// Takes a lock, and waits for it.
    ///
    /// # Errors
    /// 55P03 after `lock_timeout`, 57014 when the statement is to end, 40P01 for a deadlock.
    pub async fn lock(
        &self,
        tag: LockTag,
        mode: LockMode,
        scope: LockScope,
        limits: &WaitLimits,
    ) -> Result<()> {
        let (ticket, granted) = {
            let mut table = self.locks.table.lock();
            if table.try_grant(self.process_id, tag, mode, scope) {
                return Ok(());
            }
            let (sender, granted) = oneshot::channel();
            let wanted = Grant { owner: self.process_id, mode, scope };
            let (since, limits) = (Utc::now(), limits.clone());
            let waiter = Waiter { wanted, granted: sender, since, limits };
            (table.enqueue(tag, waiter)?, granted)
        };
        // However the wait ends, also when nobody asks for its end any more, the place is given up.
        let wanted = Grant { owner: self.process_id, mode, scope };
        let mut place = Place { locks: &self.locks, tag, ticket, wanted, is_taken: false };
        tokio::select! {
            biased;
            result = granted => {
                place.is_taken = result.is_ok();
                result.map_err(|_| ErrorReport::internal("a lock has gone"))
            }
            () = limits.cancel.cancelled() => Err(canceled("user request")),
            () = at(limits.deadline.map(Instant::from_std)) => Err(canceled("statement timeout")),
            () = at(limits.lock_timeout.map(|timeout| Instant::now() + timeout)) => {
                let message = "canceling statement due to lock timeout";
                Err(ErrorReport::new(SqlState::LOCK_NOT_AVAILABLE, message))
            }
        }
    }

    /// Gives a lock back before its scope ends; whether the session had it.
    pub fn unlock(&self, tag: LockTag, mode: LockMode, scope: LockScope) -> bool {
        self.locks.table.lock().take_back(tag, Grant { owner: self.process_id, mode, scope })
    }

    /// Gives all advisory locks of the session back.
    pub fn unlock_all(&self) {
        self.locks.table.lock().release(self.process_id, |_, scope| scope == LockScope::Session);
    }

    /// The transaction has ended.
    pub fn end_transaction(&self) {
        let of_transaction = |_, scope| scope == LockScope::Transaction;
        self.locks.table.lock().release(self.process_id, of_transaction);
    }

    /// The session has ended.
    pub fn end_session(&self) {
        self.locks.table.lock().release(self.process_id, |_, _| true);
    }
}

impl Drop for LockOwner {
    fn drop(&mut self) {
        self.end_session();
    }
}

/// A place in a queue.
struct Place<'a> {
    locks: &'a Locks,
    tag: LockTag,
    ticket: u64,
    wanted: Grant,
    /// The owner knows that it has the lock.
    is_taken: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.is_taken {
            self.locks.table.lock().leave(self.tag, self.ticket, self.wanted);
        }
    }
}

fn canceled(why: &str) -> ErrorReport {
    let message = format!("canceling statement due to {why}");
    ErrorReport::new(SqlState::QUERY_CANCELED, message)
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => pending().await,
    }
}
