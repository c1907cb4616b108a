//! Temporary tables: whose they are, and when they go.

use std::{collections::BTreeSet, path::Path, time::Duration};

use crate::support::TestCluster;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_gets_at_a_temporary_table() {
    let cluster = TestCluster::start(2).await;
    let (own, other) = (cluster.session().await, cluster.session().await);
    own.run_all(["CREATE TEMP TABLE t (a int)", "INSERT INTO t VALUES (1), (2)"]).await;
    let schema =
        own.value("SELECT nspname::text FROM pg_namespace WHERE oid = pg_my_temp_schema()");
    let schema = schema.await;
    assert_eq!(own.value(&format!("SELECT count(*) FROM {schema}.t")).await, "2");
    assert_eq!(other.failure("SELECT * FROM t").await.sqlstate, "42P01");
    assert_eq!(other.failure("SELECT * FROM pg_temp.t").await.sqlstate, "42P01");
    // That it is there is no secret, as in PostgreSQL.
    let there = "SELECT relpersistence::text FROM pg_class WHERE relname = 't'";
    assert_eq!(other.value(there).await, "t");
    for sql in ["SELECT * FROM {}.t", "INSERT INTO {}.t VALUES (3)", "TRUNCATE {}.t"] {
        let failure = other.failure(&sql.replace("{}", &schema)).await;
        assert_eq!(failure.sqlstate, "0A000", "{sql}: {failure}");
        assert_eq!(failure.message, "cannot access temporary tables of other sessions");
    }
    let failure = other.failure(&format!("CREATE TABLE {schema}.u (a int)")).await;
    assert_eq!(failure.sqlstate, "42P16");
    // Each session has its own.
    other.run_all(["CREATE TEMP TABLE t (b text)", "INSERT INTO t VALUES ('x')"]).await;
    assert_eq!(other.value("SELECT b FROM t").await, "x");
    assert_eq!(own.value("SELECT sum(a) FROM t").await, "3");
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_name = 't'";
    assert_eq!(own.value(tables).await, "1");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE pg_is_other_temp_schema(oid)";
    assert_eq!(own.value(schemas).await, "1");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_tables_go_with_their_session() {
    let cluster = TestCluster::start(3).await;
    let looking = cluster.session().await;
    let files = segment_files(cluster.directory.path());
    for in_block in [false, true] {
        let session = cluster.session().await;
        let create = "CREATE TEMP TABLE t AS SELECT 1 AS a UNION ALL SELECT 2 DISTRIBUTED RANDOMLY";
        session.run_all([create, "CREATE TEMP VIEW v AS SELECT a FROM t"]).await;
        session.run_all(["CREATE TEMP TABLE u (a serial, b int)", "CREATE TEMP SEQUENCE s"]).await;
        session.run_all(["INSERT INTO u (b) VALUES (1), (2), (3)"]).await;
        if in_block {
            session.run_all(["BEGIN", "INSERT INTO t VALUES (3)"]).await;
        }
        assert_ne!(segment_files(cluster.directory.path()), files);
        drop(session);
        let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg_temp%'";
        for attempt in 0.. {
            if looking.value(left).await == "0" && segment_files(cluster.directory.path()) == files
            {
                break;
            }
            // A reader may have kept the files: the next commit removes them.
            looking.run_all(["COMMENT ON SCHEMA public IS 'looked at'"]).await;
            assert!(attempt < 500, "in_block={in_block}: something is left");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let left = "SELECT count(*) FROM pg_class WHERE relname IN ('t', 'u', 'v', 's', 'u_a_seq')";
        assert_eq!(looking.value(left).await, "0");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_go_at_commit_leave_no_files() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    let files = segment_files(cluster.directory.path());
    session.run_all(["CREATE TEMP TABLE t (a int) ON COMMIT DELETE ROWS"]).await;
    session.run_all(["BEGIN", "INSERT INTO t VALUES (1), (2), (3)"]).await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "3");
    assert_ne!(segment_files(cluster.directory.path()), files);
    session
        .run_all(["COMMIT", "BEGIN", "CREATE TEMP TABLE u ON COMMIT DROP AS SELECT 1 AS a"])
        .await;
    session.run_all(["COMMIT", "SELECT 1"]).await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "0");
    assert_eq!(segment_files(cluster.directory.path()), files);
    cluster.stop().await;
}

/// The segment files below the cluster's directory.
fn segment_files(directory: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(next) = directories.pop() {
        // A directory may go meanwhile.
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                files.insert(path.display().to_string());
            }
        }
    }
    files
}
