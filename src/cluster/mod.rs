//! A Kestrel cluster: its coordinator in this process, its datanodes here or in other processes.

mod clients;
mod datanode;
mod fragments;
mod listeners;
mod local;
mod options;
mod processes;
mod remote;
mod server_start;
mod servers;
mod shards;

pub use datanode::DatanodeProcess;
pub use options::{
    ClientOptions, ClusterOptions, DatanodeOptions, DatanodePlacement, NetworkOptions, ShardOptions,
};

use std::{fs, io::ErrorKind, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use datafusion::{
    execution::{
        SessionState, SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        runtime_env::RuntimeEnvBuilder,
    },
    prelude::SessionConfig,
};
use kestrel_coordinator::{
    access::Gate,
    catalog::CatalogHandle,
    cluster::Member,
    compaction::vacuum_automatically,
    engine::Engine,
    query,
    session::{EngineBackend, analyze_automatically},
    shards::{shared, watch},
};
use kestrel_datanode::LocalDatanode;
use kestrel_planner::{
    functions::FunctionRegistry, memory::QueryMemory, operators::physical_rules,
};
use kestrel_proto::{Datanode, DatanodeHealth, DatanodeId, Result};
use tokio::{net::TcpListener, task::JoinHandle, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use fragments::FragmentRuntime;
use listeners::CoordinatorListeners;
use processes::{ChildCommand, ChildPlace, Processes};
use remote::Remote;
use servers::Servers;
use shards::Shards;

use crate::{http, pages::CoordinatorPage};

/// Then a datanode's process that does not stop is killed.
const DATANODE_STOP_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long the end of a cluster waits for calls and connections that are under way.
const WATCHERS_STOP_WAIT_MAX: Duration = Duration::from_secs(2);

/// A running cluster.
pub struct Cluster {
    address: SocketAddr,
    rpc_address: Option<SocketAddr>,
    metrics_address: Option<SocketAddr>,
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    /// Ends the server.
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    /// Registration, heartbeats, metrics.
    watchers: JoinSet<()>,
    /// Ends the watchers.
    watchers_shutdown: CancellationToken,
    processes: Option<Processes>,
    /// Of the databases that hold the shards, if they were started here.
    servers: Option<Servers>,
    /// Fragments run here, clients are answered on the caller's runtime.
    _fragments: FragmentRuntime,
}

/// The datanodes of a cluster, wherever they are.
enum Datanodes {
    Here(Vec<Arc<LocalDatanode>>),
    Elsewhere(Box<Remote>, TcpListener),
}

impl Cluster {
    /// Starts the cluster of this directory and serves clients.
    pub async fn start(options: ClusterOptions) -> Result<Self> {
        // Before anything is written: a busy port leaves no trace.
        let listeners = CoordinatorListeners::open(&options).await?;
        let address = listeners.clients.local_addr().unwrap_or(options.listen);
        let rpc_address = local_address(&listeners.rpc);
        let metrics_address = local_address(&listeners.metrics);
        let catalog = CatalogHandle::open(options.data.clone()).await?;
        let mut shards = Shards::open(&options, &catalog.snapshot().datanodes).await?;
        let fragments = FragmentRuntime::start()?;
        let functions = FunctionRegistry::new();
        let directory = (&options, &shards, &catalog);
        let datanodes = Datanodes::open(listeners.rpc, directory, &functions, &fragments).await?;
        let memory = QueryMemory::new(shards.memory.coordinator);
        let cluster =
            query_cluster(&options, &datanodes, memory, (&functions, &fragments), &catalog)?;
        let serve_options = clients::serve_options(&options.clients, &options.data, &catalog)?;
        let gate = Arc::clone(&serve_options.gate);
        let fixed_settings = clients::fixed_settings(&serve_options);
        let clients = Arc::clone(&serve_options.clients);
        let limits = (options.clients.queries, options.clients.auto_vacuum);
        let engine = Engine::new(catalog, cluster, clients, limits.0, limits.1);
        let (shutdown, watchers_shutdown) = (CancellationToken::new(), CancellationToken::new());
        let mut watchers = JoinSet::new();
        let mut processes = None;
        let here = datanodes.here();
        match datanodes {
            Datanodes::Here(_) => engine.clean_up_after_crash().await?,
            Datanodes::Elsewhere(remote, listener) => {
                remote.start(&mut watchers, listener, &options, &engine, &watchers_shutdown);
                let commands = child_commands(&options, &shards, &remote.members, rpc_address);
                if let Some(commands) = commands {
                    processes = Some(Processes::start(commands));
                    remote.arrival().await?;
                }
            }
        }
        let (watched, stop) = (engine.cluster.clone(), watchers_shutdown.clone());
        watchers.spawn(watch(engine.catalog.clone(), watched, stop));
        watchers.spawn(analyze_automatically(Arc::clone(&engine), shutdown.clone()));
        let vacuum = vacuum_automatically(Arc::clone(&engine), watchers_shutdown.clone());
        watchers.spawn(vacuum);
        if let Some(listener) = listeners.metrics {
            let page = Arc::new(CoordinatorPage::new(Arc::clone(&engine), here));
            watchers.spawn(http::serve(listener, page, watchers_shutdown.clone()));
        }
        let backend = EngineBackend::new(Arc::clone(&engine)).with_fixed_settings(fixed_settings);
        let served = backend.serve(listeners.clients, serve_options, shutdown.clone());
        let server = tokio::spawn(served);
        Ok(Self {
            address,
            rpc_address,
            metrics_address,
            engine,
            gate,
            shutdown,
            server,
            watchers,
            watchers_shutdown,
            processes,
            servers: shards.servers.take(),
            _fragments: fragments,
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where datanodes register; `None`: they are in this process.
    pub fn rpc_address(&self) -> Option<SocketAddr> {
        self.rpc_address
    }

    /// Where metrics and health are shown, if they are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// The process of a datanode that this one has started, if it runs.
    pub fn process_id(&self, datanode: DatanodeId) -> Option<u32> {
        self.processes.as_ref()?.process_id(datanode)
    }

    /// Reads the rule file again, for clients that come from now on.
    ///
    /// # Errors
    /// F0000, 58P01 and 58030; the old rules stay.
    pub fn reload(&self) -> Result<()> {
        self.gate.reload()
    }

    /// What runs and is held on each datanode.
    pub async fn health(&self) -> Result<Vec<DatanodeHealth>> {
        let mut health = Vec::new();
        for datanode in &self.engine.cluster.datanodes {
            health.push(datanode.health().await?);
        }
        Ok(health)
    }

    /// Bytes that queries have reserved in the coordinator's process.
    pub fn reserved_bytes(&self) -> usize {
        self.engine.cluster.state.runtime_env().memory_pool.reserved()
    }

    /// Ends sessions and queries, and stops.
    pub async fn stop(mut self) {
        // Who stops this process may have stopped the datanodes', too.
        if let Some(processes) = &self.processes {
            processes.end_restarts();
        }
        if let Some(servers) = &self.servers {
            servers.end_restarts();
        }
        self.shutdown.cancel();
        if let Err(error) = (&mut self.server).await {
            tracing::warn!(%error, "the server's task was lost");
        }
        self.engine.note_shard_rows().await;
        // Not before: datanodes that hear nothing would end the statements that are let run out.
        self.watchers_shutdown.cancel();
        finish(&mut self.watchers, WATCHERS_STOP_WAIT_MAX).await;
        if let Some(processes) = self.processes.take() {
            processes.stop().await;
        }
        // Datanodes in this process have ended their sessions, or have them ended now.
        if let Some(servers) = self.servers.take() {
            servers.stop().await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.watchers_shutdown.cancel();
    }
}

/// Waits for tasks that were told to end, and aborts those that do not.
async fn finish(tasks: &mut JoinSet<()>, wait_max: Duration) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(wait_max, all).await.is_err() {
        tracing::warn!(tasks = tasks.len(), "calls that do not end are cut off");
        tasks.shutdown().await;
    }
}

fn local_address(listener: &Option<TcpListener>) -> Option<SocketAddr> {
    listener.as_ref().and_then(|listener| listener.local_addr().ok())
}

impl Datanodes {
    /// Those of this directory; elsewhere, if there is a port where they can register.
    async fn open(
        rpc: Option<TcpListener>,
        (options, shards, catalog): (&ClusterOptions, &Shards, &CatalogHandle),
        functions: &Arc<FunctionRegistry>,
        fragments: &FragmentRuntime,
    ) -> Result<Self> {
        match rpc {
            None => {
                let (directory, handle) = ((options, shards, catalog), fragments.handle());
                Ok(Self::Here(local::open_datanodes(directory, functions, &handle).await?))
            }
            Some(listener) => {
                let remote = Remote::open(options, shards, catalog).await?;
                Ok(Self::Elsewhere(Box::new(remote), listener))
            }
        }
    }

    fn here(&self) -> Vec<Arc<LocalDatanode>> {
        match self {
            Self::Here(datanodes) => datanodes.clone(),
            Self::Elsewhere(..) => Vec::new(),
        }
    }
}

fn query_cluster(
    options: &ClusterOptions,
    datanodes: &Datanodes,
    memory: QueryMemory,
    (functions, fragments): (&Arc<FunctionRegistry>, &FragmentRuntime),
    catalog: &CatalogHandle,
) -> Result<query::Cluster> {
    let (datanodes, members) = match datanodes {
        Datanodes::Here(datanodes) => {
            let datanodes = datanodes.iter().map(|datanode| Arc::clone(datanode) as _);
            (datanodes.collect(), Vec::new())
        }
        Datanodes::Elsewhere(remote, _) => {
            let datanodes = remote.members.iter().map(|member| Arc::clone(member) as _);
            (datanodes.collect(), remote.members.clone())
        }
    };
    Ok(query::Cluster {
        datanodes,
        state: slice_zero_state(&memory, &options.data)?,
        memory,
        functions: Arc::clone(functions),
        runtime: fragments.handle(),
        epoch: catalog.epoch(),
        members,
        settings: options.network.cluster.clone(),
        shards: shared(&catalog.snapshot()),
    })
}

/// The command lines of datanodes that are to be started here.
fn child_commands(
    options: &ClusterOptions,
    shards: &Shards,
    members: &[Arc<Member>],
    rpc_address: Option<SocketAddr>,
) -> Option<Vec<ChildCommand>> {
    let DatanodePlacement::Processes { program, first_port, first_metrics_port } =
        &options.placement
    else {
        return None;
    };
    let rpc_address = rpc_address?;
    let memory = shards.memory.datanodes / members.len().max(1);
    let cache = shards.memory.cache / members.len().max(1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let text = |path: &Path| path.display().to_string();
    let port = |first: u16, at: usize| if first == 0 { 0 } else { first + at as u16 };
    let command = |(at, member): (usize, &Arc<Member>)| {
        let secret = options.network.secret_file.clone();
        let secret = secret.unwrap_or_else(|| options.data.join("secret"));
        let mut arguments: Vec<String> = vec!["datanode".into(), "--stop-with-stdin".into()];
        let mut add = |flag: &str, value: String| arguments.extend([flag.into(), value]);
        add("--name", member.id().name());
        add("--data", text(&options.data.join(member.id().name())));
        add("--listen", format!("127.0.0.1:{}", port(*first_port, at)));
        add("--metrics-listen", format!("127.0.0.1:{}", port(*first_metrics_port, at)));
        add("--coordinator", rpc_address.to_string());
        add("--secret-file", text(&secret));
        add("--memory-limit", memory.to_string());
        add("--cache-size", cache.to_string());
        add("--partitions", (cores / members.len().max(1)).max(1).to_string());
        // No size is less than a byte.
        add("--stream-credit", options.exchange.stream_credit_bytes.max(1).to_string());
        add("--query-budget", options.exchange.query_budget_bytes.max(1).to_string());
        add("--remote-credit", options.exchange.remote_credit_bytes.max(1).to_string());
        if let Some(tls) = &options.network.tls {
            add("--tls-certificate", text(&tls.certificate));
            add("--tls-key", text(&tls.key));
            add("--tls-ca", text(&tls.ca));
        }
        arguments.extend(shards.arguments(member.id()));
        ChildCommand {
            datanode: member.id(),
            what: "process",
            program: program.clone(),
            arguments,
            place: ChildPlace::Here,
            stop_wait_max: DATANODE_STOP_WAIT_MAX,
        }
    };
    Some(members.iter().enumerate().map(command).collect())
}

/// One partition: slice 0 only receives what the datanodes have prepared. What finds no memory here,
/// and rows that cursors keep, go to a directory beside the catalog.
fn slice_zero_state(memory: &QueryMemory, data: &Path) -> Result<Arc<SessionState>> {
    let spilled = data.join("spilled");
    match fs::remove_dir_all(&spilled) {
        // What a crash has left is of no use.
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(%error, "temporary files of the last run remain");
        }
        _ => {}
    }
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![spilled]));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::clone(memory.pool()))
        .with_disk_manager_builder(disk)
        .build_arc()
        .map_err(kestrel_planner::error::report)?;
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().optimizer.join_reordering = false;
    // Without functions: a plan has its own in it, and every query would copy all of these.
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_physical_optimizer_rules(physical_rules());
    Ok(Arc::new(state.build()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_does_not_end_is_aborted() {
        let mut tasks = JoinSet::new();
        tasks.spawn(async {});
        tasks.spawn(std::future::pending());
        let finished = finish(&mut tasks, Duration::from_millis(50));
        timeout(Duration::from_secs(60), finished).await.unwrap();
        assert!(tasks.is_empty());
    }
}
