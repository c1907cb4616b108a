//! A session in which a transaction is open, used in turns: a shard transaction, or the session that
//! holds a snapshot.
//!
//! What only reads there is *protected*: its statements run in a savepoint of their own. So a read
//! that is given up, and cancelled on the server, does not take the transaction with it:
//!
//! ```text
//!   SAVEPOINT "kst_read"; FETCH FORWARD 8192 FROM "kst_c1"; RELEASE SAVEPOINT "kst_read"
//!   … after an error, or a cancel:  ROLLBACK TO SAVEPOINT "kst_read"; RELEASE …
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};

use super::session::{
    CancelToken, Pool, PooledSession, RawRows, Session, StatementResult, TransactionStatus,
};

const BEGIN_READ: &str = "SAVEPOINT \"kst_read\"";
const END_READ: &str = "RELEASE SAVEPOINT \"kst_read\"";
const UNDO_READ: &str = "ROLLBACK TO SAVEPOINT \"kst_read\"; RELEASE SAVEPOINT \"kst_read\"";
/// A statement that is in the way of a rollback is cancelled, and again after so long: the request
/// may have come before the statement.
const CANCEL_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// A session with an open transaction. Dropping it rolls back.
pub(super) struct SharedSession {
    state: Arc<Mutex<State>>,
    cancel: CancelToken,
    /// It is being rolled back: no more turns.
    is_ending: AtomicBool,
    /// Who would roll it back has waited long enough.
    is_left: AtomicBool,
    cursors: AtomicU64,
    runtime: Handle,
    cancel_timeout: Duration,
}

struct State {
    /// `None`: the transaction has ended.
    session: Option<PooledSession>,
    /// What begins the transaction, until something was read in it.
    begin: Option<String>,
    /// A read has begun, and its savepoint may be there.
    reads: bool,
}

/// The session, for as long as this is held.
pub(super) struct Turn {
    of: Arc<SharedSession>,
    state: OwnedMutexGuard<State>,
}

impl SharedSession {
    /// Takes a session from the pool and begins a transaction with `sql`; gives the answers, too.
    ///
    /// # Errors
    /// Those of the pool and of the statements.
    pub(super) async fn begin(pool: &Pool, sql: &str) -> Result<(Arc<Self>, Vec<StatementResult>)> {
        let mut session = pool.get().await?.rolling_back();
        let answers = session.query_all(sql).await?;
        Ok((Self::of(pool, session, None), answers))
    }

    /// Takes a session from the pool; its first read brings `sql` along, which begins a transaction.
    /// That saves a round trip. For a session that only reads: no statement but [`Turn::read`] and
    /// [`Self::value`].
    ///
    /// # Errors
    /// Those of the pool.
    pub(super) async fn begin_with_first_read(pool: &Pool, sql: String) -> Result<Arc<Self>> {
        let session = pool.get().await?.rolling_back();
        Ok(Self::of(pool, session, Some(sql)))
    }

    fn of(pool: &Pool, session: PooledSession, begin: Option<String>) -> Arc<Self> {
        Arc::new(Self {
            cancel: session.cancel_token(),
            state: Arc::new(Mutex::new(State { session: Some(session), begin, reads: false })),
            is_ending: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
            cursors: AtomicU64::new(0),
            runtime: Handle::current(),
            cancel_timeout: pool.connector().settings().cancel_timeout,
        })
    }

    /// A name that no cursor of the session has had.
    pub(super) fn new_cursor(&self) -> String {
        format!("\"kst_c{}\"", self.cursors.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs something beside whoever uses the session now.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Waits until nobody else uses the session. What somebody has left half done is ended first.
    ///
    /// # Errors
    /// 25P01: the transaction has ended. 58K01: the database is lost.
    pub(super) async fn turn(self: &Arc<Self>) -> Result<Turn> {
        let state = Arc::clone(&self.state).lock_owned().await;
        if self.is_ending.load(Ordering::Acquire) {
            return Err(has_ended());
        }
        let mut turn = Turn { of: Arc::clone(self), state };
        turn.session()?.settle().await?;
        turn.undo_read().await;
        Ok(turn)
    }

    /// Reads a value outside of any savepoint, in a task of its own: given up in the middle, that
    /// would take the transaction with it.
    ///
    /// # Errors
    /// As [`Self::turn`]; those of the statement, after which the transaction has failed.
    pub(super) async fn value(self: &Arc<Self>, sql: String) -> Result<Option<String>> {
        let shared = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            let mut turn = shared.turn().await?;
            let begin = turn.beginning()?;
            let answer = turn.session()?.query(&format!("{begin}{sql}")).await?;
            turn.state.begin = None;
            Ok(answer.single_value().map(str::to_string))
        });
        task.await.unwrap_or_else(|error| {
            Err(ErrorReport::internal(format!("a task that read has died: {error}")))
        })
    }

    /// Ends the transaction with `sql`, in a task of its own: it goes on when nobody waits any more.
    /// The session goes back to its pool.
    ///
    /// # Errors
    /// As [`Self::turn`]; those of the statement, as [`EndFailure`].
    pub(super) async fn end(self: &Arc<Self>, sql: String) -> Result<StatementResult, EndFailure> {
        let shared = Arc::clone(self);
        let task = self.runtime.spawn(async move { shared.end_here(&sql).await });
        let died = |error: tokio::task::JoinError| EndFailure {
            report: ErrorReport::internal(format!("the end of a transaction has died: {error}")),
            is_unknown: true,
        };
        task.await.unwrap_or_else(|error| Err(died(error)))
    }

    async fn end_here(self: &Arc<Self>, sql: &str) -> Result<StatementResult, EndFailure> {
        let known = |report| EndFailure { report, is_unknown: false };
        let mut turn = self.turn().await.map_err(known)?;
        let mut session = turn.state.session.take().ok_or_else(has_ended).map_err(known)?;
        if !session.is_alive() {
            // Nothing was sent: the database has rolled back.
            let lost = session.query(sql).await.map(|_| has_ended());
            return Err(known(lost.unwrap_or_else(|report| report)));
        }
        let ended = session.query(sql).await;
        ended.map_err(|report| EndFailure { report, is_unknown: session.is_closed() })
    }

    /// Rolls back, whatever the session is doing: that is cancelled.
    pub(super) async fn roll_back(self: &Arc<Self>) {
        self.is_ending.store(true, Ordering::Release);
        let mut state = Arc::clone(&self.state).try_lock_owned().ok();
        let rounds = self.cancel_timeout.as_millis() / CANCEL_AGAIN_AFTER.as_millis() + 1;
        for _ in 0..rounds {
            if state.is_some() {
                break;
            }
            // Bounded by the connect timeout.
            let _ = self.cancel.cancel().await;
            let lock = Arc::clone(&self.state).lock_owned();
            state = timeout(CANCEL_AGAIN_AFTER, lock).await.ok();
        }
        let Some(mut state) = state else {
            // Whoever has the turn gives the session up at its end.
            self.is_left.store(true, Ordering::Release);
            return;
        };
        let Some(mut session) = state.session.take() else { return };
        // A session that does not answer in time is closed by its pool.
        let _ = timeout(self.cancel_timeout, session.query("ROLLBACK")).await;
    }
}

impl Turn {
    /// The session.
    ///
    /// # Errors
    /// 25P01: the transaction has ended.
    pub(super) fn session(&mut self) -> Result<&mut Session> {
        match &mut self.state.session {
            Some(session) => Ok(session),
            None => Err(has_ended()),
        }
    }

    /// Runs statements that read, of which at most one gives rows. If they fail, the transaction is
    /// as it was before.
    ///
    /// # Errors
    /// Those of the statements.
    pub(super) async fn read(&mut self, sql: &str) -> Result<RawRows> {
        // Of one that has failed, nothing can be read: the server says so.
        let has_failed = self.session()?.transaction_status() == Some(TransactionStatus::Failed);
        self.state.reads = !has_failed;
        let begin = self.beginning()?;
        let sql = format!("{begin}{BEGIN_READ}; {sql}; {END_READ}");
        let rows = self.session()?.query_raw(&sql).await;
        if rows.is_ok() {
            self.state.begin = None;
        }
        self.undo_read().await;
        rows
    }

    /// What stands before the next statement: where the transaction has not begun, or a first read
    /// was given up before it had, it begins.
    fn beginning(&mut self) -> Result<String> {
        let is_idle = self.session()?.transaction_status() == Some(TransactionStatus::Idle);
        let begin = self.state.begin.as_ref().filter(|_| is_idle);
        Ok(begin.map_or_else(String::new, |begin| format!("{begin}; ")))
    }

    /// Undoes a read that has not ended well.
    async fn undo_read(&mut self) {
        let state = &mut *self.state;
        if state.reads
            && let Some(session) = &mut state.session
            && session.transaction_status() == Some(TransactionStatus::Failed)
        {
            // If that fails, the transaction has failed, and whoever goes on with it is told; but one
            // in which nothing was read yet can begin again.
            if session.query_all(UNDO_READ).await.is_err() && state.begin.is_some() {
                let _ = session.query_all("ROLLBACK").await;
            }
        }
        state.reads = false;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.of.is_left.load(Ordering::Acquire) {
            // Its pool rolls back.
            drop(self.state.session.take());
            return;
        }
        // Somebody has gone in the middle of a statement. It is ended now, not when the next one
        // comes: it holds locks and a processor.
        let is_busy = |session: &PooledSession| {
            session.transaction_status().is_none() && !session.is_closed()
        };
        if self.state.session.as_ref().is_some_and(is_busy) {
            let of = Arc::clone(&self.of);
            self.of.runtime.spawn(async move {
                let _ = of.turn().await;
            });
        }
    }
}

/// Why a transaction did not end as it should.
#[derive(Debug)]
pub(super) struct EndFailure {
    /// The error.
    pub(super) report: ErrorReport,
    /// The database was lost after it was told, and before it answered.
    pub(super) is_unknown: bool,
}

/// 25P01
fn has_ended() -> ErrorReport {
    let message = "the transaction in the shard's database has ended";
    ErrorReport::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message)
}

impl std::fmt::Debug for SharedSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedSession").field("cursors", &self.cursors).finish_non_exhaustive()
    }
}
