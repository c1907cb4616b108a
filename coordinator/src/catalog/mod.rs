//! The durable catalog: what the cluster is and holds, on disk before anyone sees it.
//!
//! In the data directory:
//!
//! ```text
//! <data>/kestrel.lock     held (flock) by the process that serves this directory
//! <data>/catalog.db       SQLite, WAL, synchronous=FULL; application id "KSTL"
//! <data>/catalog.db-wal   commits not yet folded into catalog.db
//! <data>/catalog.db-shm   SQLite's index of the WAL; rebuilt after a crash
//! <data>/catalog.db-copy- a copy that is being made for a backup
//! ```
//!
//! The tables of `catalog.db` are in `format.rs`. A commit is one SQLite transaction: an entry of
//! the change log, and the rows of the objects that changed. So the log replayed from an empty
//! catalog is the state, at every version.
//!
//! Readers take [`CatalogStore::snapshot`] and never wait for a writer. Async code goes through
//! [`CatalogHandle`], which keeps the disk off the runtime's threads.

mod copy;
mod error;
mod format;
mod handle;
mod lock;
mod rows;
mod sequences;
mod store;
#[cfg(test)]
mod tests;

pub use copy::{CatalogCopy, detach};
pub use format::CATALOG_FILE;
pub use handle::CatalogHandle;
pub use rows::LogEntry;
pub use sequences::SequenceStanding;
pub use store::CatalogStore;
