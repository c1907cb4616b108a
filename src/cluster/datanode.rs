//! A datanode in a process of its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use kestrel_datanode::{
    DatanodeSettings, LocalDatanode, PlanDecoder, ReservedDir,
    exchange::Peers,
    service::{Membership, ServiceOptions, join, serve, stay},
    shard::ShardSettings,
};
use kestrel_planner::{functions::FunctionRegistry, memory::QueryMemory};
use kestrel_proto::{
    Datanode, ENGINE_VERSION, ErrorReport, Result, SqlState,
    message::RegisterRequest,
    rpc::{Caller, Credentials, Secret, Tls},
};
use tokio::{net::TcpListener, runtime::Handle, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    DatanodeOptions, FragmentRuntime, finish,
    listeners::{listen, listen_optionally},
};
use crate::{http, pages::DatanodePage, shards::ShardDatabase};

/// How long its end waits for calls that are under way, such as an ingest: less than `processes`
/// waits for a child.
const STOP_WAIT_MAX: Duration = Duration::from_secs(3);

/// A datanode that serves its cluster.
pub struct DatanodeProcess {
    datanode: Arc<LocalDatanode>,
    address: SocketAddr,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
    _fragments: FragmentRuntime,
}

impl DatanodeProcess {
    /// Takes the directory, registers (waiting for the coordinator as long as it takes), and
    /// serves.
    ///
    /// # Errors
    /// 55000 when the directory is in use, or the coordinator refuses it; 28000; 58000; 58030.
    pub async fn start(options: DatanodeOptions) -> Result<Self> {
        let reserved = ReservedDir::open(&options.data)?;
        let listener = listen(options.listen, "--listen").await?;
        let address = listener.local_addr().unwrap_or(options.listen);
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        // Shown from now on: one that waits for its coordinator can be seen.
        let page = Arc::new(DatanodePage::new(options.coordinator_timeout));
        let metrics = listen_optionally(options.metrics_listen, "--metrics-listen").await?;
        if let Some(listener) = metrics {
            tasks.spawn(http::serve(listener, Arc::clone(&page) as _, shutdown.clone()));
        }
        let shard = options.shard.as_ref().map(ShardDatabase::open).transpose()?;
        let shard = shard.unwrap_or_default();
        let functions = FunctionRegistry::new();
        let request = request(&options, &reserved, address, &functions, &shard);
        let mut membership = membership(&options, request)?;
        let joined = join(&membership).await?;
        membership.request.cluster_id = joined.cluster_id.to_string();
        membership.caller.credentials.cluster = Some(joined.cluster_id);
        let fragments = FragmentRuntime::start()?;
        let memory = QueryMemory::new(options.memory_limit);
        let mut settings =
            DatanodeSettings::new(joined.datanode, joined.cluster_id, &options.data, memory);
        settings.target_partitions = options.partitions.unwrap_or(settings.target_partitions);
        settings.exchange = options.exchange.clone();
        settings.coordinator_timeout = options.coordinator_timeout;
        settings.shard = shard;
        settings.columnar.cache_bytes = options.cache_size;
        let peers = Arc::new(Peers::across_processes(membership.caller.clone()));
        let decoder = Arc::new(PlanDecoder::new(functions));
        let handle = fragments.handle();
        let datanode = LocalDatanode::open_reserved(reserved, settings, peers, decoder, handle)?;
        page.joined(Arc::clone(&datanode));
        let service = ServiceOptions {
            credentials: Credentials {
                target: options.name.clone(),
                ..membership.caller.credentials.clone()
            },
            settings: options.rpc.clone(),
            tls: membership.caller.tls.clone(),
            compression: options.compression,
            fragments: fragments.handle(),
        };
        tasks.spawn(served(Arc::clone(&datanode), listener, service, shutdown.clone()));
        tasks.spawn(stay(Arc::clone(&datanode), membership, shutdown.clone()));
        Ok(Self { datanode, address, shutdown, tasks, _fragments: fragments })
    }

    /// Where others call it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `dn1`, …
    pub fn name(&self) -> String {
        self.datanode.id().name()
    }

    /// Ends its fragments, and stops; other calls get a few seconds to end.
    pub async fn stop(mut self) {
        self.datanode.end_all_queries();
        self.shutdown.cancel();
        finish(&mut self.tasks, STOP_WAIT_MAX).await;
    }
}

async fn served(
    datanode: Arc<LocalDatanode>,
    listener: TcpListener,
    options: ServiceOptions,
    shutdown: CancellationToken,
) {
    if let Err(error) = serve(datanode, listener, options, shutdown).await {
        tracing::error!(%error, "the datanode's service has ended");
    }
}

fn request(
    options: &DatanodeOptions,
    reserved: &ReservedDir,
    address: SocketAddr,
    functions: &FunctionRegistry,
    shard: &ShardSettings,
) -> RegisterRequest {
    RegisterRequest {
        name: options.name.clone(),
        uuid: reserved.uuid().to_string(),
        cluster_id: reserved.cluster_id().into(),
        address: options.advertise.clone().unwrap_or_else(|| address.to_string()),
        engine_version: ENGINE_VERSION.into(),
        function_fingerprint: functions.fingerprint(),
        shard_kind: shard.kind().into(),
    }
}

fn membership(options: &DatanodeOptions, request: RegisterRequest) -> Result<Membership> {
    let secret = Secret::read(&options.secret_file)?;
    let caller = Caller {
        settings: options.rpc.clone(),
        credentials: Credentials { secret, cluster: None, target: String::new() },
        tls: options.tls.as_ref().map(Tls::read).transpose()?,
        runtime: Handle::current(),
    };
    let coordinator = options.coordinator.clone();
    if coordinator.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        let message = format!("\"{coordinator}\" is not an address such as db0:5434");
        return Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    Ok(Membership { caller, coordinator, request })
}
