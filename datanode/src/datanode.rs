//! A datanode in this process.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::{
    execution::{
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::MemoryPool,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::TryStreamExt;
use kestrel_planner::operators::{SegmentTarget, ShardStore};
use kestrel_proto::{
    BatchStream, Datanode, DatanodeHealth, DatanodeId, DropSegments, ExchangeRequest, Ingest,
    IngestStream, QueryId, Result,
    message::{FragmentReport, SegmentRef},
};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::{
    data_dir::DataDir,
    error::{report, to_datafusion},
    exchange::{ExchangeHub, ExchangeSettings, Peers},
    fragment::{FragmentDecoder, FragmentRunner, session_config},
    shard::{ColumnarSettings, ColumnarStore},
};

/// What a datanode is started with.
#[derive(Clone, Debug)]
pub struct DatanodeSettings {
    /// Which one it is.
    pub id: DatanodeId,
    /// The cluster it belongs to.
    pub cluster_id: Uuid,
    /// Its data directory; created when it is not there.
    pub data: PathBuf,
    /// See [`crate::memory_pool`]; all datanodes of a process share one.
    pub memory: Arc<dyn MemoryPool>,
    /// Bytes that queries may spill under `<data>/tmp`.
    pub spill_limit_bytes: u64,
    /// Execution partitions of one operator.
    pub target_partitions: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// The bounds of the exchange.
    pub exchange: ExchangeSettings,
    /// How segments are written and read. Its `target_partitions` and `batch_rows` are replaced by
    /// the above.
    pub columnar: ColumnarSettings,
}

impl DatanodeSettings {
    /// The defaults for a datanode with this much of its process's memory.
    pub fn new(
        id: DatanodeId,
        cluster_id: Uuid,
        data: impl Into<PathBuf>,
        memory: Arc<dyn MemoryPool>,
    ) -> Self {
        Self {
            id,
            cluster_id,
            data: data.into(),
            memory,
            spill_limit_bytes: 100 << 30,
            target_partitions: std::thread::available_parallelism().map_or(1, usize::from),
            batch_rows: 8192,
            exchange: ExchangeSettings::default(),
            columnar: ColumnarSettings::default(),
        }
    }
}

/// A datanode whose callers are in its own process.
#[derive(Debug)]
pub struct LocalDatanode {
    id: DatanodeId,
    data: DataDir,
    hub: ExchangeHub,
    store: Arc<ColumnarStore>,
    resources: Arc<RuntimeEnv>,
    fragments: Arc<FragmentRunner>,
}

impl LocalDatanode {
    /// Opens the data directory, and adds the datanode to `peers`, which all datanodes of the
    /// cluster share. Fragments run on `runtime`.
    ///
    /// # Errors
    /// 55000 when the directory is another's or in use; 58030, 53100, XX001.
    pub fn open(
        settings: DatanodeSettings,
        peers: Arc<Peers>,
        decoder: Arc<dyn FragmentDecoder>,
        runtime: Handle,
    ) -> Result<Arc<Self>> {
        let id = settings.id;
        let named = |e: kestrel_proto::ErrorReport| e.on_datanode(id.name());
        let data = DataDir::open(&settings.data, settings.cluster_id, id).map_err(named)?;
        let resources = resources(&settings, &data).map_err(named)?;
        let columnar = ColumnarSettings {
            target_partitions: settings.target_partitions,
            batch_rows: settings.batch_rows,
            ..settings.columnar
        };
        let store = Arc::new(ColumnarStore::new(id, data.path(), columnar));
        let hub = ExchangeHub::new(id, settings.exchange);
        let fragments = Arc::new(FragmentRunner {
            datanode: id,
            hub: hub.clone(),
            peers: Arc::clone(&peers),
            store: Arc::clone(&store) as Arc<dyn ShardStore>,
            decoder,
            resources: Arc::clone(&resources),
            config: session_config(settings.target_partitions, settings.batch_rows),
            runtime,
            registry: Default::default(),
        });
        tracing::info!(datanode = %id, uuid = %data.uuid(), data = %data.path().display(), "opened");
        let datanode = Arc::new(Self { id, data, hub, store, resources, fragments });
        peers.add(&(Arc::clone(&datanode) as Arc<dyn Datanode>));
        Ok(datanode)
    }

    /// The datanode's UUID, which it got when its directory was made.
    pub fn uuid(&self) -> Uuid {
        self.data.uuid()
    }
}

#[async_trait]
impl Datanode for LocalDatanode {
    fn id(&self) -> DatanodeId {
        self.id
    }

    async fn run(&self, fragment: Bytes) -> Result<FragmentReport> {
        self.fragments.run(fragment).await
    }

    fn open_exchange(&self, request: ExchangeRequest) -> Result<BatchStream> {
        self.hub.open(request).map_err(|report| report.on_datanode(self.id.name()))
    }

    async fn end_query(&self, query: QueryId) {
        self.hub.end_query(query);
        self.fragments.registry.end_query(query).await;
    }

    async fn ingest(&self, ingest: Ingest, rows: IngestStream) -> Result<Vec<SegmentRef>> {
        let registry = &self.fragments.registry;
        registry
            .check_epoch(ingest.coordinator_epoch)
            .map_err(|report| report.on_datanode(self.id.name()))?;
        let target = SegmentTarget {
            transaction: ingest.transaction,
            coordinator_epoch: ingest.coordinator_epoch,
            table_id: ingest.table,
            table: ingest.table_name,
            schema: ingest.schema,
            column_ids: ingest.column_ids,
        };
        let rows = rows.map_err(to_datafusion);
        let rows = RecordBatchStreamAdapter::new(Arc::clone(&target.schema), rows);
        self.store.write(&target, Box::pin(rows)).await
    }

    async fn drop_segments(&self, order: DropSegments) -> Result<()> {
        self.store.drop_segments(order).await
    }

    async fn health(&self) -> Result<DatanodeHealth> {
        Ok(DatanodeHealth {
            fragments: self.fragments.registry.count(),
            streams: self.hub.streams(),
            temporary_files: files_below(&self.data.tmp()),
            memory_bytes: self.resources.memory_pool.reserved() as u64,
        })
    }
}

fn resources(settings: &DatanodeSettings, data: &DataDir) -> Result<Arc<RuntimeEnv>> {
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![data.tmp()]))
        .with_max_temp_directory_size(settings.spill_limit_bytes);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::clone(&settings.memory))
        .with_disk_manager_builder(disk)
        .build_arc()
        .map_err(report)
}

/// Files come and go while they are counted: what cannot be read has gone.
fn files_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let count = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let is_dir = entry.file_type().ok()?.is_dir();
        Some(if is_dir { files_below(&entry.path()) } else { 1 })
    };
    entries.filter_map(count).sum()
}
