//! The parts of the `kestrel` command, as a library for its tests and benches.

pub mod cli;
pub mod client;
pub mod cluster;
mod demo;
mod error;
mod memory;
pub mod output;
pub mod postgres;
mod shutdown;
mod status;
pub mod tpch;
mod up;

pub use error::{CommandError, Result};
