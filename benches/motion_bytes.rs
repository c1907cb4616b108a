//! Bytes that leave datanodes in the 22 queries of TPC-H, as EXPLAIN ANALYZE tells them, on a cluster in
//! this process; with `--overhead` also what EXPLAIN ANALYZE costs.
//!
//! `cargo bench --bench motion_bytes -- --scale 1 --overhead`
//!
//! A row that stays on its datanode does not leave it, and the rows of the answer have to: they are not
//! counted. Bytes are those of the values, not compressed.

use std::{path::PathBuf, time::Instant};

use clap::Parser;
use kestrel::{
    client::Client,
    cluster::{Cluster, ClusterOptions},
    output::Console,
    tpch::{Layout, QUERIES, Query, load},
};
use serde_json::Value;

/// The command's: datanodes and coordinator are in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Wanted of all queries together, and of those whose joins can all be where the rows are.
const WANTED_MB: f64 = 60.0;
const WANTED_LOCAL_MB: f64 = 0.2;
const LOCAL: [usize; 5] = [1, 4, 6, 12, 21];

#[derive(Parser)]
struct Flags {
    /// Of TPC-H
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// That have the rows
    #[arg(long, default_value_t = 4)]
    datanodes: u32,
    /// Runs every query with and without EXPLAIN ANALYZE, by turns, and prints the ratio
    #[arg(long)]
    overhead: bool,
    /// For `--overhead`: how often each way
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Where the cluster is, for as long as it runs [default: TMPDIR]
    #[arg(long)]
    directory: Option<PathBuf>,
    /// What cargo gives to every benchmark
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

/// Bytes that left datanodes.
#[derive(Clone, Copy, Default)]
struct Left {
    /// For other datanodes.
    datanodes: u64,
    /// For the coordinator, without the rows of the answer.
    coordinator: u64,
}

impl Left {
    fn add(&mut self, other: Self) {
        self.datanodes += other.datanodes;
        self.coordinator += other.coordinator;
    }

    fn megabytes(self) -> f64 {
        (self.datanodes + self.coordinator) as f64 / 1e6
    }
}

/// What the motions of a plan and of its init plans moved.
fn moved(plan: &Value) -> Left {
    let mut left = Left::default();
    if let Some(bytes) = plan["Bytes Moved"].as_u64() {
        match plan["Node Type"].as_str().is_some_and(|node| node.starts_with("Gather")) {
            true => left.coordinator += bytes,
            false => left.datanodes += bytes,
        }
    }
    plan["Plans"].as_array().into_iter().flatten().for_each(|input| left.add(moved(input)));
    left
}

/// Whether the rows that a plan gives are those that a Gather has brought: the coordinator sorts and
/// cuts them at most.
fn hands_on(plan: &Value) -> bool {
    let node = plan["Node Type"].as_str().unwrap_or_default();
    if node.starts_with("Gather") {
        return true;
    }
    let is_init = |input: &&Value| input["Parent Relationship"] == "InitPlan";
    let mut inputs = plan["Plans"].as_array().into_iter().flatten().filter(|i| !is_init(i));
    ["Sort", "Limit", "Result"].contains(&node) && inputs.next().is_some_and(hands_on)
}

/// Of a document of EXPLAIN (ANALYZE, FORMAT JSON).
fn left(document: &Value) -> Result<Left> {
    let plan = &document["Plan"];
    let result = document["Result Bytes"].as_u64().ok_or("EXPLAIN does not tell Result Bytes")?;
    let mut left = moved(plan);
    if hands_on(plan) {
        left.coordinator = left.coordinator.saturating_sub(result);
    }
    Ok(left)
}

fn explained(query: &Query) -> String {
    format!("EXPLAIN (ANALYZE, FORMAT JSON) {}", query.sql)
}

async fn analyzed(client: &mut Client, query: &Query) -> Result<Value> {
    let answer = client.query(&explained(query)).await?;
    let text = answer.rows.into_iter().flatten().flatten().next().unwrap_or_default();
    let mut documents: Value = serde_json::from_str(&text)?;
    Ok(documents[0].take())
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
async fn print_bytes(client: &mut Client) -> Result<()> {
    println!("MB that left a datanode, without the rows of the answers");
    println!("{:>5} {:>12} {:>12} {:>10}  wanted", "query", "datanodes", "coordinator", "all");
    let mut sum = Left::default();
    for query in &QUERIES {
        let left = left(&analyzed(client, query).await?)?;
        sum.add(left);
        let wanted = match LOCAL.contains(&query.number) {
            true => verdict(left.megabytes(), WANTED_LOCAL_MB),
            false => String::new(),
        };
        println!("{:>5} {}  {wanted}", query.number, cells(left));
    }
    println!("{:>5} {}  {}", "sum", cells(sum), verdict(sum.megabytes(), WANTED_MB));
    Ok(())
}

fn cells(left: Left) -> String {
    let Left { datanodes, coordinator } = left;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    format!(
        "{:12.3} {:12.3} {:10.3}",
        megabytes(datanodes),
        megabytes(coordinator),
        left.megabytes()
    )
}

fn verdict(found: f64, wanted: f64) -> String {
    format!("<= {wanted}{}", if found <= wanted { "" } else { ": missed" })
}

async fn milliseconds(client: &mut Client, sql: &str) -> Result<f64> {
    let began = Instant::now();
    client.query(sql).await?;
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

/// Both ways by turns, so that what else changes with time changes for both; which one begins changes,
/// too.
#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
async fn print_overhead(client: &mut Client, rounds: usize) -> Result<()> {
    println!("{:>5} {:>12} {:>16} {:>7}", "query", "plain ms", "EXPLAIN ANALYZE", "ratio");
    let (mut all, mut of_queries) = (Vec::new(), Vec::new());
    for query in &QUERIES {
        let explain = explained(query);
        let (mut plain_ms, mut explain_ms, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=rounds {
            let (plain, explained) = if round % 2 == 0 {
                let plain = milliseconds(client, query.sql).await?;
                (plain, milliseconds(client, &explain).await?)
            } else {
                let explained = milliseconds(client, &explain).await?;
                (milliseconds(client, query.sql).await?, explained)
            };
            // The first round fills caches, and keeps both plans.
            if round > 0 {
                plain_ms.push(plain);
                explain_ms.push(explained);
                ratios.push(explained / plain);
            }
        }
        all.extend_from_slice(&ratios);
        let ratio = median(ratios);
        of_queries.push(ratio);
        let (plain, explained) = (median(plain_ms), median(explain_ms));
        println!("{:>5} {plain:12.2} {explained:16.2} {ratio:7.3}", query.number);
    }
    println!(
        "median ratio of all pairs {:.3}, of the queries {:.3}",
        median(all),
        median(of_queries)
    );
    println!("wanted <= 1.05");
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle) {
        None => f64::NAN,
        Some(value) if values.len() % 2 == 1 => *value,
        Some(value) => (values[middle - 1] + value) / 2.0,
    }
}

#[allow(clippy::print_stdout, reason = "the result of the benchmark")]
async fn print(flags: &Flags, cluster: &Cluster) -> Result<()> {
    let url = format!("postgres://kestrel@{}/kestrel", cluster.address());
    let loaded = load(&url, flags.scale, Layout::Usual, &Console::silent()).await?;
    let mut client = Client::connect(&url).await?;
    client.execute("ANALYZE").await?;
    println!("scale {}, {} datanodes, {} rows", flags.scale, flags.datanodes, loaded.rows);
    print_bytes(&mut client).await?;
    if flags.overhead {
        print_overhead(&mut client, flags.rounds).await?;
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
