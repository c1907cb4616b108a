//! ANALYZE of tables in databases: what is found out of all rows of small tables, and of some rows of large
//! ones; that joins are ordered by it.

use crate::support::{Session, ShardServers, TestCluster};

/// What `pg_stats` says of a column.
#[derive(Debug)]
struct Known {
    null_frac: f64,
    n_distinct: f64,
    /// As an array's text; empty: there are none.
    common: String,
}

async fn known(session: &Session, table: &str, column: &str) -> Known {
    let sql = format!(
        "SELECT null_frac, n_distinct, most_common_vals::text FROM pg_stats \
         WHERE tablename = '{table}' AND attname = '{column}'"
    );
    let rows = session.rows(&sql).await;
    let [row] = rows.as_slice() else { panic!("{table}.{column}: {rows:?}") };
    let number = |at: usize| row[at].as_deref().unwrap().parse().unwrap();
    Known {
        null_frac: number(0),
        n_distinct: number(1),
        common: row[2].clone().unwrap_or_default(),
    }
}

async fn rows_of(session: &Session, table: &str) -> f64 {
    let sql = format!("SELECT reltuples FROM pg_class WHERE relname = '{table}'");
    session.value(&sql).await.parse().unwrap()
}

/// How many rows EXPLAIN expects of a query.
async fn expected(session: &Session, sql: &str) -> f64 {
    let lines = session.rows(&format!("EXPLAIN {sql}")).await;
    let first = lines[0][0].as_deref().unwrap();
    let (_, rows) = first.split_once("rows=").unwrap_or_else(|| panic!("{first}"));
    rows.split(' ').next().unwrap().parse().unwrap()
}

async fn plan(session: &Session, sql: &str, ordered: &str) -> Vec<Vec<Option<String>>> {
    session.run_all([format!("SET kestrel.enable_join_order = {ordered}")]).await;
    session.rows(&format!("EXPLAIN (COSTS off) {sql}")).await
}

/// A cluster whose tables are analyzed only when the test says so.
async fn cluster(servers: &ShardServers) -> TestCluster {
    let cluster = TestCluster::start_on(2, servers.options()).await;
    let session = cluster.session().await;
    session.run_all(["ALTER DATABASE kestrel SET kestrel.auto_analyze = off"]).await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn small_tables_are_described_by_all_rows() {
    let Some(servers) = ShardServers::start(2) else { return };
    let cluster = cluster(&servers).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE t (k int, g text, e int) DISTRIBUTED BY (k)",
            "INSERT INTO t SELECT i, 'g' || i % 4, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 2 END \
             FROM generate_series(1, 200) AS s(i)",
            "CREATE TABLE everywhere (a int) DISTRIBUTED REPLICATED",
            "INSERT INTO everywhere SELECT i % 20 FROM generate_series(1, 1000) AS s(i)",
            "ANALYZE t",
            "ANALYZE",
        ])
        .await;
    for (column, null_frac, n_distinct, common) in
        [("k", 0.0, -1.0, ""), ("g", 0.0, 4.0, "{g0,g1,g2,g3}"), ("e", 0.2, 2.0, "{0,1}")]
    {
        let known = known(&session, "t", column).await;
        assert_eq!(known.n_distinct, n_distinct, "{column}: {known:?}");
        assert!((known.null_frac - null_frac).abs() < 1e-6, "{column}: {known:?}");
        assert_eq!(known.common, common, "{column}");
    }
    // One copy counts.
    assert_eq!(known(&session, "everywhere", "a").await.n_distinct, 20.0);
    assert_eq!(rows_of(&session, "t").await, 200.0);
    assert_eq!(rows_of(&session, "everywhere").await, 1000.0);
    let sql = "SELECT rows, live_rows, changed_rows, health FROM kestrel.table_statistics \
               WHERE table_name = 't'";
    let values = session.rows(sql).await.remove(0).into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(values, ["200", "200", "0", "100"]);
    assert_eq!(expected(&session, "SELECT k FROM t WHERE g = 'g1'").await, 50.0);

    // A block sees its own rows, and others do not.
    session
        .run_all([
            "BEGIN",
            "INSERT INTO t SELECT i, 'more', NULL FROM generate_series(201, 400) AS s(i)",
            "ANALYZE t",
        ])
        .await;
    assert_eq!(rows_of(&session, "t").await, 400.0);
    assert_eq!(known(&session, "t", "g").await.n_distinct, 5.0);
    session.run_all(["ROLLBACK"]).await;
    assert_eq!(rows_of(&session, "t").await, 200.0);
    assert_eq!(known(&session, "t", "g").await.n_distinct, 4.0);

    // What is updated counts when it is committed; ANALYZE has all counts noted first.
    session
        .run_all([
            "BEGIN",
            "UPDATE t SET e = 7 WHERE k <= 30",
            "SAVEPOINT a",
            "UPDATE t SET e = 8",
            "ROLLBACK TO a",
            "COMMIT",
            "ANALYZE everywhere",
        ])
        .await;
    let sql = "SELECT changed_rows FROM kestrel.table_statistics WHERE table_name = 't'";
    assert_eq!(session.value(sql).await, "30");

    // VACUUM that analyzes does the same, and of some columns only.
    session.run_all(["UPDATE t SET g = 'one', e = 7", "VACUUM (ANALYZE) t (g)"]).await;
    assert_eq!(known(&session, "t", "g").await.common, "{one}");
    assert_eq!(known(&session, "t", "e").await.common, "{0,1}");
    session.run_all(["TRUNCATE t"]).await;
    let left = session.value("SELECT count(*) FROM pg_stats WHERE tablename = 't'").await;
    assert_eq!(left, "0");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_tables_are_described_by_a_sample() {
    let Some(servers) = ShardServers::start(2) else { return };
    let cluster = cluster(&servers).await;
    let session = cluster.session().await;
    // About 17 rows in a block: more than 1,000 blocks on each datanode, of which not all are read.
    session
        .run_all([
            "CREATE TABLE t (k int, g int, n int, wide text) DISTRIBUTED BY (k)",
            "INSERT INTO t SELECT i, i % 10, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 1000 END, \
             repeat('x', 400) FROM generate_series(1, 40000) AS s(i)",
            "SET kestrel.statistics_sample_rows = 1000",
            "ANALYZE t",
        ])
        .await;
    let k = known(&session, "t", "k").await;
    assert_eq!((k.null_frac, k.n_distinct, k.common.as_str()), (0.0, -1.0, ""));
    let g = known(&session, "t", "g").await;
    assert_eq!(g.n_distinct, 10.0, "{g:?}");
    assert_eq!(g.common.split(',').count(), 10, "{g:?}");
    // 750 values, of which the sample lacks many.
    let n = known(&session, "t", "n").await;
    assert!((n.null_frac - 0.25).abs() < 0.1, "{n:?}");
    assert!((400.0..1400.0).contains(&n.n_distinct), "{n:?}");
    assert_eq!(known(&session, "t", "wide").await.n_distinct, 1.0);
    let rows = rows_of(&session, "t").await;
    assert!((rows / 40_000.0 - 1.0).abs() < 0.1, "{rows}");
    let few = expected(&session, "SELECT k FROM t WHERE g = 3").await;
    assert!((2_000.0..8_000.0).contains(&few), "{few}");
    let one = expected(&session, "SELECT g FROM t WHERE k = 7").await;
    assert!(one <= 2.0, "{one}");
    let lower = expected(&session, "SELECT g FROM t WHERE k <= 10000").await;
    assert!((7_000.0..13_000.0).contains(&lower), "{lower}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_are_ordered_when_tables_are_analyzed() {
    let Some(servers) = ShardServers::start(2) else { return };
    let cluster = cluster(&servers).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE f (id int, b int, s int, v int) DISTRIBUTED BY (id)",
            "CREATE TABLE b (id int, v int) DISTRIBUTED BY (id)",
            "CREATE TABLE s (id int, v int) DISTRIBUTED BY (id)",
            "INSERT INTO f SELECT i, i % 5000, i % 100, i FROM generate_series(1, 20000) AS x(i)",
            "INSERT INTO b SELECT i, i FROM generate_series(0, 4999) AS x(i)",
            "INSERT INTO s SELECT i, i % 20 FROM generate_series(0, 99) AS x(i)",
        ])
        .await;
    let sql = "SELECT f.v FROM f JOIN b ON f.b = b.id JOIN s ON f.s = s.id WHERE s.v = 5";
    let count = "SELECT count(*) FROM f JOIN b ON f.b = b.id JOIN s ON f.s = s.id WHERE s.v = 5";
    assert_eq!(plan(&session, sql, "on").await, plan(&session, sql, "off").await);
    session.run_all(["ANALYZE f, b, s"]).await;
    // What leaves few rows is joined first.
    assert_ne!(plan(&session, sql, "on").await, plan(&session, sql, "off").await);
    session.run_all(["SET kestrel.enable_join_order = on"]).await;
    assert_eq!(session.value(count).await, "1000");
    cluster.stop().await;
}
