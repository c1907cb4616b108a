//! datafusion-distributed on the Parquet files: workers behind ports of this machine, in this
//! process, and a coordinator that is no worker. `run.py` starts it. With `--bytes` it prints what goes
//! between them in each query.

mod bytes;
mod cluster;
mod traffic;

use std::process::ExitCode;

use clap::Parser;
use datafusion::DATAFUSION_VERSION;
use rivals::{Arguments, Error};
use traffic::Traffic;

/// As in Cargo.toml; the crate does not say it.
const VERSION: &str = "4.0.0";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    arguments: Arguments,
    /// How many workers.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Runs the queries once, prints the bytes between workers and to the coordinator, and ends.
    #[arg(long)]
    bytes: bool,
}

async fn engine(CommandLine { arguments, workers, bytes }: CommandLine) -> Result<(), Error> {
    let runtime = arguments.runtime()?;
    let [to_workers, to_coordinator] = [Traffic::default(), Traffic::default()];
    let counted = |traffic| bytes.then_some(traffic);
    let urls = cluster::start_workers(workers, &runtime, counted(&to_workers)).await?;
    let context =
        cluster::coordinator(arguments.config(), runtime, urls, counted(&to_coordinator))?;
    rivals::open(&context, &arguments.data).await?;
    if bytes {
        return bytes::print(&context, &arguments.queries, [&to_workers, &to_coordinator]).await;
    }
    let version = format!("{VERSION} (DataFusion {DATAFUSION_VERSION})");
    rivals::serve(&context, &arguments.queries, &version).await
}

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    rivals::main(command_line.arguments.threads, engine(command_line))
}
