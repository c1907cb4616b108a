//! The wire between the coordinator and the datanodes: messages, ids, errors and the two seams
//! behind which a datanode hides.
//!
//! The life of a message:
//!
//! 1. The planner makes a [`message::Fragment`] per slice and datanode; the coordinator encodes it
//!    and hands it to [`Datanode::run`].
//! 2. While it runs, the fragment's `MotionSend` fills one stream per receiver. Receivers — other
//!    fragments, and slice 0 on the coordinator — pull with [`Datanode::open_exchange`].
//! 3. When it ends, [`Datanode::run`] returns a [`message::FragmentReport`], or an [`ErrorReport`]
//!    which is what the client will see.
//!
//! This crate knows bytes, ids and SQLSTATEs. It knows no SQL, no plan's meaning, no files.

mod bucket_map;
mod datanode;
mod error;
mod exchange;
pub mod fail_point;
mod file_error;
mod id;
pub mod metrics;
pub mod rpc;
mod shard;
mod size;
pub mod sqlstate;

pub use bucket_map::{BUCKET_COUNT, BucketMap};
pub use datanode::{ByteStream, Datanode, DatanodeHealth, DropSegments, Ingest, IngestStream};
pub use error::{ErrorObject, ErrorReport, Result, Severity};
pub use exchange::{BatchStream, ExchangeRequest};
pub use file_error::could_not_open;
pub use id::{COORDINATOR, DatanodeId, MotionId, QueryId, SliceId, TableId, TransactionId};
pub use shard::{
    PreparedTransaction, ShardFacts, ShardIsolation, ShardRelation, ShardResults, ShardRows,
    ShardStatements, SnapshotScope, TransactionEnd,
};
pub use size::{batch_bytes, estimated_batch_bytes};
pub use sqlstate::SqlState;

/// The messages, as `prost` generates them from `kestrel/v1/*.proto`.
#[allow(missing_docs, reason = "generated code; the .proto files carry the documentation")]
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::clone_on_ref_ptr,
    clippy::too_many_lines,
    reason = "generated code"
)]
pub mod message {
    include!(concat!(env!("OUT_DIR"), "/kestrel.v1.rs"));
}

/// Coordinator and datanodes must be of one engine version: plans are not stable across versions.
pub const ENGINE_VERSION: &str = concat!("kestrel-", env!("CARGO_PKG_VERSION"), "/datafusion-55.2");
