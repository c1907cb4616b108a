//! Senders and receivers of hubs, as tasks.

mod deadlock;
mod model;
mod spill;
mod streams;

use std::{sync::Arc, time::Duration};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::StreamExt;
use kestrel_proto::{
    BatchStream, DatanodeId, ErrorReport, ExchangeRequest, MotionId, QueryId, Result, SqlState,
    batch_bytes,
};
use tokio::task::JoinHandle;

use super::{ExchangeHub, ExchangeSettings, MotionSender};

const SENDER: DatanodeId = DatanodeId(0);
const MOTION: MotionId = MotionId(1);

/// Rows `from..from + rows`.
fn batch(from: i64, rows: i64) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + rows));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

fn hub(credit: u64, budget: u64) -> ExchangeHub {
    ExchangeHub::new(SENDER, settings(credit, budget), Arc::default())
}

fn settings(credit: u64, budget: u64) -> ExchangeSettings {
    ExchangeSettings {
        stream_credit_bytes: credit,
        query_budget_bytes: budget,
        remembered_queries: 4,
        ..ExchangeSettings::default()
    }
}

/// Long enough for every task that can go on to do so.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn open(hub: &ExchangeHub, query: QueryId, motion: MotionId, to: u32) -> Result<BatchStream> {
    hub.open(ExchangeRequest { query, motion, sender: SENDER, receiver: DatanodeId(to) })
}

/// Sends `batches` of 100 rows to every receiver in turn, then finishes. Returns how many were
/// wanted.
fn send_all(sender: MotionSender, to: Vec<u32>, batches: i64) -> JoinHandle<Result<usize>> {
    tokio::spawn(async move {
        let mut wanted = 0;
        for i in 0..batches {
            let mut open = false;
            for receiver in &to {
                let sent = sender.send(DatanodeId(*receiver), batch(i * 100, 100)).await?;
                wanted += usize::from(sent);
                open |= sent;
            }
            if !open {
                break;
            }
        }
        sender.finish();
        Ok(wanted)
    })
}

async fn rows(mut stream: BatchStream) -> Result<Vec<i64>> {
    let mut rows = Vec::new();
    while let Some(batch) = stream.next().await {
        rows.extend(batch?.column(0).as_primitive::<Int64Type>().values());
    }
    Ok(rows)
}

fn sqlstate<T>(result: Result<T>) -> SqlState {
    result.err().expect("an error").sqlstate
}
