//! RETURNING, ON CONFLICT and MERGE over the extended protocol, and of sessions that wait for each
//! other.

use futures::future::join;
use tokio_postgres::types::Type;

use crate::support::{SuiteShards, TestCluster};

fn databases_hold_rows() -> bool {
    SuiteShards::from_env() != SuiteShards::Columnar
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_and_columns_are_known_before_anything_runs() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(3).await;
    let client = &cluster.session().await.client;
    let tables =
        "CREATE TABLE t (id int PRIMARY KEY, d date, s text); CREATE TABLE u (k int, x text)";
    client.batch_execute(tables).await.unwrap();
    let (int, date, text) = (|| Type::INT4, || Type::DATE, || Type::TEXT);
    for (sql, parameters, columns) in [
        ("INSERT INTO t VALUES ($1, $2) RETURNING id, s", vec![int(), date()], vec![int(), text()]),
        ("INSERT INTO t VALUES ($1) RETURNING id + $2, *", vec![int(), int()], {
            vec![int(), int(), date(), text()]
        }),
        (
            "INSERT INTO t VALUES ($1, $3) ON CONFLICT (id) DO UPDATE SET s = $2 WHERE t.d < $4",
            vec![int(), text(), date(), date()],
            Vec::new(),
        ),
        ("UPDATE t SET d = $1 RETURNING $2 || s", vec![date(), text()], vec![text()]),
        ("DELETE FROM t USING u WHERE k = id AND s = $1 RETURNING x, k", vec![text()], {
            vec![text(), int()]
        }),
        (
            "MERGE INTO t USING u ON id = k AND s = $3 WHEN MATCHED THEN UPDATE SET d = $2 \
             WHEN NOT MATCHED THEN INSERT (id) VALUES ($1)",
            vec![int(), date(), text()],
            Vec::new(),
        ),
    ] {
        let prepared = client.prepare(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        assert_eq!(prepared.params(), parameters, "{sql}");
        let types: Vec<_> = prepared.columns().iter().map(|c| c.type_().clone()).collect();
        assert_eq!(types, columns, "{sql}");
    }
    let upsert = "INSERT INTO t AS o VALUES ($1, NULL, $2) ON CONFLICT (id) DO UPDATE \
         SET s = o.s || excluded.s || $3 RETURNING s, id + $4";
    for expected in ["a", "aa!", "aa!a!"] {
        let row = client.query_one(upsert, &[&1_i32, &"a", &"!", &10_i32]).await.unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, i32>(1)), (expected, 11));
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_returned_comes_in_portions() {
    let cluster = TestCluster::start(3).await;
    let mut session = cluster.session().await;
    session.run_all(["CREATE TABLE t (i int, k int)"]).await;
    let transaction = session.client.transaction().await.unwrap();
    let insert = "INSERT INTO t SELECT i, i % 7 FROM generate_series(1, 1000) AS i RETURNING i";
    let portal = transaction.bind(insert, &[]).await.unwrap();
    let mut sum = 0;
    for expected in [400, 400, 200, 0] {
        let rows = transaction.query_portal(&portal, 400).await.unwrap();
        assert_eq!(rows.len(), expected);
        sum += rows.iter().map(|row| row.get::<_, i32>(0)).sum::<i32>();
    }
    assert_eq!(sum, 500_500);
    // All is done, whatever of it is taken.
    let insert = "INSERT INTO t VALUES (1001, 0), (1002, 1) RETURNING i";
    let portal = transaction.bind(insert, &[]).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 1).await.unwrap().len(), 1);
    transaction.commit().await.unwrap();
    assert_eq!(session.value("SELECT count(*) FROM t").await, "1002");
    cluster.stop().await;
}

/// Who proposes a row of a key that another transaction has written waits, and then meets it.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_transaction_that_was_waited_for_are_met() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(3).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    first.run_all(["CREATE TABLE t (id int PRIMARY KEY, n int)"]).await;
    let upsert = "INSERT INTO t VALUES (1, 1), (2, 1) ON CONFLICT (id) DO UPDATE SET n = t.n + 1";
    first.run_all(["BEGIN", upsert]).await;
    let commit = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        first.run_all(["COMMIT"]).await;
    };
    join(second.run_all([upsert]), commit).await;
    assert_eq!(first.value("SELECT sum(n) FROM t").await, "4");
    cluster.stop().await;
}
