//! Rows through the in-process exchange, in batches of 8192: three senders and three receivers in
//! memory, beside the same tasks with a bounded channel between each two; one sender and two
//! receivers, of which one reads after the other, through a file.
//!
//! `cargo bench --bench exchange`

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringViewArray,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use kestrel_datanode::exchange::{ExchangeHub, ExchangeSettings};
use kestrel_proto::{
    DatanodeId, ErrorReport, ExchangeRequest, MotionId, QueryId, Result, batch_bytes,
};
use tokio::{runtime::Runtime, sync::mpsc};

const NODES: u32 = 3;
const BATCHES_PER_SENDER: u64 = 300;
/// As many as a credit of 4 MiB has room for.
const CHANNEL_BATCHES: usize = 8;
const MOTION: MotionId = MotionId(1);

/// Some columns of TPC-H lineitem.
fn batch() -> RecordBatch {
    let rows = 0..8192_i64;
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

/// One motion, from its first batch to its end.
async fn motion(hubs: &[ExchangeHub], batch: &RecordBatch) -> Result<usize> {
    let query = QueryId::random();
    let mut tasks = tokio::task::JoinSet::new();
    for receiver in 0..NODES {
        for (sender, hub) in hubs.iter().enumerate() {
            let sender = DatanodeId(sender as u32);
            let receiver = DatanodeId(receiver);
            let mut rows = hub.open(ExchangeRequest { query, motion: MOTION, sender, receiver })?;
            tasks.spawn(async move {
                let mut received = 0;
                while let Some(batch) = rows.next().await {
                    received += batch?.num_rows();
                }
                Ok(received)
            });
        }
    }
    for hub in hubs {
        let (sender, batch) = (hub.begin(query, MOTION)?, batch.clone());
        tasks.spawn(async move {
            for i in 0..BATCHES_PER_SENDER {
                sender.send(DatanodeId(i as u32 % NODES), batch.clone()).await?;
            }
            sender.finish();
            Ok(0)
        });
    }
    let mut rows = 0;
    for received in tasks.join_all().await {
        rows += received?;
    }
    hubs.iter().for_each(|hub| hub.end_query(query));
    Ok(rows)
}

/// The same rows between the same tasks over channels, which know neither credit nor errors.
async fn channels(batch: &RecordBatch) -> usize {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..NODES {
        let mut senders = Vec::new();
        for _ in 0..NODES {
            let (sender, mut rows) = mpsc::channel::<RecordBatch>(CHANNEL_BATCHES);
            senders.push(sender);
            tasks.spawn(async move {
                let mut received = 0;
                while let Some(batch) = rows.recv().await {
                    received += batch.num_rows();
                }
                received
            });
        }
        let batch = batch.clone();
        tasks.spawn(async move {
            for sender in senders.iter().cycle().take(BATCHES_PER_SENDER as usize) {
                if sender.send(batch.clone()).await.is_err() {
                    break;
                }
            }
            0
        });
    }
    tasks.join_all().await.into_iter().sum()
}

fn exchange(criterion: &mut Criterion) {
    let Ok(runtime) = Runtime::new() else { return };
    let batch = batch();
    let batches = u64::from(NODES) * BATCHES_PER_SENDER;
    let expected = batches * batch.num_rows() as u64;
    let mut group = criterion.benchmark_group("exchange/3x3");
    for credit in [1, 4 << 20] {
        let settings = ExchangeSettings { stream_credit_bytes: credit, ..Default::default() };
        let hub = |n| ExchangeHub::new(DatanodeId(n), settings.clone(), Arc::default());
        let hubs: Vec<_> = (0..NODES).map(hub).collect();
        for (unit, throughput) in [
            ("rows", Throughput::Elements(expected)),
            ("bytes", Throughput::Bytes(batches * batch_bytes(&batch))),
        ] {
            group.throughput(throughput);
            group.bench_function(BenchmarkId::new(unit, format!("credit {credit}")), |bencher| {
                bencher.to_async(&runtime).iter(|| async {
                    let rows = motion(&hubs, &batch).await.map_or(0, |rows| rows as u64);
                    assert_eq!(rows, expected);
                });
            });
        }
    }
    group.throughput(Throughput::Elements(expected));
    group.bench_function("rows/channels", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            assert_eq!(channels(&batch).await as u64, expected);
        });
    });
    group.finish();
}

/// The first receiver begins when the second has everything, and there is no memory to wait in.
async fn spilling_motion(hub: &ExchangeHub, batch: &RecordBatch) -> Result<usize> {
    let (query, sender) = (QueryId::random(), hub.datanode());
    let open = |receiver| {
        hub.open(ExchangeRequest { query, motion: MOTION, sender, receiver: DatanodeId(receiver) })
    };
    let (mut late, mut soon) = (open(0)?, open(1)?);
    let (sender, sent) = (hub.begin(query, MOTION)?, batch.clone());
    let sending = tokio::spawn(async move {
        for i in 0..2 * BATCHES_PER_SENDER {
            sender.send(DatanodeId(i as u32 % 2), sent.clone()).await?;
        }
        sender.finish();
        Ok(())
    });
    let mut rows = 0;
    while let Some(batch) = soon.next().await {
        rows += batch?.num_rows();
    }
    while let Some(batch) = late.next().await {
        rows += batch?.num_rows();
    }
    hub.end_query(query);
    sending.await.unwrap_or_else(|e| Err(ErrorReport::internal(e.to_string())))?;
    Ok(rows)
}

fn spill(criterion: &mut Criterion) {
    let Ok(runtime) = Runtime::new() else { return };
    let batch = batch();
    let settings =
        ExchangeSettings { stream_credit_bytes: 1, query_budget_bytes: 0, ..Default::default() };
    let hub = ExchangeHub::new(DatanodeId(0), settings, Arc::default());
    let mut group = criterion.benchmark_group("exchange/1x2");
    // All but the first batch of one receiver.
    group.throughput(Throughput::Bytes((BATCHES_PER_SENDER - 1) * batch_bytes(&batch)));
    group.bench_function("spilled bytes", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let rows = spilling_motion(&hub, &batch).await.unwrap_or(0) as u64;
            assert_eq!(rows, 2 * BATCHES_PER_SENDER * batch.num_rows() as u64);
        });
    });
    group.finish();
    assert!(hub.counters().spilled_batches > 0);
}

criterion_group!(benches, exchange, spill);
criterion_main!(benches);
