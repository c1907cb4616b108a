//! `kestrel coordinator`: a coordinator whose datanodes are started elsewhere.

use std::net::{Ipv4Addr, SocketAddr};

use kestrel_coordinator::cluster::ClusterSettings;
use kestrel_datanode::exchange::ExchangeSettings;

use crate::{
    Result,
    clients::{ClientArguments, check_listen, serve},
    cluster::{ClusterOptions, DatanodePlacement, NetworkOptions, ShardOptions},
    config::{CoordinatorSettings, Settings, required, rpc_settings, tls_files},
    memory::default_limit,
    output::Console,
    setting_values::{Listen, Span},
    shutdown::Shutdown,
    up::{PORT, RPC_PORT, is_up, start_cluster, stop_cluster},
};

/// Metrics and health of the coordinator.
pub(crate) const METRICS_PORT: u16 = 9433;

/// Serves until a signal comes.
pub(crate) async fn run_coordinator(
    settings: CoordinatorSettings,
    shutdown: &mut Shutdown,
) -> Result<()> {
    let console = Console::new();
    let cluster = start_cluster(options(settings.complete()?)?, shutdown).await?;
    if let Some(address) = cluster.rpc_address() {
        console.step(&format!("datanodes register at {address}"));
    }
    console.result(&is_up(cluster.address()));
    serve(&cluster, shutdown).await?;
    stop_cluster(cluster, shutdown, &console).await;
    Ok(())
}

fn options(settings: CoordinatorSettings) -> Result<ClusterOptions> {
    let listen = |given: Option<Listen>, port: u16| {
        given.map_or(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), |listen| listen.0)
    };
    let default = ClusterSettings::default();
    let or = |span: Option<Span>, default| span.map_or(default, |span| span.0);
    let cluster = ClusterSettings {
        heartbeat_interval: or(settings.heartbeat_interval, default.heartbeat_interval),
        heartbeat_timeout: or(settings.heartbeat_timeout, default.heartbeat_timeout),
        datanode_timeout: or(settings.datanode_timeout, default.datanode_timeout),
        retry_wait: or(settings.retry_wait, default.retry_wait),
    };
    let clients = ClientArguments::from(&settings).options()?;
    let network = NetworkOptions {
        rpc_listen: listen(settings.rpc_listen, RPC_PORT),
        secret_file: settings.secret_file,
        tls: tls_files(settings.tls_certificate, settings.tls_key, settings.tls_ca)?,
        rpc: rpc_settings(
            settings.connect_timeout,
            settings.keep_alive_interval,
            settings.keep_alive_timeout,
        ),
        cluster,
    };
    let data = required(settings.data, "data")?;
    Ok(ClusterOptions {
        listen: check_listen(listen(settings.listen, PORT), &clients, &data)?,
        clients,
        data,
        datanodes: settings.datanodes.map(|count| count.0),
        memory_limit: settings.memory_limit.map_or_else(default_limit, |size| size.0),
        cache_size: None,
        placement: DatanodePlacement::Elsewhere,
        shards: ShardOptions { kind: settings.shards, ..ShardOptions::default() },
        network,
        exchange: ExchangeSettings::default(),
        metrics_listen: Some(listen(settings.metrics_listen, METRICS_PORT)),
    })
}
