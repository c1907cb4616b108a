//! How the processes of a cluster are started.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use kestrel_coordinator::{
    access::{ClientTlsFiles, RULE_FILE, RuleSource},
    cluster::ClusterSettings,
    compaction::AutoVacuum,
    query::QueryLimits,
    server::ServeOptions,
};
use kestrel_datanode::exchange::ExchangeSettings;
use kestrel_proto::rpc::{Compression, RpcSettings, TlsFiles};

use crate::shards::{ShardDatabase, ShardKind};

/// How a coordinator is started, alone or with its datanodes.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The directory that holds everything; created when it is not there.
    pub data: PathBuf,
    /// How many datanodes. `None`: as many as the directory has, 3 in a new one.
    pub datanodes: Option<u32>,
    /// Where clients connect; port 0: any free port.
    pub listen: SocketAddr,
    /// Which clients come in, and how many.
    pub clients: ClientOptions,
    /// Bytes of memory for queries and cache together.
    pub memory_limit: usize,
    /// The cache's part of them, of all datanodes together; `None`: a quarter; 0: there is no cache.
    pub cache_size: Option<usize>,
    /// Where the datanodes are.
    pub placement: DatanodePlacement,
    /// Where their shards' rows are.
    pub shards: ShardOptions,
    /// What is said between processes.
    pub network: NetworkOptions,
    /// The bounds of the exchange on datanodes here, and on those that are started from here.
    pub exchange: ExchangeSettings,
    /// Where metrics and health are shown; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
}

impl ClusterOptions {
    /// A cluster in one process, which clients find at any free port of this machine; bytes of memory.
    pub fn local(data: &Path, datanodes: Option<u32>, memory_limit: usize) -> Self {
        Self {
            data: data.to_path_buf(),
            datanodes,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clients: ClientOptions::default(),
            memory_limit,
            cache_size: None,
            placement: DatanodePlacement::OneProcess,
            shards: ShardOptions::default(),
            network: NetworkOptions::default(),
            exchange: ExchangeSettings::default(),
            metrics_listen: None,
        }
    }
}

/// Which clients come in, and how many.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The rules; `None`: `hba.conf` in the data directory, if it is there.
    pub rule_file: Option<PathBuf>,
    /// Lets clients encrypt.
    pub tls: Option<ClientTlsFiles>,
    /// So many at once, at most.
    pub max_connections: usize,
    /// So many of these places are kept for superusers.
    pub reserved_connections: usize,
    /// So many that have not shown yet who they are, besides.
    pub max_unauthenticated: usize,
    /// How long that may take.
    pub authentication_timeout: Duration,
    /// The longest message that is taken from a client.
    pub max_message_bytes: usize,
    /// How many of their queries run at the same time.
    pub queries: QueryLimits,
    /// What is done with the segments that they leave behind.
    pub auto_vacuum: AutoVacuum,
}

impl Default for ClientOptions {
    fn default() -> Self {
        let default = ServeOptions::default();
        Self {
            rule_file: None,
            tls: None,
            max_connections: default.max_connections,
            reserved_connections: default.reserved_connections,
            max_unauthenticated: default.max_unauthenticated,
            authentication_timeout: default.authentication_timeout,
            max_message_bytes: default.max_message_bytes,
            queries: QueryLimits::default(),
            auto_vacuum: AutoVacuum::default(),
        }
    }
}

impl ClientOptions {
    /// Where the rules of the cluster in this directory are.
    pub fn rules(&self, data: &Path) -> RuleSource {
        match &self.rule_file {
            Some(file) => RuleSource::Required(file.clone()),
            None => RuleSource::Optional(data.join(RULE_FILE)),
        }
    }
}

/// Where the datanodes of a cluster are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatanodePlacement {
    /// In the coordinator's process.
    OneProcess,
    /// Each in a process of its own, which the coordinator's process starts.
    Processes {
        /// The `kestrel` program.
        program: PathBuf,
        /// Where the first one listens, the others on the ports that follow; 0: any free ports.
        first_port: u16,
        /// The same for their metrics.
        first_metrics_port: u16,
    },
    /// Somebody else starts them.
    Elsewhere,
}

/// Where the rows of a cluster's shards are.
#[derive(Clone, Debug, Default)]
pub struct ShardOptions {
    /// `None`: as the directory has it; columnar files in a new one.
    pub kind: Option<ShardKind>,
    /// The databases of [`ShardKind::Kes`], in the order of the datanodes' ids. Empty: where the
    /// datanodes are started from here, so are servers for their databases, in the data directory.
    pub databases: Vec<ShardDatabase>,
}

/// What is said between processes, and how.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Where datanodes register.
    pub rpc_listen: SocketAddr,
    /// The cluster's secret; `None`: `secret` in the data directory, made when it is not there.
    pub secret_file: Option<PathBuf>,
    /// Mutual TLS.
    pub tls: Option<TlsFiles>,
    /// Bounds of calls and connections.
    pub rpc: RpcSettings,
    /// How datanodes are watched.
    pub cluster: ClusterSettings,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            rpc_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            secret_file: None,
            tls: None,
            rpc: RpcSettings::default(),
            cluster: ClusterSettings::default(),
        }
    }
}

/// How a datanode's process is started.
#[derive(Clone, Debug)]
pub struct DatanodeOptions {
    /// `dn1`, …
    pub name: String,
    /// Its data directory; created when it is not there.
    pub data: PathBuf,
    /// Where coordinator and datanodes call it; port 0: any free port.
    pub listen: SocketAddr,
    /// What others call it by, host:port; `None`: the address it listens on.
    pub advertise: Option<String>,
    /// Where the coordinator lets datanodes register: host:port.
    pub coordinator: String,
    /// The cluster's secret.
    pub secret_file: PathBuf,
    /// Mutual TLS.
    pub tls: Option<TlsFiles>,
    /// The database of its shard; `None`: files in its directory.
    pub shard: Option<ShardDatabase>,
    /// Bytes of memory for queries and cache together.
    pub memory_limit: usize,
    /// The cache's part of them; 0: there is no cache.
    pub cache_size: usize,
    /// Execution partitions of one operator; `None`: one for each core.
    pub partitions: Option<usize>,
    /// Of rows that are sent to other processes.
    pub compression: Compression,
    /// Bounds of calls and connections.
    pub rpc: RpcSettings,
    /// Bounds of the exchange.
    pub exchange: ExchangeSettings,
    /// Without a heartbeat for so long the coordinator is gone.
    pub coordinator_timeout: Duration,
    /// Where metrics and health are shown; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
}
