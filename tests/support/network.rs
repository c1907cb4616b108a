//! A cluster as on several machines: each datanode is a process that was started by itself, and
//! is reached through a fault proxy.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use kestrel::{
    cluster::{Cluster, ClusterOptions, DatanodePlacement},
    shards::ShardDatabase,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{FaultProxy, Session, options};

/// Starting and stopping take less.
const PATIENCE: Duration = Duration::from_secs(60);

/// A coordinator in this process, datanodes behind proxies.
pub(crate) struct Network {
    pub(crate) cluster: Cluster,
    pub(crate) directory: TempDir,
    pub(crate) datanodes: Vec<NetworkDatanode>,
}

/// A datanode's process, and what stands before it.
pub(crate) struct NetworkDatanode {
    pub(crate) proxy: FaultProxy,
    arguments: Vec<String>,
    child: Child,
    /// Kept open: the process may go on writing.
    _stdout: BufReader<ChildStdout>,
}

impl Network {
    /// Starts it, and waits until every datanode is up.
    pub(crate) async fn start(datanodes: u32) -> Self {
        Self::start_with(datanodes, &[]).await
    }

    /// The same, with more arguments for the datanodes.
    pub(crate) async fn start_with(count: u32, arguments: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let options = options(&directory, Some(count), DatanodePlacement::Elsewhere);
        Self::start_on(directory, options, arguments).await
    }

    /// Starts one of these options, whose datanodes are to be started by others.
    pub(crate) async fn start_on(
        directory: TempDir,
        options: ClusterOptions,
        arguments: &[&str],
    ) -> Self {
        let count = options.datanodes.unwrap_or_default();
        let databases = options.shards.databases.clone();
        let cluster = Cluster::start(options).await.unwrap_or_else(|e| panic!("{e}"));
        let coordinator = cluster.rpc_address().unwrap();
        let mut datanodes = Vec::new();
        for number in 1..=count {
            let database = databases.get(number as usize - 1);
            let mut arguments: Vec<String> = arguments.iter().map(|a| a.to_string()).collect();
            arguments.extend(database.into_iter().flat_map(ShardDatabase::arguments));
            let datanode = NetworkDatanode::start(number, &directory, coordinator, arguments);
            datanodes.push(datanode.await);
        }
        let network = Self { cluster, directory, datanodes };
        network.all_up().await;
        network
    }

    /// Waits until every datanode is up.
    pub(crate) async fn all_up(&self) {
        let session = self.session().await;
        let states = "SELECT count(*) FROM kestrel.datanodes WHERE state <> 'up'";
        let up = async {
            while session.value(states).await != "0" {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(PATIENCE, up).await.is_err() {
            let states = session.rows("SELECT name, state FROM kestrel.datanodes").await;
            panic!("not all datanodes come up: {states:?}");
        }
    }

    /// A new session.
    pub(crate) async fn session(&self) -> Session {
        Session::connect(&format!("postgres://kestrel@{}/kestrel", self.cluster.address())).await
    }

    /// Stops it.
    pub(crate) async fn stop(self) {
        drop(self.datanodes);
        self.cluster.stop().await;
    }
}

impl NetworkDatanode {
    async fn start(
        number: u32,
        directory: &TempDir,
        coordinator: SocketAddr,
        more: Vec<String>,
    ) -> Self {
        let proxy = FaultProxy::start().await;
        let name = format!("dn{number}");
        let path = |file: &str| directory.path().join(file).display().to_string();
        let mut arguments: Vec<String> = Vec::new();
        for (flag, value) in [
            ("--name", name.clone()),
            ("--data", path(&name)),
            ("--listen", "127.0.0.1:0".into()),
            ("--metrics-listen", "127.0.0.1:0".into()),
            ("--advertise", proxy.address().to_string()),
            ("--coordinator", coordinator.to_string()),
            ("--secret-file", path("secret")),
            ("--memory-limit", "256MB".into()),
        ] {
            arguments.extend([flag.into(), value]);
        }
        arguments.extend(more);
        let (child, stdout, address) = spawn(&arguments).await;
        proxy.lead_to(address);
        Self { proxy, arguments, child, _stdout: stdout }
    }

    /// Sends a signal: `KILL`, `STOP`, `CONT`, `TERM`.
    pub(crate) async fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status().await.unwrap();
        assert!(sent.success());
    }

    /// kill -9, and the end of it.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again, on another port of its own.
    pub(crate) async fn start_again(&mut self) {
        let (child, stdout, address) = spawn(&self.arguments).await;
        self.child = child;
        self._stdout = stdout;
        self.proxy.lead_to(address);
    }
}

/// Starts a datanode, and waits until it is up.
async fn spawn(arguments: &[String]) -> (Child, BufReader<ChildStdout>, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kestrel"))
        .arg("datanode")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let read = timeout(PATIENCE, stdout.read_line(&mut line)).await;
    let mut stderr = child.stderr.take().unwrap();
    // dn1 is up: 127.0.0.1:40123
    let address = line.trim().rsplit(' ').next().and_then(|address| address.parse().ok());
    let Some(address) = address else {
        let mut said = String::new();
        let _ = timeout(Duration::from_secs(1), stderr.read_to_string(&mut said)).await;
        panic!("kestrel datanode does not come up ({read:?}): {line}{said}");
    };
    // What it says later goes nowhere, but must not block it.
    tokio::spawn(async move {
        let mut ignored = Vec::new();
        let _ = stderr.read_to_end(&mut ignored).await;
    });
    (child, stdout, address)
}
