//! The columnar shard store: immutable segments, as Parquet files.
//!
//! ```text
//!   <data>/segments/<table id>/<epoch>-<transaction>-<sequence>.parquet
//!                                                             .deletes
//! ```
//!
//! A segment is written under a temporary name, fsynced, renamed, and its directory fsynced; from
//! then on it never changes. It is visible to nobody until the catalog refers to it, and it is
//! removed only on the coordinator's order. Its footer names the cluster's table, the columns by
//! id, the transaction and the format's version, so that a lost catalog could be rebuilt.
//!
//! Rows that are deleted stay in their segment: a delete vector beside it tells which they are, and
//! scans leave them out (`deletes`).
//!
//! In memory there are, under a bound, columns of row groups in a narrow form (`chunk`, `cache`);
//! of what is not there, the columns that a query needs are read (`load`).

mod bounds;
mod cache;
mod chunk;
mod cluster_order;
mod deletes;
mod encoding;
mod files;
mod footer;
mod interval;
mod layout;
mod load;
mod missing;
mod new_file;
mod read_file;
mod remove;
mod scan;
mod segment_file;
mod settings;
mod sort_buffer;
mod store;
mod summary;
mod table;
mod unsynced;
mod write;

pub(crate) use scan::{Codebook, ColumnarScanExec, Raw};
pub use settings::ColumnarSettings;
pub(crate) use sort_buffer::{ORDER, positions};
pub use store::{ColumnarCounters, ColumnarStore};
pub use unsynced::{Loss, lose_unsynced};

#[cfg(test)]
mod load_tests;
#[cfg(test)]
mod tests;
