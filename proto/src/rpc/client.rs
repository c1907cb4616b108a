//! A datanode in another process, as its callers see it: the [`Datanode`] trait over gRPC.

use std::{future::Future, sync::Arc, time::Duration};

use arrow::ipc::convert::IpcSchemaEncoder;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::RwLock;
use prost::Message;
use tokio::runtime::Handle;
use tonic::{Response, Status};

use super::{
    RpcSettings, Tls,
    channel::{Signed, coordinator_client, datanode_client},
    exchange::open,
    ingest::frames,
    security::Credentials,
    status::{from_coordinator, from_status, lost},
};
use crate::{
    BatchStream, ByteStream, Datanode, DatanodeHealth, DatanodeId, DropSegments, ErrorReport,
    ExchangeRequest, Ingest, IngestStream, PreparedTransaction, QueryId, Result, ShardFacts,
    ShardRelation, ShardResults, ShardRows, ShardStatements, SnapshotScope, TransactionEnd,
    TransactionId,
    message::{
        DeleteRowsRequest, DeleteVector, DescribeRequest, DropSegmentsRequest, EndQueryRequest,
        EndTransactionRequest, FileList, FragmentDescription, FragmentReport, HealthRequest,
        IngestHeader, PreparedRequest, QueryShardRequest, ReadFileRequest, RegisterReply,
        RegisterRequest, RewriteSegmentsRequest, RunRequest, SegmentRef, ShardFactsRequest,
        SnapshotRequest, datanode_client::DatanodeClient, drop_segments_request::Order,
    },
};

/// What all callers of one process use.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The bounds.
    pub settings: RpcSettings,
    /// The secret and the cluster; the target is filled in.
    pub credentials: Credentials,
    /// Mutual TLS.
    pub tls: Option<Tls>,
    /// Where connections live: not where fragments run.
    pub runtime: Handle,
}

/// A datanode in another process. Its address may change, or not be known yet.
pub struct RemoteDatanode {
    id: DatanodeId,
    caller: Caller,
    /// The coordinator's, or 0 on a datanode.
    epoch: u64,
    link: RwLock<Option<Arc<Link>>>,
}

/// Two connections: rows do not hold up what is urgent.
struct Link {
    address: String,
    work: DatanodeClient<Signed>,
    control: DatanodeClient<Signed>,
}

impl Caller {
    fn for_target(&self, target: String) -> Credentials {
        Credentials { target, ..self.credentials.clone() }
    }

    /// Registers a datanode with the coordinator at `address`.
    ///
    /// # Errors
    /// What the coordinator says; 58000 when it cannot be reached.
    pub async fn register(&self, address: &str, request: RegisterRequest) -> Result<RegisterReply> {
        let credentials = self.for_target("coordinator".into());
        let tls = self.tls.as_ref();
        let mut client = coordinator_client(address, credentials, &self.settings, tls)?;
        let reply = within(self.settings.call_timeout, client.register(request)).await;
        reply.map_err(|status| from_coordinator(&status))
    }
}

impl RemoteDatanode {
    /// A datanode that has no address yet. `epoch`: the caller's, if it is the coordinator.
    pub fn new(id: DatanodeId, caller: Caller, epoch: u64) -> Self {
        Self { id, caller, epoch, link: RwLock::new(None) }
    }

    /// From now on it is at `address` (host:port). What runs over older connections goes on.
    ///
    /// # Errors
    /// 22023 when the address is none.
    pub fn set_address(&self, address: &str) -> Result<()> {
        if self.address().as_deref() == Some(address) {
            return Ok(());
        }
        let _connections = self.caller.runtime.enter();
        let client = || {
            let credentials = self.caller.for_target(self.id.name());
            let tls = self.caller.tls.as_ref();
            datanode_client(address, credentials, &self.caller.settings, tls)
        };
        let link = Link { address: address.into(), work: client()?, control: client()? };
        *self.link.write() = Some(Arc::new(link));
        Ok(())
    }

    /// Where it is, if that is known.
    pub fn address(&self) -> Option<String> {
        self.link.read().as_ref().map(|link| link.address.clone())
    }

    /// Ends a query, and says whether the datanode has heard it.
    ///
    /// # Errors
    /// 58K01.
    pub async fn try_end_query(&self, query: QueryId) -> Result<()> {
        let mut client = self.link()?.control.clone();
        let request = EndQueryRequest { query_id: query.to_bytes().to_vec().into() };
        let call = client.end_query(request);
        within(self.caller.settings.call_timeout, call).await.map_err(|s| self.report(&s))?;
        Ok(())
    }

    fn link(&self) -> Result<Arc<Link>> {
        let link = self.link.read().clone();
        link.ok_or_else(|| lost(self.id, "It has not registered with the coordinator yet"))
    }

    fn report(&self, status: &Status) -> ErrorReport {
        from_status(self.id, status)
    }

    fn snapshot_request(&self, scope: SnapshotScope) -> SnapshotRequest {
        SnapshotRequest { scope: Some(scope.to_message()), coordinator_epoch: self.epoch }
    }
}

#[async_trait]
impl Datanode for RemoteDatanode {
    fn id(&self) -> DatanodeId {
        self.id
    }

    async fn run(&self, fragment: Bytes) -> Result<FragmentReport> {
        let mut client = self.link()?.work.clone();
        let reply = client.run(RunRequest { fragment }).await;
        reply.map(Response::into_inner).map_err(|status| self.report(&status))
    }

    fn open_exchange(&self, request: ExchangeRequest, credit_bytes: u64) -> Result<BatchStream> {
        Ok(open(self.link()?.work.clone(), request, credit_bytes.max(1)))
    }

    async fn end_query(&self, query: QueryId) {
        if let Err(error) = self.try_end_query(query).await {
            tracing::warn!(datanode = %self.id, %query, %error, "a query's end was not heard");
        }
    }

    async fn ingest(&self, ingest: Ingest, rows: IngestStream) -> Result<Vec<SegmentRef>> {
        let mut client = self.link()?.work.clone();
        let header = IngestHeader {
            transaction_id: ingest.transaction.0,
            coordinator_epoch: ingest.coordinator_epoch,
            table_id: ingest.table.0,
            table: ingest.table_name,
            table_schema: IpcSchemaEncoder::new()
                .schema_to_fb(&ingest.schema)
                .finished_data()
                .to_vec()
                .into(),
            column_ids: ingest.column_ids,
            relation: ingest.relation.as_ref().map(ShardRelation::to_message),
            continues: ingest.continues,
            in_block: ingest.in_block,
            reads_own_writes: ingest.reads_own_writes,
            cluster_by: ingest.cluster_by,
        };
        let (frames, failure) = frames(header.encode_to_vec().into(), &ingest.schema, rows)?;
        let reply = client.ingest(frames).await;
        match (failure.take(), reply) {
            // Why the rows stopped is known better here than there.
            (Some(report), _) => Err(report),
            (None, Ok(reply)) => Ok(reply.into_inner().segments),
            (None, Err(status)) => Err(self.report(&status)),
        }
    }

    /// Takes as long as the files do: the caller's deadline and the connection's keep-alive bound it.
    async fn delete_rows(&self, order: DeleteRowsRequest) -> Result<Vec<DeleteVector>> {
        let mut client = self.link()?.work.clone();
        let reply = client.delete_rows(order).await.map_err(|status| self.report(&status))?;
        Ok(reply.into_inner().vectors)
    }

    /// As long as [`Self::delete_rows`].
    async fn rewrite_segments(&self, order: RewriteSegmentsRequest) -> Result<Vec<SegmentRef>> {
        let mut client = self.link()?.work.clone();
        let reply = client.rewrite_segments(order).await.map_err(|status| self.report(&status))?;
        Ok(reply.into_inner().segments)
    }

    async fn drop_segments(&self, order: DropSegments) -> Result<()> {
        let mut client = self.link()?.control.clone();
        let order = match order {
            DropSegments::Files(files) => Order::Files(FileList { files }),
            DropSegments::Transaction(transaction) => Order::TransactionId(transaction.0),
            DropSegments::AllBut(files) => Order::AllBut(FileList { files }),
        };
        let request = DropSegmentsRequest { order: Some(order), coordinator_epoch: self.epoch };
        let call = client.drop_segments(request);
        within(self.caller.settings.drop_timeout, call).await.map_err(|s| self.report(&s))?;
        Ok(())
    }

    /// The connection's keep-alive bounds it. Not more than a stream's window is on its way at a time.
    async fn read_file(&self, file: String) -> Result<ByteStream> {
        let mut client = self.link()?.work.clone();
        let request = ReadFileRequest { file, coordinator_epoch: self.epoch };
        let pieces = client.read_file(request).await.map_err(|status| self.report(&status))?;
        let id = self.id;
        Ok(Box::pin(pieces.into_inner().map(move |piece| {
            piece.map(|piece| piece.bytes).map_err(|status| from_status(id, &status))
        })))
    }

    async fn health(&self) -> Result<DatanodeHealth> {
        let mut client = self.link()?.control.clone();
        let call = client.health(HealthRequest { coordinator_epoch: self.epoch });
        let reply = within(self.caller.settings.call_timeout, call).await;
        let reply = reply.map_err(|status| self.report(&status))?;
        Ok(DatanodeHealth {
            fragments: reply.fragments,
            streams: reply.streams,
            temporary_files: reply.temporary_files,
            memory_bytes: reply.memory_bytes,
        })
    }

    async fn describe(&self, fragment: Bytes) -> Result<FragmentDescription> {
        // A fragment may be large: it holds up what is urgent no more than one that runs.
        let mut client = self.link()?.work.clone();
        let call = client.describe(DescribeRequest { fragment });
        let reply = within(self.caller.settings.call_timeout, call).await;
        reply.map_err(|status| self.report(&status))
    }

    async fn open_snapshot(&self, scope: SnapshotScope) -> Result<()> {
        let mut client = self.link()?.control.clone();
        let call = client.open_snapshot(self.snapshot_request(scope));
        within(self.caller.settings.shard_timeout, call).await.map_err(|s| self.report(&s))?;
        Ok(())
    }

    async fn close_snapshot(&self, scope: SnapshotScope) -> Result<()> {
        let mut client = self.link()?.control.clone();
        let call = client.close_snapshot(self.snapshot_request(scope));
        within(self.caller.settings.shard_timeout, call).await.map_err(|s| self.report(&s))?;
        Ok(())
    }

    /// Takes as long as the statements do: the caller's deadline and the connection's keep-alive
    /// bound it.
    async fn execute(&self, order: ShardStatements) -> Result<ShardResults> {
        let mut client = self.link()?.work.clone();
        let reply = client.execute(order.into_message()).await.map_err(|s| self.report(&s))?;
        Ok(ShardResults::from_message(reply.into_inner()))
    }

    async fn query_shard(&self, sql: String) -> Result<ShardRows> {
        let mut client = self.link()?.work.clone();
        let reply = client.query_shard(QueryShardRequest { sql }).await;
        let reply = reply.map_err(|status| self.report(&status))?;
        Ok(ShardRows::from_message(reply.into_inner()))
    }

    async fn end_transaction(
        &self,
        transaction: TransactionId,
        epoch: u64,
        end: TransactionEnd,
    ) -> Result<bool> {
        let mut client = self.link()?.control.clone();
        let request = EndTransactionRequest {
            transaction_id: transaction.0,
            transaction_epoch: epoch,
            end: end.to_message().into(),
            coordinator_epoch: self.epoch,
        };
        let call = client.end_transaction(request);
        let reply = within(self.caller.settings.shard_timeout, call).await;
        Ok(reply.map_err(|status| self.report(&status))?.was_there)
    }

    async fn prepared(&self) -> Result<Vec<PreparedTransaction>> {
        let mut client = self.link()?.control.clone();
        let call = client.prepared(PreparedRequest {});
        let reply = within(self.caller.settings.shard_timeout, call).await;
        let found = reply.map_err(|status| self.report(&status))?.transactions;
        Ok(found.into_iter().map(PreparedTransaction::from_message).collect())
    }

    async fn shard_facts(&self) -> Result<ShardFacts> {
        let mut client = self.link()?.control.clone();
        let call = client.shard_facts(ShardFactsRequest {});
        let reply = within(self.caller.settings.shard_timeout, call).await;
        Ok(reply.map_err(|status| self.report(&status))?.facts.into_iter().collect())
    }
}

/// The answer, if it comes in time.
async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(timeout, call).await {
        Ok(reply) => reply.map(Response::into_inner),
        Err(_) => {
            let seconds = timeout.as_secs_f64();
            Err(Status::deadline_exceeded(format!("No answer within {seconds} seconds")))
        }
    }
}

impl std::fmt::Debug for RemoteDatanode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RemoteDatanode({} at {:?})", self.id, self.address())
    }
}
