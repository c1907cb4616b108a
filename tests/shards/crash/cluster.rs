//! A cluster of which everything can be killed: the coordinator and two datanodes are processes, the
//! database of each datanode is a server, and a proxy that reads statements stands between.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use kestrel::{
    postgres::SOCKET_PORT,
    shards::{PasswordSource, ShardDatabase},
};
use kestrel_datanode::shard::kes::session::Address;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::support::{Answer, Session, ShardServers, StatementProxy};

pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Of a log, when something is wrong.
const LOG_LINES: usize = 12;

/// What can be killed. Datanodes and databases are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    Coordinator,
    Datanode(usize),
    Database(usize),
}

/// The cluster.
pub(super) struct Processes {
    pub(super) proxies: Vec<StatementProxy>,
    servers: ShardServers,
    coordinator: Process,
    datanodes: Vec<Process>,
    client_port: u16,
    directory: TempDir,
}

struct Process {
    arguments: Vec<String>,
    log: PathBuf,
    child: Child,
    /// Kept open: the process may go on writing.
    _stdout: BufReader<ChildStdout>,
}

impl Processes {
    /// `None`: the test is to be skipped.
    pub(super) async fn start() -> Option<Self> {
        let servers = ShardServers::start(2)?;
        let directory = TempDir::new().unwrap();
        let [client_port, rpc_port, first, second] = free_ports();
        let coordinator = coordinator(directory.path(), client_port, rpc_port);
        let coordinator = Process::start(coordinator, directory.path(), "coordinator").await;
        let (mut proxies, mut datanodes) = (Vec::new(), Vec::new());
        for (index, port) in [first, second].into_iter().enumerate() {
            let socket = servers.server(index).socket_directory();
            let socket = socket.join(format!(".s.PGSQL.{SOCKET_PORT}"));
            let proxy = StatementProxy::start(&socket).await;
            let name = format!("dn{}", index + 1);
            let mut arguments = datanode(directory.path(), &name, port, rpc_port);
            let (host, port) = (proxy.address().ip().to_string(), proxy.address().port());
            let database = ShardDatabase::new(
                Address::Tcp(host, port),
                "postgres",
                "postgres",
                PasswordSource::None,
            );
            arguments.extend(database.arguments());
            datanodes.push(Process::start(arguments, directory.path(), &name).await);
            proxies.push(proxy);
        }
        Some(Self { proxies, servers, coordinator, datanodes, client_port, directory })
    }

    /// kill -9
    pub(super) async fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Coordinator => self.coordinator.child.kill().await.unwrap(),
            Victim::Datanode(index) => self.datanodes[index].child.kill().await.unwrap(),
            Victim::Database(index) => self.servers.kill(index).await,
        }
    }

    pub(super) async fn start_again(&mut self, victim: Victim) {
        match victim {
            Victim::Coordinator => self.coordinator.start_again().await,
            Victim::Datanode(index) => self.datanodes[index].start_again().await,
            Victim::Database(index) => self.servers.start_again(index).await,
        }
    }

    /// A session with the cluster.
    pub(super) async fn session(&self) -> Option<Session> {
        let url = format!("postgres://kestrel@127.0.0.1:{}/kestrel", self.client_port);
        Session::try_connect(&url).await.ok()
    }

    /// A session with a database, past Kestrel and past the proxy.
    pub(super) async fn database(&self, index: usize) -> Option<Session> {
        Session::try_connect(&self.servers.server(index).connection_string()).await.ok()
    }

    /// A session, when all datanodes are up.
    pub(super) async fn ready(&self) -> Session {
        let started = Instant::now();
        let up = "SELECT count(*) FROM kestrel.datanodes WHERE state = 'up'";
        loop {
            if let Some(session) = self.session().await
                && value(&session, up).await.as_deref() == Some("2")
            {
                return session;
            }
            assert!(started.elapsed() < PATIENCE, "the cluster does not come up:\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The last lines of what the processes have logged.
    pub(super) fn logs(&self) -> String {
        let mut said = String::new();
        for name in ["coordinator", "dn1", "dn2"] {
            let log = self.directory.path().join(format!("{name}.log"));
            let text = fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let from = lines.len().saturating_sub(LOG_LINES);
            said.push_str(&format!("--- {name}\n{}\n", lines[from..].join("\n")));
        }
        said
    }
}

/// The one value of a query, if there is an answer.
pub(super) async fn value(session: &Session, sql: &str) -> Option<String> {
    let Answer::Rows { rows, .. } = session.run(sql).await else { return None };
    rows.into_iter().next()?.into_iter().next()?
}

impl Process {
    async fn start(arguments: Vec<String>, directory: &Path, name: &str) -> Self {
        let log = directory.join(format!("{name}.log"));
        let (child, stdout) = spawn(&arguments, &log).await;
        Self { arguments, log, child, _stdout: stdout }
    }

    async fn start_again(&mut self) {
        (self.child, self._stdout) = spawn(&self.arguments, &self.log).await;
    }
}

/// Starts a process, and waits until it says that it is up.
async fn spawn(arguments: &[String], log: &Path) -> (Child, BufReader<ChildStdout>) {
    let stderr = File::options().create(true).append(true).open(log).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kestrel"))
        .args(arguments)
        .env("KESTREL_LOG", "warn,kestrel_coordinator::shards=info,kestrel_datanode::shard=info")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let read = timeout(PATIENCE, stdout.read_line(&mut line)).await;
    let said = || fs::read_to_string(log).unwrap_or_default();
    assert!(matches!(read, Ok(Ok(1..))), "{arguments:?} does not come up: {read:?}\n{}", said());
    (child, stdout)
}

/// Ports that nobody has now.
fn free_ports() -> [u16; 4] {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn flags(command: &str, flags: &[(&str, String)]) -> Vec<String> {
    let flags = flags.iter().flat_map(|(flag, value)| [flag.to_string(), value.clone()]);
    [command.to_string()].into_iter().chain(flags).collect()
}

fn coordinator(directory: &Path, client_port: u16, rpc_port: u16) -> Vec<String> {
    flags(
        "coordinator",
        &[
            ("--data", directory.join("coordinator").display().to_string()),
            ("--datanodes", "2".into()),
            ("--shards", "kes".into()),
            ("--listen", format!("127.0.0.1:{client_port}")),
            ("--rpc-listen", format!("127.0.0.1:{rpc_port}")),
            ("--metrics-listen", "127.0.0.1:0".into()),
            ("--memory-limit", "256MB".into()),
        ],
    )
}

fn datanode(directory: &Path, name: &str, port: u16, rpc_port: u16) -> Vec<String> {
    flags(
        "datanode",
        &[
            ("--name", name.into()),
            ("--data", directory.join(name).display().to_string()),
            ("--listen", format!("127.0.0.1:{port}")),
            ("--metrics-listen", "127.0.0.1:0".into()),
            ("--coordinator", format!("127.0.0.1:{rpc_port}")),
            ("--secret-file", directory.join("coordinator/secret").display().to_string()),
            ("--memory-limit", "256MB".into()),
        ],
    )
}
