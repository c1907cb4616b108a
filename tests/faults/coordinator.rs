//! A coordinator that dies, and another that takes its place.

use std::{
    net::TcpListener,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{LONG, fill};
use crate::support::Session;

const PATIENCE: Duration = Duration::from_secs(60);

/// A `kestrel` process, with the first line it printed.
struct Process {
    child: Child,
    line: String,
    _stdout: BufReader<tokio::process::ChildStdout>,
}

impl Process {
    async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kestrel"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let read = timeout(PATIENCE, stdout.read_line(&mut line)).await;
        assert!(matches!(read, Ok(Ok(1..))), "{arguments:?} does not come up: {read:?}");
        Self { child, line, _stdout: stdout }
    }
}

/// A port that nobody has now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts the coordinator, on the same ports each time.
async fn coordinator(data: &Path, (client, rpc): (u16, u16)) -> Process {
    let (client, rpc) = (format!("127.0.0.1:{client}"), format!("127.0.0.1:{rpc}"));
    let data = data.join("coordinator").display().to_string();
    Process::start(&[
        "coordinator",
        "--data",
        &data,
        "--datanodes",
        "2",
        "--listen",
        &client,
        "--rpc-listen",
        &rpc,
        "--metrics-listen",
        "127.0.0.1:0",
    ])
    .await
}

async fn datanode(data: &Path, name: &str, rpc: u16) -> Process {
    let rpc = format!("127.0.0.1:{rpc}");
    let secret = data.join("coordinator/secret").display().to_string();
    let data = data.join(name).display().to_string();
    Process::start(&[
        "datanode",
        "--name",
        name,
        "--data",
        &data,
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
        "--coordinator",
        &rpc,
        "--secret-file",
        &secret,
        "--memory-limit",
        "256MB",
    ])
    .await
}

async fn session(port: u16) -> Session {
    let url = format!("postgres://kestrel@127.0.0.1:{port}/kestrel");
    let started = Instant::now();
    loop {
        match Session::try_connect(&url).await {
            Ok(session) => return session,
            Err(error) if started.elapsed() > PATIENCE => panic!("cannot connect: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn all_up(session: &Session) {
    let started = Instant::now();
    let up = "SELECT count(*) FROM kestrel.datanodes WHERE state = 'up'";
    while session.value(up).await != "2" {
        assert!(started.elapsed() < PATIENCE, "the datanodes do not come up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_coordinator_finds_its_datanodes_and_no_trace_of_the_last() {
    let directory = TempDir::new().unwrap();
    let ports = (free_port(), free_port());
    let mut first = coordinator(directory.path(), ports).await;
    assert!(first.line.contains("Kestrel is up"), "{}", first.line);
    let datanodes =
        [datanode(directory.path(), "dn1", ports.1), datanode(directory.path(), "dn2", ports.1)];
    let [one, two] = datanodes;
    let (_one, _two) = tokio::join!(one, two);
    let client = session(ports.0).await;
    all_up(&client).await;
    fill(&client).await;
    let question = "SELECT count(*), sum(t.id) FROM t JOIN u ON t.id = u.k";
    let right = client.rows(question).await;
    for round in 0..3 {
        let running = session(ports.0).await;
        let writing = session(ports.0).await;
        let running = tokio::spawn(async move { running.run(LONG).await });
        writing.run_all(["BEGIN", "INSERT INTO u SELECT id, k FROM t"]).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!running.is_finished(), "round {round}: the query is too short");
        first.child.kill().await.unwrap();
        let _ = running.await.unwrap();
        first = coordinator(directory.path(), ports).await;
        let client = session(ports.0).await;
        all_up(&client).await;
        assert_eq!(client.rows(question).await, right, "round {round}");
        // What the dead transaction wrote is gone from the disks, and nothing of its query runs.
        assert_eq!(client.value("SELECT count(*) FROM u").await, "20000", "round {round}");
        check_gone(directory.path(), round).await;
    }
}

fn files_below(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { files_below(&e.path()) } else { 1 }).sum()
}

/// No spilled file is left.
async fn check_gone(directory: &Path, round: u32) {
    let started = Instant::now();
    loop {
        let left: usize =
            ["dn1", "dn2"].iter().map(|name| files_below(&directory.join(name).join("tmp"))).sum();
        if left == 0 {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "round {round}: {left} temporary files are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
