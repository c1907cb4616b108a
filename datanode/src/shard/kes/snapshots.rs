//! What scans read from: for each scope a transaction that only reads, whose snapshot it exports, so
//! that other sessions read the same rows at the same time.
//!
//! ```text
//!   holder   BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot()
//!   workers  BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '…'
//! ```
//!
//! A query whose first scan is small, and whose snapshot nobody has asked for before, may need no other
//! session: its holder begins with its first read, and exports only when a larger scan comes.
//!
//! A small scan that reads all that its query reads needs neither: it is one message, with BEGIN, the
//! rows of a cursor, and COMMIT.
//!
//! Other small scans read in the holder itself, and all do when there are no sessions left for workers, or
//! the database exports none: so a query that has its holder never waits for another session. Half of
//! the sessions can be holders, so that who has one finds another to write in.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use kestrel_proto::{DatanodeId, ErrorReport, QueryId, Result, SnapshotScope, SqlState};
use parking_lot::Mutex;
use tokio::{
    sync::{OnceCell, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{probe::Names, session::Pool, shared_session::SharedSession, sql::string};

/// Queries that have ended and are remembered, so that what comes late opens nothing for them.
const ENDED_QUERIES: usize = 4096;
/// The planner shall not prefer the plan whose first rows come soon: all are wanted.
pub(super) const ALL_ROWS: &str = "SET LOCAL cursor_tuple_fraction = 1.0";
/// How sessions begin that only read.
const BEGIN_READ_ONLY: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A snapshot, held until the last who reads from it is done.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// The session that holds it.
    pub(super) holder: Arc<SharedSession>,
    /// What other sessions read it by; `None`: none can.
    exported: OnceCell<Option<String>>,
    /// What exports it.
    export: Option<&'static str>,
    _permit: OwnedSemaphorePermit,
}

/// Who opens a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opener {
    /// Somebody for whom it is to be what the database holds now, or who reads it in other sessions.
    Anybody,
    /// A scan of few rows, which reads in the holder.
    SmallScan,
}

impl Snapshot {
    /// What other sessions read it by; `None`: none can.
    ///
    /// # Errors
    /// Those of the database, if it has to be exported.
    pub(super) async fn exported(&self) -> Result<Option<String>> {
        let Some(function) = self.export else { return Ok(None) };
        let export = || async {
            let exported = self.holder.value(format!("SELECT {function}()")).await?;
            exported.map(Some).ok_or_else(exported_nothing)
        };
        self.exported.get_or_try_init(export).await.cloned()
    }

    /// The same of one that was opened for [`Opener::Anybody`].
    pub(super) fn exported_at_once(&self) -> Option<&str> {
        self.exported.get()?.as_deref()
    }
}

/// 57014
fn has_ended() -> ErrorReport {
    ErrorReport::new(SqlState::QUERY_CANCELED, "the query has ended")
}

fn exported_nothing() -> ErrorReport {
    ErrorReport::internal("a shard's database has exported no snapshot")
}

/// The snapshots that are open.
#[derive(Debug)]
pub(super) struct Snapshots {
    open: Mutex<Open>,
    /// One permit for each session that may become a holder.
    permits: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Open {
    by_scope: HashMap<SnapshotScope, Arc<OnceCell<Arc<Snapshot>>>>,
    ended: VecDeque<QueryId>,
}

impl Snapshots {
    /// None yet; of the sessions of a pool that has so many.
    pub(super) fn new(sessions_max: usize) -> Self {
        let holders_max = (sessions_max / 2).clamp(1, Semaphore::MAX_PERMITS);
        Self { open: Mutex::default(), permits: Arc::new(Semaphore::new(holders_max)) }
    }

    /// The snapshot of a scope, which is opened if it is not.
    ///
    /// # Errors
    /// 57014: the scope's query has ended. 53300: others stay open. Those of the pool and the database.
    pub(super) async fn open(
        &self,
        scope: SnapshotScope,
        opener: Opener,
        pool: &Pool,
        names: &Names,
    ) -> Result<Arc<Snapshot>> {
        let place = {
            let mut open = self.open.lock();
            if matches!(scope, SnapshotScope::Query(query) if open.ended.contains(&query)) {
                return Err(has_ended());
            }
            let snapshot = Arc::clone(open.by_scope.entry(scope).or_default());
            Place { of: self, scope, snapshot }
        };
        let begin = || self.begin(opener, pool, names);
        place.snapshot.get_or_try_init(begin).await.map(Arc::clone)
    }

    /// The snapshot of a scope, if it is open.
    pub(super) fn get(&self, scope: SnapshotScope) -> Option<Arc<Snapshot>> {
        self.open.lock().by_scope.get(&scope)?.get().map(Arc::clone)
    }

    /// Closes a scope's snapshot: who reads from it may end.
    pub(super) fn close(&self, scope: SnapshotScope) {
        let mut open = self.open.lock();
        let closed = open.by_scope.remove(&scope);
        if let SnapshotScope::Query(query) = scope {
            open.ended.push_back(query);
            if open.ended.len() > ENDED_QUERIES {
                open.ended.pop_front();
            }
        }
        drop(open);
        // Not under the lock: that may be the end of a session.
        drop(closed);
    }

    /// Closes all of them.
    pub(super) fn close_all(&self) {
        let closed = std::mem::take(&mut self.open.lock().by_scope);
        drop(closed);
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.open.lock().by_scope.len()
    }

    async fn begin(&self, opener: Opener, pool: &Pool, names: &Names) -> Result<Arc<Snapshot>> {
        let permit = self.permit(pool).await?;
        let export = names.export_snapshot;
        let begin = format!("{BEGIN_READ_ONLY}; {ALL_ROWS}");
        let (holder, exported) = match opener {
            Opener::SmallScan => {
                (SharedSession::begin_with_first_read(pool, begin).await?, OnceCell::new())
            }
            Opener::Anybody => {
                // The first query takes the snapshot.
                let first = export.map_or("NULL".into(), |function| format!("{function}()"));
                let sql = format!("{begin}; SELECT {first}");
                let (holder, answers) = SharedSession::begin(pool, &sql).await?;
                let exported = answers.last().and_then(|answer| answer.single_value());
                let exported = exported.map(str::to_string);
                if export.is_some() && exported.is_none() {
                    return Err(exported_nothing());
                }
                (holder, OnceCell::new_with(Some(exported)))
            }
        };
        Ok(Arc::new(Snapshot { holder, exported, export, _permit: permit }))
    }

    /// For a query that reads once and holds no snapshot: the right to a session that a holder has.
    ///
    /// # Errors
    /// 57014: it has ended. 53300: all have others.
    pub(super) async fn permit_without(
        &self,
        query: QueryId,
        pool: &Pool,
    ) -> Result<OwnedSemaphorePermit> {
        if self.open.lock().ended.contains(&query) {
            return Err(has_ended());
        }
        self.permit(pool).await
    }

    async fn permit(&self, pool: &Pool) -> Result<OwnedSemaphorePermit> {
        let (datanode, settings) = (pool.connector().datanode(), pool.connector().settings());
        let acquired = Arc::clone(&self.permits).acquire_owned();
        match timeout(settings.session_wait, acquired).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(ErrorReport::internal("snapshots are opened no more")),
            Err(_elapsed) => {
                let message = format!(
                    "too many queries and transactions read the shard database of {datanode}"
                );
                let wait = settings.session_wait;
                Err(ErrorReport::new(SqlState::TOO_MANY_CONNECTIONS, message)
                    .detail(format!("None of them has ended within {wait:?}."))
                    .hint(
                        "Raise shard-sessions of the datanode, or run fewer statements at a time.",
                    ))
            }
        }
    }
}

/// Somebody opens a snapshot. If nobody has done so at the end, because that has failed or is no longer
/// waited for, its place goes.
struct Place<'a> {
    of: &'a Snapshots,
    scope: SnapshotScope,
    snapshot: Arc<OnceCell<Arc<Snapshot>>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut open = self.of.open.lock();
        let is_it = |there: &&Arc<_>| Arc::ptr_eq(there, &self.snapshot);
        let Some(there) = open.by_scope.get(&self.scope).filter(is_it) else { return };
        // Besides the map's and this one there are those of others who open it: the last one looks.
        if !there.initialized() && Arc::strong_count(there) <= 2 {
            open.by_scope.remove(&self.scope);
        }
        // Under the lock: of two, one is the last.
        self.snapshot = Arc::default();
    }
}

/// 40001: the session that holds a snapshot is gone, as when the database was restarted.
pub(super) fn is_lost(datanode: DatanodeId) -> ErrorReport {
    let message = format!("the snapshot that the transaction reads on {datanode} is lost");
    ErrorReport::new(SqlState::SERIALIZATION_FAILURE, message).hint("Run the transaction again.")
}

/// What goes wrong where a session begins with an exported snapshot. That its holder is gone, the
/// database knows as a file that is not there, or a process (`ImportSnapshot`, snapmgr.c).
pub(super) fn of_import(datanode: DatanodeId, report: ErrorReport) -> ErrorReport {
    match report.sqlstate {
        SqlState::INVALID_PARAMETER_VALUE
        | SqlState::UNDEFINED_OBJECT
        | SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {
            is_lost(datanode).detail(format!("The database says: {}.", report.message))
        }
        _ => report,
    }
}

/// All rows of a query, in one message: a transaction that begins and ends with them. A cursor, other
/// than COPY, tells the rows' types, which may have changed since another statement has told them.
pub(super) fn read_at_once(select: &str) -> String {
    format!(
        "{BEGIN_READ_ONLY}; {ALL_ROWS}; DECLARE \"kst_c\" BINARY NO SCROLL CURSOR FOR {select}; \
         FETCH FORWARD ALL FROM \"kst_c\"; COMMIT"
    )
}

/// How a session begins that reads from an exported snapshot.
///
/// # Errors
/// 22021: the snapshot's name is none.
pub(super) fn begin_worker(exported: &str) -> Result<String> {
    Ok(format!("{BEGIN_READ_ONLY}; SET TRANSACTION SNAPSHOT {}", string(exported)?))
}
