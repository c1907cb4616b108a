//! Rows from a worker of datafusion-distributed to its coordinator, as `benches/wire.rs` has ours.
//!
//! `cargo run --release --manifest-path benches/rivals/Cargo.toml --bin transport`

mod cluster;
mod repeat;

use std::error::Error;

use datafusion::execution::SessionState;
use datafusion_distributed::{CompressionType, display_plan_ascii};
use futures::StreamExt;
use rivals::{Start, batch, batch_bytes, plain, print_header, print_line};

use repeat::Repeat;

const BATCHES: usize = 4000;
const ROUNDS: usize = 5;

/// One query; the bytes of its rows.
async fn exchange(coordinator: &SessionState) -> datafusion::error::Result<u64> {
    let plan = cluster::plan(coordinator).await?;
    let mut rows = plan.execute(0, coordinator.task_ctx())?;
    let mut bytes = 0;
    while let Some(batch) = rows.next().await {
        bytes += batch_bytes(&batch?);
    }
    Ok(bytes)
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
async fn compare() -> Result<(), Box<dyn Error>> {
    let repeat = Repeat { batch: batch(), batches: BATCHES };
    let bytes = batch_bytes(&repeat.batch) * BATCHES as u64;
    let worker = cluster::start_worker(&repeat).await?;
    let plainly = cluster::coordinator(&repeat, &worker, None)?;
    let compressed = cluster::coordinator(&repeat, &worker, Some(CompressionType::LZ4_FRAME))?;
    println!("{}", display_plan_ascii(cluster::plan(&plainly).await?.as_ref(), false));
    let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (at, rounds) in rounds.iter_mut().enumerate() {
            let start = Start::now();
            let moved = match at {
                0 => plain(bytes).await?,
                1 => exchange(&plainly).await?,
                _ => exchange(&compressed).await?,
            };
            assert_eq!(moved, bytes);
            rounds.push(start.moved(bytes));
        }
    }
    println!("{BATCHES} batches, {:.0} MB of values", bytes as f64 / 1e6);
    print_header();
    let names = ["TCP", "datafusion-distributed", "  with its LZ4"];
    for (name, rounds) in names.into_iter().zip(rounds) {
        print_line(name, rounds);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Runtime::new()?.block_on(compare())
}
