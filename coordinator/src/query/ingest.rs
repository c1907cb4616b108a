//! Rows that were born here, on their way to the shards: each batch is routed by the table's
//! distribution and streamed to the datanodes, which write segments.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::physical_expr::expressions::Column;
use futures::stream;
use kestrel_planner::{
    catalog::{Catalog, Distribution, Segment, TableDef},
    motion::{HashKey, Motion, Router},
    operators::conform,
};
use kestrel_proto::{Datanode, ErrorReport, Ingest, Result, batch_bytes};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
};

use super::{Cluster, QueryEnvironment};

/// Bytes of rows on their way to one datanode, at most: while its disk stalls, the others go on for
/// so long, and it has something to do while they stall.
const BYTES_IN_FLIGHT: usize = 8 << 20;
/// And at least, where that is more than …
const BYTES_IN_FLIGHT_MIN: usize = 1 << 20;
/// … its part of what is on its way to all.
const BYTES_IN_FLIGHT_TO_ALL: usize = 64 << 20;

/// Where rows are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowSource {
    /// A client or a file; or they are all here.
    Outside,
    /// A query of the same transaction, which goes on meanwhile.
    Query,
}

/// Takes rows for one table.
pub struct Ingestor {
    table: Arc<TableDef>,
    router: Router,
    streams: Vec<RowSender>,
    writers: JoinSet<Result<Vec<Segment>>>,
    rows: u64,
}

impl Ingestor {
    /// Opens a stream to every datanode, for the transaction of this environment.
    pub fn start(
        cluster: &Cluster,
        catalog: &Catalog,
        table: &Arc<TableDef>,
        environment: &QueryEnvironment,
        source: RowSource,
    ) -> Result<Self> {
        let transaction = environment.transaction;
        let receivers = catalog.datanode_ids();
        let motion = motion_to(catalog, table)?;
        let part = BYTES_IN_FLIGHT_TO_ALL / receivers.len().max(1);
        let bytes_in_flight = part.clamp(BYTES_IN_FLIGHT_MIN, BYTES_IN_FLIGHT);
        let mut streams = Vec::with_capacity(receivers.len());
        let mut writers = JoinSet::new();
        for id in &receivers {
            let (stream, receiver) = RowSender::new(bytes_in_flight);
            streams.push(stream);
            let datanode = Arc::clone(cluster.datanode(*id)?);
            let continues = environment.wrote_on.contains(id);
            let ingest = Ingest {
                transaction,
                coordinator_epoch: cluster.epoch,
                table: table.table_id(),
                table_name: table.name.clone(),
                schema: table.arrow_schema(),
                column_ids: table.column_ids(),
                relation: table.shard_relation(),
                cluster_by: table.cluster_by.clone(),
                continues,
                in_block: environment.block.is_some(),
                reads_own_writes: continues && source == RowSource::Query,
            };
            writers.spawn_on(write(datanode, ingest, receiver), &cluster.runtime);
        }
        let router = Router::new(motion, receivers, transaction.0 as usize);
        Ok(Self { table: Arc::clone(table), router, streams, writers, rows: 0 })
    }

    /// Routes a batch of all the table's columns; waits when the datanodes are slower.
    ///
    /// # Errors
    /// 23502, 22001: a row that the table does not take; or what broke a datanode's writing.
    pub async fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = conform(batch, &self.table.arrow_schema(), &self.table.name)?;
        self.push_conformed(batch).await
    }

    /// Routes rows as the table takes them, as [`conform`] gives them.
    ///
    /// # Errors
    /// What broke a datanode's writing.
    pub async fn push_conformed(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        for (receiver, rows) in self.router.route(batch)?.into_iter().enumerate() {
            let Some(rows) = rows else { continue };
            if !self.streams[receiver].send(rows).await {
                return Err(self.writer_error().await);
            }
        }
        Ok(())
    }

    /// All rows have come: the segments that hold them, durable, and how many rows they were.
    pub async fn finish(mut self) -> Result<(Vec<Segment>, u64)> {
        self.streams.clear();
        let mut segments = Vec::new();
        while let Some(written) = self.writers.join_next().await {
            segments.extend(written.map_err(lost)??);
        }
        Ok((segments, self.rows))
    }

    async fn writer_error(&mut self) -> ErrorReport {
        while let Some(written) = self.writers.join_next().await {
            match written.map_err(lost) {
                Ok(Err(error)) | Err(error) => return error,
                Ok(Ok(_)) => {}
            }
        }
        ErrorReport::internal("a datanode stopped taking rows without an error")
    }
}

/// Rows on their way to one datanode.
struct RowSender {
    /// Bounded by `room`.
    rows: mpsc::UnboundedSender<InFlight>,
    /// In bytes.
    room: Arc<Semaphore>,
    room_bytes: usize,
}

struct InFlight {
    rows: RecordBatch,
    _room: OwnedSemaphorePermit,
}

impl RowSender {
    fn new(room_bytes: usize) -> (Self, mpsc::UnboundedReceiver<InFlight>) {
        let (rows, receiver) = mpsc::unbounded_channel();
        (Self { rows, room: Arc::new(Semaphore::new(room_bytes)), room_bytes }, receiver)
    }

    /// Waits for room; a batch that is larger than all room waits for all. Are they taken?
    async fn send(&self, rows: RecordBatch) -> bool {
        // Rows without columns take room, too.
        let bytes = (batch_bytes(&rows) as usize).clamp(1 << 10, self.room_bytes) as u32;
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(bytes).await else { return false };
        self.rows.send(InFlight { rows, _room: room }).is_ok()
    }
}

async fn write(
    datanode: Arc<dyn Datanode>,
    ingest: Ingest,
    rows: mpsc::UnboundedReceiver<InFlight>,
) -> Result<Vec<Segment>> {
    let id = datanode.id();
    let rows = stream::unfold(rows, async |mut rows| {
        rows.recv().await.map(|taken| (Ok(taken.rows), rows))
    });
    let written = datanode.ingest(ingest, Box::pin(rows)).await;
    let segments = written.map_err(|error| error.on_datanode(id.name()))?;
    Ok(segments.into_iter().map(|segment| Segment::from_message(id, segment)).collect())
}

/// The motion that brings rows to where the table has them.
fn motion_to(catalog: &Catalog, table: &TableDef) -> Result<Motion> {
    match &table.distribution {
        Distribution::Replicated => Ok(Motion::Broadcast),
        Distribution::Random => Ok(Motion::Spread),
        Distribution::Hash(_) => {
            let keys = table.distribution_columns().into_iter().map(|column| {
                let index = table.column_index(column.id)?;
                let expr = Arc::new(Column::new(&column.name, index));
                Some(HashKey { expr, class: column.sql_type.hash_class()? })
            });
            let keys = keys.collect::<Option<Vec<_>>>().ok_or_else(|| {
                ErrorReport::internal("a table's distribution key cannot be hashed")
            })?;
            Ok(Motion::Redistribute { keys, bucket_map: Arc::clone(&catalog.bucket_map) })
        }
    }
}

fn lost(error: tokio::task::JoinError) -> ErrorReport {
    ErrorReport::internal(format!("a writer's task was lost: {error}"))
}
