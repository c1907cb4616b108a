//! The parts of the `kestrel` command, as a library for its tests and benches.

mod backup;
mod check;
pub mod cli;
pub mod client;
mod clients;
pub mod cluster;
mod config;
mod coordinator;
mod datanode;
mod demo;
mod error;
mod fail_points;
pub mod http;
mod logging;
mod memory;
pub mod output;
pub mod pages;
pub mod postgres;
mod process_metrics;
mod server_user;
mod setting_values;
pub mod shards;
mod shutdown;
mod status;
pub mod tpch;
mod up;

pub use error::{CommandError, Result};
