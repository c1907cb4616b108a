//! Shards in PostgreSQL beside PostgreSQL alone: how fast a datanode reads a table, how fast a
//! cluster of two fills one, and how much longer a single row takes. The servers are those that
//! `kestrel up --shards kes` would start; the two sides take turns on them.
//!
//! `cargo bench --bench shards -- --scale 1`

mod bench;
mod figures;
mod lines;
mod load;
mod lookup;
mod scan;

use std::path::{Path, PathBuf};

use clap::Parser;

use bench::Bench;
use figures::print_row;

/// The command's: datanodes and coordinator are in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
pub(crate) struct Flags {
    /// Of TPC-H's tables
    #[arg(long, default_value_t = 0.1)]
    pub(crate) scale: f64,
    /// An odd number: medians are of these
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Where the cluster and the files are, for as long as it runs [default: TMPDIR]
    #[arg(long)]
    directory: Option<PathBuf>,
    /// What cargo gives to every benchmark
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

fn expect(what: &str, found: u64, expected: u64) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found}, not {expected}").into()),
    }
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
async fn measure(flags: &Flags, data: &Path, files: &Path) -> Result<()> {
    let bench = Bench::start(flags, data, files).await?;
    let measured = async {
        bench.fill().await?;
        println!("scale {}, {} rounds: medians (least to most)", flags.scale, flags.rounds);
        print_row(["", "Kestrel", "PostgreSQL", "compared", "wanted"]);
        scan::scan(&bench).await?;
        scan::aggregate(&bench).await?;
        lookup::lookup(&bench).await?;
        load::load(&bench).await
    }
    .await;
    bench.cluster.stop().await;
    measured
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    if flags.rounds % 2 == 0 {
        return Err("--rounds is to be odd".into());
    }
    let directory = flags.directory.clone().unwrap_or_else(std::env::temp_dir);
    // Not one in the other: the servers' user gets into a cluster's own directory only.
    let (data, files) = (tempfile::tempdir_in(&directory)?, tempfile::tempdir_in(&directory)?);
    tokio::runtime::Runtime::new()?.block_on(measure(&flags, data.path(), files.path()))
}
