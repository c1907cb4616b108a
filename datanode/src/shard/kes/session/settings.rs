//! Where a shard's database is, who connects to it, and every bound of its sessions.

use std::{fmt, path::PathBuf, time::Duration};

use kestrel_proto::{ErrorReport, SqlState};

/// A datanode's connection to the database that holds its shard.
#[derive(Clone, Debug)]
pub struct KesSettings {
    /// Where it listens.
    pub address: Address,
    /// The database's name.
    pub database: String,
    /// The user's name.
    pub user: String,
    /// The user's password, where the database asks for one.
    pub password: Option<Password>,
    /// Whether connections are encrypted. Those over a unix socket never are.
    pub ssl_mode: SslMode,
    /// Whose certificates are believed (PEM). With [`SslMode::Require`] the certificate must then
    /// come from one of them, for whatever host it is, as with libpq's `sslrootcert`.
    pub root_certificates: Option<PathBuf>,

    /// Sessions at a time, idle ones included; two more end transactions that are prepared.
    pub sessions_max: usize,
    /// How long a statement waits while all of them are in use.
    pub session_wait: Duration,
    /// A session that is not used for so long is closed.
    pub idle_timeout: Duration,

    /// For a new session: name, connection, TLS, authentication.
    pub connect_timeout: Duration,
    /// How long a statement waits for a database that does not take sessions, such as one that is
    /// being restarted.
    pub restart_wait: Duration,
    /// For the server to end a statement that nobody waits for any more.
    pub cancel_timeout: Duration,
    /// How long a statement waits for a lock; zero: as long as it takes.
    pub lock_timeout: Duration,
    /// A TCP connection that is quiet for so long is asked whether it lives.
    pub keep_alive_idle: Duration,
    /// And asked again so often,
    pub keep_alive_interval: Duration,
    /// this many times.
    pub keep_alive_probes: u32,

    /// The largest message: one row as COPY data, or an answer's row.
    pub message_bytes_max: usize,
    /// The largest answer to a statement that is not a COPY.
    pub result_bytes_max: usize,
    /// Notices that wait until somebody takes them; the oldest are forgotten.
    pub notices_max: usize,
}

/// Where a database listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host's name or address, and the port.
    Tcp(String, u16),
    /// The directory of the unix socket, and the port that its name has.
    Unix(PathBuf, u16),
}

/// Whether a connection is encrypted, in libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// It is not.
    Disable,
    /// It is; who the server is, is known only as far as root certificates are given.
    Require,
    /// It is, and the server's certificate is a root certificate's, for the host connected to.
    VerifyFull,
}

/// A password, which no output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// The names that errors' hints use for settings.
pub(super) mod name {
    /// [`KesSettings::sessions_max`](super::KesSettings::sessions_max).
    pub(crate) const SESSIONS_MAX: &str = "shard-sessions";
    /// [`KesSettings::root_certificates`](super::KesSettings::root_certificates).
    pub(crate) const ROOT_CERTIFICATES: &str = "shard-root-certificates";
    /// [`KesSettings::ssl_mode`](super::KesSettings::ssl_mode).
    pub(crate) const SSL_MODE: &str = "shard-sslmode";
    /// [`KesSettings::password`](super::KesSettings::password).
    pub(crate) const PASSWORD: &str = "shard-password-file";
}

impl KesSettings {
    /// With the defaults for all that has one.
    pub fn new(address: Address, database: &str, user: &str) -> Self {
        Self {
            address,
            database: database.into(),
            user: user.into(),
            password: None,
            ssl_mode: SslMode::Disable,
            root_certificates: None,
            sessions_max: 32,
            session_wait: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(5),
            restart_wait: Duration::from_millis(1500),
            cancel_timeout: Duration::from_secs(5),
            lock_timeout: Duration::ZERO,
            keep_alive_idle: Duration::from_secs(5),
            keep_alive_interval: Duration::from_secs(1),
            keep_alive_probes: 5,
            message_bytes_max: 1 << 30,
            result_bytes_max: 256 << 20,
            notices_max: 1000,
        }
    }
}

impl Address {
    /// As libpq reads `host`: what begins with a slash is the directory of a unix socket.
    pub fn new(host: &str, port: u16) -> Self {
        if host.starts_with('/') {
            Self::Unix(host.into(), port)
        } else {
            Self::Tcp(host.into(), port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(directory, port) => write!(f, "{}/.s.PGSQL.{port}", directory.display()),
        }
    }
}

impl SslMode {
    /// libpq's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Require => "require",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl std::str::FromStr for SslMode {
    type Err = ErrorReport;

    fn from_str(word: &str) -> Result<Self, ErrorReport> {
        match word {
            "disable" => Ok(Self::Disable),
            "require" => Ok(Self::Require),
            "verify-full" => Ok(Self::VerifyFull),
            _ => {
                let message = format!("invalid value for parameter \"sslmode\": \"{word}\"");
                Err(ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
                    .hint("Available values: disable, require, verify-full."))
            }
        }
    }
}

impl Password {
    /// A password.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }

    /// For the authentication only.
    pub(super) fn reveal(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}
