//! The settings of a datanode's shard: flags `--shard-…`, and keys of the table `[shard]`.

use std::path::PathBuf;

use clap::Args;
use kestrel_datanode::shard::kes::session::{Address, KesSettings, SslMode};
use serde::Deserialize;

use super::{PasswordSource, ShardDatabase, ShardKind};
use crate::{
    CommandError, Result,
    clients::parse_count,
    setting_values::{Encryption, Span},
};

/// PostgreSQL's usual port; KingbaseES has 54321.
const DEFAULT_PORT: u16 = 5432;
/// Database and user, when they are not named.
const DEFAULT_NAME: &str = "kestrel";

/// Declares each setting once: as a flag, as a key, and how a file completes flags.
macro_rules! shard_settings {
    ($($(#[$meta:meta])* $field:ident: $kind:ty,)*) => {
        /// Flags of `kestrel datanode` about its shard.
        #[derive(Clone, Debug, Default, PartialEq, Args, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct ShardArguments {
            $($(#[$meta])* #[arg(long)] pub(crate) $field: Option<$kind>,)*
        }

        impl ShardArguments {
            /// What is not given is taken from `file`.
            pub(crate) fn or(self, file: Self) -> Self {
                Self { $($field: self.$field.or(file.$field),)* }
            }

            /// The first that is given, but for the kind.
            fn first_given(&self) -> Option<String> {
                let given = [$((stringify!($field), self.$field.is_some()),)*];
                let first = given.iter().find(|(name, is)| *is && *name != "shard_kind");
                first.map(|(name, _)| format!("--{}", name.replace('_', "-")))
            }
        }
    };
}

shard_settings! {
    /// Where the shard's rows are [default: columnar]
    #[arg(value_enum)]
    #[serde(rename = "kind")]
    shard_kind: ShardKind,
    /// The host of the shard's database, or the directory of its Unix socket
    #[serde(rename = "host")]
    shard_host: String,
    /// Its port [default: 5432; KingbaseES usually has 54321]
    #[serde(rename = "port")]
    shard_port: u16,
    /// The database's name [default: kestrel]
    #[serde(rename = "database")]
    shard_database: String,
    /// The user's name [default: kestrel]
    #[serde(rename = "user")]
    shard_user: String,
    /// The file with the user's password, which only its owner may read
    #[serde(rename = "password-file")]
    shard_password_file: PathBuf,
    /// Or the environment variable with it
    #[serde(rename = "password-env")]
    shard_password_env: String,
    /// Whether the connection is encrypted: disable, require or verify-full [default: disable]
    #[arg(value_enum)]
    #[serde(rename = "sslmode")]
    shard_sslmode: Encryption,
    /// Whose certificates are believed (PEM)
    #[serde(rename = "root-certificates")]
    shard_root_certificates: PathBuf,
    /// Sessions with the database at a time [default: 32]
    #[arg(value_parser = parse_count)]
    #[serde(rename = "sessions")]
    shard_sessions: usize,
    /// How long a statement waits while all of them are in use [default: 30s]
    #[serde(rename = "session-wait")]
    shard_session_wait: Span,
    /// A session that is not used for so long is closed [default: 5min]
    #[serde(rename = "idle-timeout")]
    shard_idle_timeout: Span,
    /// For a new session [default: 5s]
    #[serde(rename = "connect-timeout")]
    shard_connect_timeout: Span,
    /// How long a statement waits for a database that is being restarted [default: 1500ms]
    #[serde(rename = "restart-wait")]
    shard_restart_wait: Span,
    /// For the database to end a statement that nobody waits for any more [default: 5s]
    #[serde(rename = "cancel-timeout")]
    shard_cancel_timeout: Span,
    /// How long a statement waits for a lock in the database [default: 10s]
    #[serde(rename = "lock-timeout")]
    shard_lock_timeout: Span,
    /// A connection that is quiet for so long is probed [default: 5s]
    #[serde(rename = "keep-alive-idle")]
    shard_keep_alive_idle: Span,
    /// And probed again after so long [default: 1s]
    #[serde(rename = "keep-alive-interval")]
    shard_keep_alive_interval: Span,
    /// So often, until it is given up [default: 5]
    #[serde(rename = "keep-alive-probes")]
    shard_keep_alive_probes: u32,
}

impl ShardArguments {
    /// The database that they name; `None`: files.
    pub(crate) fn database(self) -> Result<Option<ShardDatabase>> {
        match self.shard_kind.unwrap_or_default() {
            ShardKind::Columnar => match self.first_given() {
                None => Ok(None),
                Some(flag) => {
                    Err(CommandError::usage(format!("{flag} is for --shard-kind kes only")))
                }
            },
            ShardKind::Kes => self.of_kes().map(Some),
        }
    }

    fn of_kes(self) -> Result<ShardDatabase> {
        let host = self.shard_host.filter(|host| !host.is_empty()).ok_or_else(|| {
            CommandError::usage("--shard-host is missing: where is the shard's database?")
        })?;
        let password = match (self.shard_password_file, self.shard_password_env) {
            (None, None) => PasswordSource::None,
            (Some(file), None) => PasswordSource::File(file),
            (None, Some(variable)) => PasswordSource::Environment(variable),
            (Some(_), Some(_)) => {
                let text = "give --shard-password-file or --shard-password-env, not both";
                return Err(CommandError::usage(text));
            }
        };
        let name = |given: Option<String>| given.unwrap_or_else(|| DEFAULT_NAME.into());
        let (database, user) = (name(self.shard_database), name(self.shard_user));
        let address = Address::new(&host, self.shard_port.unwrap_or(DEFAULT_PORT));
        let default = ShardDatabase::new(address, &database, &user, PasswordSource::None);
        let default = default.settings().clone();
        let or = |span: Option<Span>, default| span.map_or(default, |span| span.0);
        let settings = KesSettings {
            ssl_mode: match self.shard_sslmode {
                Some(Encryption::Disable) => SslMode::Disable,
                Some(Encryption::Require) => SslMode::Require,
                Some(Encryption::VerifyFull) => SslMode::VerifyFull,
                None => default.ssl_mode,
            },
            root_certificates: self.shard_root_certificates,
            sessions_max: self.shard_sessions.unwrap_or(default.sessions_max).max(1),
            session_wait: or(self.shard_session_wait, default.session_wait),
            idle_timeout: or(self.shard_idle_timeout, default.idle_timeout),
            connect_timeout: or(self.shard_connect_timeout, default.connect_timeout),
            restart_wait: or(self.shard_restart_wait, default.restart_wait),
            cancel_timeout: or(self.shard_cancel_timeout, default.cancel_timeout),
            lock_timeout: or(self.shard_lock_timeout, default.lock_timeout),
            keep_alive_idle: or(self.shard_keep_alive_idle, default.keep_alive_idle),
            keep_alive_interval: or(self.shard_keep_alive_interval, default.keep_alive_interval),
            keep_alive_probes: self.shard_keep_alive_probes.unwrap_or(default.keep_alive_probes),
            ..default
        };
        if settings.ssl_mode == SslMode::VerifyFull && settings.root_certificates.is_none() {
            let text = "--shard-sslmode verify-full needs --shard-root-certificates";
            return Err(CommandError::usage(text));
        }
        Ok(ShardDatabase::of(settings, password))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        shard: ShardArguments,
    }

    fn database(flags: &[String]) -> Result<Option<ShardDatabase>> {
        let flags = std::iter::once("kestrel".to_string()).chain(flags.iter().cloned());
        Flags::try_parse_from(flags).unwrap_or_else(|e| panic!("{e}")).shard.database()
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_string).collect()
    }

    #[test]
    fn what_a_child_is_told_is_what_was_given() {
        for flags in [
            "--shard-host /run/kes --shard-user u --shard-password-env SECRET",
            "--shard-host db1 --shard-port 54321 --shard-database d --shard-sessions 3",
            "--shard-host ::1 --shard-sslmode verify-full --shard-root-certificates /ca.pem \
             --shard-password-file /p --shard-lock-timeout 3s --shard-keep-alive-probes 9",
        ] {
            let flags = words(&format!("--shard-kind kes {flags}"));
            let given = database(&flags).unwrap().unwrap();
            let told = database(&given.arguments()).unwrap().unwrap();
            assert_eq!(format!("{told:?}"), format!("{given:?}"), "{flags:?}");
        }
    }

    #[test]
    fn keys_say_what_flags_say() {
        let text = "kind = 'kes'\nhost = 'db1'\nport = 54321\nsslmode = 'require'\n\
                    password-env = 'KES_PASSWORD'\nsessions = 8\nconnect-timeout = '2s'\n";
        let keys: ShardArguments = toml::from_str(text).unwrap();
        let flags = words(
            "--shard-kind kes --shard-host db1 --shard-port 54321 --shard-sslmode require \
             --shard-password-env KES_PASSWORD --shard-sessions 8 --shard-connect-timeout 2s",
        );
        let (keys, flags) = (keys.database().unwrap(), database(&flags).unwrap());
        assert_eq!(format!("{keys:?}"), format!("{flags:?}"));
        // A flag wins.
        let file: ShardArguments = toml::from_str("kind = 'kes'\nhost = 'db1'").unwrap();
        let flag = ShardArguments { shard_host: Some("db2".into()), ..Default::default() };
        assert_eq!(flag.or(file).shard_host.as_deref(), Some("db2"));
    }

    #[test]
    fn what_cannot_be_meant_is_a_usage_error() {
        for (flags, says) in [
            ("--shard-host db1", "--shard-host is for --shard-kind kes only"),
            ("--shard-kind columnar --shard-sessions 3", "--shard-sessions is for --shard-kind"),
            ("--shard-kind kes", "--shard-host is missing"),
            (
                "--shard-kind kes --shard-host h --shard-password-file f --shard-password-env e",
                "not both",
            ),
            (
                "--shard-kind kes --shard-host h --shard-sslmode verify-full",
                "needs --shard-root-certificates",
            ),
        ] {
            let error = database(&words(flags)).unwrap_err();
            assert_eq!(error.exit_status(), 2);
            assert!(error.to_string().contains(says), "{flags}: {error}");
        }
        assert!(database(&[]).unwrap().is_none());
    }
}
