//! Rows through the in-process exchange: three senders, three receivers, batches of 8192 rows.
//!
//! `cargo bench --bench exchange`

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringViewArray,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use kestrel_datanode::exchange::{ExchangeHub, ExchangeSettings, batch_bytes};
use kestrel_proto::{DatanodeId, ExchangeRequest, MotionId, QueryId, Result};
use tokio::runtime::Runtime;

const NODES: u32 = 3;
const BATCHES_PER_SENDER: u64 = 300;
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

fn exchange(criterion: &mut Criterion) {
    let Ok(runtime) = Runtime::new() else { return };
    let batch = batch();
    let batches = u64::from(NODES) * BATCHES_PER_SENDER;
    let expected = batches * batch.num_rows() as u64;
    let mut group = criterion.benchmark_group("exchange/3x3");
    for credit in [1, 4 << 20] {
        let settings = ExchangeSettings { stream_credit_bytes: credit, ..Default::default() };
        let hub = |n| ExchangeHub::new(DatanodeId(n), settings.clone());
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
    group.finish();
}

criterion_group!(benches, exchange);
criterion_main!(benches);
