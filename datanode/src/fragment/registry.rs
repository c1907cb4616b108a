//! The fragments that run now.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use kestrel_proto::{ErrorReport, QueryId, Result, SliceId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::check::FragmentId;

/// How long the end of a query waits for its fragments to stop. They stop at their next batch; one
/// that does not is left to itself, with its streams gone. Less than a call may take.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// Live fragments, by query.
#[derive(Debug, Default)]
pub(super) struct Registry {
    queries: Mutex<HashMap<QueryId, LiveQuery>>,
    /// A fragment has gone.
    gone: Notify,
    newest_epoch: AtomicU64,
    finished: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug, Default)]
struct LiveQuery {
    stop: CancellationToken,
    slices: HashSet<SliceId>,
}

/// A place in the registry; dropping it gives it up.
#[derive(Debug)]
pub(super) struct Registered {
    registry: Arc<Registry>,
    id: FragmentId,
    /// Cancelled when the query ends.
    pub(super) stop: CancellationToken,
    /// The fragment has ended well.
    finished: AtomicBool,
}

impl Registry {
    /// Adds a fragment.
    ///
    /// # Errors
    /// XX000 when it runs already.
    pub(super) fn register(self: &Arc<Self>, id: FragmentId) -> Result<Registered> {
        let mut queries = self.queries.lock();
        let query = queries.entry(id.query).or_default();
        if !query.slices.insert(id.slice) {
            return Err(ErrorReport::internal(format!("slice {} was sent twice", id.slice.0)));
        }
        let (stop, finished) = (query.stop.child_token(), AtomicBool::new(false));
        Ok(Registered { registry: Arc::clone(self), id, stop, finished })
    }

    /// Stops a query's fragments, and waits until they are gone, up to a bound.
    pub(super) async fn end_query(&self, query: QueryId) {
        if let Some(live) = self.queries.lock().get(&query) {
            live.stop.cancel();
        }
        let gone = async {
            loop {
                // Made before the look, so that no going is missed.
                let gone = self.gone.notified();
                if !self.queries.lock().contains_key(&query) {
                    return;
                }
                gone.await;
            }
        };
        if tokio::time::timeout(STOP_WAIT, gone).await.is_err() {
            tracing::warn!(%query, "fragments go on after the end of their query");
        }
    }

    /// Fragments that run.
    pub(super) fn fragments(&self) -> u64 {
        self.queries.lock().values().map(|query| query.slices.len() as u64).sum()
    }

    /// Fragments that have ended well, and that have not.
    pub(super) fn ended(&self) -> (u64, u64) {
        (self.finished.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// The newest coordinator epoch seen.
    pub(super) fn newest_epoch(&self) -> u64 {
        self.newest_epoch.load(Ordering::Relaxed)
    }

    /// Notes a coordinator's epoch; whether it takes another's place.
    pub(super) fn saw_epoch(&self, epoch: u64) -> bool {
        let before = self.newest_epoch.fetch_max(epoch, Ordering::Relaxed);
        (1..epoch).contains(&before)
    }

    /// Stops every fragment, and does not wait.
    pub(super) fn stop_all(&self) {
        self.queries.lock().values().for_each(|live| live.stop.cancel());
    }
}

impl Registered {
    /// The fragment has ended well. One that is dropped without this has failed.
    pub(super) fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let finished = *self.finished.get_mut();
        let ended = if finished { &self.registry.finished } else { &self.registry.failed };
        ended.fetch_add(1, Ordering::Relaxed);
        let mut queries = self.registry.queries.lock();
        if let Some(query) = queries.get_mut(&self.id.query) {
            query.slices.remove(&self.id.slice);
            if query.slices.is_empty() {
                queries.remove(&self.id.query);
            }
        }
        drop(queries);
        self.registry.gone.notify_waiters();
    }
}
