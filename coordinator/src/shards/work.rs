//! What one transaction has done in the databases of datanodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use kestrel_planner::catalog::{Catalog, CatalogChange};
use kestrel_proto::{DatanodeId, TransactionId};

/// Where a transaction has a shard transaction, and where it has written there.
#[derive(Clone, Debug, Default)]
pub struct ShardWork {
    /// There may be a shard transaction.
    pub opened_on: BTreeSet<DatanodeId>,
    /// There is one, with something in it: it takes part in the commit.
    pub wrote_on: BTreeSet<DatanodeId>,
    /// How many rows it has given other values, by table and datanode. No plan depends on it, so that the
    /// transaction's view of the catalog is without.
    pub updated: BTreeMap<(u64, DatanodeId), u64>,
    /// The snapshot of a block.
    pub snapshot: BlockSnapshot,
}

impl ShardWork {
    /// What the catalog is to learn of rows that have other values.
    pub fn updates(&self) -> Vec<CatalogChange> {
        let change = |((table, on), updated): (&(u64, DatanodeId), &u64)| {
            let (table, datanode, updated) = (*table, on.0, *updated);
            CatalogChange::CountShardRows { table, datanode, rows: 0, bytes: 0, updated }
        };
        self.updated.iter().map(change).collect()
    }
}

/// The snapshot that a block's statements read, once it is open on all datanodes. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct BlockSnapshot {
    /// What was in the catalog when it was opened.
    opened: Arc<tokio::sync::Mutex<Option<Arc<Catalog>>>>,
    was_asked_for: Arc<AtomicBool>,
}

impl BlockSnapshot {
    /// Opens it once: what was in the catalog then. Two statements of a block (a cursor's among them)
    /// may ask at the same time.
    ///
    /// One who has failed or was interrupted may have opened it on some datanodes. What others open
    /// later shows commits that those do not: `close` closes them first.
    pub async fn open_once<E>(
        &self,
        close: impl Future<Output = Result<(), E>>,
        open: impl Future<Output = Result<Arc<Catalog>, E>>,
    ) -> Result<Arc<Catalog>, E> {
        let mut opened = self.opened.lock().await;
        if let Some(catalog) = opened.as_ref() {
            return Ok(Arc::clone(catalog));
        }
        if self.was_asked_for.swap(true, Ordering::Relaxed) {
            close.await?;
        }
        let catalog = open.await?;
        *opened = Some(Arc::clone(&catalog));
        Ok(catalog)
    }

    /// What was in the catalog when it was opened; `None`: it is not.
    pub async fn opened(&self) -> Option<Arc<Catalog>> {
        self.opened.lock().await.clone()
    }

    /// Whether some datanode may hold it.
    pub fn must_be_closed(&self) -> bool {
        self.was_asked_for.load(Ordering::Relaxed)
    }
}

/// The statement that sets, or goes back to, the n-th savepoint of a session in a database.
pub(crate) fn savepoint_statement(word: &str, number: u64) -> String {
    format!("{word} \"kst_{number}\"")
}

/// A name for logs.
pub(crate) fn transaction_name(transaction: TransactionId, epoch: u64) -> String {
    format!("{epoch}_{}", transaction.0)
}
