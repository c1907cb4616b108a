//! DataFusion, on the Parquet files or on the same rows in memory. `run.py` starts it.

mod memory;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use datafusion::{DATAFUSION_VERSION, prelude::SessionContext};
use rivals::{Arguments, Error};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    arguments: Arguments,
    /// Where queries find the rows.
    #[arg(long, value_enum)]
    source: Source,
}

#[derive(Clone, Copy, ValueEnum)]
enum Source {
    Parquet,
    Memory,
}

async fn engine(CommandLine { arguments, source }: CommandLine) -> Result<(), Error> {
    let context = SessionContext::new_with_config_rt(arguments.config(), arguments.runtime()?);
    let tables = rivals::open(&context, &arguments.data).await?;
    match source {
        Source::Parquet => {}
        Source::Memory => memory::load(&context, &tables).await?,
    }
    rivals::serve(&context, &arguments.queries, DATAFUSION_VERSION).await
}

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    rivals::main(command_line.arguments.threads, engine(command_line))
}
