//! A Kestrel cluster in this process and in a temporary directory.

use std::net::{Ipv4Addr, SocketAddr};

use kestrel::cluster::{Cluster, ClusterOptions};
use tempfile::TempDir;

use super::Session;

/// Memory of a test cluster: little, but enough for small queries.
const MEMORY_LIMIT: usize = 512 << 20;

/// A running cluster; its directory goes when it is dropped.
pub(crate) struct TestCluster {
    /// The cluster.
    pub(crate) cluster: Cluster,
    /// Its directory.
    pub(crate) directory: TempDir,
}

impl TestCluster {
    /// Starts one with so many datanodes.
    pub(crate) async fn start(datanodes: u32) -> Self {
        let directory = TempDir::new().unwrap();
        let cluster = start(&directory, Some(datanodes)).await;
        Self { cluster, directory }
    }

    /// Stops it, and starts it again on the same directory.
    pub(crate) async fn restart(self) -> Self {
        self.cluster.stop().await;
        let cluster = start(&self.directory, None).await;
        Self { cluster, directory: self.directory }
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> String {
        format!("postgres://kestrel@{}/kestrel", self.cluster.address())
    }

    /// A new session.
    pub(crate) async fn session(&self) -> Session {
        Session::connect(&self.url()).await
    }

    /// Stops it.
    pub(crate) async fn stop(self) {
        self.cluster.stop().await;
    }
}

async fn start(directory: &TempDir, datanodes: Option<u32>) -> Cluster {
    let options = ClusterOptions {
        data: directory.path().to_path_buf(),
        datanodes,
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        memory_limit: MEMORY_LIMIT,
        cache_size: None,
    };
    Cluster::start(options).await.unwrap_or_else(|e| panic!("the cluster does not start: {e}"))
}
