//! Sessions that insert single rows, each a transaction: how many they are in a second and how long
//! each takes, into tables without and with a primary key, empty and filled; on a cluster in this
//! process.
//!
//! `cargo bench --bench small_inserts -- --sessions 16`

use std::{
    io::Cursor,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use futures::SinkExt;
use kestrel::cluster::{Cluster, ClusterOptions};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

/// The command's: datanodes and coordinator are in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Rows of a COPY: each becomes a segment on every datanode.
const COPY_ROWS: i64 = 10_000;
/// An odd number, so that its multiples are all different in 64 bits, and far apart.
const SCATTER: i64 = 0x9e37_79b9_7f4a_7c15_u64.cast_signed();

#[derive(Parser)]
struct Flags {
    /// That insert at once
    #[arg(long, default_value_t = 16)]
    sessions: usize,
    /// For each table
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Rows that are in the filled tables before
    #[arg(long, default_value_t = 1_000_000)]
    rows: i64,
    /// That have the rows
    #[arg(long, default_value_t = 2)]
    datanodes: u32,
    /// Where the cluster is, for as long as it runs [default: TMPDIR]
    #[arg(long)]
    directory: Option<PathBuf>,
    /// What cargo gives to every benchmark
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

/// A table, and what is inserted.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    columns: &'static str,
    is_filled: bool,
    /// The key of the n-th row.
    key: fn(i64) -> i64,
}

const CASES: [Case; 5] = [
    Case { name: "no key", columns: "k bigint, v text", is_filled: false, key: |n| n },
    Case {
        name: "primary key, growing",
        columns: "k bigint PRIMARY KEY, v text",
        is_filled: false,
        key: |n| n,
    },
    Case { name: "no key, filled", columns: "k bigint, v text", is_filled: true, key: |n| n },
    Case {
        name: "primary key, filled, growing",
        columns: "k bigint PRIMARY KEY, v text",
        is_filled: true,
        key: |n| n,
    },
    Case {
        name: "primary key, filled, scattered",
        columns: "k bigint PRIMARY KEY, v text",
        is_filled: true,
        key: |n| n.wrapping_mul(SCATTER),
    },
];

/// Milliseconds of each INSERT, and how long all took together.
struct Measured {
    times: Vec<f64>,
    seconds: f64,
}

async fn connect(cluster: &Cluster) -> Result<Client> {
    let url = format!("postgres://kestrel@{}/kestrel", cluster.address());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn create(cluster: &Cluster, case: Case, rows: i64) -> Result<()> {
    let client = connect(cluster).await?;
    client.batch_execute("DROP TABLE IF EXISTS t").await?;
    client.batch_execute(&format!("CREATE TABLE t ({}) DISTRIBUTED BY (k)", case.columns)).await?;
    let rows = if case.is_filled { rows } else { 0 };
    for from in (0..rows).step_by(COPY_ROWS as usize) {
        let line = |n: i64| format!("{}\trow {n}\n", (case.key)(n));
        let lines: String = (from..rows.min(from + COPY_ROWS)).map(line).collect();
        let mut sink = pin!(client.copy_in::<_, Cursor<Vec<u8>>>("COPY t FROM STDIN").await?);
        sink.send(Cursor::new(lines.into_bytes())).await?;
        sink.finish().await?;
    }
    // What is read once is in memory then.
    client.simple_query("SELECT count(k), max(k) FROM t").await?;
    Ok(())
}

async fn insert(cluster: &Cluster, case: Case, flags: &Flags) -> Result<Measured> {
    let next = Arc::new(AtomicI64::new(if case.is_filled { flags.rows } else { 0 }));
    let span = Duration::from_secs(flags.seconds);
    let mut clients = Vec::with_capacity(flags.sessions);
    for _ in 0..flags.sessions {
        clients.push(connect(cluster).await?);
    }
    let started = Instant::now();
    let mut running = JoinSet::new();
    for client in clients {
        let next = Arc::clone(&next);
        running.spawn(async move {
            let statement = client.prepare("INSERT INTO t VALUES ($1, $2)").await?;
            let mut times = Vec::new();
            while started.elapsed() < span {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let began = Instant::now();
                client.execute(&statement, &[&(case.key)(n), &format!("row {n}")]).await?;
                times.push(began.elapsed().as_secs_f64() * 1000.0);
            }
            Ok::<_, tokio_postgres::Error>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(ended) = running.join_next().await {
        times.extend(ended??);
    }
    times.sort_by(f64::total_cmp);
    Ok(Measured { times, seconds: started.elapsed().as_secs_f64() })
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
async fn measure(flags: &Flags, cluster: &Cluster) -> Result<()> {
    println!(
        "{} sessions, {} datanodes, {} rows where filled, {} s each",
        flags.sessions, flags.datanodes, flags.rows, flags.seconds
    );
    println!(
        "{:32} {:>10} {:>10} {:>10} {:>10}",
        "", "INSERTs/s", "median ms", "95 % ms", "most ms"
    );
    for case in CASES {
        create(cluster, case, flags.rows).await?;
        let Measured { times, seconds } = insert(cluster, case, flags).await?;
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(0.0);
        let rate = times.len() as f64 / seconds;
        let most = times.last().copied().unwrap_or(0.0);
        let (median, high) = (at(50), at(95));
        println!("{:32} {rate:10.0} {median:10.2} {high:10.2} {most:10.2}", case.name);
    }
    Ok(())
}

async fn run(flags: &Flags) -> Result<()> {
    let directory = flags.directory.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::tempdir_in(directory)?;
    let options = ClusterOptions::local(directory.path(), Some(flags.datanodes), 4 << 30);
    let cluster = Cluster::start(options).await?;
    let measured = measure(flags, &cluster).await;
    cluster.stop().await;
    measured
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    tokio::runtime::Runtime::new()?.block_on(run(&flags))
}
