//! Many clients at once: what ten get done beside what one does, and a short query alone and beside
//! a long one; with the datanodes in one process, then each in its own.
//!
//! `cargo bench --bench admission`

use std::{
    io::Cursor,
    pin::pin,
    time::{Duration, Instant},
};

use futures::SinkExt;
use kestrel::cluster::{Cluster, ClusterOptions, DatanodePlacement};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const ROWS: u32 = 2_000_000;
const CHUNK_ROWS: u32 = 10_000;
/// For each measurement.
const SPAN: Duration = Duration::from_secs(10);
const CLIENTS: usize = 10;

/// What the clients run for their throughput.
const USUAL: &str = "SELECT g, count(*), sum(v) FROM t GROUP BY g";
/// What should not have to wait: some 50 ms of work.
const SHORT: &str =
    "SELECT g, count(*), sum(v), min(k), max(k), avg(v) FROM t WHERE v % 3 < 2 GROUP BY g";
/// What it stands beside, some 10 s of work each; each is run again when it has ended.
const LONG: &[(&str, &str)] = &[
    (
        "a join of many pairs",
        "SELECT count(*) FROM t a JOIN t b ON a.g = b.g WHERE a.k < 200000 AND a.v + b.v < 0",
    ),
    (
        "an aggregate of many groups",
        "SELECT count(*) FROM (SELECT k, n, sum(v) FROM t, generate_series(1, 20) n GROUP BY k, n) x",
    ),
    ("a sort", "SELECT k FROM t, generate_series(1, 12) n ORDER BY v, k, n OFFSET 23999999"),
];

struct Bench {
    cluster: Cluster,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn start(placement: DatanodePlacement) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let options = ClusterOptions::local(directory.path(), Some(3), 4 << 30);
        let options = ClusterOptions { placement, ..options };
        let bench = Self { cluster: Cluster::start(options).await?, _directory: directory };
        bench.fill().await?;
        Ok(bench)
    }

    async fn client(&self) -> Result<Client> {
        let url = format!("postgres://kestrel@{}/kestrel", self.cluster.address());
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn fill(&self) -> Result<()> {
        let client = self.client().await?;
        client.batch_execute("CREATE TABLE t (k int, g int, v int) DISTRIBUTED BY (k)").await?;
        let mut sink = pin!(client.copy_in::<_, Cursor<Vec<u8>>>("COPY t FROM STDIN").await?);
        for from in (0..ROWS).step_by(CHUNK_ROWS as usize) {
            let line = |k: u32| format!("{k}\t{}\t{}\n", k % 1000, k.wrapping_mul(7919) % 10_007);
            let lines: String = (from..from + CHUNK_ROWS).map(line).collect();
            sink.send(Cursor::new(lines.into_bytes())).await?;
        }
        sink.finish().await?;
        Ok(())
    }

    /// Queries for each second, of so many clients.
    async fn throughput(&self, clients: usize) -> Result<f64> {
        let mut running = JoinSet::new();
        let started = Instant::now();
        for _ in 0..clients {
            let client = self.client().await?;
            running.spawn(async move {
                let mut count = 0u32;
                while started.elapsed() < SPAN {
                    client.simple_query(USUAL).await?;
                    count += 1;
                }
                Ok::<_, tokio_postgres::Error>(count)
            });
        }
        let mut count = 0;
        while let Some(ended) = running.join_next().await {
            count += ended??;
        }
        Ok(f64::from(count) / started.elapsed().as_secs_f64())
    }

    /// Median and 95th percentile of the short query's milliseconds.
    async fn short(&self) -> Result<(f64, f64)> {
        let client = self.client().await?;
        let (started, mut times) = (Instant::now(), vec![]);
        while started.elapsed() < SPAN {
            let began = Instant::now();
            client.simple_query(SHORT).await?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        Ok((times[times.len() / 2], times[times.len() * 95 / 100]))
    }

    async fn short_beside(&self, long: &'static str) -> Result<(f64, f64)> {
        let client = self.client().await?;
        let long = tokio::spawn(async move { while client.simple_query(long).await.is_ok() {} });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let times = self.short().await?;
        // Its client leaves, and the query ends.
        long.abort();
        Ok(times)
    }
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
async fn measure(name: &str, placement: DatanodePlacement) -> Result<()> {
    let bench = Bench::start(placement).await?;
    bench.throughput(1).await?;
    let (one, ten) = (bench.throughput(1).await?, bench.throughput(CLIENTS).await?);
    println!("{name}");
    println!("  1 client: {one:.1} queries/s; {CLIENTS} clients: {ten:.1} ({:.2})", ten / one);
    let (alone, high) = bench.short().await?;
    println!("  short alone: median {alone:.1} ms, 95 % {high:.1} ms");
    for (what, long) in LONG {
        let client = bench.client().await?;
        let began = Instant::now();
        client.simple_query(long).await?;
        println!("  {what} alone: {:.1} s", began.elapsed().as_secs_f64());
        let (beside, high) = bench.short_beside(long).await?;
        let ratio = beside / alone;
        println!("  beside {what}: median {beside:.1} ms ({ratio:.2}), 95 % {high:.1} ms");
    }
    bench.cluster.stop().await;
    Ok(())
}

fn main() -> Result<()> {
    let program = env!("CARGO_BIN_EXE_kestrel").into();
    let processes = DatanodePlacement::Processes { program, first_port: 0, first_metrics_port: 0 };
    tokio::runtime::Runtime::new()?.block_on(async {
        measure("one process, three datanodes", DatanodePlacement::OneProcess).await?;
        measure("three processes", processes).await
    })
}
