//! The sessions of a datanode with its shard's database.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kestrel_proto::{DatanodeId, ErrorReport, Result, SqlState};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{
    backoff::{Backoff, Turn},
    connector::Connector,
    session::{Session, TransactionStatus},
    settings::{KesSettings, name},
};

/// Sessions besides those that the settings allow, for what ends transactions.
const ENDING_SESSIONS: usize = 2;

/// Hands out sessions, opens them when there are not enough, and keeps those that come back.
///
/// A session that comes back is kept only when it waits for its next statement, outside of a
/// transaction; one that is busy is settled first. Nothing else is reset: whoever changes settings of
/// a session does it with `SET LOCAL`, and makes no temporary tables.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Arc<Connector>,
    /// One permit for each session that is in use.
    permits: Arc<Semaphore>,
    /// The same for [`Pool::get_to_end`], when there are none of the others.
    ending_permits: Arc<Semaphore>,
    sessions_max: usize,
    /// The one that came back last is the last.
    idle: Mutex<Vec<Idle>>,
    backoff: Mutex<Backoff>,
    waiting: AtomicUsize,
    /// Where sessions are settled after they were dropped.
    runtime: Handle,
}

struct Idle {
    session: Session,
    since: Instant,
}

/// How many sessions do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// Handed out, or being settled.
    pub in_use: usize,
    /// Waiting for a statement.
    pub idle: usize,
    /// Statements that wait for a session.
    pub waiting: usize,
}

/// A session of a [`Pool`]. It goes back when it is dropped.
pub struct PooledSession {
    session: Session,
    shared: Arc<Shared>,
    permit: Option<OwnedSemaphorePermit>,
    rolls_back: bool,
}

impl Pool {
    /// A pool without sessions. To be called in a runtime, which settles sessions and closes those
    /// that stay idle.
    ///
    /// # Errors
    /// F0000: the root certificates cannot be read.
    pub fn new(settings: KesSettings, datanode: DatanodeId) -> Result<Self> {
        let runtime = Handle::try_current()
            .map_err(|error| ErrorReport::internal(format!("a pool of sessions: {error}")))?;
        let sessions_max = settings.sessions_max.clamp(1, Semaphore::MAX_PERMITS);
        let idle_timeout = settings.idle_timeout;
        let shared = Arc::new(Shared {
            connector: Arc::new(Connector::new(settings, datanode)?),
            permits: Arc::new(Semaphore::new(sessions_max)),
            ending_permits: Arc::new(Semaphore::new(ENDING_SESSIONS)),
            sessions_max,
            idle: Mutex::new(vec![]),
            backoff: Mutex::new(Backoff::default()),
            waiting: AtomicUsize::new(0),
            runtime,
        });
        shared.runtime.spawn(close_idle(Arc::downgrade(&shared), idle_timeout));
        Ok(Self { shared })
    }

    /// How the sessions connect.
    pub fn connector(&self) -> &Arc<Connector> {
        &self.shared.connector
    }

    /// A session: one that is idle, else a new one. Waits while all are in use, and while a database
    /// that is being restarted takes none; as long as the settings say.
    ///
    /// # Errors
    /// 53300: all stay in use; else as [`Session::connect`].
    pub async fn get(&self) -> Result<PooledSession> {
        self.get_of(&self.shared.permits).await
    }

    /// The same for what ends, or finds, prepared transactions: all other sessions may wait for locks
    /// that those hold.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_to_end(&self) -> Result<PooledSession> {
        match self.try_get().await? {
            Some(session) => Ok(session),
            None => self.get_of(&self.shared.ending_permits).await,
        }
    }

    async fn get_of(&self, permits: &Arc<Semaphore>) -> Result<PooledSession> {
        let shared = &self.shared;
        let settings = shared.connector.settings();
        let waiting = Waiting::begin(&shared.waiting);
        let acquired = Arc::clone(permits).acquire_owned();
        let permit = match timeout(settings.session_wait, acquired).await {
            Ok(permit) => permit.map_err(|_closed| ErrorReport::internal("the pool is closed"))?,
            Err(_elapsed) => return Err(self.all_in_use()),
        };
        drop(waiting);
        self.with_permit(permit).await
    }

    /// A session if one is free at once; for work that can be done with fewer.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub async fn try_get(&self) -> Result<Option<PooledSession>> {
        match Arc::clone(&self.shared.permits).try_acquire_owned() {
            Ok(permit) => self.with_permit(permit).await.map(Some),
            Err(_none) => Ok(None),
        }
    }

    /// What its sessions are doing.
    pub fn state(&self) -> PoolState {
        let shared = &self.shared;
        PoolState {
            in_use: shared.sessions_max.saturating_sub(shared.permits.available_permits()),
            idle: shared.idle.lock().len(),
            waiting: shared.waiting.load(Ordering::Relaxed),
        }
    }

    async fn with_permit(&self, permit: OwnedSemaphorePermit) -> Result<PooledSession> {
        let session = match self.shared.take_idle() {
            Some(session) => session,
            None => self.shared.connect().await?,
        };
        let shared = Arc::clone(&self.shared);
        Ok(PooledSession { session, shared, permit: Some(permit), rolls_back: false })
    }

    fn all_in_use(&self) -> ErrorReport {
        let connector = &self.shared.connector;
        let (datanode, settings) = (connector.datanode(), connector.settings());
        let message = format!("all sessions with the shard database of {datanode} are in use");
        ErrorReport::new(SqlState::TOO_MANY_CONNECTIONS, message)
            .detail(format!(
                "There are {}; none became free within {:?}.",
                self.shared.sessions_max, settings.session_wait
            ))
            .hint(format!(
                "Raise {} of the datanode, or run fewer statements at a time.",
                name::SESSIONS_MAX
            ))
            .on_datanode(datanode.name())
    }
}

impl Shared {
    /// The idle session that was used last, of those that are alive.
    fn take_idle(&self) -> Option<Session> {
        loop {
            let Idle { mut session, .. } = self.idle.lock().pop()?;
            if session.is_alive() {
                return Some(session);
            }
        }
    }

    /// Opens a session. A database that takes none now is asked again for a while, by one at a time.
    async fn connect(&self) -> Result<Session> {
        let deadline = Instant::now() + self.connector.settings().restart_wait;
        let mut failed = None;
        loop {
            let turn = self.backoff.lock().turn(Instant::now());
            match turn {
                Turn::Connect => match self.attempt().await {
                    Ok(session) => return Ok(session),
                    // Asking again would not help.
                    Err(report) if report.sqlstate != SqlState::DATANODE_LOST => {
                        return Err(report);
                    }
                    Err(report) if Instant::now() >= deadline => return Err(report),
                    Err(report) => failed = Some(report),
                },
                Turn::WaitUntil(at) if at <= deadline => tokio::time::sleep_until(at).await,
                Turn::WaitUntil(_) => {
                    return Err(failed.unwrap_or_else(|| self.connector.not_asked_again()));
                }
            }
        }
    }

    async fn attempt(&self) -> Result<Session> {
        let connected = Session::connect(Arc::clone(&self.connector)).await;
        let mut backoff = self.backoff.lock();
        match &connected {
            Ok(_) => backoff.succeeded(),
            Err(_) => backoff.failed(Instant::now()),
        }
        connected
    }

    /// Ends the transaction that is open, if one is. A session whose server does not do that in time
    /// is not kept.
    async fn roll_back(&self, session: &mut Session) {
        if session.transaction_status() != Some(TransactionStatus::Idle) {
            let bound = self.connector.settings().cancel_timeout;
            let _ = timeout(bound, session.query("ROLLBACK")).await;
        }
    }

    /// Keeps a session, if it may be used again.
    fn put_back(&self, mut session: Session) {
        // They were for whoever had it.
        session.take_notices();
        if session.transaction_status() == Some(TransactionStatus::Idle) {
            self.idle.lock().push(Idle { session, since: Instant::now() });
        } else {
            session.close();
        }
    }
}

/// Closes sessions that nobody needs, until the pool is gone.
async fn close_idle(shared: Weak<Shared>, idle_timeout: Duration) {
    let between = (idle_timeout / 4).max(Duration::from_millis(10));
    loop {
        tokio::time::sleep(between).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut kept = shared.idle.lock();
        let (old, young): (Vec<_>, Vec<_>) =
            kept.drain(..).partition(|idle| idle.since.elapsed() >= idle_timeout);
        *kept = young;
        drop(kept);
        old.into_iter().for_each(|idle| idle.session.close());
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("connector", &self.shared.connector)
            .field("state", &self.state())
            .finish()
    }
}

/// Counts one who waits, also when he goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PooledSession {
    /// A transaction that is open when it is dropped is rolled back, and the session kept: opening
    /// another takes the server longer.
    pub fn rolling_back(mut self) -> Self {
        self.rolls_back = true;
        self
    }
}

impl Deref for PooledSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for PooledSession {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl std::fmt::Debug for PooledSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.session.fmt(f)
    }
}

impl Drop for PooledSession {
    fn drop(&mut self) {
        let mut session = self.session.take();
        let rolls_back = self.rolls_back;
        let is_ready = match session.transaction_status() {
            Some(TransactionStatus::Idle) => true,
            Some(TransactionStatus::Open | TransactionStatus::Failed) => !rolls_back,
            None => session.is_closed(),
        };
        if is_ready {
            self.shared.put_back(session);
            return;
        }
        // The permit goes with it: a session that is being settled is one of the pool's.
        let (shared, permit) = (Arc::clone(&self.shared), self.permit.take());
        self.shared.runtime.spawn(async move {
            if session.settle().await.is_ok() {
                if rolls_back {
                    shared.roll_back(&mut session).await;
                }
                shared.put_back(session);
            }
            drop(permit);
        });
    }
}
