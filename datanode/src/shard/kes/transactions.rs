//! The shard transactions that are open: one for each of Kestrel's transactions that has written
//! here, or run a statement.

use std::{collections::HashMap, sync::Arc, time::Duration};

use kestrel_proto::{DatanodeId, ErrorReport, Result, ShardIsolation, SqlState, TransactionId};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::{
    session::Pool,
    shared_session::SharedSession,
    snapshots::{ALL_ROWS, Snapshot, is_lost, of_import},
    sql::string,
};

/// The open shard transactions.
#[derive(Debug, Default)]
pub(super) struct ShardTransactions(Mutex<HashMap<TransactionId, Opened>>);

#[derive(Debug)]
struct Opened {
    epoch: u64,
    session: Arc<OnceCell<Arc<SharedSession>>>,
}

/// How a shard transaction is opened, or found.
#[derive(Debug)]
pub(super) struct Opening {
    /// It must be there: the transaction has written.
    pub(super) continues: bool,
    /// If it reads from no snapshot; who is in a block has one.
    pub(super) isolation: ShardIsolation,
    /// The snapshot of the block, if that is open.
    pub(super) snapshot: Option<Arc<Snapshot>>,
    /// How long its statements wait for a lock.
    pub(super) lock_timeout: Duration,
}

impl ShardTransactions {
    /// The shard transaction of a transaction, which is opened if it is not.
    ///
    /// # Errors
    /// 40001: it had to be there, or the snapshot of its block. Those of the pool and the database.
    pub(super) async fn open(
        &self,
        transaction: TransactionId,
        epoch: u64,
        pool: &Pool,
        opening: &Opening,
    ) -> Result<Arc<SharedSession>> {
        let place = {
            let mut open = self.0.lock();
            let is_open = |opened: &Opened| opened.session.initialized();
            if opening.continues && !open.get(&transaction).is_some_and(is_open) {
                return Err(is_gone(pool.connector().datanode()));
            }
            let new = || Opened { epoch, session: Arc::default() };
            let opened = open.entry(transaction).or_insert_with(new);
            if opened.epoch != epoch {
                return Err(is_gone(pool.connector().datanode()));
            }
            Place { of: self, transaction, session: Arc::clone(&opened.session) }
        };
        let begin = || async {
            let datanode = pool.connector().datanode();
            let begun = SharedSession::begin(pool, &opening.sql(datanode)?).await;
            let imports = opening.snapshot.is_some();
            let of_begin = |e| if imports { of_import(datanode, e) } else { e };
            begun.map(|(session, _)| session).map_err(of_begin)
        };
        place.session.get_or_try_init(begin).await.map(Arc::clone)
    }

    /// Takes a shard transaction out, to end it; `None`: it is not open.
    pub(super) fn take(
        &self,
        transaction: TransactionId,
        epoch: u64,
    ) -> Option<Arc<SharedSession>> {
        let mut open = self.0.lock();
        if open.get(&transaction)?.epoch != epoch {
            return None;
        }
        open.remove(&transaction)?.session.get().map(Arc::clone)
    }

    /// Takes all out of which the coordinator has a lower epoch; `None`: all.
    pub(super) fn take_before(&self, epoch: Option<u64>) -> Vec<Arc<SharedSession>> {
        let mut open = self.0.lock();
        let is_taken = |opened: &Opened| epoch.is_none_or(|epoch| opened.epoch < epoch);
        let (taken, kept): (HashMap<_, _>, HashMap<_, _>) =
            open.drain().partition(|(_, opened)| is_taken(opened));
        *open = kept;
        taken.into_values().filter_map(|opened| opened.session.get().map(Arc::clone)).collect()
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.0.lock().len()
    }
}

/// Somebody opens a shard transaction. If nobody has done so at the end, because that has failed or is
/// no longer waited for, its place goes.
struct Place<'a> {
    of: &'a ShardTransactions,
    transaction: TransactionId,
    session: Arc<OnceCell<Arc<SharedSession>>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut open = self.of.0.lock();
        let is_it = |opened: &&Opened| Arc::ptr_eq(&opened.session, &self.session);
        let Some(there) = open.get(&self.transaction).filter(is_it) else { return };
        // Besides the map's and this one there are those of others who open it: the last one looks.
        if !there.session.initialized() && Arc::strong_count(&there.session) <= 2 {
            open.remove(&self.transaction);
        }
        // Under the lock: of two, one is the last.
        self.session = Arc::default();
    }
}

impl Opening {
    fn sql(&self, datanode: DatanodeId) -> Result<String> {
        // Zero would mean no bound.
        let lock_timeout_ms = self.lock_timeout.as_millis().clamp(1, i32::MAX as u128);
        let isolation = match (&self.snapshot, self.isolation) {
            (Some(_), _) => "REPEATABLE READ",
            (None, ShardIsolation::ReadCommitted) => "READ COMMITTED",
            // Its block has opened one, and has perhaps read from it: what it writes from a newer one
            // would overwrite what others have committed since.
            (None, ShardIsolation::RepeatableRead) => return Err(is_lost(datanode)),
        };
        let mut sql = format!("BEGIN TRANSACTION ISOLATION LEVEL {isolation} READ WRITE");
        if let Some(exported) = self.snapshot.as_ref().and_then(|s| s.exported_at_once()) {
            sql.push_str(&format!("; SET TRANSACTION SNAPSHOT {}", string(exported)?));
        }
        sql.push_str(&format!("; SET LOCAL lock_timeout = {lock_timeout_ms}; {ALL_ROWS}"));
        Ok(sql)
    }
}

/// 40001: what a transaction has written is lost with its shard transaction.
pub(super) fn is_gone(datanode: DatanodeId) -> ErrorReport {
    let message = format!("what the transaction has written on {datanode} is lost");
    ErrorReport::new(SqlState::SERIALIZATION_FAILURE, message)
        .detail(
            "Its transaction in the shard's database was rolled back when the database or the \
             datanode was restarted, or the coordinator was not heard from.",
        )
        .hint("Run the transaction again.")
        .on_datanode(datanode.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_shard_transaction_begins() {
        let opening = |isolation, lock_timeout| Opening {
            continues: false,
            isolation,
            snapshot: None,
            lock_timeout,
        };
        for (opening, expected) in [
            (
                opening(ShardIsolation::ReadCommitted, Duration::from_secs(10)),
                Ok("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE; \
                    SET LOCAL lock_timeout = 10000; SET LOCAL cursor_tuple_fraction = 1.0"),
            ),
            (
                opening(ShardIsolation::ReadCommitted, Duration::ZERO),
                Ok("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE; \
                    SET LOCAL lock_timeout = 1; SET LOCAL cursor_tuple_fraction = 1.0"),
            ),
            (opening(ShardIsolation::RepeatableRead, Duration::ZERO), Err("40001")),
        ] {
            let sql = opening.sql(DatanodeId(0)).map_err(|error| error.sqlstate.as_str());
            assert_eq!(sql.as_deref().map_err(|state| *state), expected);
        }
    }
}
