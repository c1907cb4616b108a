//! `kestrel up --shards kes`: its servers come, go and come again with it.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::process::Command;
use tokio_postgres::{Config, NoTls};

use crate::support::{Kestrel, run_kestrel};

/// Stopping and starting a server takes less.
const PATIENCE: Duration = Duration::from_secs(60);
const UP: &[&str] = &["--shards", "kes", "--datanodes", "2"];
const DATANODES: [&str; 2] = ["dn1", "dn2"];

/// The postmaster of a datanode's server, if it runs.
fn postmaster(data: &Path, datanode: &str) -> Option<u32> {
    let text = fs::read_to_string(data.join(datanode).join("postgres/postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn all_stopped(data: &Path) -> bool {
    DATANODES.iter().all(|datanode| postmaster(data, datanode).is_none())
}

/// One value of a query on a datanode's server.
async fn ask(data: &Path, datanode: &str, sql: &str) -> Result<String, tokio_postgres::Error> {
    let directory = data.join(datanode);
    let password = fs::read_to_string(directory.join("postgres-password")).unwrap();
    let mut config = Config::new();
    config.host_path(directory.join("socket")).user("kestrel").dbname("kestrel");
    let (client, connection) = config.password(password.trim()).connect(NoTls).await?;
    tokio::spawn(connection);
    let sql = format!("SELECT ({sql})::text");
    Ok(client.query_one(sql.as_str(), &[]).await?.get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_come_and_go_with_the_cluster() {
    let directory = TempDir::new().unwrap();
    let data = directory.path();
    let kestrel = Kestrel::up(data, UP).await;
    let session = kestrel.session().await;
    let kinds = "SELECT string_agg(shard_kind, ',') FROM kestrel.datanodes";
    assert_eq!(session.value(kinds).await, "kes,kes");
    session
        .run_all([
            "CREATE TABLE t (a int) DISTRIBUTED BY (a)",
            "INSERT INTO t SELECT g FROM generate_series(1, 100) g",
        ])
        .await;
    for datanode in DATANODES {
        for (setting, value) in [
            ("fsync", "on"),
            ("autovacuum", "on"),
            ("listen_addresses", ""),
            ("server_encoding", "UTF8"),
            ("lc_collate", "C"),
            ("data_checksums", "on"),
        ] {
            let found = ask(data, datanode, &format!("current_setting('{setting}')")).await;
            assert_eq!(found.unwrap(), value, "{setting} of {datanode}");
        }
        let prepared = "current_setting('max_prepared_transactions')::int >= 32";
        assert_eq!(ask(data, datanode, prepared).await.unwrap(), "true", "{datanode}");
    }
    drop(session);
    let ended = kestrel.signal("TERM").await;
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(all_stopped(data), "servers are left after an orderly stop");

    // As it was, without saying so again.
    let kestrel = Kestrel::up(data, &[]).await;
    assert_eq!(kestrel.session().await.value("SELECT count(*) FROM t").await, "100");
    // Killed: its servers end by themselves, or are ended by the next one.
    kestrel.kill().await;
    let kestrel = Kestrel::up(data, &[]).await;
    assert_eq!(kestrel.session().await.value("SELECT sum(a) FROM t").await, "5050");
    kestrel.kill().await;
    wait_until("servers are left after a kill", || all_stopped(data)).await;
    let kestrel = Kestrel::up(data, &["--processes"]).await;
    assert_eq!(kestrel.session().await.value("SELECT count(*) FROM t").await, "100");
    assert_eq!(kestrel.signal("INT").await.status, Some(0));
    assert!(all_stopped(data), "servers are left after an orderly stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_started_again() {
    let directory = TempDir::new().unwrap();
    let data = directory.path();
    let kestrel = Kestrel::up(data, UP).await;
    let before = postmaster(data, "dn2").unwrap();
    let killed = Command::new("kill").args(["-s", "KILL", &before.to_string()]).status().await;
    assert!(killed.unwrap().success());
    let started = Instant::now();
    while ask(data, "dn2", "1").await.is_err() || postmaster(data, "dn2") == Some(before) {
        assert!(started.elapsed() < PATIENCE, "it is not started again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(kestrel.session().await.value("SELECT 1").await, "1");
    assert_eq!(kestrel.signal("TERM").await.status, Some(0));
    assert!(all_stopped(data), "a server is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_nobodys_to_see() {
    let directory = TempDir::new().unwrap();
    let data = directory.path();
    let kestrel = Kestrel::up(data, &[UP, &["--processes"]].concat()).await;
    for datanode in DATANODES {
        let file = data.join(datanode).join("postgres-password");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert!(!file.with_extension("new").exists(), "a second copy is left");
        let password = fs::read_to_string(&file).unwrap();
        let password = password.trim();
        assert!(password.len() >= 32, "{datanode}");
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            assert!(!line.contains(password), "{line}");
        }
        // Another password is none, so it is asked for.
        let mut config = Config::new();
        config.host_path(data.join(datanode).join("socket")).user("kestrel").dbname("kestrel");
        let refused = config.password("another").connect(NoTls).await.err().unwrap();
        assert_eq!(refused.code().map(|code| code.code()), Some("28P01"), "{refused}");
    }
    let ended = kestrel.signal("TERM").await;
    assert_eq!(ended.status, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_path_has_its_sockets_elsewhere() {
    let directory = TempDir::new().unwrap();
    // Where another user may have to pass.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = directory.path().join("d".repeat(100));
    let kestrel = Kestrel::up(&data, UP).await;
    assert!(!data.join("dn1/socket").exists());
    assert!(postmaster(&data, "dn1").is_some());
    let ended = kestrel.signal("TERM").await;
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(all_stopped(&data), "a server is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn root_is_told_where_the_servers_user_cannot_go() {
    let directory = TempDir::new().unwrap();
    if fs::metadata(directory.path()).unwrap().uid() != 0 {
        println!("skipped: not root");
        return;
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let data = directory.path().join("below");
    let arguments = ["up", "--listen", "127.0.0.1:0", "--shards", "kes", "--data"];
    let ended = run_kestrel(&[&arguments[..], &[data.to_str().unwrap()]].concat()).await;
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{ended:?}");
    let says = format!("cannot get into \"{}\"", directory.path().display());
    assert!(ended.stderr.contains(&says) && ended.stderr.contains("--data"), "{ended:?}");
}
