//! datafusion-distributed on the Parquet files: workers behind ports of this machine, in this
//! process, and a coordinator that is no worker. `run.py` starts it.

mod cluster;

use std::process::ExitCode;

use clap::Parser;
use datafusion::DATAFUSION_VERSION;
use rivals::{Arguments, Error};

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
}

async fn engine(CommandLine { arguments, workers }: CommandLine) -> Result<(), Error> {
    let runtime = arguments.runtime()?;
    let urls = cluster::start_workers(workers, &runtime).await?;
    let context = cluster::coordinator(arguments.config(), runtime, urls);
    rivals::open(&context, &arguments.data).await?;
    let version = format!("{VERSION} (DataFusion {DATAFUSION_VERSION})");
    rivals::serve(&context, &arguments.queries, &version).await
}

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    rivals::main(command_line.arguments.threads, engine(command_line))
}
