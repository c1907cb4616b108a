//! UPDATE and DELETE of several sessions at a time: of tables in segments, whose writers do not wait
//! for each other.

use crate::support::{Failure, Session, SuiteShards, TestCluster};

const CONFLICT: (&str, &str) = ("40001", "could not serialize access due to concurrent update");

/// Each layout; rows 1 to 100.
const LAYOUTS: [&str; 3] = ["DISTRIBUTED BY (a)", "DISTRIBUTED RANDOMLY", "DISTRIBUTED REPLICATED"];

fn short(failure: &Failure) -> (&str, &str) {
    (&failure.sqlstate, &failure.message)
}

pub(super) fn databases_hold_rows() -> bool {
    SuiteShards::from_env() != SuiteShards::Columnar
}

async fn fill(session: &Session, layout: &str) {
    let create = format!("CREATE TABLE t (a int, b text) {layout}");
    let rows = "INSERT INTO t SELECT i, 'old' FROM generate_series(1, 100) AS i";
    session.run_all(["DROP TABLE IF EXISTS t", &create, rows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_different_rows_are_put_together() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(3).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    for layout in LAYOUTS {
        fill(&first, layout).await;
        first.run_all(["BEGIN", "DELETE FROM t WHERE a <= 5"]).await;
        first.run_all(["DELETE FROM t WHERE a BETWEEN 6 AND 10"]).await;
        second.run_all(["DELETE FROM t WHERE a BETWEEN 11 AND 20"]).await;
        second.run_all(["UPDATE t SET b = 'second' WHERE a = 30"]).await;
        second.run_all(["BEGIN", "DELETE FROM t WHERE a > 90"]).await;
        second.run_all(["INSERT INTO t VALUES (200, 'new')"]).await;
        // Each sees its own, and what was there when it began.
        assert_eq!(first.value("SELECT count(*) FROM t").await, "90", "{layout}");
        assert_eq!(first.value("SELECT b FROM t WHERE a = 30").await, "old", "{layout}");
        first.run_all(["UPDATE t SET b = 'first' WHERE a = 40", "COMMIT"]).await;
        second.run_all(["COMMIT"]).await;
        let state = "SELECT count(*), sum(a), count(CASE WHEN b = 'first' THEN 1 END), \
             count(CASE WHEN b = 'second' THEN 1 END) FROM t";
        // 21 to 90, and 200.
        let state = first.rows(state).await.remove(0);
        let state: Vec<_> = state.iter().map(|value| value.as_deref().unwrap_or("")).collect();
        assert_eq!(state, ["71", "4085", "1", "1"], "{layout}");
    }
    cluster.stop().await;
}

/// Who writes a table with a key waits for others who do; its snapshot may be older than its lock.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_looked_up_among_what_others_have_changed() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(2).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    first
        .run_all([
            "CREATE TABLE k (a int PRIMARY KEY, v int)",
            "INSERT INTO k SELECT i, 0 FROM generate_series(1, 50) AS i",
        ])
        .await;
    for round in 1..=3 {
        second.run_all(["BEGIN"]).await;
        let before = second.value("SELECT sum(v) FROM k").await;
        let change = format!("UPDATE k SET v = {round} WHERE a <= 10");
        let insert = format!("INSERT INTO k VALUES ({}, 0)", 100 + round);
        first.run_all([change, insert]).await;
        second.run_all(["UPDATE k SET v = v + 1 WHERE a > 40 AND a <= 50"]).await;
        // What it does not see, it must not double.
        second.run_all(["SAVEPOINT s"]).await;
        let double = format!("UPDATE k SET a = {} WHERE a = 20", 100 + round);
        assert_eq!(second.failure(&double).await.sqlstate, "23505");
        second.run_all(["ROLLBACK TO s", "DELETE FROM k WHERE a = 0"]).await;
        assert_ne!(second.value("SELECT sum(v) FROM k").await, before);
        second.run_all(["COMMIT"]).await;
        let sums = "SELECT sum(CASE WHEN a <= 10 THEN v END), sum(CASE WHEN a > 40 THEN v END), \
             count(*) FROM k";
        let sums = first.rows(sums).await.remove(0);
        let expected = [10 * round, 10 * round, 50 + round].map(|n| Some(n.to_string()));
        assert_eq!(sums, expected, "round {round}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_change_a_row_the_second_fails() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(2).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    for layout in LAYOUTS {
        fill(&first, layout).await;
        for (one, other) in [
            ("UPDATE t SET b = 'one' WHERE a < 10", "UPDATE t SET b = 'other' WHERE a = 5"),
            ("DELETE FROM t WHERE a = 50", "UPDATE t SET a = -a WHERE a > 45"),
            ("UPDATE t SET a = a + 1000 WHERE a = 60", "DELETE FROM t WHERE a BETWEEN 55 AND 65"),
        ] {
            let before = second.value("SELECT count(*) FROM t WHERE b = 'one'").await;
            first.run_all(["BEGIN", one, "INSERT INTO t VALUES (0, 'one')"]).await;
            second.run_all([other]).await;
            let failure = first.failure("COMMIT").await;
            assert_eq!(short(&failure), CONFLICT, "{layout}: {one}");
            // Nothing of it is there, and the session goes on.
            let after = first.value("SELECT count(*) FROM t WHERE b = 'one'").await;
            assert_eq!(after, before, "{layout}: {one}");
            fill(&first, layout).await;
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_keep_their_snapshot() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(3).await;
    let (reader, writer) = (cluster.session().await, cluster.session().await);
    for layout in LAYOUTS {
        fill(&writer, layout).await;
        reader.run_all(["BEGIN"]).await;
        let sum = "SELECT sum(a) FROM t";
        assert_eq!(reader.value(sum).await, "5050", "{layout}");
        writer
            .run_all(["UPDATE t SET a = a * 2 WHERE a > 50", "DELETE FROM t WHERE a <= 50"])
            .await;
        writer.run_all(["DELETE FROM t WHERE a > 150"]).await;
        assert_eq!(reader.value(sum).await, "5050", "{layout}");
        reader.run_all(["COMMIT"]).await;
        // 102, 104, … 150
        assert_eq!(reader.value(sum).await, "3150", "{layout}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_empties_a_table_waits_for_who_changes_it() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(2).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    fill(&first, "DISTRIBUTED BY (a)").await;
    second.run_all(["SET lock_timeout = '200ms'"]).await;
    first.run_all(["BEGIN", "DELETE FROM t WHERE a = 1"]).await;
    assert_eq!(second.failure("TRUNCATE t").await.sqlstate, "55P03");
    assert_eq!(second.failure("DROP TABLE t").await.sqlstate, "55P03");
    first.run_all(["COMMIT", "BEGIN"]).await;
    assert_eq!(first.value("SELECT count(*) FROM t").await, "99");
    // Its snapshot is older than its lock.
    second.run_all(["TRUNCATE t"]).await;
    first.run_all(["DELETE FROM t WHERE a = 2"]).await;
    assert_eq!(short(&first.failure("COMMIT").await), CONFLICT);
    assert_eq!(first.value("SELECT count(*) FROM t").await, "0");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_lose_nothing() {
    if databases_hold_rows() {
        return;
    }
    const WRITERS: u64 = 6;
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE t (w int, n int) DISTRIBUTED BY (n)",
            "INSERT INTO t SELECT i % 6, 0 FROM generate_series(0, 599) AS i",
        ])
        .await;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let session = cluster.session().await;
        writers.push(tokio::spawn(async move {
            let mut done = 0_u64;
            for _ in 0..12 {
                // Its rows are its own, in segments that all of them change.
                let sql = format!("UPDATE t SET n = n + 1 WHERE w = {writer}");
                done += u64::from(session.run(&sql).await.sqlstate().is_none());
            }
            done
        }));
    }
    for (writer, task) in writers.into_iter().enumerate() {
        let done = task.await.unwrap();
        assert_eq!(done, 12, "writer {writer}");
        let rows = format!("SELECT count(*), min(n), max(n) FROM t WHERE w = {writer}");
        let rows = session.rows(&rows).await.remove(0);
        assert_eq!(rows, ["100", "12", "12"].map(|value| Some(value.to_string())));
    }
    cluster.stop().await;
}
