//! Cursors as clients use them: rows that stream, portals with names, parameters, cancels.

use std::time::Duration;

use tokio_postgres::NoTls;

use crate::support::{Answer, Session, TestCluster};

async fn filled(cluster: &TestCluster, rows: u32) -> Session {
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (i int) DISTRIBUTED BY (i)"]).await;
    let lines: String = (0..rows).map(|i| format!("{i}\n")).collect();
    assert_eq!(session.copy_in("COPY t FROM STDIN", &lines).await, Ok(u64::from(rows)));
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_gives_its_rows_in_portions() {
    const ROWS: u32 = 50_000;
    let cluster = TestCluster::start(3).await;
    let session = filled(&cluster, ROWS).await;
    session.run_all(["BEGIN", "DECLARE c CURSOR FOR SELECT i FROM t ORDER BY i"]).await;
    let mut next = 0;
    loop {
        let rows = session.rows("FETCH 7001 FROM c").await;
        for row in &rows {
            assert_eq!(row[0].as_deref(), Some(next.to_string().as_str()));
            next += 1;
        }
        if rows.is_empty() {
            break;
        }
    }
    assert_eq!(next, ROWS);
    session.run_all(["COMMIT"]).await;
    assert_eq!(session.failure("FETCH c").await.sqlstate, "34000");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_string_of_statements_is_a_block() {
    let cluster = TestCluster::start(1).await;
    let session = cluster.session().await;
    let answer = session.run("DECLARE c CURSOR FOR SELECT 7; FETCH c").await;
    assert_eq!(answer, Answer::Rows { columns: 1, rows: vec![vec![Some("7".into())]] });
    assert_eq!(session.failure("FETCH c").await.sqlstate, "34000");
    assert_eq!(session.failure("DECLARE c CURSOR FOR SELECT 7").await.sqlstate, "25P01");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn portals_and_cursors_are_one() {
    let cluster = TestCluster::start(2).await;
    let mut session = filled(&cluster, 10).await;
    let transaction = session.client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT i FROM t WHERE i > $1 ORDER BY i", &[&2_i32]);
    let portal = portal.await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 2).await.unwrap().len(), 2);
    let names = transaction.query("SELECT name FROM pg_cursors", &[]).await.unwrap();
    assert_eq!(names.len(), 1);
    let name: String = names[0].get(0);
    let rows = transaction.query(&format!("FETCH 2 FROM \"{name}\""), &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [5, 6]);
    let rows = transaction.query_portal(&portal, 0).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [7, 8, 9]);
    // One that has not run yet, too.
    let portal = transaction.bind("SELECT i FROM t ORDER BY i", &[]).await.unwrap();
    let others = "SELECT name FROM pg_cursors WHERE name <> $1";
    let unread: String = transaction.query_one(others, &[&name]).await.unwrap().get(0);
    transaction.batch_execute(&format!("MOVE 8 FROM \"{unread}\"")).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 0).await.unwrap().len(), 2);
    let taken = format!("DECLARE \"{unread}\" CURSOR FOR SELECT 1");
    let error = transaction.batch_execute(&taken).await.unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("42P03"));
    transaction.rollback().await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_takes_parameters() {
    let cluster = TestCluster::start(2).await;
    let mut session = filled(&cluster, 10).await;
    let transaction = session.client.transaction().await.unwrap();
    let declare = "DECLARE c SCROLL CURSOR FOR SELECT i FROM t WHERE i >= $1 ORDER BY i";
    transaction.execute(declare, &[&8_i32]).await.unwrap();
    let last: i32 = transaction.query_one("FETCH LAST FROM c", &[]).await.unwrap().get(0);
    let first: i32 = transaction.query_one("FETCH FIRST FROM c", &[]).await.unwrap().get(0);
    assert_eq!((first, last), (8, 9));
    assert_eq!(transaction.execute("MOVE ALL c", &[]).await.unwrap(), 1);
    transaction.commit().await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_cursor_is_binary_in_simple_queries() {
    let cluster = TestCluster::start(1).await;
    let session = cluster.session().await;
    session.run_all(["BEGIN", "DECLARE b BINARY CURSOR FOR SELECT 65"]).await;
    assert_eq!(session.value("FETCH b").await, "\0\0\0A");
    assert_eq!(session.value("SELECT is_binary FROM pg_cursors").await, "t");
    session.run_all(["ROLLBACK"]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_cursor_keeps_what_it_saw() {
    let cluster = TestCluster::start(3).await;
    let session = filled(&cluster, 1000).await;
    let declare = "DECLARE h SCROLL CURSOR WITH HOLD FOR SELECT i FROM t ORDER BY i";
    session.run_all(["BEGIN", declare, "MOVE 998 h", "COMMIT"]).await;
    session.run_all(["INSERT INTO t VALUES (5000)", "DROP TABLE t"]).await;
    assert_eq!(session.rows("FETCH ALL h").await.len(), 2);
    assert_eq!(session.value("FETCH ABSOLUTE 1 h").await, "0");
    assert_eq!(session.rows("FETCH FORWARD ALL h").await.len(), 999);
    session.run_all(["CLOSE h"]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_timeout_is_for_each_piece_of_a_portal() {
    let cluster = TestCluster::start(2).await;
    let mut session = filled(&cluster, 3000).await;
    session.run_all(["SET statement_timeout = '2s'"]).await;
    let transaction = session.client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT i FROM t ORDER BY i", &[]).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 10).await.unwrap().len(), 10);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(transaction.query_portal(&portal, 0).await.unwrap().len(), 2990);
    let long = "SELECT count(*) FROM t a, t b, t c WHERE a.i + b.i < c.i - 9000";
    let portal = transaction.bind(long, &[]).await.unwrap();
    let error = transaction.query_portal(&portal, 1).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.message(), "canceling statement due to statement timeout");
    transaction.rollback().await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_is_closed_early_has_not_failed() {
    let cluster = TestCluster::start(2).await;
    let session = filled(&cluster, 10).await;
    for (rows, expected) in [("1", "canceled"), ("ALL", "finished")] {
        let declare = format!("DECLARE c CURSOR FOR SELECT i AS fetched_{rows} FROM t");
        session.run_all(["BEGIN", &declare, &format!("FETCH {rows} c"), "CLOSE c", "COMMIT"]).await;
        let sql = format!(
            "SELECT state FROM kestrel.queries \
             WHERE query LIKE '%fetched\\_{rows}%' AND query NOT LIKE '%kestrel.queries%'"
        );
        assert_eq!(session.value(&sql).await, expected, "FETCH {rows}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_can_be_cancelled() {
    let cluster = TestCluster::start(2).await;
    let session = filled(&cluster, 3000).await;
    let long =
        "DECLARE c CURSOR FOR SELECT count(*) FROM t a, t b, t c WHERE a.i + b.i < c.i - 9000";
    for statement in ["FETCH c", "MOVE c"] {
        session.run_all(["BEGIN", long]).await;
        let token = session.client.cancel_token();
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            token.cancel_query(NoTls).await.unwrap();
        };
        let (failure, ()) = tokio::join!(session.failure(statement), cancel);
        assert_eq!(failure.sqlstate, "57014", "{statement}: {failure}");
        assert_eq!(session.failure("FETCH c").await.sqlstate, "25P02");
        session.run_all(["ROLLBACK"]).await;
    }
    session.run_all(["BEGIN", long, "SET statement_timeout = 200"]).await;
    let failure = session.failure("FETCH c").await;
    assert_eq!(failure.message, "canceling statement due to statement timeout", "{failure}");
    session.run_all(["ROLLBACK"]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drivers_and_sql_prepare_under_the_same_names() {
    let cluster = TestCluster::start(2).await;
    let session = filled(&cluster, 10).await;
    let client = &session.client;
    let prepared = client.prepare("SELECT i FROM t WHERE i > $1 ORDER BY i").await.unwrap();
    let sql = "SELECT name, statement, from_sql FROM pg_prepared_statements \
               WHERE statement LIKE '%> $1%'";
    let row = session.rows(sql).await.remove(0);
    let name = row[0].clone().unwrap();
    let shown: Vec<_> = row[1..].iter().map(|value| value.as_deref().unwrap()).collect();
    assert_eq!(shown, ["SELECT i FROM t WHERE i > $1 ORDER BY i", "f"]);
    assert_eq!(session.rows(&format!("EXECUTE {name} (7)")).await.len(), 2);
    let taken = session.failure(&format!("PREPARE {name} AS SELECT 1")).await;
    assert_eq!(taken.sqlstate, "42P05", "{taken}");
    session.run_all([format!("DEALLOCATE {name}")]).await;
    let error = client.query(&prepared, &[&7_i32]).await.unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("26000"));
    // By the extended protocol, and explained.
    session.run_all(["PREPARE p (int) AS SELECT i FROM t WHERE i < $1 ORDER BY i"]).await;
    let rows = client.query("EXECUTE p (3)", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [0, 1, 2]);
    let plan = session.rows("EXPLAIN EXECUTE p (3)").await;
    assert!(plan.iter().any(|line| line[0].as_deref().unwrap_or("").contains("Gather Motion")));
    let failure = session.failure("EXPLAIN EXECUTE p").await;
    assert_eq!(failure.sqlstate, "42601", "{failure}");
    // What it returns must be what it was.
    session.run_all(["PREPARE all_of AS SELECT * FROM t", "DROP TABLE t"]).await;
    session.run_all(["CREATE TABLE t (x text) DISTRIBUTED BY (x)"]).await;
    let failure = session.failure("EXECUTE all_of").await;
    assert_eq!(failure.message, "cached plan must not change result type", "{failure}");
    cluster.stop().await;
}
