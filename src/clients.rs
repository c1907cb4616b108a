//! Flags about clients: who may connect, how many, and where.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use kestrel_coordinator::{access::ClientTlsFiles, compaction::AutoVacuum, query::QueryLimits};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    CommandError, Result,
    cluster::{ClientOptions, Cluster},
    config::CoordinatorSettings,
    setting_values::{Size, Span},
    shutdown::Shutdown,
    up::DEFAULT_LISTEN,
};

/// With less, usual statements and rows would not pass.
const LEAST_MESSAGE_BYTES: usize = 1 << 20;
/// With less, hardly any query would get through.
const LEAST_QUERY_BYTES: u64 = 1 << 20;

/// Flags of `kestrel up` about clients; those of `kestrel coordinator` are the same.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ClientArguments {
    /// Which clients may connect, and how: pg_hba.conf's rules [default: DATA/hba.conf]
    #[arg(long)]
    hba_file: Option<PathBuf>,
    /// The certificate that clients see (PEM); with --client-tls-key: they may encrypt
    #[arg(long)]
    client_tls_certificate: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long)]
    client_tls_key: Option<PathBuf>,
    /// Clients at once [default: 100]
    #[arg(long, value_parser = parse_count)]
    max_connections: Option<usize>,
    /// Of these, kept for superusers [default: 3]
    #[arg(long)]
    superuser_reserved_connections: Option<usize>,
    /// Clients that have not shown yet who they are, besides [default: 100]
    #[arg(long, value_parser = parse_count)]
    max_unauthenticated_connections: Option<usize>,
    /// How long that may take [default: 1min]
    #[arg(long)]
    authentication_timeout: Option<Span>,
    /// The longest message of a client [default: 1GB]
    #[arg(long)]
    max_message_size: Option<Size>,
    /// Queries that run at once [default: two for each core, but at least 8]
    #[arg(long, value_parser = parse_count)]
    max_running_queries: Option<usize>,
    /// Queries that wait until others have ended [default: 1000]
    #[arg(long)]
    max_queued_queries: Option<usize>,
    /// Memory of one query in each process, such as 1GB [default: whatever there is]
    #[arg(long)]
    query_memory_limit: Option<Size>,
    /// Write small and mostly deleted segments anew without VACUUM: true or false [default: true]
    #[arg(long)]
    auto_vacuum: Option<bool>,
    /// Between two looks at the tables for that [default: 1s]
    #[arg(long)]
    auto_vacuum_interval: Option<Span>,
    /// How much of them is read in a second, on average [default: 32MB]
    #[arg(long)]
    auto_vacuum_rate: Option<Size>,
}

impl From<&CoordinatorSettings> for ClientArguments {
    fn from(settings: &CoordinatorSettings) -> Self {
        Self {
            hba_file: settings.hba_file.clone(),
            client_tls_certificate: settings.client_tls_certificate.clone(),
            client_tls_key: settings.client_tls_key.clone(),
            max_connections: settings.max_connections,
            superuser_reserved_connections: settings.superuser_reserved_connections,
            max_unauthenticated_connections: settings.max_unauthenticated_connections,
            authentication_timeout: settings.authentication_timeout,
            max_message_size: settings.max_message_size,
            max_running_queries: settings.max_running_queries,
            max_queued_queries: settings.max_queued_queries,
            query_memory_limit: settings.query_memory_limit,
            auto_vacuum: settings.auto_vacuum,
            auto_vacuum_interval: settings.auto_vacuum_interval,
            auto_vacuum_rate: settings.auto_vacuum_rate,
        }
    }
}

impl ClientArguments {
    /// With the defaults for what is not given.
    pub(crate) fn options(self) -> Result<ClientOptions> {
        let default = ClientOptions::default();
        let tls = match (self.client_tls_certificate, self.client_tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(ClientTlsFiles { certificate, key }),
            _ => {
                let text = "--client-tls-certificate and --client-tls-key go together";
                return Err(CommandError::usage(text));
            }
        };
        let max_connections = self.max_connections.unwrap_or(default.max_connections);
        // A low number of connections is not to be an error by itself.
        let reserved = default.reserved_connections.min(max_connections.saturating_sub(1));
        let reserved = self.superuser_reserved_connections.unwrap_or(reserved);
        if reserved >= max_connections {
            let text = "--superuser-reserved-connections must be less than --max-connections";
            return Err(CommandError::usage(text));
        }
        let max_message_bytes = self.max_message_size.map_or(default.max_message_bytes, |s| s.0);
        if max_message_bytes < LEAST_MESSAGE_BYTES {
            return Err(CommandError::usage("--max-message-size must be at least 1MB"));
        }
        let query_memory_bytes = self.query_memory_limit.map_or(0, |size| size.0 as u64);
        if self.query_memory_limit.is_some() && query_memory_bytes < LEAST_QUERY_BYTES {
            return Err(CommandError::usage("--query-memory-limit must be at least 1MB"));
        }
        let queries = default.queries;
        let queries = QueryLimits {
            max_running: self.max_running_queries.unwrap_or(queries.max_running),
            max_queued: self.max_queued_queries.unwrap_or(queries.max_queued),
            memory_bytes: query_memory_bytes,
        };
        let auto = default.auto_vacuum;
        let auto_vacuum = AutoVacuum {
            is_on: self.auto_vacuum.unwrap_or(auto.is_on),
            interval: self.auto_vacuum_interval.map_or(auto.interval, |span| span.0),
            bytes_per_second: self.auto_vacuum_rate.map_or(auto.bytes_per_second, |s| s.0 as u64),
        };
        Ok(ClientOptions {
            queries,
            auto_vacuum,
            rule_file: self.hba_file,
            tls,
            max_connections,
            reserved_connections: reserved,
            max_unauthenticated: self
                .max_unauthenticated_connections
                .unwrap_or(default.max_unauthenticated),
            authentication_timeout: self
                .authentication_timeout
                .map_or(default.authentication_timeout, |span| span.0),
            max_message_bytes,
        })
    }
}

/// A number of which there must be one.
pub(crate) fn parse_count(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("'{text}' is no number from 1"))
}

/// Others than this machine come in only by rules that somebody has written.
pub(crate) fn check_listen(
    listen: SocketAddr,
    options: &ClientOptions,
    data: &Path,
) -> Result<SocketAddr> {
    if listen.ip().is_loopback() || options.rules(data).exists() {
        return Ok(listen);
    }
    Err(CommandError::usage(format!(
        "refusing to listen on {listen}: there is no rule file that says who may connect; write \
         \"{}\" (or name one with --hba-file), or listen on a loopback address, such as \
         {DEFAULT_LISTEN}",
        data.join(kestrel_coordinator::access::RULE_FILE).display()
    )))
}

/// Serves until a signal ends it. SIGHUP reads the rule file again.
pub(crate) async fn serve(cluster: &Cluster, shutdown: &mut Shutdown) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|e| CommandError::failure(format!("cannot catch signals: {e}")))?;
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            _ = hangup.recv() => match cluster.reload() {
                Ok(()) => tracing::info!("the rule file was read again"),
                Err(error) => tracing::error!(%error, "the old rules stay"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_than_this_machine_need_a_rule_file() {
        let directory = tempfile::tempdir().unwrap();
        let options = ClientOptions::default();
        let listen = |text: &str| check_listen(text.parse().unwrap(), &options, directory.path());
        assert!(listen("127.0.0.1:1").is_ok());
        let error = listen("0.0.0.0:1").unwrap_err();
        assert_eq!(error.exit_status(), 2);
        assert!(error.to_string().contains("hba.conf\" (or name one"), "{error}");
        std::fs::write(directory.path().join("hba.conf"), "").unwrap();
        assert!(listen("0.0.0.0:1").is_ok());
        let missing = ClientOptions { rule_file: Some("/not/there".into()), ..options.clone() };
        assert!(check_listen(([0, 0, 0, 0], 1).into(), &missing, directory.path()).is_err());
    }

    #[test]
    fn flags_fit_together() {
        let options = |arguments: ClientArguments| arguments.options().map_err(|e| e.to_string());
        let default = options(ClientArguments::default()).unwrap();
        assert_eq!((default.max_connections, default.reserved_connections), (100, 3));
        let two = ClientArguments { max_connections: Some(2), ..Default::default() };
        assert_eq!(options(two.clone()).unwrap().reserved_connections, 1);
        let none_left = ClientArguments { superuser_reserved_connections: Some(2), ..two };
        assert!(options(none_left).unwrap_err().contains("less than --max-connections"));
        let little = ClientArguments { query_memory_limit: Some(Size(9)), ..Default::default() };
        assert!(options(little).unwrap_err().contains("at least 1MB"));
        let three = ClientArguments { max_running_queries: Some(3), ..Default::default() };
        assert_eq!(options(three).unwrap().queries.max_running, 3);
        let off = ClientArguments { auto_vacuum: Some(false), ..Default::default() };
        assert!(default.auto_vacuum.is_on && !options(off).unwrap().auto_vacuum.is_on);
        let key = ClientArguments { client_tls_key: Some("k".into()), ..Default::default() };
        assert!(options(key).unwrap_err().contains("go together"));
    }
}
