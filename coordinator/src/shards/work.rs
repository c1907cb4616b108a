//! What one transaction has done in the databases of datanodes.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use kestrel_proto::{DatanodeId, TransactionId};

/// Where a transaction has a shard transaction, and where it has written there.
#[derive(Clone, Debug, Default)]
pub struct ShardWork {
    /// There may be a shard transaction.
    pub opened_on: BTreeSet<DatanodeId>,
    /// There is one, with something in it: it takes part in the commit.
    pub wrote_on: BTreeSet<DatanodeId>,
    /// The snapshot of a block.
    pub snapshot: BlockSnapshot,
}

/// Whether the snapshot that a block's statements read is open on all datanodes. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct BlockSnapshot {
    is_open: Arc<tokio::sync::Mutex<bool>>,
    was_asked_for: Arc<AtomicBool>,
}

impl BlockSnapshot {
    /// Opens it once. Two statements of a block (a cursor's among them) may ask at the same time.
    ///
    /// One who has failed or was interrupted may have opened it on some datanodes. What others open
    /// later shows commits that those do not: `close` closes them first.
    pub async fn open_once<E>(
        &self,
        close: impl Future<Output = Result<(), E>>,
        open: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        let mut is_open = self.is_open.lock().await;
        if !*is_open {
            if self.was_asked_for.swap(true, Ordering::Relaxed) {
                close.await?;
            }
            open.await?;
            *is_open = true;
        }
        Ok(())
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
