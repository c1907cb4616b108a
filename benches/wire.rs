//! Rows through the exchange from one process to another, beside the same bytes through a plain TCP
//! connection: megabytes for each second of processor time, of both ends together.
//!
//! `cargo bench --bench wire`

use std::{fs, net::SocketAddr, sync::Arc, time::Instant};

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringViewArray,
};
use datafusion::{
    datasource::{memory::MemorySourceConfig, source::DataSourceExec},
    execution::TaskContext,
    physical_plan::ExecutionPlan,
};
use futures::StreamExt;
use kestrel_datanode::{
    DatanodeSettings, FragmentDecoder, LocalDatanode,
    exchange::Peers,
    service::{ServiceOptions, serve},
};
use kestrel_planner::{
    error::report,
    memory::QueryMemory,
    motion::Motion,
    operators::{MotionSendExec, ShardStore},
};
use kestrel_proto::{
    COORDINATOR, Datanode, DatanodeId, ENGINE_VERSION, ErrorReport, ExchangeRequest, MotionId,
    QueryId, Result, SqlState, batch_bytes,
    message::Fragment,
    rpc::{Caller, Compression, Credentials, RemoteDatanode, RpcSettings, Secret},
};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const BATCH_ROWS: i64 = 8192;
const BATCHES: usize = 4000;
const ROUNDS: usize = 5;
/// Of one read and one write of the plain connection.
const CHUNK_BYTES: usize = 256 << 10;

/// Some columns of TPC-H lineitem.
fn batch() -> RecordBatch {
    let rows = 0..BATCH_ROWS;
    let amounts = Decimal128Array::from_iter_values(rows.clone().map(i128::from));
    let columns: [(&str, ArrayRef); 4] = [
        ("l_orderkey", Arc::new(Int64Array::from_iter_values(rows.clone()))),
        ("l_extendedprice", Arc::new(amounts)),
        ("l_shipdate", Arc::new(Date32Array::from_iter_values(rows.clone().map(|i| i as i32)))),
        (
            "l_comment",
            Arc::new(StringViewArray::from_iter_values(
                rows.map(|i| format!("carefully packed {i}")),
            )),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap_or_else(|_| unreachable!("columns of one length"))
}

/// A fragment that sends the same batch over and over.
#[derive(Debug)]
struct Repeat(RecordBatch);

impl FragmentDecoder for Repeat {
    fn decode(
        &self,
        _: &Fragment,
        _: &Arc<dyn ShardStore>,
        _: &TaskContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batches = vec![self.0.clone(); BATCHES];
        let source = MemorySourceConfig::try_new(&[batches], self.0.schema(), None);
        let source = Arc::new(DataSourceExec::new(Arc::new(source.map_err(report)?)));
        let motion = Motion::Gather { merge: None, fetch: None };
        Ok(Arc::new(MotionSendExec::new(MotionId(1), motion, vec![COORDINATOR], source)))
    }

    fn function_fingerprint(&self) -> u64 {
        0
    }
}

/// Nanoseconds that the threads of this process have run.
fn processor_ns() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let run = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    run.sum()
}

/// Megabytes a second of processor time, and of the clock.
fn rate(bytes: u64, processor_ns: u64, started: Instant) -> (f64, f64) {
    let megabytes = bytes as f64 / 1e6;
    (megabytes / (processor_ns as f64 / 1e9), megabytes / started.elapsed().as_secs_f64())
}

async fn serve_datanode(
    batch: RecordBatch,
    directory: &std::path::Path,
    compression: Compression,
) -> Result<RemoteDatanode> {
    let io = |e: std::io::Error| ErrorReport::new(SqlState::IO_ERROR, e.to_string());
    let (id, cluster) = (DatanodeId(0), Uuid::new_v4());
    let settings = DatanodeSettings::new(id, cluster, directory, QueryMemory::new(1 << 30));
    let decoder = Arc::new(Repeat(batch));
    let runtime = Handle::current();
    let datanode = LocalDatanode::open(settings, Arc::new(Peers::default()), decoder, runtime)?;
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(io)?;
    let address = listener.local_addr().map_err(io)?.to_string();
    let credentials =
        Credentials { secret: Secret::random(), cluster: Some(cluster), target: id.name() };
    let options = ServiceOptions {
        credentials: credentials.clone(),
        settings: RpcSettings::default(),
        tls: None,
        compression,
        fragments: Handle::current(),
    };
    tokio::spawn(serve(datanode, listener, options, CancellationToken::new()));
    let caller = Caller {
        settings: RpcSettings::default(),
        credentials,
        tls: None,
        runtime: Handle::current(),
    };
    let remote = RemoteDatanode::new(id, caller, 1);
    remote.set_address(&address)?;
    Ok(remote)
}

/// One motion over gRPC; the bytes of its rows.
async fn exchange(datanode: &RemoteDatanode) -> Result<u64> {
    let query = QueryId::random();
    let fragment = Fragment {
        query_id: query.to_bytes().to_vec().into(),
        slice: 1,
        coordinator_epoch: 1,
        engine_version: ENGINE_VERSION.into(),
        ..Default::default()
    };
    let sender = datanode.id();
    let request = ExchangeRequest { query, motion: MotionId(1), sender, receiver: COORDINATOR };
    let mut rows = datanode.open_exchange(request, 1 << 20)?;
    let (run, bytes) = tokio::join!(datanode.run(fragment.encode_to_vec().into()), async {
        let mut bytes = 0;
        while let Some(batch) = rows.next().await {
            bytes += batch_bytes(&batch?);
        }
        Ok::<_, ErrorReport>(bytes)
    });
    run?;
    datanode.end_query(query).await;
    bytes
}

/// So many bytes through a plain connection.
async fn plain(bytes: u64) -> std::io::Result<u64> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address: SocketAddr = listener.local_addr()?;
    let sent = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await?;
        let chunk = vec![7; CHUNK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let now = left.min(CHUNK_BYTES as u64);
            stream.write_all(&chunk[..now as usize]).await?;
            left -= now;
        }
        stream.shutdown().await
    });
    let (mut stream, _) = listener.accept().await?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut received = 0;
    while let read @ 1.. = stream.read(&mut chunk).await? {
        received += read as u64;
    }
    sent.await??;
    Ok(received)
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
fn line(name: &str, mut rates: Vec<(f64, f64)>) {
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (processor, clock) = rates[rates.len() / 2];
    let (least, most) = (rates[0].0, rates[rates.len() - 1].0);
    println!("{name:18} | {processor:9.0} | {least:6.0} to {most:6.0} | {clock:8.0}");
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
async fn compare() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let (none, lz4) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let batch = batch();
    let bytes = batch_bytes(&batch) * BATCHES as u64;
    let plainly = serve_datanode(batch.clone(), none.path(), Compression::None).await?;
    let compressed = serve_datanode(batch, lz4.path(), Compression::Lz4).await?;
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (at, rates) in rates.iter_mut().enumerate() {
            let (before, started) = (processor_ns(), Instant::now());
            let moved = match at {
                0 => plain(bytes).await?,
                1 => exchange(&plainly).await?,
                _ => exchange(&compressed).await?,
            };
            assert_eq!(moved, bytes);
            rates.push(rate(bytes, processor_ns() - before, started));
        }
    }
    println!("{:18} | {:>9} | {:>16} | {:>8}", "", "MB/core-s", "spread", "MB/s");
    for (name, rates) in ["TCP", "exchange", "exchange, LZ4"].into_iter().zip(rates) {
        line(name, rates);
    }
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Runtime::new()?.block_on(compare())
}
