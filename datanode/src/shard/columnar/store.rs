//! The store itself: what its parts share, and the trait.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use async_trait::async_trait;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use kestrel_planner::operators::{SegmentTarget, ShardScan, ShardStore};
use kestrel_proto::{DatanodeId, DropSegments, ErrorReport, Result, SqlState, message::SegmentRef};

use super::{ColumnarSettings, cache::FooterCache, remove, scan, write};

/// Segments as Parquet files under one data directory.
#[derive(Debug)]
pub struct ColumnarStore {
    state: Arc<StoreState>,
}

/// What scans, readers and writers share.
#[derive(Debug)]
pub(super) struct StoreState {
    pub(super) datanode: DatanodeId,
    /// The datanode's data directory.
    pub(super) data: PathBuf,
    pub(super) settings: ColumnarSettings,
    pub(super) footers: FooterCache,
    /// The next file's number.
    pub(super) sequence: AtomicU64,
}

impl ColumnarStore {
    /// The store of `datanode` in its data directory, which exists.
    pub fn new(datanode: DatanodeId, data: &Path, settings: ColumnarSettings) -> Self {
        let footers = FooterCache::new(settings.footer_cache_bytes);
        let state = StoreState {
            datanode,
            data: data.to_path_buf(),
            settings,
            footers,
            sequence: AtomicU64::new(0),
        };
        Self { state: Arc::new(state) }
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
        self.named(write::write(&self.state, target, rows).await)
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
