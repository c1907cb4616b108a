//! On shards of kind `kes` a table's rows are in the databases, and nowhere else.

use std::time::{Duration, Instant};

use kestrel::postgres::TempPostgres;

use crate::support::{Fault, Session, ShardServers, TestCluster};

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_in_the_databases() {
    let Some(servers) = ShardServers::start(2) else { return };
    let cluster = TestCluster::start_on(2, servers.options()).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE SCHEMA s",
            "CREATE TABLE s.t (a int, b text) DISTRIBUTED BY (a)",
            "INSERT INTO s.t SELECT g, 'row ' || g FROM generate_series(1, 1000) g",
        ])
        .await;
    let mut total = 0;
    for index in 0..2 {
        let shard = Session::connect(&servers.server(index).connection_string()).await;
        let rows: u64 = shard.value("SELECT count(*) FROM s.t").await.parse().unwrap();
        assert!(rows > 0, "the shard of dn{} has no rows", index + 1);
        total += rows;
    }
    assert_eq!(total, 1000);
    assert_eq!(session.value("SELECT count(DISTINCT b) FROM s.t").await, "1000");
    cluster.stop().await;
}

/// A database that is slow is waited for, and one whose connections break is connected to again.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_between_datanodes_and_databases() {
    let Some(servers) = ShardServers::start(2) else { return };
    let (proxies, shards) = servers.proxied().await;
    let cluster = TestCluster::start_on(2, shards).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE t (a int) DISTRIBUTED BY (a)",
            "INSERT INTO t VALUES (1), (2), (3)",
        ])
        .await;
    proxies[0].set(Fault::None, Fault::Delay(Duration::from_millis(100)));
    assert_eq!(session.value("SELECT sum(a) FROM t").await, "6");
    proxies[0].set(Fault::None, Fault::None);
    for proxy in &proxies {
        proxy.break_connections();
    }
    // The pool finds out with the first statement that gets a session that has gone.
    let started = Instant::now();
    while session.run("SELECT sum(a) FROM t").await.sqlstate().is_some() {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not connect again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(session.value("SELECT sum(a) FROM t").await, "6");
    cluster.stop().await;
}

/// What the tests of lost databases stand on.
#[tokio::test(flavor = "multi_thread")]
async fn a_shards_server_can_be_stopped_killed_and_started() {
    let Some(servers) = ShardServers::start(1) else { return };
    let server = servers.server(0);
    server.run_sql("postgres", "CREATE TABLE t AS SELECT 7 AS a").unwrap();
    let url = server.connection_string();
    for end in [TempPostgres::stop, TempPostgres::kill] {
        let before = Session::connect(&url).await;
        end(server).unwrap();
        // A session of one that was killed may answer once more before it notices.
        let ended = Instant::now();
        while before.run("SELECT 1").await.sqlstate() != Some("CLOSED") {
            assert!(ended.elapsed() < Duration::from_secs(60), "its sessions go on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        servers.start_again(0).await;
        assert_eq!(Session::connect(&url).await.value("SELECT a FROM t").await, "7");
    }
}

/// A statement's rows pass through the coordinator and come back to the sessions that read them, which
/// have more to read when the first of them arrive.
#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back_to_the_sessions_that_read_them() {
    let Some(servers) = ShardServers::start(2) else { return };
    let cluster = TestCluster::start_on(2, servers.options()).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE SEQUENCE s",
            "BEGIN",
            "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)",
            "INSERT INTO t SELECT i, i % 10 FROM generate_series(1, 60000) AS i",
            "CREATE TABLE u AS SELECT nextval('s') AS n, a FROM t DISTRIBUTED BY (n)",
            "INSERT INTO t SELECT nextval('s'), 0 FROM t",
            "COMMIT",
        ])
        .await;
    assert_eq!(session.value("SELECT count(DISTINCT n) FROM u").await, "60000");
    assert_eq!(session.value("SELECT count(*) FROM t").await, "120000");
    cluster.stop().await;
}
