//! Running a plan: dispatch, gather, report.
//!
//! 1. [`admission`] lets so many begin at a time; the others wait.
//! 2. Init plans run first; their values stand in the main plan from then on.
//!    If they read databases, [`snapshot`] sees to it that they all see the same transactions, and
//!    rows where the plan looks for them.
//! 3. [`dispatch`] ships the fragments of all slices at once; datanodes pull from one another.
//! 4. [`gather`] runs slice 0 here and hands its rows over as they come. A task of its own drives
//!    it, so that a client that goes away, a cancel, a timeout or the first error ends the query
//!    everywhere.
//! 5. A query that loses a datanode before its first row may run once more: [`Again`].
//! 6. What EXPLAIN shows of the databases' SQL is [`describe`]'s.
//! 7. [`NotedQuery`] sees to it that [`registry`] hears of the end, whatever it is.

mod admission;
mod describe;
mod dispatch;
mod environment;
mod gather;
mod ingest;
mod motions;
mod noted;
mod partition_ingest;
mod registry;
mod retry;
mod running;
mod slice_zero;
mod snapshot;
mod vectors;

pub use admission::{Admission, Place, Priority, QueryLimits, Request, Wait};
pub(crate) use describe::{have_sent, reads_databases, would_send};
pub use environment::{Cluster, QueryEnvironment};
pub use gather::run;
pub(crate) use gather::{canceled, until};
pub use ingest::{Ingestor, RowSource};
pub use motions::{Carried, MotionTotals};
pub use noted::{Asker, NotedQuery};
pub(crate) use partition_ingest::FEW_ROWS;
pub use partition_ingest::{TableIngestor, WrittenTable};
pub use registry::{QueryRecord, QueryRegistry, QueryState};
pub use retry::Again;
pub use running::{QuerySummary, RunningQuery};
pub(crate) use snapshot::{close as close_snapshot, open_block_snapshot};
pub(crate) use vectors::write_vectors;
