//! Rows by their keys, one session: how long each takes over loopback, prepared and as text, with and
//! without plans that are kept, and while another session writes; on a cluster in this process.
//!
//! `cargo bench --bench lookups -- --rows 1000000`

use std::{io::Cursor, path::PathBuf, pin::pin, time::Instant};

use clap::Parser;
use futures::SinkExt;
use kestrel::cluster::{Cluster, ClusterOptions};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// The command's: datanodes and coordinator are in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Rows of a COPY: each becomes a segment on every datanode.
const COPY_ROWS: i64 = 100_000;
/// Odd and no divisor of what tables hold: its multiples are all of their keys, far apart.
const STRIDE: i64 = 7_919;
const LOOKUP: &str = "SELECT * FROM t WHERE k = ";

#[derive(Parser)]
struct Flags {
    /// Of each kind
    #[arg(long, default_value_t = 10_000)]
    lookups: i64,
    /// That are in the table
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

/// How a row is asked for.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    is_prepared: bool,
    keeps_plans: bool,
    /// Another session inserts, row by row.
    beside_writes: bool,
}

const CASES: [Case; 5] = [
    Case { name: "prepared", is_prepared: true, keeps_plans: true, beside_writes: false },
    Case {
        name: "prepared, no plans kept",
        is_prepared: true,
        keeps_plans: false,
        beside_writes: false,
    },
    Case {
        name: "prepared, beside writes",
        is_prepared: true,
        keeps_plans: true,
        beside_writes: true,
    },
    Case { name: "as text", is_prepared: false, keeps_plans: true, beside_writes: false },
    Case {
        name: "as text, no plans kept",
        is_prepared: false,
        keeps_plans: false,
        beside_writes: false,
    },
];

async fn connect(cluster: &Cluster) -> Result<Client> {
    let url = format!("postgres://kestrel@{}/kestrel", cluster.address());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn fill(client: &Client, rows: i64) -> Result<()> {
    client.batch_execute("CREATE TABLE t (k bigint, v text, w int) DISTRIBUTED BY (k)").await?;
    for from in (0..rows).step_by(COPY_ROWS as usize) {
        let line = |n: i64| format!("{n}\trow {n}\t{}\n", n % 1000);
        let lines: String = (from..rows.min(from + COPY_ROWS)).map(line).collect();
        let mut sink = pin!(client.copy_in::<_, Cursor<Vec<u8>>>("COPY t FROM STDIN").await?);
        sink.send(Cursor::new(lines.into_bytes())).await?;
        sink.finish().await?;
    }
    // What is read once is in memory then.
    client.simple_query("SELECT count(k), max(v), max(w) FROM t").await?;
    Ok(())
}

/// Milliseconds of each lookup, sorted.
async fn measure(cluster: &Cluster, case: Case, flags: &Flags) -> Result<Vec<f64>> {
    let client = connect(cluster).await?;
    let on = if case.keeps_plans { "on" } else { "off" };
    client.batch_execute(&format!("SET kestrel.plan_cache = {on}")).await?;
    let statement = client.prepare(&format!("{LOOKUP}$1")).await?;
    let writer = match case.beside_writes {
        false => None,
        true => {
            let writer = connect(cluster).await?;
            Some(tokio::spawn(async move {
                while writer.batch_execute("INSERT INTO t VALUES (-1, 'new', 0)").await.is_ok() {}
            }))
        }
    };
    let mut times = Vec::new();
    for n in 0..flags.lookups {
        let key = n.wrapping_mul(STRIDE) % flags.rows;
        let began = Instant::now();
        let rows = match case.is_prepared {
            true => client.query(&statement, &[&key]).await?.len(),
            false => {
                let messages = client.simple_query(&format!("{LOOKUP}{key}")).await?;
                let is_row = |message: &&_| matches!(message, SimpleQueryMessage::Row(_));
                messages.iter().filter(is_row).count()
            }
        };
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        if rows != 1 {
            return Err(format!("{rows} rows of key {key}").into());
        }
    }
    if let Some(writer) = writer {
        writer.abort();
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
async fn print(flags: &Flags, cluster: &Cluster) -> Result<()> {
    fill(&connect(cluster).await?, flags.rows).await?;
    let Flags { lookups, rows, datanodes, .. } = flags;
    println!("{lookups} lookups of each kind, {rows} rows, {datanodes} datanodes");
    println!("{:32} {:>10} {:>10} {:>10}", "", "p50 ms", "p95 ms", "p99 ms");
    for case in CASES {
        let times = measure(cluster, case, flags).await?;
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(0.0);
        println!("{:32} {:10.3} {:10.3} {:10.3}", case.name, at(50), at(95), at(99));
    }
    Ok(())
}

async fn run(flags: &Flags) -> Result<()> {
    let directory = flags.directory.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::tempdir_in(directory)?;
    let options = ClusterOptions::local(directory.path(), Some(flags.datanodes), 4 << 30);
    let cluster = Cluster::start(options).await?;
    let printed = print(flags, &cluster).await;
    cluster.stop().await;
    printed
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    tokio::runtime::Runtime::new()?.block_on(run(&flags))
}
