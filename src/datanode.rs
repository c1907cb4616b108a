//! `kestrel datanode`: one datanode of a cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use kestrel_datanode::exchange::ExchangeSettings;
use kestrel_proto::rpc::Compression;
use tokio::io::AsyncReadExt;

use crate::{
    CommandError, Result,
    cluster::{DatanodeOptions, DatanodeProcess},
    config::{DatanodeProcessSettings, Settings, required, rpc_settings, tls_files},
    memory::{check_cache, default_cache, default_limit},
    output::Console,
    setting_values::{CompressionName, Listen, Size},
    shutdown::Shutdown,
    up::{FIRST_DATANODE_PORT, FIRST_METRICS_PORT, RPC_PORT},
};

/// Longer than a datanode may be silent: what its coordinator gives up, it gives up a little later.
const COORDINATOR_TIMEOUT: Duration = Duration::from_secs(4);

/// Serves until a signal comes, or, for a child of `kestrel up`, until its parent goes.
pub(crate) async fn run_datanode(
    settings: DatanodeProcessSettings,
    shutdown: &mut Shutdown,
) -> Result<()> {
    let console = Console::new();
    let settings = settings.complete()?;
    let with_stdin = settings.stop_with_stdin.unwrap_or(false);
    let options = options(settings)?;
    let coordinator = options.coordinator.clone();
    console.step(&format!("registering with the coordinator at {coordinator}"));
    let start = async { Ok(DatanodeProcess::start(options).await?) };
    let process = tokio::select! {
        process = shutdown.unless_requested(start) => process?,
        () = stdin_ends(with_stdin) => return Ok(()),
    };
    console.result(&format!("{} is up: {}", process.name(), process.address()));
    tokio::select! {
        () = shutdown.requested() => {}
        () = stdin_ends(with_stdin) => {}
    }
    stop(process, shutdown, &console).await;
    Ok(())
}

/// Stops the datanode, which takes a few seconds at most; a second signal ends the wait.
async fn stop(process: DatanodeProcess, shutdown: &mut Shutdown, console: &Console) {
    tokio::select! {
        () = process.stop() => {}
        () = shutdown.requested() => console.step("not waiting for it to stop"),
    }
}

async fn stdin_ends(is_watched: bool) {
    if !is_watched {
        return std::future::pending().await;
    }
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 64];
    while matches!(stdin.read(&mut ignored).await, Ok(1..)) {}
}

fn options(settings: DatanodeProcessSettings) -> Result<DatanodeOptions> {
    let name = required(settings.name, "name")?;
    let number = number(&name)?;
    let listen = |given: Option<Listen>, first: u16| {
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, first - 1 + number));
        given.map_or(usual, |listen| listen.0)
    };
    let default = ExchangeSettings::default();
    let bytes = |size: Option<Size>, default| size.map_or(default, |s| s.0 as u64);
    let exchange = ExchangeSettings {
        stream_credit_bytes: bytes(settings.stream_credit, default.stream_credit_bytes),
        query_budget_bytes: bytes(settings.query_budget, default.query_budget_bytes),
        remote_credit_bytes: bytes(settings.remote_credit, default.remote_credit_bytes),
        open_wait: settings.open_wait.map_or(default.open_wait, |span| span.0),
        ..default
    };
    let memory_limit = settings.memory_limit.map_or_else(default_limit, |size| size.0);
    let cache_size = settings.cache_size.map(|size| size.0);
    check_cache(cache_size, memory_limit)?;
    Ok(DatanodeOptions {
        data: required(settings.data, "data")?,
        listen: listen(settings.listen, FIRST_DATANODE_PORT),
        advertise: settings.advertise,
        coordinator: settings.coordinator.unwrap_or_else(|| format!("127.0.0.1:{RPC_PORT}")),
        secret_file: required(settings.secret_file, "secret-file")?,
        tls: tls_files(settings.tls_certificate, settings.tls_key, settings.tls_ca)?,
        shard: settings.shard.database()?,
        memory_limit,
        cache_size: cache_size.unwrap_or_else(|| default_cache(memory_limit)),
        partitions: settings.partitions.map(|partitions| partitions.max(1)),
        compression: match settings.compression {
            Some(CompressionName::Lz4) => Compression::Lz4,
            Some(CompressionName::None) | None => Compression::None,
        },
        rpc: rpc_settings(
            settings.connect_timeout,
            settings.keep_alive_interval,
            settings.keep_alive_timeout,
        ),
        exchange,
        coordinator_timeout: settings.coordinator_timeout.map_or(COORDINATOR_TIMEOUT, |s| s.0),
        metrics_listen: Some(listen(settings.metrics_listen, FIRST_METRICS_PORT)),
        name,
    })
}

/// 1 for `dn1`.
fn number(name: &str) -> Result<u16> {
    let number = name.strip_prefix("dn").and_then(|number| number.parse().ok());
    number.filter(|number| (1..=1000).contains(number)).ok_or_else(|| {
        CommandError::usage(format!("'{name}' is not the name of a datanode, such as dn1"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_follow_the_name() {
        let settings = DatanodeProcessSettings {
            name: Some("dn3".into()),
            data: Some("d".into()),
            secret_file: Some("s".into()),
            ..Default::default()
        };
        let options = options(settings).unwrap();
        assert_eq!(options.listen.port(), 5443);
        assert_eq!(options.metrics_listen.map(|listen| listen.port()), Some(9443));
        assert_eq!(options.coordinator, "127.0.0.1:5434");
        assert_eq!(options.cache_size, options.memory_limit / 4);
        for name in ["", "dn", "dn0", "dn1001", "node1", "dn-1"] {
            assert!(number(name).is_err(), "{name}");
        }
    }
}
