//! What a datanode does for others. In one process this is the datanode itself; across processes
//! it is a client that speaks gRPC.

use std::pin::Pin;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, future::BoxFuture};

use crate::{
    BatchStream, DatanodeId, ErrorReport, ExchangeRequest, PreparedTransaction, QueryId,
    ShardFacts, ShardRelation, ShardResults, ShardRows, ShardStatements, SnapshotScope, TableId,
    TransactionEnd, TransactionId,
    error::Result,
    message::{
        DeleteRowsRequest, DeleteVector, FragmentDescription, FragmentReport,
        RewriteSegmentsRequest, SegmentRef,
    },
};

/// A datanode, as the coordinator and its peers see it.
#[async_trait]
pub trait Datanode: Send + Sync {
    /// Which one it is.
    fn id(&self) -> DatanodeId;

    /// Runs an encoded [`crate::message::Fragment`] to its end.
    ///
    /// Dropping the future, like an error, ends the fragment; what it left behind is cleaned up by
    /// [`Datanode::end_query`].
    async fn run(&self, fragment: Bytes) -> Result<FragmentReport>;

    /// Opens the receiving end of one stream that a fragment on this datanode sends. The fragment
    /// may not have arrived yet: the stream waits for it, up to a bound. `credit_bytes` may be on
    /// their way between two processes at a time, or one batch if it is larger.
    fn open_exchange(&self, request: ExchangeRequest, credit_bytes: u64) -> Result<BatchStream>;

    /// What the coordinator computes of a query, as a task that shares the processors with the
    /// query's fragments, if those run in this process.
    fn beside_fragments(&self, _: QueryId, work: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        work
    }

    /// Ends a query: its fragments stop, its streams and temporary files go. Ending an unknown
    /// query is not an error.
    async fn end_query(&self, query: QueryId);

    /// Writes rows that were born on the coordinator into new segments, durable when this
    /// returns, visible only when the catalog says so.
    async fn ingest(&self, ingest: Ingest, rows: IngestStream) -> Result<Vec<SegmentRef>>;

    /// Writes a delete vector for each segment of the order, in its order: the rows that are to be
    /// deleted beside those that already are. They are durable when this returns, and seen by
    /// nobody until the catalog refers to them.
    ///
    /// # Errors
    /// 40001 if one of the rows is deleted already. XX001 when a file is not what the catalog says.
    async fn delete_rows(&self, _: DeleteRowsRequest) -> Result<Vec<DeleteVector>> {
        let message = format!("datanode \"{}\" has no segments", self.id());
        Err(ErrorReport::unsupported(message))
    }

    /// Writes the rows of segments into new ones, in their order, but for those that are deleted.
    /// They are durable when this returns, and seen by nobody until the catalog refers to them.
    ///
    /// Dropping the future ends it, and leaves no file.
    ///
    /// # Errors
    /// XX001 when a file is not what the catalog says; 58030, 53100, 53200.
    async fn rewrite_segments(&self, _: RewriteSegmentsRequest) -> Result<Vec<SegmentRef>> {
        let message = format!("datanode \"{}\" has no segments", self.id());
        Err(ErrorReport::unsupported(message))
    }

    /// Removes segments and delete vectors: of an aborted transaction, or older than every running
    /// query.
    async fn drop_segments(&self, order: DropSegments) -> Result<()>;

    /// The bytes of a file that the catalog names, from beginning to end. Nobody has compared them
    /// with their checksum.
    ///
    /// # Errors
    /// 58P01 when that is no segment's name; XX001 when the file is not there; 58030.
    async fn read_file(&self, _file: String) -> Result<ByteStream> {
        Err(ErrorReport::unsupported(format!("datanode \"{}\" has no files", self.id())))
    }

    /// How it is.
    async fn health(&self) -> Result<DatanodeHealth>;

    // What follows only a datanode beside a database can do. Others: 0A000.

    /// What an encoded [`crate::message::Fragment`] would send to the database. It is checked and
    /// decoded as if it were to run; nothing is run, and its tables are not asked for.
    ///
    /// # Errors
    /// Those of a fragment that may not run there; 58K01: the database has not been reached yet.
    async fn describe(&self, _: Bytes) -> Result<FragmentDescription> {
        Err(no_database(self.id()))
    }

    /// Opens the snapshot that this scope's scans read from, unless it is open; it is held until
    /// [`Self::close_snapshot`], a query's also only until [`Self::end_query`]. A query's scans open
    /// it themselves if it is not open; a transaction's that is not open is lost: 40001.
    async fn open_snapshot(&self, _: SnapshotScope) -> Result<()> {
        Err(no_database(self.id()))
    }

    /// Closes a scope's snapshot; one that is not open is no error.
    async fn close_snapshot(&self, _: SnapshotScope) -> Result<()> {
        Err(no_database(self.id()))
    }

    /// Runs statements in a transaction's shard transaction, which is opened if it is not there.
    /// Rows that are written ([`Self::ingest`], fragments) open it, too: REPEATABLE READ from the
    /// transaction's snapshot if that is open, READ COMMITTED otherwise.
    ///
    /// Dropping the future cancels the statement. After an error, or that, the shard transaction
    /// can only be rolled back, to a savepoint or whole.
    ///
    /// # Errors
    /// Those of the database. 40001 if the transaction is to go on there and is not there.
    async fn execute(&self, _: ShardStatements) -> Result<ShardResults> {
        Err(no_database(self.id()))
    }

    /// Runs one statement outside of any transaction: VACUUM, ANALYZE, questions.
    async fn query_shard(&self, _: String) -> Result<ShardRows> {
        Err(no_database(self.id()))
    }

    /// Ends the shard transaction of a transaction that the coordinator began in `epoch`. Whether
    /// there was one: there need not be for Rollback, CommitPrepared and RollbackPrepared.
    ///
    /// # Errors
    /// 40001 for a Prepare or Commit of a shard transaction that is not there: what was written in
    /// it is lost. Those of the database; after a Prepare that fails the shard transaction is
    /// rolled back. 08007 when the database was lost during COMMIT.
    async fn end_transaction(
        &self,
        _: TransactionId,
        _epoch: u64,
        _: TransactionEnd,
    ) -> Result<bool> {
        Err(no_database(self.id()))
    }

    /// The transactions of this cluster, of all epochs, that are prepared in the database.
    async fn prepared(&self) -> Result<Vec<PreparedTransaction>> {
        Err(no_database(self.id()))
    }

    /// What the database is and can do, and what it is at.
    async fn shard_facts(&self) -> Result<ShardFacts> {
        Err(no_database(self.id()))
    }
}

fn no_database(id: DatanodeId) -> ErrorReport {
    let message = format!("datanode \"{id}\" has no database beside it: it is no kes shard");
    ErrorReport::unsupported(message)
}

/// Bytes, in pieces. Dropping it ends the reading.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// The rows of one [`Datanode::ingest`]; an error in it aborts the ingest.
pub type IngestStream = BatchStream;

/// Where ingested rows go.
#[derive(Clone, Debug)]
pub struct Ingest {
    /// The transaction that writes; file names carry it.
    pub transaction: TransactionId,
    /// The coordinator's epoch; file names carry it.
    pub coordinator_epoch: u64,
    /// The table.
    pub table: TableId,
    /// The table's name, for errors.
    pub table_name: String,
    /// The schema of all the table's columns; the batches have it.
    pub schema: SchemaRef,
    /// The ids of the table's columns, in schema order.
    pub column_ids: Vec<u32>,
    /// Where the rows go, if a database holds them: the answer is one
    /// `SEGMENT_KIND_SHARD_ROWS` with their number, or nothing if there were none.
    pub relation: Option<ShardRelation>,
    /// The ids of the clustering columns, by which the rows of each segment are sorted.
    pub cluster_by: Vec<u32>,
    /// The transaction has written into the database: if its shard transaction is gone, so is what
    /// it wrote (40001).
    pub continues: bool,
    /// It writes in a block, which has a snapshot: if that is lost, the database would be written
    /// to from a newer one (40001).
    pub in_block: bool,
    /// The rows may come from scans that read what the transaction has written there, in the session
    /// that is to write: it begins when all have come.
    pub reads_own_writes: bool,
}

/// An order to remove files.
#[derive(Clone, Debug)]
pub enum DropSegments {
    /// These files of the datanode.
    Files(Vec<String>),
    /// Every file that this transaction wrote: it has aborted.
    Transaction(TransactionId),
    /// Every file that is not among these: what a crash left behind. Only at start, before any
    /// transaction runs.
    AllBut(Vec<String>),
}

/// What [`Datanode::health`] tells; also what tests count for leaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatanodeHealth {
    /// Fragments that run now.
    pub fragments: u64,
    /// Exchange streams that exist now.
    pub streams: u64,
    /// Temporary files that exist now.
    pub temporary_files: u64,
    /// Bytes reserved in the memory pool.
    pub memory_bytes: u64,
}
