//! The command line that all engines have, and what it means for DataFusion.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use datafusion::{
    common::Result,
    execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    prelude::SessionConfig,
};

/// What `engines/datafusion.py` says.
#[derive(Args)]
pub struct Arguments {
    /// The directory of the tables: TABLE.parquet.
    #[arg(long)]
    pub data: PathBuf,
    /// The directory of the queries: qNN.sql.
    #[arg(long)]
    pub queries: PathBuf,
    /// Threads, and partitions of a plan.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Bytes for queries; without it, as many as there are.
    #[arg(long)]
    pub memory: Option<usize>,
}

impl Arguments {
    /// DataFusion's defaults for so many threads.
    pub fn config(&self) -> SessionConfig {
        SessionConfig::new().with_target_partitions(self.threads)
    }

    /// The memory that queries share.
    pub fn runtime(&self) -> Result<Arc<RuntimeEnv>> {
        let builder = RuntimeEnvBuilder::new();
        match self.memory {
            Some(bytes) => builder.with_memory_limit(bytes, 1.0).build_arc(),
            None => builder.build_arc(),
        }
    }
}
