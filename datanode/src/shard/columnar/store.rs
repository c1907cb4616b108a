//! The store itself: what its parts share, and the trait.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use kestrel_planner::{
    memory::QueryMemory,
    operators::{SegmentTarget, ShardScan, ShardStore},
};
use kestrel_proto::{
    ByteStream, DatanodeId, DropSegments, ErrorReport, Result, SqlState,
    message::{DeleteRowsRequest, DeleteVector, SegmentRef},
};

use super::{
    ColumnarSettings,
    cache::{ChunkCache, FooterCache},
    deletes, read_file, remove, scan, write,
};
use crate::resort::PlacesByOrder;

/// Segments as Parquet files under one data directory.
#[derive(Debug)]
pub struct ColumnarStore {
    pub(super) state: Arc<StoreState>,
}

/// What scans, readers and writers share.
#[derive(Debug)]
pub(super) struct StoreState {
    pub(super) datanode: DatanodeId,
    /// The datanode's data directory.
    pub(super) data: PathBuf,
    pub(super) settings: ColumnarSettings,
    pub(super) footers: FooterCache,
    pub(super) chunks: ChunkCache,
    /// The process's. What a scan holds counts there, not against its query's limit: how much that is
    /// depends on the table, and it cannot be less.
    pub(super) memory: QueryMemory,
    /// The next file's number.
    pub(super) sequence: AtomicU64,
    written_segments: AtomicU64,
    written_rows: AtomicU64,
}

/// What a store has done since its process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnarCounters {
    /// Segments that were written to their ends.
    pub written_segments: u64,
    /// Their rows.
    pub written_rows: u64,
    /// Footers that were in the cache.
    pub footer_hits: u64,
    /// Footers that were not.
    pub footer_misses: u64,
    /// Bytes of the footers in the cache now.
    pub footer_bytes: u64,
    /// Columns of row groups that were in the cache.
    pub column_hits: u64,
    /// Columns that were not.
    pub column_misses: u64,
    /// Columns that went to make room, or for queries.
    pub column_evictions: u64,
    /// Bytes of the columns in the cache now.
    pub column_bytes: u64,
}

impl ColumnarStore {
    /// The store of `datanode` in its data directory, which exists. What it keeps of columns is in
    /// `memory`.
    pub fn new(
        datanode: DatanodeId,
        data: &Path,
        settings: ColumnarSettings,
        memory: &QueryMemory,
    ) -> Self {
        let footers = FooterCache::new(settings.footer_cache_bytes);
        let chunks = ChunkCache::new(settings.cache_bytes, memory);
        let state = StoreState {
            datanode,
            data: data.to_path_buf(),
            settings,
            footers,
            chunks,
            memory: memory.clone(),
            sequence: AtomicU64::new(0),
            written_segments: AtomicU64::new(0),
            written_rows: AtomicU64::new(0),
        };
        Self { state: Arc::new(state) }
    }

    /// Writes the delete vectors of an order; `places`: of rows that have moved and were sorted.
    ///
    /// # Errors
    /// 40001 when a row is deleted already; XX001 when a file is not what the catalog says; 58030,
    /// 53100.
    pub(crate) async fn delete_rows(
        &self,
        order: DeleteRowsRequest,
        places: PlacesByOrder,
    ) -> Result<Vec<DeleteVector>> {
        self.named(deletes::delete_rows(&self.state, order, places).await)
    }

    /// The operator that reads segments one after the other, in one execution partition: its rows
    /// come as they are numbered.
    ///
    /// # Errors
    /// XX000 when `scan` contradicts itself.
    pub(crate) fn scan_in_order(&self, scan: &ShardScan) -> Result<Arc<dyn ExecutionPlan>> {
        self.named(scan::plan_in_order(&self.state, scan))
    }

    /// Removes files. Those that are not there are no error.
    ///
    /// # Errors
    /// 58030 when the file system refuses; what could be removed is.
    pub async fn drop_segments(&self, order: DropSegments) -> Result<()> {
        let state = Arc::clone(&self.state);
        let removed = tokio::task::spawn_blocking(move || remove::remove(&state, &order)).await;
        self.named(removed.unwrap_or_else(|e| Err(died(&e))))
    }

    /// The bytes of a file that the catalog names.
    ///
    /// # Errors
    /// XX001 when it is not there; 58030.
    pub async fn read_file(&self, file: String) -> Result<ByteStream> {
        let state = Arc::clone(&self.state);
        let opened = tokio::task::spawn_blocking(move || read_file::open(&state, &file)).await;
        self.named(opened.unwrap_or_else(|e| Err(died(&e))))
    }

    /// What it has done.
    pub fn counters(&self) -> ColumnarCounters {
        let (footer_hits, footer_misses, footer_bytes) = self.state.footers.counters();
        let columns = self.state.chunks.counters();
        ColumnarCounters {
            written_segments: self.state.written_segments.load(Ordering::Relaxed),
            written_rows: self.state.written_rows.load(Ordering::Relaxed),
            footer_hits,
            footer_misses,
            footer_bytes,
            column_hits: columns.hits,
            column_misses: columns.misses,
            column_evictions: columns.evictions,
            column_bytes: columns.bytes,
        }
    }

    fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|report| report.on_datanode(self.state.datanode.name()))
    }
}

#[async_trait]
impl ShardStore for ColumnarStore {
    fn scan(&self, scan: &ShardScan) -> Result<Arc<dyn ExecutionPlan>> {
        self.named(scan::plan(&self.state, scan))
    }

    async fn write(
        &self,
        target: &SegmentTarget,
        rows: SendableRecordBatchStream,
    ) -> Result<Vec<SegmentRef>> {
        let written = self.named(write::write(&self.state, target, rows).await)?;
        let rows = written.iter().map(|segment| segment.rows).sum();
        self.state.written_segments.fetch_add(written.len() as u64, Ordering::Relaxed);
        self.state.written_rows.fetch_add(rows, Ordering::Relaxed);
        Ok(written)
    }
}

impl StoreState {
    /// A segment that is not what the catalog says.
    pub(super) fn corrupted(&self, table: &str, file: &str, what: &str) -> ErrorReport {
        let message = format!("segment \"{file}\" of table \"{table}\" is {what}");
        ErrorReport::new(SqlState::DATA_CORRUPTED, message).on_datanode(self.datanode.name())
    }
}

/// A blocking task that panicked, or that the runtime's end has kept from running.
pub(super) fn died(error: &tokio::task::JoinError) -> ErrorReport {
    ErrorReport::internal(format!("a task of the shard store has died: {error}"))
}
