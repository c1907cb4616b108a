//! A Kestrel cluster in this process: a coordinator and its datanodes.

use std::net::SocketAddr;
use std::path::PathBuf;

use kestrel_proto::{ErrorReport, Result};

/// How a cluster is started.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The directory that holds everything; created when it is not there.
    pub data: PathBuf,
    /// How many datanodes. `None`: as many as the directory has, 3 in a new one.
    pub datanodes: Option<u32>,
    /// Where clients connect; port 0: any free port.
    pub listen: SocketAddr,
    /// Bytes of memory for queries and cache together.
    pub memory_limit: usize,
    /// The cache's part of them; `None`: the cluster decides.
    pub cache_size: Option<usize>,
}

/// A running cluster.
pub struct Cluster {
    address: SocketAddr,
}

impl Cluster {
    /// Starts the cluster of this directory and serves clients.
    pub async fn start(_options: ClusterOptions) -> Result<Self> {
        Err(ErrorReport::unsupported("the cluster cannot be started yet"))
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends sessions and queries, and stops.
    pub async fn stop(self) {}
}
