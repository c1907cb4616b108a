//! Clustering columns: what loads and VACUUM do to the order of rows, and what scans and concurrent
//! transactions find then.

use std::{collections::BTreeSet, path::Path, time::Duration};

use kestrel_coordinator::compaction::AutoVacuum;
use serde_json::Value;

use crate::support::{Session, SuiteShards, TestCluster};

const OFF: AutoVacuum =
    AutoVacuum { is_on: false, interval: Duration::from_secs(1), bytes_per_second: 1 << 20 };

fn databases_hold_rows() -> bool {
    SuiteShards::from_env() != SuiteShards::Columnar
}

/// The files of segments below the cluster's directory.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|ending| ending == "parquet") {
                files.insert(path.display().to_string());
            }
        }
    }
    files
}

/// Row groups that the scans of a query read, and those that they pass over.
async fn row_groups(session: &Session, sql: &str) -> (u64, u64) {
    let text = session.value(&format!("EXPLAIN (ANALYZE, FORMAT json) {sql}")).await;
    let document: Value = serde_json::from_str(&text).unwrap();
    let mut open = vec![&document[0]["Plan"]];
    let mut counts = (0, 0);
    while let Some(node) = open.pop() {
        let count = |run: &Value, name: &str| run[name].as_u64().unwrap_or(0);
        for run in node["On Datanodes"].as_array().into_iter().flatten() {
            counts.0 += count(run, "Row Groups Read");
            counts.1 += count(run, "Row Groups Pruned");
        }
        open.extend(node["Plans"].as_array().into_iter().flatten());
    }
    counts
}

/// 4 loads of 150,000 rows each, which have keys from everywhere.
async fn load(session: &Session, options: &str) {
    let create = format!("CREATE TABLE t (k int, v int, s text) {options} DISTRIBUTED RANDOMLY");
    session.run_all(["DROP TABLE IF EXISTS t", &create]).await;
    for first in 0..4 {
        let insert = format!(
            "INSERT INTO t SELECT k, g, 'k' || (k + 1000000) FROM (
               SELECT (g::bigint * 7919 % 600000)::int AS k, g
               FROM generate_series({first} * 150000 + 1, ({first} + 1) * 150000) AS g) AS rows"
        );
        session.run_all([insert]).await;
    }
}

const NARROW: &str = "SELECT v FROM t WHERE k BETWEEN 300000 AND 300999";

#[tokio::test(flavor = "multi_thread")]
async fn filters_on_clustering_columns_read_little() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(1, OFF).await;
    let session = cluster.session().await;
    load(&session, "").await;
    assert_eq!(row_groups(&session, NARROW).await, (8, 0));
    session.run_all(["VACUUM t"]).await;
    assert_eq!(row_groups(&session, NARROW).await, (5, 0));

    load(&session, "WITH (cluster_by = 'k')").await;
    // Each segment is in order by itself.
    assert_eq!(row_groups(&session, NARROW).await, (4, 4));
    session.run_all(["VACUUM t"]).await;
    assert_eq!(row_groups(&session, NARROW).await, (1, 4));
    assert_eq!(session.rows(NARROW).await.len(), 1000);
    assert_eq!(session.value("SELECT sum(v) FROM t").await, "180000300000");
    let path = cluster.directory.path();
    let kept = files(path);
    session.run_all(["VACUUM t", "VACUUM FULL t", "CLUSTER t", "CLUSTER"]).await;
    assert_eq!(files(path), kept, "there was nothing to do");

    // Another order, of strings; then with what was loaded later.
    let strings = "SELECT v FROM t WHERE s >= 'k1300000' AND s < 'k1301000'";
    session.run_all(["ALTER TABLE t SET (cluster_by = 's, v')", "VACUUM t"]).await;
    assert_eq!(row_groups(&session, strings).await, (1, 4));
    session.run_all(["INSERT INTO t SELECT k, v, s FROM t WHERE v <= 100000", "VACUUM t"]).await;
    let (read, _) = row_groups(&session, strings).await;
    assert!(read <= 2, "{read}");
    let kept = files(path);
    session.run_all(["VACUUM t"]).await;
    assert_eq!(files(path), kept, "there was nothing more to do");
    let cluster = cluster.restart().await;
    let session = cluster.session().await;
    let options = "SELECT reloptions::text FROM pg_class WHERE relname = 't'";
    assert_eq!(session.value(options).await, "{\"cluster_by=s, v\"}");
    assert!(row_groups(&session, strings).await.0 <= 2);
    cluster.stop().await;
}

/// Rows 1 to `rows`, each of a statement of its own, in an order that is not that of the clustering
/// column.
async fn fill(session: &Session, layout: &str, rows: u64) {
    let create = format!("CREATE TABLE t (a int, b int, c int) WITH (cluster_by = c) {layout}");
    session.run_all(["DROP TABLE IF EXISTS t", &create]).await;
    let inserts =
        (1..=rows).map(|row| format!("INSERT INTO t VALUES ({row}, 0, {})", row * 7 % 31));
    session.run_all(inserts).await;
}

/// A transaction that began before finds the rows that it has deleted where a sort has put them.
#[tokio::test(flavor = "multi_thread")]
async fn deletes_follow_sorted_rows() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(2, OFF).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    for layout in ["DISTRIBUTED BY (a)", "DISTRIBUTED RANDOMLY", "DISTRIBUTED REPLICATED"] {
        fill(&first, layout, 30).await;
        first.run_all(["DELETE FROM t WHERE a IN (3, 4)", "BEGIN"]).await;
        assert_eq!(first.value("SELECT count(*) FROM t").await, "28", "{layout}");
        second.run_all(["DELETE FROM t WHERE a IN (1, 30)", "VACUUM FULL t"]).await;
        first.run_all(["DELETE FROM t WHERE a IN (2, 15)"]).await;
        // They move once more, and some that were beside them go.
        second.run_all(["INSERT INTO t VALUES (100, 0, 9)", "DELETE FROM t WHERE a = 14"]).await;
        second.run_all(["CLUSTER t", "DELETE FROM t WHERE a = 16"]).await;
        first.run_all(["UPDATE t SET b = 1, c = -c WHERE a IN (17, 18)", "COMMIT"]).await;
        let state = "SELECT count(*), sum(a), sum(b) FROM t";
        // 5 to 13, 17 to 29, and 100.
        let expected = ["23", "480", "2"].map(|value| Some(value.to_string()));
        assert_eq!(first.rows(state).await[0], expected, "{layout}");
        assert_eq!(second.rows(state).await[0], expected, "{layout}");

        // A row that another has deleted is a conflict, wherever it was.
        first.run_all(["BEGIN", "SELECT count(*) FROM t"]).await;
        second.run_all(["DELETE FROM t WHERE a = 20", "VACUUM FULL t"]).await;
        first.run_all(["UPDATE t SET b = 5 WHERE a = 20"]).await;
        assert_eq!(first.failure("COMMIT").await.sqlstate, "40001", "{layout}");
        assert_eq!(first.value("SELECT sum(b) FROM t").await, "2", "{layout}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_the_database_may_vacuum() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(1, OFF).await;
    let mut session = cluster.session().await;
    fill(&session, "DISTRIBUTED BY (a)", 3).await;
    session.run_all(["CREATE ROLE ann", "ALTER DATABASE kestrel OWNER TO ann"]).await;
    session.notices();
    session.run_all(["SET ROLE ann", "VACUUM t", "ANALYZE t"]).await;
    assert!(session.notices().is_empty());
    assert_eq!(files(cluster.directory.path()).len(), 1);
    // CLUSTER is its owner's.
    let failure = session.failure("CLUSTER t").await;
    assert_eq!(failure.sqlstate, "42501");
    assert_eq!(failure.message, "must be owner of table t");
    cluster.stop().await;
}
