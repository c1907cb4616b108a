//! A datanode: runs fragments beside one shard; owns the shard stores.
//!
//! The life of a fragment:
//!
//! 1. [`LocalDatanode`] takes its bytes; `fragment` checks and registers it.
//! 2. A [`FragmentDecoder`] makes operators of it; scans come from the [`shard`] store.
//! 3. DataFusion's physical rules decide the parallelism inside the datanode; our `rules` follow.
//! 4. It runs; its root sends rows through the [`exchange`] to the fragments, here and elsewhere,
//!    that receive its motion.
//! 5. Its report goes back to the coordinator; the end of the query takes what is left of it.

mod data_dir;
mod datanode;
mod error;
pub mod exchange;
mod files;
mod fragment;
mod heartbeat;
mod io_error;
mod metrics;
mod pass_through;
mod resort;
mod rewrite;
mod rules;
mod runtime_filter;
pub mod service;
pub mod shard;
mod spilling_join;
mod turns;

pub use data_dir::{ReservedDir, RestoredDir, check_directory};
pub use datanode::{DatanodeSettings, LocalDatanode};
pub use fragment::{FragmentDecoder, PlanDecoder};
pub use turns::Turns;
