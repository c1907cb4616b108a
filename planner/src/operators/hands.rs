//! What operators need from the process they run in.

use std::{fmt::Debug, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use async_trait::async_trait;
use datafusion::{
    common::ScalarValue,
    execution::TaskContext,
    physical_expr::PhysicalExpr,
    physical_plan::{ExecutionPlan, SendableRecordBatchStream},
};
use kestrel_proto::{
    BatchStream, DatanodeId, ErrorReport, MotionId, QueryId, Result, ShardRelation, SnapshotScope,
    TableId, TransactionId,
    message::{RejectedRow, RowSample, SegmentRef},
};

use crate::{copy::FileScan, functions::SessionFormats};

/// The streams of one fragment's motions.
#[async_trait]
pub trait Exchange: Send + Sync + Debug {
    /// Opens the stream that `sender` sends to this fragment. Does not wait.
    fn receive(&self, motion: MotionId, sender: DatanodeId) -> Result<BatchStream>;

    /// Sends a batch; waits until the receiver has given credit for it. `false`: this receiver
    /// has closed its stream and wants no more rows; that is no error.
    async fn send(
        &self,
        motion: MotionId,
        receiver: DatanodeId,
        batch: RecordBatch,
    ) -> Result<bool>;

    /// No more rows will be sent to any receiver of this motion. Without this call receivers see
    /// an error when the fragment ends.
    fn finish(&self, motion: MotionId);
}

/// Where the rows of one datanode's shard are.
#[async_trait]
pub trait ShardStore: Send + Sync + Debug {
    /// The operator that reads what `scan` asks for: its output has exactly the projected columns,
    /// `Partitioning::UnknownPartitioning`, and exactly the rows that pass all filters.
    fn scan(&self, scan: &ShardScan) -> Result<Arc<dyn ExecutionPlan>>;

    /// Writes all rows into new segments. They are durable when this returns, and visible to
    /// nobody until the catalog refers to them. If a database holds the table's rows, they are
    /// written in the transaction's shard transaction, and the answer is one segment without a
    /// file, of kind `SEGMENT_KIND_SHARD_ROWS`, or none if there were no rows.
    async fn write(
        &self,
        target: &SegmentTarget,
        rows: SendableRecordBatchStream,
    ) -> Result<Vec<SegmentRef>>;
}

/// The files of the machine that a datanode's process runs on.
pub trait FileReader: Send + Sync + Debug {
    /// The rows of a scan's parts, all of them; `formats`: how the session reads values.
    fn read(
        &self,
        scan: &Arc<FileScan>,
        formats: SessionFormats,
    ) -> Result<SendableRecordBatchStream>;

    /// How many bad records have been left out so far, and those that are to be reported.
    fn rejected(&self) -> (u64, Vec<RejectedRow>);
}

/// What to read from one table on one datanode.
#[derive(Clone, Debug)]
pub struct ShardScan {
    /// The table.
    pub table_id: TableId,
    /// Its name, for EXPLAIN and errors.
    pub table: String,
    /// All columns of the table.
    pub schema: SchemaRef,
    /// The ids of the table's columns, in schema order.
    pub column_ids: Vec<u32>,
    /// Output columns, as positions in `schema`; behind it count the columns of a row's address
    /// ([`super::addressed`]).
    pub projection: Vec<usize>,
    /// Conjuncts over `schema` (not over the projection).
    pub filters: Vec<Arc<dyn PhysicalExpr>>,
    /// The segments to read.
    pub segments: Vec<SegmentRef>,
    /// Where the rows are, if a database holds them; then there are no segments.
    pub relation: Option<ShardRelation>,
    /// Of a partitioned table, the partitions whose segments these are.
    pub partitions: Vec<ScanPartition>,
    /// How many others with segments on this datanode were left out after the query was planned.
    pub partitions_left_out: usize,
    /// Which of the rows that a database holds are enough; `None`: all are read.
    pub sample: Option<RowSample>,
    /// Rows after the filters, on this datanode, as the planner thinks.
    pub estimated_rows: u64,
    /// Bytes of the projected columns of those rows.
    pub estimated_bytes: u64,
    /// No more than this many rows are needed.
    pub fetch: Option<usize>,
}

/// A partition that a scan reads.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanPartition {
    /// The table that has its segments.
    pub table_id: TableId,
    /// By the lists in its bounds: a column, by its position in the schema, and all values that its rows
    /// have there, but for NULL.
    pub values: Vec<(usize, Vec<ScalarValue>)>,
}

/// Where written rows go.
#[derive(Clone, Debug)]
pub struct SegmentTarget {
    /// The transaction that writes; file names carry it.
    pub transaction: TransactionId,
    /// The coordinator's epoch; file names carry it.
    pub coordinator_epoch: u64,
    /// The table.
    pub table_id: TableId,
    /// Its name, for errors.
    pub table: String,
    /// All columns of the table; the rows have this schema.
    pub schema: SchemaRef,
    /// The ids of the table's columns, in schema order.
    pub column_ids: Vec<u32>,
    /// Where the rows go, if a database holds them.
    pub relation: Option<ShardRelation>,
    /// The ids of the table's clustering columns: the rows of each segment are sorted by these, in
    /// this order, NULLs last.
    pub cluster_by: Vec<u32>,
    /// They come in this order.
    pub is_sorted: bool,
    /// The transaction has written into the database: if its shard transaction is gone, so is what
    /// it wrote (40001).
    pub continues: bool,
    /// It writes in a block, which has a snapshot: if that is lost, the database would be written
    /// to from a newer one (40001).
    pub in_block: bool,
    /// The rows may come from a scan that sees what the transaction has written, and so needs the
    /// session that they are written in.
    pub reads_own_writes: bool,
}

/// What a process gives to the operators it runs.
#[derive(Clone, Debug)]
pub struct Hands {
    /// The fragment's streams.
    pub exchange: Arc<dyn Exchange>,
    /// The shard; `None` on the coordinator.
    pub store: Option<Arc<dyn ShardStore>>,
    /// Files that COPY reads; `None` on the coordinator.
    pub files: Option<Arc<dyn FileReader>>,
    /// Who runs: what this fragment's rows are sent as.
    pub datanode: DatanodeId,
    /// The query.
    pub query: QueryId,
    /// The snapshot of a database that scans read; `None`: at most one scan of the query does.
    pub snapshot: Option<SnapshotScope>,
    /// The transaction has written into the database, and scans are to see that: they read in its
    /// shard transaction, which is lost if it is not there (40001).
    pub reads_own_writes: bool,
    /// What is written into the database is written in a block, from its snapshot.
    pub in_block: bool,
    /// The transaction the fragment belongs to, for operators that write.
    pub transaction: TransactionId,
    /// The epoch of the coordinator that sent the fragment.
    pub coordinator_epoch: u64,
}

impl Hands {
    /// The hands of a running task. A task without them is a bug.
    pub fn of(context: &TaskContext) -> Result<Arc<Self>> {
        context
            .session_config()
            .get_extension::<Self>()
            .ok_or_else(|| ErrorReport::internal("a task of Kestrel's runs without its exchange"))
    }
}
