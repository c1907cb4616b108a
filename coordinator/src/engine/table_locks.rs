//! Tables with a unique key are written by one transaction at a time: of two that insert the same
//! key the second waits, then sees it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// The locks of all tables.
#[derive(Debug, Default)]
pub struct TableLocks {
    locks: Mutex<HashMap<u64, Arc<tokio::sync::Mutex<()>>>>,
}

/// Held until the transaction ends.
#[derive(Debug)]
pub struct TableLock {
    /// The table.
    pub table: u64,
    _guard: OwnedMutexGuard<()>,
}

impl TableLocks {
    /// Waits for the table, at most `wait`; then 55P03.
    pub async fn lock(&self, table: u64, name: &str, wait: Duration) -> Result<TableLock> {
        let lock = Arc::clone(self.locks.lock().entry(table).or_default());
        match tokio::time::timeout(wait, lock.lock_owned()).await {
            Ok(guard) => Ok(TableLock { table, _guard: guard }),
            Err(_) => Err(ErrorReport::new(
                SqlState::LOCK_NOT_AVAILABLE,
                format!("another transaction has written to table \"{name}\" and has not ended"),
            )
            .hint("Retry when it has committed or rolled back.")),
        }
    }
}
