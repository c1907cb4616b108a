//! A datanode in this process.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::{
    execution::{
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{TryStreamExt, future::BoxFuture};
use kestrel_planner::{
    memory::QueryMemory,
    operators::{SegmentTarget, ShardStore},
};
use kestrel_proto::{
    BatchStream, ByteStream, COORDINATOR, Datanode, DatanodeHealth, DatanodeId, DropSegments,
    ErrorReport, ExchangeRequest, Ingest, IngestStream, PreparedTransaction, QueryId, Result,
    ShardFacts, ShardResults, ShardRows, ShardStatements, SnapshotScope, TransactionEnd,
    TransactionId,
    message::{
        DeleteRowsRequest, DeleteVector, FragmentDescription, FragmentReport,
        RewriteSegmentsRequest, SegmentRef,
    },
    metrics::Family,
};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::{
    data_dir::{DataDir, ReservedDir},
    error::{report, to_datafusion},
    exchange::{ExchangeHub, ExchangeSettings, Peers},
    fragment::{FragmentDecoder, FragmentRunner, session_config},
    heartbeat::Heartbeat,
    metrics::{self, Numbers},
    resort::PlacesByOrder,
    rewrite::Rewriter,
    shard::{
        ColumnarSettings, ColumnarStore, ShardSettings, StoreByTable,
        kes::{KesStore, KesStoreOptions},
    },
    turns::{Turns, giving_way, in_turns, wrap_spawned_tasks},
};

/// Rows of a batch. Fewer cost more for each row, and more leave the caches of a core: TPC-H at scale
/// 1 took the least time with these.
const BATCH_ROWS: usize = 16_384;

/// What a datanode is started with.
#[derive(Clone, Debug)]
pub struct DatanodeSettings {
    /// Which one it is.
    pub id: DatanodeId,
    /// The cluster it belongs to.
    pub cluster_id: Uuid,
    /// Its data directory; created when it is not there.
    pub data: PathBuf,
    /// Of queries, and of the cache that gives way to them; all datanodes of a process share it.
    pub memory: QueryMemory,
    /// Bytes that queries may spill under `<data>/tmp`.
    pub spill_limit_bytes: u64,
    /// Execution partitions of one operator.
    pub target_partitions: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// The bounds of the exchange.
    pub exchange: ExchangeSettings,
    /// A coordinator in another process that is silent for longer is gone.
    pub coordinator_timeout: Duration,
    /// How queries share the threads; all datanodes of a process have the same.
    pub turns: Turns,
    /// Where its shard's rows are.
    pub shard: ShardSettings,
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
        memory: QueryMemory,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            id,
            cluster_id,
            data: data.into(),
            memory,
            spill_limit_bytes: 100 << 30,
            target_partitions: cores,
            batch_rows: BATCH_ROWS,
            exchange: ExchangeSettings::default(),
            coordinator_timeout: Duration::from_secs(4),
            turns: Turns::new(cores),
            shard: ShardSettings::default(),
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
    store: StoreByTable,
    resources: Arc<RuntimeEnv>,
    fragments: Arc<FragmentRunner>,
    rewriter: Rewriter,
    heartbeat: Heartbeat,
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
        let reserved = ReservedDir::open(&settings.data);
        let reserved = reserved.map_err(|e| e.on_datanode(settings.id.name()))?;
        Self::open_reserved(reserved, settings, peers, decoder, runtime)
    }

    /// As [`LocalDatanode::open`], in a directory that was reserved before.
    pub fn open_reserved(
        reserved: ReservedDir,
        settings: DatanodeSettings,
        peers: Arc<Peers>,
        decoder: Arc<dyn FragmentDecoder>,
        runtime: Handle,
    ) -> Result<Arc<Self>> {
        let id = settings.id;
        let named = |e: ErrorReport| e.on_datanode(id.name());
        wrap_spawned_tasks();
        let data = reserved.claim(settings.cluster_id, id).map_err(named)?;
        let resources = resources(&settings, &data).map_err(named)?;
        let columnar = ColumnarSettings {
            target_partitions: settings.target_partitions,
            batch_rows: settings.batch_rows,
            ..settings.columnar
        };
        let columnar = Arc::new(ColumnarStore::new(id, data.path(), columnar, &settings.memory));
        let kes = kes_store(&settings, &resources, &runtime).map_err(named)?;
        let store = StoreByTable { columnar, kes };
        let hub = ExchangeHub::new(id, settings.exchange, Arc::clone(&resources));
        let fragments = Arc::new(FragmentRunner {
            datanode: id,
            hub: hub.clone(),
            peers: Arc::clone(&peers),
            store: Arc::new(store.clone()) as Arc<dyn ShardStore>,
            kes: store.kes.clone(),
            decoder,
            resources: Arc::clone(&resources),
            memory: settings.memory.clone(),
            turns: settings.turns.clone(),
            config: session_config(settings.target_partitions, settings.batch_rows),
            runtime,
            registry: Default::default(),
        });
        let rewriter = Rewriter {
            store: Arc::clone(&store.columnar),
            resources: Arc::clone(&resources),
            memory: settings.memory.clone(),
            turns: settings.turns.clone(),
            config: fragments.config.clone(),
            runtime: fragments.runtime.clone(),
        };
        let shard = settings.shard.kind();
        let path = data.path().display();
        tracing::info!(datanode = %id, uuid = %data.uuid(), data = %path, shard, "opened");
        let heartbeat = Heartbeat::new(settings.coordinator_timeout);
        let datanode =
            Arc::new(Self { id, data, hub, store, resources, fragments, rewriter, heartbeat });
        peers.add(&(Arc::clone(&datanode) as Arc<dyn Datanode>));
        Ok(datanode)
    }

    /// The datanode's UUID, which it got when its directory was made.
    pub fn uuid(&self) -> Uuid {
        self.data.uuid()
    }

    /// A coordinator of this epoch has called. If it is new, it has replaced another, whose queries
    /// end.
    ///
    /// # Errors
    /// 55000 when it has been replaced itself.
    pub fn heard_from(&self, epoch: u64) -> Result<()> {
        let heard = self.fragments.heard_from(epoch);
        heard.map_err(|report| report.on_datanode(self.id.name()))
    }

    /// The coordinator has asked how this datanode is. If it had been gone, what it left ends first.
    pub fn note_heartbeat(&self) {
        self.heartbeat.note(Instant::now(), || self.end_all_queries());
    }

    /// When it last did; at first, when the datanode was opened.
    pub fn last_heartbeat(&self) -> Instant {
        self.heartbeat.heard_at()
    }

    /// Ends all queries if the coordinator is gone; whether it is.
    pub fn end_if_coordinator_is_gone(&self) -> bool {
        self.heartbeat.end_if_gone(Instant::now(), || self.end_all_queries())
    }

    /// What it has counted, for `/metrics`.
    pub fn metric_families(&self) -> Vec<Family> {
        let (finished_fragments, failed_fragments) = self.fragments.registry.ended();
        let pool = &self.resources.memory_pool;
        let numbers = Numbers {
            running_fragments: self.fragments.registry.count(),
            finished_fragments,
            failed_fragments,
            streams: self.hub.streams(),
            exchange: self.hub.counters(),
            temporary_files: files_below(&self.data.tmp()),
            reserved_bytes: pool.reserved() as u64,
            memory_limit: pool.memory_limit(),
            store: self.store.columnar.counters(),
            kes: self.store.kes.as_ref().map(|kes| kes.counters()),
        };
        metrics::families(&self.id.name(), &numbers)
    }

    /// The coordinator has gone: nobody will end its queries, nor commit what it has begun.
    pub fn end_all_queries(&self) {
        self.fragments.end_all();
        if let Some(kes) = &self.store.kes {
            kes.abandon(None);
        }
    }

    /// 0A000
    fn kes(&self) -> Result<&KesStore> {
        self.store.kes.as_deref().ok_or_else(|| {
            let message =
                format!("datanode \"{}\" has no database beside it: it is no kes shard", self.id);
            ErrorReport::unsupported(message)
        })
    }
}

#[async_trait]
impl Datanode for LocalDatanode {
    fn id(&self) -> DatanodeId {
        self.id
    }

    async fn run(&self, fragment: Bytes) -> Result<FragmentReport> {
        if let Some(kes) = &self.store.kes {
            // Only a scan of the database's tables fails for a database that is not there.
            let _ = kes.probe().await;
        }
        self.fragments.run(fragment).await
    }

    fn open_exchange(&self, request: ExchangeRequest, _: u64) -> Result<BatchStream> {
        // Here rows pass by queue, under the hub's own credit.
        let is_slice_zero = request.receiver == COORDINATOR;
        let rows = self.hub.open(request).map_err(|report| report.on_datanode(self.id.name()))?;
        Ok(if is_slice_zero { giving_way(rows) } else { rows })
    }

    fn beside_fragments(
        &self,
        query: QueryId,
        work: BoxFuture<'static, ()>,
    ) -> BoxFuture<'static, ()> {
        Box::pin(in_turns(&self.fragments.turns.of(query), work))
    }

    async fn end_query(&self, query: QueryId) {
        self.hub.end_query(query);
        self.fragments.registry.end_query(query).await;
        if let Some(kes) = &self.store.kes {
            kes.end_query(query);
        }
    }

    async fn ingest(&self, ingest: Ingest, rows: IngestStream) -> Result<Vec<SegmentRef>> {
        self.heard_from(ingest.coordinator_epoch)?;
        let target = SegmentTarget {
            transaction: ingest.transaction,
            coordinator_epoch: ingest.coordinator_epoch,
            table_id: ingest.table,
            table: ingest.table_name,
            schema: ingest.schema,
            column_ids: ingest.column_ids,
            relation: ingest.relation,
            cluster_by: ingest.cluster_by,
            is_sorted: false,
            continues: ingest.continues,
            in_block: ingest.in_block,
            reads_own_writes: ingest.reads_own_writes,
        };
        let rows = rows.map_err(to_datafusion);
        let rows = RecordBatchStreamAdapter::new(Arc::clone(&target.schema), rows);
        self.store.write(&target, Box::pin(rows)).await
    }

    async fn delete_rows(&self, mut order: DeleteRowsRequest) -> Result<Vec<DeleteVector>> {
        self.heard_from(order.coordinator_epoch)?;
        let mut places = PlacesByOrder::new();
        for sorted in std::mem::take(&mut order.sorted) {
            places.insert(sorted.transaction_id, self.rewriter.places(sorted).await?);
        }
        self.store.columnar.delete_rows(order, places).await
    }

    async fn rewrite_segments(&self, order: RewriteSegmentsRequest) -> Result<Vec<SegmentRef>> {
        self.heard_from(order.coordinator_epoch)?;
        self.rewriter.rewrite(order).await
    }

    async fn drop_segments(&self, order: DropSegments) -> Result<()> {
        self.store.columnar.drop_segments(order).await
    }

    async fn read_file(&self, file: String) -> Result<ByteStream> {
        self.store.columnar.read_file(file).await
    }

    async fn health(&self) -> Result<DatanodeHealth> {
        Ok(DatanodeHealth {
            fragments: self.fragments.registry.count(),
            streams: self.hub.streams(),
            temporary_files: files_below(&self.data.tmp()),
            memory_bytes: self.resources.memory_pool.reserved() as u64,
        })
    }

    async fn describe(&self, fragment: Bytes) -> Result<FragmentDescription> {
        // Unless it is known, what the database can do: without that no scan can be planned.
        self.kes()?.probe().await?;
        self.fragments.describe(fragment).await
    }

    async fn open_snapshot(&self, scope: SnapshotScope) -> Result<()> {
        self.kes()?.open_snapshot(scope).await
    }

    async fn close_snapshot(&self, scope: SnapshotScope) -> Result<()> {
        self.kes()?.close_snapshot(scope);
        Ok(())
    }

    async fn execute(&self, order: ShardStatements) -> Result<ShardResults> {
        self.heard_from(order.coordinator_epoch)?;
        self.kes()?.execute(order).await
    }

    async fn query_shard(&self, sql: String) -> Result<ShardRows> {
        self.kes()?.query(&sql).await
    }

    async fn end_transaction(
        &self,
        transaction: TransactionId,
        epoch: u64,
        end: TransactionEnd,
    ) -> Result<bool> {
        self.kes()?.end_transaction(transaction, epoch, end).await
    }

    async fn prepared(&self) -> Result<Vec<PreparedTransaction>> {
        self.kes()?.prepared().await
    }

    async fn shard_facts(&self) -> Result<ShardFacts> {
        self.kes()?.facts().await
    }
}

/// The store on a database, if the datanode stands beside one.
fn kes_store(
    settings: &DatanodeSettings,
    resources: &Arc<RuntimeEnv>,
    runtime: &Handle,
) -> Result<Option<Arc<KesStore>>> {
    let ShardSettings::Kes(kes) = &settings.shard else { return Ok(None) };
    let options = KesStoreOptions {
        datanode: settings.id,
        cluster: settings.cluster_id,
        settings: kes.as_ref().clone(),
        target_partitions: settings.target_partitions,
        batch_rows: settings.batch_rows,
        resources: Arc::clone(resources),
        runtime: runtime.clone(),
    };
    Ok(Some(Arc::new(KesStore::new(options)?)))
}

fn resources(settings: &DatanodeSettings, data: &DataDir) -> Result<Arc<RuntimeEnv>> {
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![data.tmp()]))
        .with_max_temp_directory_size(settings.spill_limit_bytes);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::clone(settings.memory.pool()))
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
