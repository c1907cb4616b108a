//! Sequences under many sessions, and through drivers.

use std::collections::BTreeSet;

use crate::support::TestCluster;

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_get_every_value_once() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session.run_all(["CREATE SEQUENCE s", "CREATE TABLE t (a int) DISTRIBUTED BY (a)"]).await;
    session.run_all(["INSERT INTO t VALUES (1), (2), (3), (4), (5)"]).await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let session = cluster.session().await;
        tasks.push(tokio::spawn(async move {
            let mut values = Vec::new();
            for _ in 0..20 {
                let rows = session.rows("SELECT nextval('s'), a FROM t").await;
                values.extend(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()));
            }
            values
        }));
    }
    let mut given: BTreeSet<u64> = BTreeSet::new();
    for task in tasks {
        for value in task.await.unwrap() {
            assert!(given.insert(value.parse().unwrap()), "{value} came twice");
        }
    }
    assert_eq!(given, (1..=400).collect::<BTreeSet<u64>>());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn describing_a_statement_takes_no_value() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session.run_all(["CREATE SEQUENCE s", "CREATE TABLE t (a int, b bigint)"]).await;
    let select = session.client.prepare("SELECT nextval('s') + $1::bigint").await.unwrap();
    let insert = session.client.prepare("INSERT INTO t VALUES ($1, nextval('s'))").await.unwrap();
    let row = session.client.query_one(&select, &[&0_i64]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
    for a in [7_i32, 8] {
        session.client.execute(&insert, &[&a]).await.unwrap();
    }
    assert_eq!(session.value("SELECT sum(b) FROM t").await, "5");
    // Nor do explaining it, and failing before it runs.
    session.rows("EXPLAIN SELECT nextval('s') FROM t").await;
    session.failure("SELECT nextval('s'), missing FROM t").await;
    assert_eq!(session.value("SELECT nextval('s')").await, "4");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_fills_columns_from_their_sequences() {
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, a int)"]).await;
    let lines: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(session.copy_in("COPY t (a) FROM STDIN", &lines).await, Ok(20_000));
    let all =
        "SELECT count(DISTINCT id)::text || ' ' || min(id)::text || ' ' || max(id)::text FROM t";
    assert_eq!(session.value(all).await, "20000 1 20000");
    // COPY gives an identity column values without asking, as in PostgreSQL.
    assert_eq!(session.copy_in("COPY t FROM STDIN", "70000\t1\n").await, Ok(1));
    assert_eq!(session.value("SELECT currval('t_id_seq')").await, "20000");
    cluster.stop().await;
}
