//! The settings of `kestrel coordinator` and `kestrel datanode`: flags, and the same names as keys
//! of a TOML file. A flag wins.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use kestrel_proto::rpc::{RpcSettings, TlsFiles};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    CommandError, Result,
    clients::parse_count,
    error::one_line,
    setting_values::{CacheSize, CompressionName, DatanodeCount, Listen, Size, Span},
    shards::{ShardArguments, ShardKind},
};

/// Settings of which some are given.
pub(crate) trait Settings: DeserializeOwned {
    /// The file that holds more of them.
    fn file(&self) -> Option<&Path>;

    /// What is not given is taken from `file`.
    fn or(self, file: Self) -> Self;

    /// Flags and file together.
    fn complete(self) -> Result<Self> {
        let Some(path) = self.file() else { return Ok(self) };
        let text = fs::read_to_string(path).map_err(|error| {
            CommandError::usage(format!("cannot read \"{}\": {error}", path.display()))
        })?;
        let file = toml::from_str(&text).map_err(|error| {
            // The line's number, not the line: somebody may have written a password there.
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or_else(String::new, |before| {
                    format!(" line {}", before.matches('\n').count() + 1)
                });
            let why = one_line(error.message());
            CommandError::usage(format!("in \"{}\"{line}: {why}", path.display()))
        })?;
        Ok(self.or(file))
    }
}

/// Declares settings once: as flags, as keys, and how a file completes flags.
macro_rules! settings {
    (
        $(#[$meta:meta])* $name:ident {
            $($(#[$field_meta:meta])* $field:ident: $kind:ty,)*
        }
        $(table $table:ident: $table_kind:ty)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, Args, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub(crate) struct $name {
            /// A TOML file with these settings: the flags' names are its keys
            #[arg(long)]
            #[serde(skip)]
            pub(crate) config: Option<PathBuf>,
            $($(#[$field_meta])* pub(crate) $field: Option<$kind>,)*
            $(#[command(flatten)] pub(crate) $table: $table_kind,)?
        }

        impl Settings for $name {
            fn file(&self) -> Option<&Path> {
                self.config.as_deref()
            }

            fn or(self, file: Self) -> Self {
                Self {
                    config: self.config,
                    $($field: self.$field.or(file.$field),)*
                    $($table: self.$table.or(file.$table),)?
                }
            }
        }
    };
}

settings! {
    /// Flags of `kestrel coordinator`.
    CoordinatorSettings {
        /// The coordinator's directory; created when it is not there
        #[arg(long)]
        data: PathBuf,
        /// How many datanodes a new cluster has [default: 3]
        #[arg(long)]
        datanodes: DatanodeCount,
        /// Where the rows of a new cluster's shards are [default: columnar]
        #[arg(long, value_enum)]
        shards: ShardKind,
        /// Where clients connect [default: 127.0.0.1:5433]
        #[arg(long)]
        listen: Listen,
        /// Where datanodes register [default: 127.0.0.1:5434]
        #[arg(long)]
        rpc_listen: Listen,
        /// Where metrics and health are shown [default: 127.0.0.1:9433]
        #[arg(long)]
        metrics_listen: Listen,
        /// Which clients may connect, and how: pg_hba.conf's rules [default: DATA/hba.conf]
        #[arg(long)]
        hba_file: PathBuf,
        /// The certificate that clients see (PEM); with --client-tls-key: they may encrypt
        #[arg(long)]
        client_tls_certificate: PathBuf,
        /// Its key (PEM)
        #[arg(long)]
        client_tls_key: PathBuf,
        /// Clients at once [default: 100]
        #[arg(long, value_parser = parse_count)]
        max_connections: usize,
        /// Of these, kept for superusers [default: 3]
        #[arg(long)]
        superuser_reserved_connections: usize,
        /// Clients that have not shown yet who they are, besides [default: 100]
        #[arg(long, value_parser = parse_count)]
        max_unauthenticated_connections: usize,
        /// How long that may take [default: 1min]
        #[arg(long)]
        authentication_timeout: Span,
        /// The longest message of a client [default: 1GB]
        #[arg(long)]
        max_message_size: Size,
        /// Queries that run at once [default: two for each core, but at least 8]
        #[arg(long, value_parser = parse_count)]
        max_running_queries: usize,
        /// Queries that wait until others have ended [default: 1000]
        #[arg(long)]
        max_queued_queries: usize,
        /// Memory of one query in each process, such as 1GB [default: whatever there is]
        #[arg(long)]
        query_memory_limit: Size,
        /// Write small and mostly deleted segments anew without VACUUM: true or false [default: true]
        #[arg(long)]
        auto_vacuum: bool,
        /// Between two looks at the tables for that [default: 1s]
        #[arg(long)]
        auto_vacuum_interval: Span,
        /// How much of them is read in a second, on average [default: 32MB]
        #[arg(long)]
        auto_vacuum_rate: Size,
        /// Memory for queries, such as 4GB [default: half of the machine's]
        #[arg(long)]
        memory_limit: Size,
        /// The file with the cluster's secret [default: DATA/secret, made when it is not there]
        #[arg(long)]
        secret_file: PathBuf,
        /// This process's certificate (PEM); with --tls-key and --tls-ca: mutual TLS
        #[arg(long)]
        tls_certificate: PathBuf,
        /// The certificate's key (PEM)
        #[arg(long)]
        tls_key: PathBuf,
        /// Who signed the certificates of all processes (PEM)
        #[arg(long)]
        tls_ca: PathBuf,
        /// Between two heartbeats to a datanode [default: 500ms]
        #[arg(long)]
        heartbeat_interval: Span,
        /// For the answer to a heartbeat [default: 1s]
        #[arg(long)]
        heartbeat_timeout: Span,
        /// A datanode that is silent for so long is down [default: 2500ms]
        #[arg(long)]
        datanode_timeout: Span,
        /// How long a read-only query waits for a datanode that it has lost [default: 1500ms]
        #[arg(long)]
        retry_wait: Span,
        /// To open a connection to a datanode [default: 1500ms]
        #[arg(long)]
        connect_timeout: Span,
        /// A quiet connection is probed after so long [default: 1s]
        #[arg(long)]
        keep_alive_interval: Span,
        /// And given up when no answer comes for so long [default: 1500ms]
        #[arg(long)]
        keep_alive_timeout: Span,
    }
}

settings! {
    /// Flags of `kestrel datanode`.
    DatanodeProcessSettings {
        /// Its name: dn1, dn2, …
        #[arg(long)]
        name: String,
        /// Its directory; created when it is not there
        #[arg(long)]
        data: PathBuf,
        /// Where the coordinator and other datanodes call it [default: 127.0.0.1, port 5440 + the
        /// number in its name]
        #[arg(long)]
        listen: Listen,
        /// What they call it by, host:port [default: where it listens]
        #[arg(long)]
        advertise: String,
        /// Where the coordinator lets datanodes register, host:port [default: 127.0.0.1:5434]
        #[arg(long)]
        coordinator: String,
        /// Where metrics and health are shown [default: 127.0.0.1, port 9440 + the number]
        #[arg(long)]
        metrics_listen: Listen,
        /// Memory for queries and cache, such as 4GB [default: half of the machine's]
        #[arg(long)]
        memory_limit: Size,
        /// The cache's part of it; 0: no cache [default: a quarter]
        #[arg(long)]
        cache_size: CacheSize,
        /// The file with the cluster's secret
        #[arg(long)]
        secret_file: PathBuf,
        /// This process's certificate (PEM); with --tls-key and --tls-ca: mutual TLS
        #[arg(long)]
        tls_certificate: PathBuf,
        /// The certificate's key (PEM)
        #[arg(long)]
        tls_key: PathBuf,
        /// Who signed the certificates of all processes (PEM)
        #[arg(long)]
        tls_ca: PathBuf,
        /// How many threads work on one operator [default: one for each core]
        #[arg(long)]
        partitions: usize,
        /// A coordinator that is silent for so long is gone, and its queries end [default: 4s]
        #[arg(long)]
        coordinator_timeout: Span,
        /// How long a receiver waits for a fragment that has not arrived [default: 30s]
        #[arg(long)]
        open_wait: Span,
        /// Rows on their way from one other datanode, for each motion [default: 1MB]
        #[arg(long)]
        remote_credit: Size,
        /// Rows that wait here for their receiver, for each stream [default: 4MB]
        #[arg(long)]
        stream_credit: Size,
        /// The same for all streams of a query; what is over it goes to disk [default: 64MB]
        #[arg(long)]
        query_budget: Size,
        /// Of rows that are sent to other processes: none or lz4 [default: none]
        #[arg(long, value_enum)]
        compression: CompressionName,
        /// To open a connection [default: 1500ms]
        #[arg(long)]
        connect_timeout: Span,
        /// A quiet connection is probed after so long [default: 1s]
        #[arg(long)]
        keep_alive_interval: Span,
        /// And given up when no answer comes for so long [default: 1500ms]
        #[arg(long)]
        keep_alive_timeout: Span,
        /// Stop when standard input ends
        #[arg(long, hide = true, num_args = 0, default_missing_value = "true")]
        stop_with_stdin: bool,
    }
    table shard: ShardArguments
}

/// The value, or that it is missing.
pub(crate) fn required<T>(value: Option<T>, flag: &str) -> Result<T> {
    value.ok_or_else(|| {
        CommandError::usage(format!("--{flag} is missing: give it, or write it into --config FILE"))
    })
}

/// All three files, or none.
pub(crate) fn tls_files(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    ca: Option<PathBuf>,
) -> Result<Option<TlsFiles>> {
    match (certificate, key, ca) {
        (None, None, None) => Ok(None),
        (Some(certificate), Some(key), Some(ca)) => Ok(Some(TlsFiles { certificate, key, ca })),
        _ => Err(CommandError::usage("--tls-certificate, --tls-key and --tls-ca go together")),
    }
}

/// The default bounds of calls, but for these.
pub(crate) fn rpc_settings(
    connect_timeout: Option<Span>,
    keep_alive_interval: Option<Span>,
    keep_alive_timeout: Option<Span>,
) -> RpcSettings {
    let default = RpcSettings::default();
    let or = |span: Option<Span>, default| span.map_or(default, |span| span.0);
    RpcSettings {
        connect_timeout: or(connect_timeout, default.connect_timeout),
        keep_alive_interval: or(keep_alive_interval, default.keep_alive_interval),
        keep_alive_timeout: or(keep_alive_timeout, default.keep_alive_timeout),
        ..default
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flag_wins_over_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("dn1.toml");
        let text = "name = 'dn1'\ndata = '/d'\nlisten = '10.0.0.2:5441'\nmemory-limit = '1GB'\n\
                    cache-size = '0'\ncoordinator-timeout = '9s'\ncompression = 'lz4'\n";
        fs::write(&file, text).unwrap();
        let flags = DatanodeProcessSettings {
            config: Some(file),
            memory_limit: Some(Size(5)),
            ..Default::default()
        };
        let settings = flags.complete().unwrap();
        assert_eq!(settings.name.as_deref(), Some("dn1"));
        assert_eq!(settings.memory_limit, Some(Size(5)));
        assert_eq!(settings.cache_size, Some(CacheSize(0)));
        assert_eq!(settings.coordinator_timeout, Some(Span(Duration::from_secs(9))));
        assert_eq!(settings.compression, Some(CompressionName::Lz4));
        assert_eq!(settings.coordinator, None);
        assert!(required(settings.coordinator, "coordinator").is_err());
    }

    #[test]
    fn a_wrong_file_is_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("c.toml");
        for (text, expected) in [
            ("dta = '/d'", "unknown field"),
            ("data = ", "in \""),
            ("heartbeat-interval = 'soon'", "'soon' is not a time such as 500ms or 2s"),
            ("heartbeat-interval = '0ms'", "'0ms' is not a time"),
            ("memory-limit = 'much'", "'much' is not an amount of memory"),
            ("datanodes = 0", "0 is not in 1..=64"),
            ("datanodes = -1", "-1 is not in 1..=64"),
            ("datanodes = 100000", "100000 is not in 1..=64"),
            ("listen = '5433'", "'5433' is not an address with a port"),
            ("datanodes = 3\nshards = 'oracle'", "c.toml\" line 2: unknown variant `oracle`"),
        ] {
            fs::write(&file, text).unwrap();
            let flags = CoordinatorSettings { config: Some(file.clone()), ..Default::default() };
            let error = flags.complete().unwrap_err();
            assert_eq!(error.exit_status(), 2);
            let error = error.to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn keys_say_what_flags_say() {
        let text = "datanodes = 64\nlisten = 'localhost:5433'\n";
        let settings: CoordinatorSettings = toml::from_str(text).unwrap();
        assert_eq!(settings.datanodes, Some(DatanodeCount(64)));
        assert_eq!(settings.listen.map(|listen| listen.0.port()), Some(5433));
        assert!(settings.listen.is_some_and(|listen| listen.0.ip().is_loopback()));
        let settings: DatanodeProcessSettings = toml::from_str("listen = 'localhost:1'").unwrap();
        assert_eq!(settings.listen, "localhost:1".parse::<Listen>().ok());
    }

    #[test]
    fn a_password_in_the_file_is_refused_and_not_printed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("dn1.toml");
        fs::write(&file, "name = 'dn1'\n[shard]\nkind = 'kes'\npassword = 'geheim'\n").unwrap();
        let flags = DatanodeProcessSettings { config: Some(file), ..Default::default() };
        let error = flags.complete().unwrap_err().to_string();
        assert!(error.contains("line 4: unknown field `password`"), "{error}");
        assert!(error.contains("`password-file`") && !error.contains("geheim"), "{error}");
    }

    /// The lines that are commented out, too.
    #[test]
    fn the_examples_are_understood() {
        let whole = |text: &str| text.replace("# tls-", "tls-");
        let coordinator = include_str!("../docs/examples/coordinator.toml");
        let settings: CoordinatorSettings = toml::from_str(&whole(coordinator)).unwrap();
        assert!(settings.data.is_some() && settings.tls_ca.is_some(), "{settings:?}");
        let datanode = include_str!("../docs/examples/datanode.toml");
        let settings: DatanodeProcessSettings = toml::from_str(&whole(datanode)).unwrap();
        assert!(settings.name.is_some() && settings.tls_ca.is_some(), "{settings:?}");
        let datanode = include_str!("../docs/examples/datanode-kes.toml");
        let datanode = datanode.replace("# sslmode", "sslmode").replace("# root-", "root-");
        let settings: DatanodeProcessSettings = toml::from_str(&datanode).unwrap();
        let database = settings.shard.database().unwrap().unwrap();
        assert_eq!(database.settings().address.to_string(), "db1:54321");
        let examples = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples")).unwrap();
        let examples = examples.map(|file| file.unwrap().path());
        let examples = examples.filter(|path| path.extension().is_some_and(|e| e == "toml"));
        assert_eq!(examples.count(), 3, "an example is not looked at here");
    }

    #[test]
    fn tls_is_all_or_nothing() {
        let file = || Some(PathBuf::from("f"));
        assert_eq!(tls_files(None, None, None).unwrap(), None);
        assert!(tls_files(file(), file(), file()).unwrap().is_some());
        assert!(tls_files(file(), None, file()).is_err());
    }
}
