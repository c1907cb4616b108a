//! A real `kestrel` process, which can be killed.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};

use super::{Session, SuiteShards, in_processes};

/// Starting, stopping and failing take less.
const PATIENCE: Duration = Duration::from_secs(60);

/// `kestrel up`; killed when it is dropped.
pub(crate) struct Kestrel {
    child: Child,
    url: String,
    /// Kept open: the process may go on writing.
    _stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
}

/// How a process ended, and what it wrote to its standard error.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stderr: String,
    /// Its standard output, as far as nobody else has read it.
    pub(crate) stdout: String,
}

impl Kestrel {
    /// Starts `kestrel up` on this directory and any free port, and waits until it is up.
    pub(crate) async fn up(data: &Path, arguments: &[&str]) -> Self {
        Self::up_in_environment(data, arguments, &[]).await
    }

    /// The same, with these variables in its environment.
    pub(crate) async fn up_in_environment(
        data: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = kestrel();
        command.envs(variables.iter().copied());
        command.args(["up", "--listen", "127.0.0.1:0", "--memory-limit", "512MB", "--data"]);
        command.arg(data).args(arguments);
        if in_processes() {
            command.arg("--processes");
        }
        // Then it starts servers of its own. What the arguments say goes before.
        if SuiteShards::from_env() != SuiteShards::Columnar && !arguments.contains(&"--shards") {
            command.args(["--shards", "kes"]);
        }
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let mut line = String::new();
        while !line.contains("Kestrel is up") {
            line.clear();
            let read = timeout(PATIENCE, stdout.read_line(&mut line)).await;
            if !matches!(read, Ok(Ok(1..))) {
                let mut said = String::new();
                let _ = timeout(Duration::from_secs(1), stderr.read_to_string(&mut said)).await;
                panic!("kestrel up does not come up: {said}");
            }
        }
        // psql -h 127.0.0.1 -p 40123 -U kestrel kestrel
        let port = line.split(" -p ").nth(1).and_then(|rest| rest.split(' ').next());
        let port = port.unwrap_or_else(|| panic!("no port in: {line}"));
        let url = format!("postgres://kestrel@127.0.0.1:{port}/kestrel");
        Self { child, url, _stdout: stdout, stderr }
    }

    /// A new session.
    pub(crate) async fn session(&self) -> Session {
        Session::connect(&self.url).await
    }

    /// kill -9
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits until it ends by itself; `None`: it did not, and is killed.
    pub(crate) async fn ended(&mut self) -> Option<Ended> {
        let Ok(status) = timeout(PATIENCE, self.child.wait()).await else {
            self.child.kill().await.unwrap();
            return None;
        };
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).await.unwrap();
        Some(ended(status.unwrap(), stderr, String::new()))
    }

    /// Sends a signal (`TERM`, `INT`), and waits for the end.
    pub(crate) async fn signal(mut self, signal: &str) -> Ended {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status().await.unwrap();
        assert!(sent.success());
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("it does not stop on SIG{signal}")).unwrap();
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).await.unwrap();
        ended(status, stderr, String::new())
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Runs `kestrel` with these arguments to its end.
pub(crate) async fn run_kestrel(arguments: &[&str]) -> Ended {
    let output = timeout(PATIENCE, kestrel().args(arguments).output()).await;
    let output = output.unwrap_or_else(|_| panic!("kestrel {arguments:?} does not end")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ended(output.status, text(&output.stderr), text(&output.stdout))
}

/// Starts `kestrel` with these arguments; killed when it is dropped.
pub(crate) fn spawn_kestrel(arguments: &[&str]) -> Child {
    kestrel().args(arguments).spawn().unwrap()
}

fn ended(status: ExitStatus, stderr: String, stdout: String) -> Ended {
    Ended { status: status.code(), stderr, stdout }
}

fn kestrel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kestrel"));
    // Nobody reads what a server says: a line per query would fill the pipe.
    command.env("KESTREL_LOG", "warn");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}
