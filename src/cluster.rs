//! A Kestrel cluster in this process: a coordinator and its datanodes.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::Utc;
use datafusion::{
    execution::{SessionStateBuilder, runtime_env::RuntimeEnvBuilder},
    prelude::SessionConfig,
};
use kestrel_coordinator::{
    catalog::CatalogHandle,
    engine::Engine,
    query,
    server::{ServeOptions, serve},
    session::EngineBackend,
};
use kestrel_datanode::{
    DatanodeSettings, LocalDatanode, PlanDecoder, exchange::Peers, memory_pool,
};
use kestrel_planner::{
    catalog::{CatalogChange, DatanodeDef},
    functions::FunctionRegistry,
};
use kestrel_proto::{Datanode, DatanodeHealth, DatanodeId, ErrorReport, Result, SqlState};
use tokio::{
    net::TcpListener,
    runtime::{Handle, Runtime},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Datanodes of a new cluster, unless it is told otherwise.
const DEFAULT_DATANODES: u32 = 3;

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
    engine: Arc<Engine>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    /// Fragments run here, clients are answered on the caller's runtime.
    _fragments: FragmentRuntime,
}

impl Cluster {
    /// Starts the cluster of this directory and serves clients.
    pub async fn start(options: ClusterOptions) -> Result<Self> {
        if options.cache_size.is_some() {
            return Err(ErrorReport::unsupported("there is no segment cache yet")
                .hint("Leave out --cache-size."));
        }
        // Before anything is written: a busy port leaves no trace.
        let listener = TcpListener::bind(options.listen).await.map_err(|error| {
            let message = format!("cannot listen on {}: {error}", options.listen);
            ErrorReport::new(SqlState::SYSTEM_ERROR, message)
        })?;
        let address = listener.local_addr().unwrap_or(options.listen);
        let catalog = CatalogHandle::open(options.data.clone()).await?;
        let fragments = FragmentRuntime::start()?;
        let runtime = fragments.handle()?;
        let functions = FunctionRegistry::new();
        let datanodes = open_datanodes(&options, &catalog, &functions, &runtime).await?;
        let cluster = query::Cluster {
            datanodes,
            state: slice_zero_state(&options, &functions)?,
            functions,
            runtime,
            epoch: catalog.epoch(),
        };
        let serve_options = ServeOptions::default();
        let engine = Engine::new(catalog, cluster, Arc::clone(&serve_options.clients));
        engine.clean_up_after_crash().await?;
        let shutdown = CancellationToken::new();
        let backend = Arc::new(EngineBackend::new(Arc::clone(&engine)));
        let served = serve(listener, backend, serve_options, shutdown.clone());
        let server = tokio::spawn(async move {
            let _ = served.await;
        });
        Ok(Self { address, engine, shutdown, server, _fragments: fragments })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What runs and is held on each datanode.
    pub async fn health(&self) -> Result<Vec<DatanodeHealth>> {
        let mut health = Vec::new();
        for datanode in &self.engine.cluster.datanodes {
            health.push(datanode.health().await?);
        }
        Ok(health)
    }

    /// Ends sessions and queries, and stops.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        if let Err(error) = (&mut self.server).await {
            tracing::warn!(%error, "the server's task was lost");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// The runtime of the fragments. A runtime must not be dropped where that would block another
/// one, so it ends in the background.
struct FragmentRuntime(Option<Runtime>);

impl FragmentRuntime {
    fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("kestrel-fragment")
            .build();
        let runtime = runtime.map_err(|error| {
            ErrorReport::new(SqlState::SYSTEM_ERROR, format!("cannot start threads: {error}"))
        })?;
        Ok(Self(Some(runtime)))
    }

    fn handle(&self) -> Result<Handle> {
        let runtime = self.0.as_ref();
        runtime.map(|r| r.handle().clone()).ok_or_else(|| ErrorReport::internal("no runtime"))
    }
}

impl Drop for FragmentRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// One partition: slice 0 only receives what the datanodes have prepared.
fn slice_zero_state(
    options: &ClusterOptions,
    functions: &FunctionRegistry,
) -> Result<datafusion::execution::SessionState> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(memory_pool(options.memory_limit / 4))
        .build_arc()
        .map_err(kestrel_planner::error::report)?;
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().optimizer.join_reordering = false;
    Ok(SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        // Only ours: a decoded plan asks here first, and DataFusion's `avg` is another one.
        .with_scalar_functions(functions.scalars())
        .with_aggregate_functions(functions.aggregates())
        .with_window_functions(functions.windows())
        .build())
}

/// Opens the datanodes of the directory; a new one gets as many as were asked for.
async fn open_datanodes(
    options: &ClusterOptions,
    catalog: &CatalogHandle,
    functions: &Arc<FunctionRegistry>,
    runtime: &Handle,
) -> Result<Vec<Arc<dyn Datanode>>> {
    let known = catalog.snapshot().datanodes.clone();
    let count = match (options.datanodes, known.len() as u32) {
        (asked, 0) => asked.unwrap_or(DEFAULT_DATANODES).max(1),
        (Some(asked), there) if asked != there => {
            return Err(ErrorReport::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!(
                    "\"{}\" is the directory of a cluster with {there} datanodes, not {asked}",
                    options.data.display()
                ),
            )
            .hint("Leave out --datanodes."));
        }
        (_, there) => there,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = memory_pool(options.memory_limit / 4 * 3);
    let peers = Arc::new(Peers::default());
    let decoder = Arc::new(PlanDecoder::new(Arc::clone(functions)));
    let mut datanodes: Vec<Arc<dyn Datanode>> = Vec::new();
    let mut definitions = Vec::new();
    for id in (0..count).map(DatanodeId) {
        let directory = options.data.join(id.name());
        let mut settings =
            DatanodeSettings::new(id, catalog.cluster_id(), &directory, Arc::clone(&memory));
        settings.target_partitions = (cores / count as usize).max(1);
        let decoder = Arc::clone(&decoder) as _;
        let handle = runtime.clone();
        let datanode = LocalDatanode::open(settings, Arc::clone(&peers), decoder, handle)?;
        check_uuid(&known, id, &datanode.uuid().to_string(), &directory)?;
        definitions.push(DatanodeDef {
            id: id.0,
            name: id.name(),
            uuid: datanode.uuid().to_string(),
            address: "local".into(),
            shard_kind: "columnar".into(),
        });
        datanodes.push(datanode);
    }
    if known.is_empty() {
        let change = CatalogChange::SetDatanodes { datanodes: definitions, bucket_map_version: 1 };
        catalog.commit(None, vec![change], Utc::now()).await?;
    }
    Ok(datanodes)
}

fn check_uuid(known: &[DatanodeDef], id: DatanodeId, uuid: &str, directory: &Path) -> Result<()> {
    match known.iter().find(|datanode| datanode.id == id.0) {
        Some(datanode) if datanode.uuid != uuid => Err(ErrorReport::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("\"{}\" holds another datanode than {id}", directory.display()),
        )
        .hint("Put back the directory that was there when the cluster stopped.")),
        _ => Ok(()),
    }
}
