//! The fragments that run now.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kestrel_proto::{ErrorReport, QueryId, Result, SliceId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::check::FragmentId;

/// How long the end of a query waits for its fragments to stop. They stop at their next batch; one
/// that does not is left to itself, with its streams gone.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// Live fragments, by query.
#[derive(Debug, Default)]
pub(super) struct Registry {
    queries: Mutex<HashMap<QueryId, LiveQuery>>,
    /// A fragment has gone.
    gone: Notify,
    newest_epoch: AtomicU64,
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
        Ok(Registered { registry: Arc::clone(self), id, stop: query.stop.child_token() })
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

    /// The newest coordinator epoch seen.
    pub(super) fn newest_epoch(&self) -> u64 {
        self.newest_epoch.load(Ordering::Relaxed)
    }

    /// Notes a coordinator's epoch.
    pub(super) fn saw_epoch(&self, epoch: u64) {
        self.newest_epoch.fetch_max(epoch, Ordering::Relaxed);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
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
