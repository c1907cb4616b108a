//! `kestrel demo`: a cluster, the data of TPC-H, its 22 queries with their answers checked, and
//! then a server to play with.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use kestrel_datanode::exchange::ExchangeSettings;

use crate::client::Client;
use crate::cluster::{ClientOptions, Cluster, ClusterOptions};
use crate::memory::default_limit;
use crate::output::Console;
use crate::setting_values::DatanodeCount;
use crate::shutdown::Shutdown;
use crate::tpch::{self, Expected, Layout, RunReport, parse_scale, report};
use crate::up::{
    DEFAULT_LISTEN, ShardsArgument, check_loopback, is_up, metrics, network, parse_listen,
    placement, start_cluster, stop_cluster,
};
use crate::{CommandError, Result};

/// Flags of `kestrel demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// How many datanodes [default: 3, or as many as the directory has]
    #[arg(long)]
    datanodes: Option<DatanodeCount>,
    /// How much data: 1 is about 1 GB
    #[arg(long, default_value = "0.1", allow_negative_numbers = true, value_parser = parse_scale)]
    scale: f64,
    /// The cluster's directory, kept afterwards [default: a temporary one]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where clients connect
    #[arg(long, default_value = DEFAULT_LISTEN, value_parser = parse_listen)]
    listen: SocketAddr,
    /// Stop after the queries
    #[arg(long)]
    exit: bool,
    /// Every datanode in a process of its own
    #[arg(long)]
    processes: bool,
    #[command(flatten)]
    shards: ShardsArgument,
}

/// Shows what Kestrel does. An error when an answer is wrong.
pub(crate) async fn run_demo(arguments: DemoArguments, shutdown: &mut Shutdown) -> Result<()> {
    let console = Console::new();
    let listen = check_loopback(arguments.listen)?;
    // Removed when it is dropped, at the end of this function.
    let temporary = match arguments.data {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("kestrel-demo.").tempdir().map_err(|e| {
            CommandError::failure(format!("cannot make a temporary directory: {e}"))
        })?),
    };
    let data = match (&arguments.data, &temporary) {
        (Some(data), _) => data.clone(),
        (None, Some(temporary)) => temporary.path().to_path_buf(),
        (None, None) => PathBuf::new(),
    };
    console.step(&format!("starting a coordinator and its datanodes in {}", data.display()));
    let options = ClusterOptions {
        data,
        datanodes: arguments.datanodes.map(|count| count.0),
        listen,
        clients: ClientOptions::default(),
        memory_limit: default_limit(),
        cache_size: None,
        placement: placement(arguments.processes, listen)?,
        shards: arguments.shards.options(),
        network: network(listen),
        exchange: ExchangeSettings::default(),
        metrics_listen: Some(metrics(listen)),
    };
    let cluster = start_cluster(options, shutdown).await?;
    let shown = shutdown.unless_requested(show(&cluster, arguments.scale, &console)).await;
    // A wrong answer is something to look at, so the server stays; a demo that failed is not.
    let stays = shown.is_ok() && !arguments.exit;
    let result = shown.and_then(|run_report| report::verdict(&run_report, &console));
    if stays {
        console.result(&is_up(cluster.address()));
        console.step("Ctrl-C stops it");
        shutdown.requested().await;
    }
    stop_cluster(cluster, shutdown, &console).await;
    result
}

async fn show(cluster: &Cluster, scale: f64, console: &Console) -> Result<RunReport> {
    let url = format!("postgres://kestrel@{}/kestrel", cluster.address());
    let mut client = Client::connect(&url).await?;
    let datanodes = client.query("SELECT count(*) FROM kestrel.datanodes").await;
    if let Some(count) = datanodes.ok().and_then(|answer| answer.rows.into_iter().flatten().next())
    {
        console.step(&format!("{} datanodes are up", count.unwrap_or_default()));
    }
    if tpch::is_loaded(&mut client, scale).await? {
        console.step(&format!("TPC-H at scale {scale} is there already"));
    } else {
        console.step(&format!("loading TPC-H at scale {scale}"));
        let loaded = tpch::load(&url, scale, Layout::Usual, console).await?;
        console.step(&format!("loaded {} rows in {:.1} s", loaded.rows, loaded.seconds));
    }
    let expected = Expected::at_scale(scale, console).await?;
    let table = report::Table::begin(console);
    let run_report = tpch::run(&mut client, scale, Some(&expected), |q| table.line(q)).await?;
    table.end(&run_report);
    Ok(run_report)
}
