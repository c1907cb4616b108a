//! How near statistics are to the truth: distinct values, the parts of the rows that conditions leave,
//! and the rows of the joins of TPC-H's queries, over TPC-H's tables and over skewed ones; and how long
//! ANALYZE takes. With `--postgresql`, the same of a PostgreSQL 15 that is started for it.
//!
//! `cargo bench --bench statistics -- --scale 1 --postgresql /usr/lib/postgresql/15/bin`

mod conditions;
mod distinct;
mod figures;
mod joins;
mod random;
mod server;
mod skewed;
mod tables;

use std::path::{Path, PathBuf};

use clap::Parser;
use kestrel::{
    cluster::{Cluster, ClusterOptions},
    postgres::{Programs, TempPostgres},
    tpch::Layout,
};
use tokio::task::spawn_blocking;

use server::Server;
use tables::{Table, tables};

/// The command's: datanodes and coordinator are in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// ANALYZE is timed so often.
const ROUNDS: usize = 3;

#[derive(Parser)]
struct Flags {
    /// Of TPC-H's tables; the skewed one has a million rows times this
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// That have the rows
    #[arg(long, default_value_t = 2)]
    datanodes: u32,
    /// Bytes of memory that the cluster may use
    #[arg(long, default_value_t = 8 << 30)]
    memory_limit: usize,
    /// The programs of a PostgreSQL 15 to compare with
    #[arg(long, value_name = "DIRECTORY")]
    postgresql: Option<PathBuf>,
    /// Of what conditions and other choices are drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Shows each column, each condition that is far off, and each join
    #[arg(long)]
    verbose: bool,
    /// Where the cluster is, for as long as it runs [default: TMPDIR]
    #[arg(long)]
    directory: Option<PathBuf>,
    /// What cargo gives to every benchmark
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

/// The servers, the first of which is Kestrel and knows the truth.
struct Bench {
    servers: Vec<Server>,
    tables: Vec<Table>,
    flags: Flags,
}

impl Bench {
    async fn fill(&mut self) -> Result<()> {
        let Self { servers, tables, flags } = self;
        for server in servers {
            for table in tables.iter_mut().filter(|table| table.is_tpch()) {
                table.fill(server, flags.scale, flags.seed).await?;
            }
            server.analyze(ROUNDS).await?;
            for table in tables.iter_mut().filter(|table| !table.is_tpch()) {
                table.fill(server, flags.scale, flags.seed).await?;
                server.client.execute(&format!("ANALYZE {}", table.name)).await?;
            }
        }
        Ok(())
    }

    async fn print(&mut self) -> Result<()> {
        self.fill().await?;
        figures::print_heading(&format!("ANALYZE of TPC-H at scale {}, seconds", self.flags.scale));
        for server in &self.servers {
            figures::print_times(server.name, &server.analyze_seconds, "<= 3 at scale 1");
        }
        distinct::measure(self).await?;
        conditions::measure(self).await?;
        joins::measure(self).await
    }
}

async fn run(flags: Flags, directory: &Path) -> Result<()> {
    let options = ClusterOptions::local(directory, Some(flags.datanodes), flags.memory_limit);
    let cluster = Cluster::start(options).await?;
    let url = format!("postgres://kestrel@{}/kestrel", cluster.address());
    let printed = async {
        let mut servers = vec![Server::connect("Kestrel", &url, Layout::Usual).await?];
        let postgres = match flags.postgresql.clone() {
            Some(programs) => Some(spawn_blocking(move || start_postgres(&programs)).await??),
            None => None,
        };
        if let Some(postgres) = &postgres {
            let (name, url) = ("PostgreSQL", postgres.connection_string());
            servers.push(Server::connect(name, &url, Layout::Undistributed).await?);
        }
        let mut bench = Bench { servers, tables: tables(), flags };
        bench.print().await
    }
    .await;
    cluster.stop().await;
    printed
}

/// As it is configured, but for memory, which does not change what it estimates.
fn start_postgres(programs: &Path) -> Result<TempPostgres> {
    let settings = [("shared_buffers", "1GB"), ("max_wal_size", "4GB")];
    Ok(TempPostgres::start_with(&Programs::find(Some(programs))?, &settings)?)
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let directory = flags.directory.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::tempdir_in(directory)?;
    tokio::runtime::Runtime::new()?.block_on(run(flags, directory.path()))
}
