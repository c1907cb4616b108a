//! `kestrel up`: a cluster that serves until it is told to stop; and what `demo` shares with it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kestrel_datanode::exchange::ExchangeSettings;

use crate::clients::{ClientArguments, check_listen, serve};
use crate::cluster::{Cluster, ClusterOptions, DatanodePlacement, NetworkOptions, ShardOptions};
use crate::coordinator::METRICS_PORT;
use crate::memory::{check_cache, default_limit, parse_size};
use crate::output::Console;
use crate::setting_values::{CacheSize, DatanodeCount};
use crate::shards::ShardKind;
use crate::shutdown::Shutdown;
use crate::{CommandError, Result};

/// Where clients connect.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:5433";
/// The same port.
pub(crate) const PORT: u16 = 5433;
/// Where datanodes register.
pub(crate) const RPC_PORT: u16 = 5434;
/// Where dn1 is called; dn2 on the next port.
pub(crate) const FIRST_DATANODE_PORT: u16 = 5441;
/// Where dn1 shows metrics and health.
pub(crate) const FIRST_METRICS_PORT: u16 = 9441;
/// A cluster that has not stopped by then is left to the end of the process.
const STOP_WAIT_MAX: Duration = Duration::from_secs(20);

/// Flags of `kestrel up`.
#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    /// The cluster's directory; created when it is not there
    #[arg(long)]
    data: PathBuf,
    /// How many datanodes; an existing directory keeps its own number [default in a new one: 3]
    #[arg(long)]
    datanodes: Option<DatanodeCount>,
    /// Where clients connect
    #[arg(long, default_value = DEFAULT_LISTEN, value_parser = parse_listen)]
    listen: SocketAddr,
    /// Memory for queries and cache, such as 4GB [default: half of the machine's]
    #[arg(long, value_parser = parse_size)]
    memory_limit: Option<usize>,
    /// The cache's part of it; 0: no cache [default: a quarter]
    #[arg(long)]
    cache_size: Option<CacheSize>,
    /// Every datanode in a process of its own
    #[arg(long)]
    processes: bool,
    /// Where metrics and health are shown [default: 127.0.0.1:9433, or any free port when
    /// --listen is not the default]
    #[arg(long, value_parser = parse_listen)]
    metrics_listen: Option<SocketAddr>,
    #[command(flatten)]
    clients: ClientArguments,
    #[command(flatten)]
    shards: ShardsArgument,
}

/// What the shards of `up` and `demo` are.
#[derive(Debug, Args)]
pub(crate) struct ShardsArgument {
    /// Where the shards' rows are: columnar files, or PostgreSQL databases (kes) whose servers are
    /// started in the cluster's directory [default in a new one: columnar]
    #[arg(long, value_enum)]
    shards: Option<ShardKind>,
}

impl ShardsArgument {
    /// As a cluster is started with them.
    pub(crate) fn options(&self) -> ShardOptions {
        ShardOptions { kind: self.shards, ..ShardOptions::default() }
    }
}

/// Starts the cluster and waits for a signal.
pub(crate) async fn run_up(arguments: UpArguments, shutdown: &mut Shutdown) -> Result<()> {
    let console = Console::new();
    let memory_limit = arguments.memory_limit.unwrap_or_else(default_limit);
    let cache_size = arguments.cache_size.map(|size| size.0);
    check_cache(cache_size, memory_limit)?;
    let clients = arguments.clients.options()?;
    let options = ClusterOptions {
        listen: check_listen(arguments.listen, &clients, &arguments.data)?,
        clients,
        data: arguments.data,
        datanodes: arguments.datanodes.map(|count| count.0),
        memory_limit,
        cache_size,
        placement: placement(arguments.processes, arguments.listen)?,
        shards: arguments.shards.options(),
        network: network(arguments.listen),
        exchange: ExchangeSettings::default(),
        metrics_listen: Some(arguments.metrics_listen.unwrap_or(metrics(arguments.listen))),
    };
    let cluster = start_cluster(options, shutdown).await?;
    console.result(&is_up(cluster.address()));
    serve(&cluster, shutdown).await?;
    stop_cluster(cluster, shutdown, &console).await;
    Ok(())
}

/// The other ports are the usual ones when the clients' is; else any free ones, so that several
/// clusters can share a machine.
fn beside(listen: SocketAddr, port: u16) -> u16 {
    if listen.port() == PORT { port } else { 0 }
}

/// Where the datanodes of `up` and `demo` are.
pub(crate) fn placement(processes: bool, listen: SocketAddr) -> Result<DatanodePlacement> {
    if !processes {
        return Ok(DatanodePlacement::OneProcess);
    }
    let program = std::env::current_exe()
        .map_err(|e| CommandError::failure(format!("cannot find the kestrel program: {e}")))?;
    Ok(DatanodePlacement::Processes {
        program,
        first_port: beside(listen, FIRST_DATANODE_PORT),
        first_metrics_port: beside(listen, FIRST_METRICS_PORT),
    })
}

/// Where the datanodes of `up` and `demo` register.
pub(crate) fn network(listen: SocketAddr) -> NetworkOptions {
    let rpc_listen = SocketAddr::new(inside(listen), beside(listen, RPC_PORT));
    NetworkOptions { rpc_listen, ..NetworkOptions::default() }
}

/// Where the coordinator of `up` and `demo` shows metrics and health.
pub(crate) fn metrics(listen: SocketAddr) -> SocketAddr {
    SocketAddr::new(inside(listen), beside(listen, METRICS_PORT))
}

/// What is not for clients stays on this machine, wherever they come from.
fn inside(listen: SocketAddr) -> IpAddr {
    if listen.ip().is_loopback() { listen.ip() } else { Ipv4Addr::LOCALHOST.into() }
}

/// Starts a cluster, or stops trying when a signal comes.
pub(crate) async fn start_cluster(
    options: ClusterOptions,
    shutdown: &mut Shutdown,
) -> Result<Cluster> {
    shutdown.unless_requested(async { Ok(Cluster::start(options).await?) }).await
}

/// Stops the cluster; a second signal, or a long time, ends the wait.
pub(crate) async fn stop_cluster(cluster: Cluster, shutdown: &mut Shutdown, console: &Console) {
    console.step("stopping");
    tokio::select! {
        () = cluster.stop() => console.step("stopped"),
        () = tokio::time::sleep(STOP_WAIT_MAX) => console.step("it does not stop: leaving it"),
        () = shutdown.requested() => console.step("not waiting for it to stop"),
    }
}

/// What to type next.
pub(crate) fn is_up(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("Kestrel is up: psql -h {host} -p {port} -U kestrel kestrel")
}

/// `127.0.0.1:5433`, `[::1]:5433`, `localhost:5433`.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let addresses = text.to_socket_addrs().ok();
    let first = addresses.and_then(|mut addresses| addresses.next());
    first.ok_or_else(|| format!("'{text}' is not an address with a port, such as {DEFAULT_LISTEN}"))
}

/// The demo asks nobody for a password, so nobody from outside may come.
pub(crate) fn check_loopback(listen: SocketAddr) -> Result<SocketAddr> {
    if listen.ip().is_loopback() {
        return Ok(listen);
    }
    Err(CommandError::usage(format!(
        "refusing to listen on {listen}: the demo asks for no password, so only a loopback address will do, \
         such as {DEFAULT_LISTEN}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_listened_on() {
        for (text, accepted) in [
            ("127.0.0.1:5433", true),
            ("127.8.8.8:1", true),
            ("[::1]:0", true),
            ("localhost:5433", true),
            ("0.0.0.0:5433", false),
            ("[::]:5433", false),
            ("192.0.2.1:5433", false),
            ("5433", false),
            ("127.0.0.1", false),
            ("127.0.0.1:99999", false),
            ("", false),
        ] {
            let result = parse_listen(text).map(|listen| check_loopback(listen).is_ok());
            assert_eq!(result.unwrap_or(false), accepted, "{text}");
        }
    }
}
