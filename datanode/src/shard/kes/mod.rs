//! The shard store on a database: beside the datanode stands a KingbaseES or PostgreSQL database,
//! which holds the shard.
//!
//! ```text
//!   scans   without own writes    snapshots: a holder exports, workers COPY pieces of the table;
//!                                 one message, for a query that reads a few rows, by one scan
//!           with own writes       a cursor in the shard transaction
//!   writes                        COPY, or statements, in the shard transaction
//!   ends                          COMMIT; or PREPARE TRANSACTION, later COMMIT PREPARED by name
//! ```
//!
//! What the server can do is tried by `probe`; no product and no version is asked for elsewhere.

pub mod copy;
mod ending;
mod execute;
mod prepared;
mod probe;
mod scan;
pub mod session;
mod shared_session;
mod snapshots;
mod store;
mod transactions;
mod write;

pub use kestrel_planner::shard_sql::{self as sql, Capabilities};
pub(crate) use scan::{is_inner_scan, is_scan, planned_sql, sent_sql};
pub use store::{KesCounters, KesStore, KesStoreOptions};

#[cfg(test)]
mod tests;
