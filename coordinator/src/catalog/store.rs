//! The one place where the catalog changes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use kestrel_planner::catalog::{Catalog, CatalogChange};
use kestrel_proto::{
    ErrorReport, Result, SqlState, TransactionId,
    fail_point::{self, FailPoint},
};
use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use uuid::Uuid;

use super::{
    copy::remove_unfinished,
    error::sqlite_error,
    format,
    lock::DirectoryLock,
    rows::{self, LogEntry},
    sequences::Lease,
};
use crate::access::MockNonce;

/// Transaction ids count from `epoch << TRANSACTION_BITS`: 34 years of 1000 a second, in each of 16
/// million starts.
const TRANSACTION_BITS: u32 = 40;

/// The durable catalog of one data directory.
///
/// All methods but [`CatalogStore::snapshot`], [`CatalogStore::epoch`],
/// [`CatalogStore::cluster_id`] and [`CatalogStore::next_transaction_id`] wait for the disk: async
/// code calls them through [`super::CatalogHandle`].
#[derive(Debug)]
pub struct CatalogStore {
    // Declared before the lock, so that the database is closed before another process may open it.
    pub(super) writer: Mutex<Writer>,
    pub(super) directory: PathBuf,
    published: RwLock<Arc<Catalog>>,
    cluster_id: Uuid,
    epoch: u64,
    next_transaction: AtomicU64,
    mock_nonce: MockNonce,
    _lock: DirectoryLock,
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) connection: Connection,
    /// By the sequence's OID.
    pub(super) leases: BTreeMap<u64, Lease>,
    /// A write that failed with an I/O error: what is on disk is unknown from then on.
    failed: Option<ErrorReport>,
}

impl CatalogStore {
    /// Opens the catalog in `dir`, and begins a new epoch. A missing or empty directory becomes a
    /// new cluster.
    ///
    /// Errors: 55000 when another process serves the directory, when it is not Kestrel's, or when
    /// a newer Kestrel wrote it; 58030 when it cannot be read or written; XX001 when it is damaged.
    pub fn open(dir: &Path) -> Result<Self> {
        format::prepare_directory(dir)?;
        let lock = DirectoryLock::acquire(dir)?;
        remove_unfinished(dir)?;
        let opened = format::open(dir)?;
        let connection = opened.connection;
        let store = Self {
            writer: Mutex::new(Writer { connection, leases: BTreeMap::new(), failed: None }),
            directory: dir.to_path_buf(),
            published: RwLock::new(Arc::new(opened.catalog)),
            cluster_id: opened.cluster_id,
            epoch: opened.epoch,
            next_transaction: AtomicU64::new((opened.epoch << TRANSACTION_BITS) + 1),
            mock_nonce: opened.mock_nonce,
            _lock: lock,
        };
        // No session of an earlier start is there any more.
        let leftovers = store.snapshot().drop_all_temporary();
        store.commit(None, leftovers, Utc::now())?;
        Ok(store)
    }

    /// Made when the cluster was; also stands in the datanodes' directories.
    pub fn cluster_id(&self) -> Uuid {
        self.cluster_id
    }

    /// Grows with every open. File names and fragments carry it.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Made when the cluster was: what makes up salts for roles that are not there.
    pub fn mock_nonce(&self) -> &MockNonce {
        &self.mock_nonce
    }

    /// A transaction id that no other transaction of this cluster has or had.
    pub fn next_transaction_id(&self) -> TransactionId {
        TransactionId(self.next_transaction.fetch_add(1, Ordering::Relaxed))
    }

    /// The newest committed version. Never waits for a commit's IO.
    pub fn snapshot(&self) -> Arc<Catalog> {
        Arc::clone(&self.published.read())
    }

    /// Applies `changes` to the newest version, makes them durable, then visible; returns the new
    /// version's snapshot. No changes make no version.
    ///
    /// Errors: 40001 when `expected_version` is given and the catalog has moved on, or when a
    /// change no longer fits; 53100 when the disk is full. After 58030 it is not known whether a
    /// restart will find the changes: files they refer to must not be removed before that, and
    /// every later commit fails, too.
    pub fn commit(
        &self,
        expected_version: Option<u64>,
        changes: Vec<CatalogChange>,
        now: DateTime<Utc>,
    ) -> Result<Arc<Catalog>> {
        let mut writer = self.writer.lock();
        let before = self.snapshot();
        if let Some(expected) = expected_version.filter(|v| *v != before.version) {
            return Err(moved_on(expected, before.version));
        }
        if changes.is_empty() {
            return Ok(before);
        }
        let after = Arc::new(before.apply(&changes)?);
        let entry = LogEntry { version: after.version, committed_at: now, changes };
        writer.write(|transaction| {
            rows::write_commit(transaction, &before, &after, &entry)?;
            fail_point::reached(FailPoint::CatalogWritten);
            Ok(())
        })?;
        fail_point::reached(FailPoint::CatalogCommitted);
        if fail_point::is_armed(FailPoint::CatalogCheckpointed) {
            writer.checkpoint()?;
            fail_point::reached(FailPoint::CatalogCheckpointed);
        }
        for change in &entry.changes {
            if let CatalogChange::SetSequence { id, .. } | CatalogChange::DropSequence(id) = change
            {
                writer.leases.remove(id);
            }
        }
        *self.published.write() = Arc::clone(&after);
        Ok(after)
    }

    /// The log's entries after `version`, oldest first: applied to the snapshot of `version` they
    /// give the newest one.
    pub fn changes_since(&self, version: u64) -> Result<Vec<LogEntry>> {
        rows::changes_since(&self.writer.lock().connection, version)
    }
}

impl Writer {
    /// SQLite does this itself now and then; a test wants to know when.
    fn checkpoint(&self) -> Result<()> {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let done = self.connection.query_row(checkpoint, [], |_| Ok(()));
        done.map_err(|error| sqlite_error("checkpoint", error))
    }

    /// One SQLite transaction.
    pub(super) fn write(
        &mut self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        if let Some(failure) = &self.failed {
            return Err(failure.clone());
        }
        let written = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                work(&transaction)?;
                transaction.commit()
            });
        written.map_err(|error| {
            let io_failure = error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure);
            let report = sqlite_error("write", error);
            // After a failed fsync the kernel may have dropped the pages, and a later fsync that
            // succeeds would say nothing about them.
            if io_failure {
                let hint = "Look at the disk, then restart the coordinator.";
                self.failed = Some(report.clone().hint(hint));
            }
            report
        })
    }
}

fn moved_on(expected: u64, found: u64) -> ErrorReport {
    ErrorReport::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to concurrent update",
    )
    .detail(format!(
        "The statement began on catalog version {expected}; the catalog is at version {found} now."
    ))
    .hint("Run the statement again.")
}

#[cfg(test)]
mod tests {
    use kestrel_planner::catalog::SchemaDef;

    use super::*;

    #[test]
    fn a_full_disk_is_an_error_and_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let store = CatalogStore::open(dir.path()).unwrap();
        let limit = |pages: u32| {
            let writer = store.writer.lock();
            writer.connection.pragma_update(None, "max_page_count", pages).unwrap();
        };
        let schema = |id, name: String| vec![CatalogChange::CreateSchema(SchemaDef { id, name })];
        limit(1);
        let error = store.commit(None, schema(16384, "x".repeat(50_000)), Utc::now()).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::DISK_FULL);
        assert_eq!(store.snapshot().version, 0);
        limit(1_000_000);
        store.commit(Some(0), schema(16384, "s".into()), Utc::now()).unwrap();
    }
}
