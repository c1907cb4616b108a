//! A Kestrel cluster in a temporary directory: its coordinator in this process, its datanodes here
//! or, with `KESTREL_TEST_PROCESSES=1`, each in a process of its own; their shards in files or, with
//! `KESTREL_TEST_SHARDS=kes`, in databases.

use kestrel::cluster::{ClientOptions, Cluster, ClusterOptions, DatanodePlacement, ShardOptions};
use kestrel_coordinator::{compaction::AutoVacuum, query::QueryLimits};
use kestrel_datanode::exchange::ExchangeSettings;
use tempfile::TempDir;

use super::{Session, shards::suite_shards};

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

    /// Starts one whose shards are these.
    pub(crate) async fn start_on(datanodes: u32, shards: ShardOptions) -> Self {
        let directory = TempDir::new().unwrap();
        let options =
            ClusterOptions { shards, ..options(&directory, Some(datanodes), placement()) };
        let cluster = Cluster::start(options).await;
        let cluster = cluster.unwrap_or_else(|e| panic!("the cluster does not start: {e}"));
        Self { cluster, directory }
    }

    /// Starts one whose exchange has these bounds.
    pub(crate) async fn start_with(datanodes: u32, exchange: ExchangeSettings) -> Self {
        let directory = TempDir::new().unwrap();
        let options =
            ClusterOptions { exchange, ..options(&directory, Some(datanodes), placement()) };
        let cluster = Cluster::start(options).await;
        let cluster = cluster.unwrap_or_else(|e| panic!("the cluster does not start: {e}"));
        Self { cluster, directory }
    }

    /// Starts one that runs so many queries.
    pub(crate) async fn start_with_queries(datanodes: u32, queries: QueryLimits) -> Self {
        let directory = TempDir::new().unwrap();
        let clients = ClientOptions { queries, ..ClientOptions::default() };
        let options =
            ClusterOptions { clients, ..options(&directory, Some(datanodes), placement()) };
        let cluster = Cluster::start(options).await;
        let cluster = cluster.unwrap_or_else(|e| panic!("the cluster does not start: {e}"));
        Self { cluster, directory }
    }

    /// Starts one that does so much of VACUUM by itself.
    pub(crate) async fn start_with_vacuum(datanodes: u32, auto_vacuum: AutoVacuum) -> Self {
        let directory = TempDir::new().unwrap();
        let clients = ClientOptions { auto_vacuum, ..ClientOptions::default() };
        let options =
            ClusterOptions { clients, ..options(&directory, Some(datanodes), placement()) };
        let cluster = Cluster::start(options).await;
        let cluster = cluster.unwrap_or_else(|e| panic!("the cluster does not start: {e}"));
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
    let options = options(directory, datanodes, placement());
    Cluster::start(options).await.unwrap_or_else(|e| panic!("the cluster does not start: {e}"))
}

/// Whether every datanode has a process of its own.
pub(crate) fn in_processes() -> bool {
    std::env::var("KESTREL_TEST_PROCESSES").is_ok_and(|value| value == "1")
}

fn placement() -> DatanodePlacement {
    if in_processes() { own_processes() } else { DatanodePlacement::OneProcess }
}

/// Each datanode in a process of its own.
pub(crate) fn own_processes() -> DatanodePlacement {
    let program = env!("CARGO_BIN_EXE_kestrel").into();
    DatanodePlacement::Processes { program, first_port: 0, first_metrics_port: 0 }
}

/// A cluster on any free ports.
pub(crate) fn options(
    directory: &TempDir,
    datanodes: Option<u32>,
    placement: DatanodePlacement,
) -> ClusterOptions {
    ClusterOptions {
        placement,
        shards: suite_shards(directory.path(), datanodes),
        ..ClusterOptions::local(directory.path(), datanodes, MEMORY_LIMIT)
    }
}
