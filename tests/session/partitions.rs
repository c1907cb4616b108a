//! Partitioned tables beyond what single statements show: COPY into many partitions, and sessions that
//! change which there are while others write.

use crate::support::{Session, SuiteShards, TestCluster};

fn databases_hold_rows() -> bool {
    SuiteShards::from_env() != SuiteShards::Columnar
}

/// 100 partitions of 10 values each; more than are written at a time.
async fn create(session: &Session) {
    session
        .run_all(["CREATE TABLE t (a int, k int, CHECK (a < 100000)) DISTRIBUTED BY (a) \
                   PARTITION BY RANGE (k) (START (0) END (1000) EVERY (10))"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_brings_rows_to_their_partitions() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    create(&session).await;
    // Neighbours are in different partitions.
    let rows: String = (0..20_000).map(|i| format!("{i}\t{}\n", i * 7 % 1000)).collect();
    assert_eq!(session.copy_in("COPY t FROM STDIN", &rows).await, Ok(20_000));
    assert_eq!(session.value("SELECT count(*) FROM t").await, "20000");
    assert_eq!(session.value("SELECT count(*) FROM t WHERE k = 345").await, "20");
    assert_eq!(session.value("SELECT count(*) FROM t_1_prt_35").await, "200");
    let wrong = "SELECT count(*) FROM t_1_prt_35 WHERE k NOT BETWEEN 340 AND 349";
    assert_eq!(session.value(wrong).await, "0");
    let failure = session.copy_in("COPY t FROM STDIN", "1\t5\n2\t1000\n").await.unwrap_err();
    assert_eq!(failure.sqlstate, "23514");
    assert_eq!(failure.message, "no partition of relation \"t\" found for row");
    assert_eq!(failure.context.as_deref(), Some("COPY t, line 2: \"2\t1000\""));
    let failure = session.copy_in("COPY t_1_prt_1 FROM STDIN", "1\t10\n").await.unwrap_err();
    assert_eq!(failure.message, "new row for relation \"t_1_prt_1\" violates partition constraint");
    assert_eq!(session.value("SELECT count(*) FROM t").await, "20000");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_left_out_while_a_query_runs() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    create(&session).await;
    session
        .run_all([
            "INSERT INTO t SELECT i, i % 1000 FROM generate_series(1, 20000) AS g(i)",
            "CREATE TABLE d (k int, name text) DISTRIBUTED REPLICATED",
            "INSERT INTO d SELECT i, 'n' || i FROM generate_series(0, 999) AS g(i)",
        ])
        .await;
    for query in [
        "SELECT count(*) FROM t JOIN d ON t.k = d.k WHERE d.name = 'n345'",
        "SELECT count(*) FROM t WHERE k = (SELECT max(k) FROM d WHERE k < 346)",
    ] {
        assert_eq!(session.value(query).await, "20", "{query}");
        let lines = session.rows(&format!("EXPLAIN ANALYZE {query}")).await;
        let mut lines = lines.iter().flatten().flatten().map(|line| line.trim());
        // One of the hundred is read on each datanode.
        let is_told = lines.any(|line| line.starts_with("Partitions Pruned: avg 99,"));
        assert!(is_told, "{query}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_and_who_changes_partitions_get_along() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(2).await;
    let (writer, other) = (cluster.session().await, cluster.session().await);
    create(&writer).await;
    writer.run_all(["ALTER TABLE t ADD DEFAULT PARTITION rest"]).await;
    // A block that began before the partition was there.
    writer.run_all(["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM t"]).await;
    other.run_all(["ALTER TABLE t ADD PARTITION p START (1000) END (1010)"]).await;
    writer.run_all(["INSERT INTO t VALUES (1, 1005)"]).await;
    assert_eq!(writer.failure("COMMIT").await.sqlstate, "40001");
    // Who writes into another partition is not disturbed.
    writer.run_all(["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM t"]).await;
    other.run_all(["ALTER TABLE t ADD PARTITION q START (1010) END (1020)"]).await;
    writer.run_all(["INSERT INTO t VALUES (1, 5)", "COMMIT"]).await;
    writer.run_all(["INSERT INTO t VALUES (2, 1005), (3, 1015), (4, 2000)"]).await;
    for (partition, rows) in [("p", "1"), ("q", "1"), ("rest", "1"), ("1", "1")] {
        let count = format!("SELECT count(*) FROM t_1_prt_{partition}");
        assert_eq!(other.value(&count).await, rows, "{partition}");
    }
    // DDL waits for writers.
    writer.run_all(["BEGIN", "INSERT INTO t VALUES (5, 1006)"]).await;
    other.run_all(["SET lock_timeout = '200ms'"]).await;
    let waited = other.failure("ALTER TABLE t DETACH PARTITION t_1_prt_p").await;
    assert_eq!(waited.sqlstate, "55P03");
    writer.run_all(["COMMIT"]).await;
    other.run_all(["ALTER TABLE t DETACH PARTITION t_1_prt_p"]).await;
    assert_eq!(other.value("SELECT count(*) FROM t_1_prt_p").await, "2");
    assert_eq!(other.value("SELECT count(*) FROM t WHERE k BETWEEN 1000 AND 1009").await, "0");
    cluster.stop().await;
}
