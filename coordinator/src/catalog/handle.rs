//! The catalog for async code.

use std::{fs::File, path::PathBuf, sync::Arc};

use chrono::{DateTime, Utc};
use kestrel_planner::catalog::{Catalog, CatalogChange, SequenceDef, SequenceState};
use kestrel_proto::{ErrorReport, Result, TransactionId};
use tokio::task;
use uuid::Uuid;

use super::{CatalogStore, LogEntry, SequenceStanding};
use crate::access::MockNonce;

/// A [`CatalogStore`] whose disk work runs on the runtime's blocking threads. Cloning shares it.
///
/// Work that has begun runs to its end also when the future is dropped: a statement cancelled while
/// it commits may be committed.
#[derive(Clone, Debug)]
pub struct CatalogHandle {
    store: Arc<CatalogStore>,
}

impl CatalogHandle {
    /// See [`CatalogStore::open`].
    pub async fn open(dir: PathBuf) -> Result<Self> {
        let store = run(move || CatalogStore::open(&dir)).await?;
        Ok(Self { store: Arc::new(store) })
    }

    /// See [`CatalogStore::cluster_id`].
    pub fn cluster_id(&self) -> Uuid {
        self.store.cluster_id()
    }

    /// See [`CatalogStore::epoch`].
    pub fn epoch(&self) -> u64 {
        self.store.epoch()
    }

    /// See [`CatalogStore::mock_nonce`].
    pub fn mock_nonce(&self) -> &MockNonce {
        self.store.mock_nonce()
    }

    /// See [`CatalogStore::next_transaction_id`].
    pub fn next_transaction_id(&self) -> TransactionId {
        self.store.next_transaction_id()
    }

    /// See [`CatalogStore::snapshot`].
    pub fn snapshot(&self) -> Arc<Catalog> {
        self.store.snapshot()
    }

    /// See [`CatalogStore::commit`]. Errors: XX000, too, when the work was lost; as after 58030 it
    /// is not known then whether a restart will find the changes.
    pub async fn commit(
        &self,
        expected_version: Option<u64>,
        changes: Vec<CatalogChange>,
        now: DateTime<Utc>,
    ) -> Result<Arc<Catalog>> {
        let store = Arc::clone(&self.store);
        run(move || store.commit(expected_version, changes, now)).await
    }

    /// See [`CatalogStore::next_values`].
    pub async fn next_values(&self, sequence: SequenceDef, count: u64) -> Result<Vec<i64>> {
        let store = Arc::clone(&self.store);
        run(move || store.next_values(&sequence, count)).await
    }

    /// The same, where the caller may wait for the disk: functions of a query.
    pub fn next_values_here(&self, sequence: &SequenceDef, count: u64) -> Result<Vec<i64>> {
        self.store.next_values(sequence, count)
    }

    /// See [`CatalogStore::set_sequence`]; as [`Self::next_values_here`].
    pub fn set_sequence_here(&self, sequence: &SequenceDef, state: SequenceState) -> Result<()> {
        self.store.set_sequence(sequence, state)
    }

    /// See [`CatalogStore::sequence_standing`]; as [`Self::next_values_here`].
    pub fn sequence_standing_here(&self, sequence: &SequenceDef) -> Result<SequenceStanding> {
        self.store.sequence_standing(sequence)
    }

    /// See [`CatalogStore::copy`].
    pub async fn copy(&self) -> Result<File> {
        let store = Arc::clone(&self.store);
        run(move || store.copy()).await
    }

    /// See [`CatalogStore::changes_since`].
    pub async fn changes_since(&self, version: u64) -> Result<Vec<LogEntry>> {
        let store = Arc::clone(&self.store);
        run(move || store.changes_since(version)).await
    }
}

async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    task::spawn_blocking(work)
        .await
        .map_err(|e| ErrorReport::internal(format!("catalog work did not end: {e}")))?
}
