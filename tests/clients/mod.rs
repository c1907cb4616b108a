//! The clients that people use, each by a script of its own: psql, pgbench, psycopg 2 and 3,
//! asyncpg, SQLAlchemy, node-postgres, pgjdbc. `docs/clients.md` tells what they show.
//!
//! A script knows nothing of Kestrel: PostgreSQL 15 passes it, too. It takes the server's URL and
//! prints `ok`. The clients that are too heavy for every run of the tests have `run-heavy`.

mod statements;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use kestrel::postgres::Programs;

use crate::support::TestCluster;

/// Where the scripts are; tests run in their package.
const SCRIPTS: &str = "tests/clients";
const PGBENCH_CLIENTS: u32 = 3;
const PGBENCH_TRANSACTIONS: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn psycopg3() {
    python("psycopg", "psycopg3_test.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn psycopg2() {
    python("psycopg2", "psycopg2_test.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asyncpg() {
    python("asyncpg", "asyncpg_test.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlalchemy() {
    python("sqlalchemy", "sqlalchemy_test.py").await;
}

/// Runs a Python script if Python has the module.
async fn python(module: &str, script: &str) {
    let mut probe = Command::new("python3");
    probe.arg("-c").arg(format!("import {module}"));
    let mut command = Command::new("python3");
    command.arg(Path::new(SCRIPTS).join("python").join(script));
    check(module, probe, command).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_postgres() {
    let script = Path::new(SCRIPTS).join("node/node_postgres_test.js");
    let mut probe = Command::new("node");
    probe.arg("-e").arg("require('pg'); require('pg-cursor'); require('pg-copy-streams')");
    let mut command = Command::new("node");
    command.arg(script);
    check("node-postgres", probe, command).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pgjdbc() {
    // Debian's libpostgresql-jdbc-java; PGJDBC names another one.
    let jar = std::env::var_os("PGJDBC").map(PathBuf::from);
    let jar = jar.unwrap_or_else(|| "/usr/share/java/postgresql.jar".into());
    // The script is compiled when it is run.
    let mut probe = Command::new(if jar.is_file() { "javac" } else { "ls" });
    probe.arg(if jar.is_file() { OsStr::new("-version") } else { jar.as_os_str() });
    let mut command = Command::new("java");
    command.args([OsStr::new("-cp"), jar.as_os_str(), OsStr::new("jdbc/Metadata.java")]);
    command.current_dir(SCRIPTS);
    check("pgjdbc", probe, command).await;
}

/// Runs a client's script on a cluster of its own, if `probe` says that the client is there. One
/// that is not is skipped, but not if `KESTREL_TEST_REQUIRE` names it.
async fn check(client: &str, probe: Command, mut command: Command) {
    let (has, text) = output(probe).await;
    if !has {
        let required = std::env::var("KESTREL_TEST_REQUIRE").unwrap_or_default();
        let required = required.split(',').any(|name| name.trim() == client);
        assert!(!required, "{client} is missing, see .ci/run: {text}");
        println!("skipped: {client} is not installed, see .ci/run");
        return;
    }
    let cluster = TestCluster::start(2).await;
    command.arg(cluster.url());
    let (ok, text) = output(command).await;
    assert!(ok && text.lines().any(|line| line == "ok"), "{text}");
    cluster.stop().await;
}

/// pgbench with a script of its own, by each way of sending statements.
#[tokio::test(flavor = "multi_thread")]
async fn pgbench() {
    let Some(programs) = Programs::for_tests().unwrap_or_else(|e| panic!("{e}")) else { return };
    let cluster = TestCluster::start(2).await;
    let mut psql = Command::new(programs.psql());
    psql.arg(cluster.url()).args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]);
    psql.arg("--file").arg(Path::new(SCRIPTS).join("pgbench/init.sql"));
    let (ok, text) = output(psql).await;
    assert!(ok, "{text}");
    for mode in ["simple", "extended", "prepared"] {
        let mut pgbench = Command::new(programs.client("pgbench"));
        pgbench.args(["--no-vacuum", "--protocol", mode]);
        pgbench.arg(format!("--client={PGBENCH_CLIENTS}"));
        pgbench.arg(format!("--transactions={PGBENCH_TRANSACTIONS}"));
        pgbench.arg("--file").arg(Path::new(SCRIPTS).join("pgbench/mixed.sql"));
        pgbench.arg(cluster.url());
        let (ok, text) = output(pgbench).await;
        let count = PGBENCH_CLIENTS * PGBENCH_TRANSACTIONS;
        let done = format!("number of transactions actually processed: {count}/{count}");
        assert!(ok && text.contains(&done), "{mode}: {text}");
    }
    let rows = PGBENCH_CLIENTS * PGBENCH_TRANSACTIONS * 3;
    let session = cluster.session().await;
    assert_eq!(session.value("SELECT count(*) FROM pgbench_history").await, rows.to_string());
    cluster.stop().await;
}

/// Whether it succeeds, and what it prints.
async fn output(mut command: Command) -> (bool, String) {
    match tokio::task::spawn_blocking(move || command.output()).await.unwrap() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&text).into_owned())
        }
        Err(error) => (false, error.to_string()),
    }
}
