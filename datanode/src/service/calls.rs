//! The calls: each decodes, asks the datanode, encodes.

use std::{future::Future, pin::Pin, sync::Arc};

use arrow::ipc::convert::fb_to_schema;
use futures::{Stream, StreamExt, future::BoxFuture};
use kestrel_proto::{
    Datanode as _, DropSegments, ErrorReport, Ingest, PreparedTransaction, QueryId, Result,
    ShardRelation, ShardResults, ShardRows, ShardStatements, SnapshotScope, TableId,
    TransactionEnd, TransactionId,
    message::{
        DeleteRowsReply, DeleteRowsRequest, DescribeRequest, Done, DropSegmentsRequest,
        EndQueryRequest, EndTransactionReply, EndTransactionRequest, ExchangeControl, ExecuteReply,
        ExecuteRequest, FilePiece, FragmentDescription, FragmentReport, HealthReply, HealthRequest,
        IngestHeader, IngestReply, PreparedReply, PreparedRequest, QueryShardReply,
        QueryShardRequest, ReadFileRequest, RewriteSegmentsReply, RewriteSegmentsRequest,
        RunRequest, ShardFactsReply, ShardFactsRequest, SnapshotRequest,
        datanode_server::{Datanode, DatanodeServer},
        drop_segments_request::Order,
    },
    rpc::{
        self, Check, Compression, Credentials, Frame, RpcSettings, Tls, receive_ingest, server,
        to_status,
    },
};
use prost::Message;
use tokio::{net::TcpListener, runtime::Handle};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, service::interceptor::InterceptedService};

use super::exchange;
use crate::LocalDatanode;

/// What a datanode is served with.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// What every call must carry.
    pub credentials: Credentials,
    /// The bounds.
    pub settings: RpcSettings,
    /// Mutual TLS.
    pub tls: Option<Tls>,
    /// Of rows that are sent to other processes.
    pub compression: Compression,
    /// Where rows are encoded: where fragments run.
    pub fragments: Handle,
}

/// Answers calls until `shutdown`. Boxed: whoever awaits it does not compile the server over again.
///
/// # Errors
/// 22023 for TLS files that cannot be used; 58000.
pub fn serve(
    datanode: Arc<LocalDatanode>,
    listener: TcpListener,
    options: ServiceOptions,
    shutdown: CancellationToken,
) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let settings = options.settings.clone();
        let mut server = server(&settings, options.tls.as_ref())?;
        let bytes_max = settings.message_bytes_max;
        let check = Check(options.credentials.clone());
        let service = DatanodeServer::new(Service { datanode, options })
            .max_decoding_message_size(bytes_max)
            .max_encoding_message_size(bytes_max);
        let service = server.add_service(InterceptedService::new(service, check));
        rpc::serve(service, listener, &settings, shutdown).await
    })
}

struct Service {
    datanode: Arc<LocalDatanode>,
    options: ServiceOptions,
}

impl Service {
    /// The answer, or the error with this datanode's name.
    async fn answer<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<Response<T>, Status> {
        let name = self.datanode.id().name();
        let answer = work.await.map_err(|report| to_status(&report.on_datanode(name)));
        answer.map(Response::new)
    }
}

#[tonic::async_trait]
impl Datanode for Service {
    type ExchangeStream = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;
    type ReadFileStream = Pin<Box<dyn Stream<Item = Result<FilePiece, Status>> + Send>>;

    async fn run(&self, request: Request<RunRequest>) -> Result<Response<FragmentReport>, Status> {
        self.answer(self.datanode.run(request.into_inner().fragment)).await
    }

    async fn exchange(
        &self,
        request: Request<Streaming<ExchangeControl>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let mut controls = request.into_inner();
        let first = controls.message().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("a stream without a name"))?;
        let open = async {
            let request = exchange::request(&first)?;
            self.datanode.open_exchange(request, first.credit_bytes)
        };
        let rows = self.answer(open).await?.into_inner();
        let frames = exchange::send(
            rows,
            controls,
            first.credit_bytes,
            self.options.compression,
            &self.options.fragments,
        );
        Ok(Response::new(Box::pin(frames)))
    }

    async fn end_query(&self, request: Request<EndQueryRequest>) -> Result<Response<Done>, Status> {
        let end = async {
            self.datanode.end_query(query_id(&request.get_ref().query_id)?).await;
            Ok(Done {})
        };
        self.answer(end).await
    }

    async fn ingest(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<IngestReply>, Status> {
        let (header, rows) = receive_ingest(request.into_inner()).await?;
        let ingest = async {
            let segments = self.datanode.ingest(ingest(&header)?, rows).await?;
            Ok(IngestReply { segments })
        };
        self.answer(ingest).await
    }

    async fn delete_rows(
        &self,
        request: Request<DeleteRowsRequest>,
    ) -> Result<Response<DeleteRowsReply>, Status> {
        let delete = async {
            let vectors = self.datanode.delete_rows(request.into_inner()).await?;
            Ok(DeleteRowsReply { vectors })
        };
        self.answer(delete).await
    }

    async fn rewrite_segments(
        &self,
        request: Request<RewriteSegmentsRequest>,
    ) -> Result<Response<RewriteSegmentsReply>, Status> {
        let rewrite = async {
            let segments = self.datanode.rewrite_segments(request.into_inner()).await?;
            Ok(RewriteSegmentsReply { segments })
        };
        self.answer(rewrite).await
    }

    async fn drop_segments(
        &self,
        request: Request<DropSegmentsRequest>,
    ) -> Result<Response<Done>, Status> {
        let drop = async {
            let request = request.into_inner();
            self.datanode.heard_from(request.coordinator_epoch)?;
            let order = match request.order {
                Some(Order::Files(list)) => DropSegments::Files(list.files),
                Some(Order::TransactionId(id)) => DropSegments::Transaction(TransactionId(id)),
                Some(Order::AllBut(list)) => DropSegments::AllBut(list.files),
                None => return Err(ErrorReport::internal("an order to drop nothing")),
            };
            self.datanode.drop_segments(order).await?;
            Ok(Done {})
        };
        self.answer(drop).await
    }

    async fn read_file(
        &self,
        request: Request<ReadFileRequest>,
    ) -> Result<Response<Self::ReadFileStream>, Status> {
        let read = async {
            let request = request.into_inner();
            self.datanode.heard_from(request.coordinator_epoch)?;
            self.datanode.read_file(request.file).await
        };
        let pieces = self.answer(read).await?.into_inner();
        let name = self.datanode.id().name();
        Ok(Response::new(Box::pin(pieces.map(move |piece| {
            let piece = piece.map(|bytes| FilePiece { bytes });
            piece.map_err(|report| to_status(&report.on_datanode(name.clone())))
        }))))
    }

    async fn health(
        &self,
        request: Request<HealthRequest>,
    ) -> Result<Response<HealthReply>, Status> {
        let health = async {
            let epoch = request.get_ref().coordinator_epoch;
            // 0: somebody who only asks.
            if epoch > 0 {
                self.datanode.heard_from(epoch)?;
                self.datanode.note_heartbeat();
            }
            let health = self.datanode.health().await?;
            Ok(HealthReply {
                fragments: health.fragments,
                streams: health.streams,
                temporary_files: health.temporary_files,
                memory_bytes: health.memory_bytes,
            })
        };
        self.answer(health).await
    }

    async fn describe(
        &self,
        request: Request<DescribeRequest>,
    ) -> Result<Response<FragmentDescription>, Status> {
        self.answer(self.datanode.describe(request.into_inner().fragment)).await
    }

    async fn open_snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<Done>, Status> {
        let open = async {
            let request = request.into_inner();
            self.datanode.heard_from(request.coordinator_epoch)?;
            self.datanode.open_snapshot(SnapshotScope::of_request(request.scope)?).await?;
            Ok(Done {})
        };
        self.answer(open).await
    }

    async fn close_snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<Done>, Status> {
        let close = async {
            let request = request.into_inner();
            self.datanode.heard_from(request.coordinator_epoch)?;
            self.datanode.close_snapshot(SnapshotScope::of_request(request.scope)?).await?;
            Ok(Done {})
        };
        self.answer(close).await
    }

    async fn execute(
        &self,
        request: Request<ExecuteRequest>,
    ) -> Result<Response<ExecuteReply>, Status> {
        let execute = async {
            let order = ShardStatements::from_message(request.into_inner())?;
            self.datanode.heard_from(order.coordinator_epoch)?;
            self.datanode.execute(order).await.map(ShardResults::into_message)
        };
        self.answer(execute).await
    }

    async fn query_shard(
        &self,
        request: Request<QueryShardRequest>,
    ) -> Result<Response<QueryShardReply>, Status> {
        let query = async {
            let rows = self.datanode.query_shard(request.into_inner().sql).await;
            rows.map(ShardRows::into_message)
        };
        self.answer(query).await
    }

    async fn end_transaction(
        &self,
        request: Request<EndTransactionRequest>,
    ) -> Result<Response<EndTransactionReply>, Status> {
        let end = async {
            let request = request.into_inner();
            self.datanode.heard_from(request.coordinator_epoch)?;
            let end = TransactionEnd::from_message(request.end())?;
            let transaction = TransactionId(request.transaction_id);
            let epoch = request.transaction_epoch;
            let was_there = self.datanode.end_transaction(transaction, epoch, end).await?;
            Ok(EndTransactionReply { was_there })
        };
        self.answer(end).await
    }

    async fn prepared(
        &self,
        _: Request<PreparedRequest>,
    ) -> Result<Response<PreparedReply>, Status> {
        let prepared = async {
            let found = self.datanode.prepared().await?;
            let transactions = found.into_iter().map(PreparedTransaction::to_message).collect();
            Ok(PreparedReply { transactions })
        };
        self.answer(prepared).await
    }

    async fn shard_facts(
        &self,
        _: Request<ShardFactsRequest>,
    ) -> Result<Response<ShardFactsReply>, Status> {
        let facts = async {
            let facts = self.datanode.shard_facts().await?;
            Ok(ShardFactsReply { facts: facts.into_iter().collect() })
        };
        self.answer(facts).await
    }
}

pub(super) fn query_id(bytes: &[u8]) -> Result<QueryId> {
    QueryId::from_bytes(bytes).ok_or_else(|| ErrorReport::internal("a query's id is none"))
}

fn ingest(header: &[u8]) -> Result<Ingest> {
    let broken =
        |what: String| ErrorReport::internal(format!("an ingest's header is none: {what}"));
    let header = IngestHeader::decode(header).map_err(|error| broken(error.to_string()))?;
    let schema = arrow::ipc::root_as_schema(&header.table_schema);
    let schema = schema.map_err(|error| broken(error.to_string()))?;
    Ok(Ingest {
        transaction: TransactionId(header.transaction_id),
        coordinator_epoch: header.coordinator_epoch,
        table: TableId(header.table_id),
        table_name: header.table,
        schema: Arc::new(fb_to_schema(schema)),
        column_ids: header.column_ids,
        relation: header.relation.map(ShardRelation::from_message),
        continues: header.continues,
        in_block: header.in_block,
        reads_own_writes: header.reads_own_writes,
        cluster_by: header.cluster_by,
    })
}
