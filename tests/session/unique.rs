//! Keys that several sessions bring at once.

use std::time::Duration;

use super::{activity::wait_for, changes::databases_hold_rows};
use crate::support::{Answer, Session, TestCluster};

/// Who waits, as everybody sees it.
const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted";

/// Runs `waits` in one session until it waits, then `ends` in the other; with what the first failed.
async fn while_waiting(
    waiting: &Session,
    waits: &str,
    other: &Session,
    ends: &str,
) -> Option<String> {
    let waits = async {
        match waiting.run(waits).await {
            Answer::Error(failure) => Some(failure.sqlstate),
            _ => None,
        }
    };
    let ends = async {
        wait_for(other, WAITING, "1").await;
        other.run_all(ends.split("; ")).await;
    };
    tokio::join!(waits, ends).0
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_bring_a_key_the_second_waits() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(2).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    first.run_all(["CREATE TABLE t (a int PRIMARY KEY, b text)"]).await;
    let double = Some("23505".to_string());
    for (ends, key, expected) in [("COMMIT", 1, &double), ("ROLLBACK", 2, &None)] {
        let insert = format!("INSERT INTO t VALUES ({key}, 'x')");
        first.run_all(["BEGIN", &insert]).await;
        // Another key need not wait.
        second.run_all([format!("INSERT INTO t VALUES ({}, 'y'), (-{key}, 'z')", key + 10)]).await;
        assert_eq!(&while_waiting(&second, &insert, &first, ends).await, expected, "{ends}");
    }
    // Nor does it in blocks that have a snapshot already; what they do not see, they must not double.
    for session in [&first, &second] {
        session.run_all(["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM t"]).await;
    }
    first.run_all(["INSERT INTO t VALUES (100, 'x')", "UPDATE t SET b = 'y' WHERE a = 100"]).await;
    second.run_all(["INSERT INTO t VALUES (200, 'x')", "SAVEPOINT s"]).await;
    let failed = while_waiting(&second, "INSERT INTO t VALUES (100, 'x')", &first, "COMMIT").await;
    assert_eq!(failed, double);
    second.run_all(["ROLLBACK TO s", "DELETE FROM t WHERE a = 200"]).await;
    second.run_all(["INSERT INTO t VALUES (200, 'z')", "COMMIT"]).await;
    assert_eq!(
        second.value("SELECT string_agg(b, '' ORDER BY a) FROM t WHERE a >= 100").await,
        "yz"
    );
    assert_eq!(second.value("SELECT count(*) FROM pg_locks").await, "0");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_another_deletes_is_waited_for() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(2).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    first.run_all(["CREATE TABLE t (a int PRIMARY KEY, b text)"]).await;
    first.run_all(["INSERT INTO t SELECT i, 'old' FROM generate_series(1, 50) AS i"]).await;
    let many =
        "INSERT INTO t SELECT i, 'new' FROM generate_series(7, 7) AS i, t AS u WHERE u.a = 1";
    for insert in ["INSERT INTO t VALUES (7, 'new')", many] {
        for (ends, expected) in [("ROLLBACK", Some("23505".to_string())), ("COMMIT", None)] {
            first.run_all(["BEGIN", "DELETE FROM t WHERE a = 7"]).await;
            let failed = while_waiting(&second, insert, &first, ends).await;
            assert_eq!(failed, expected, "{insert} {ends}");
        }
        assert_eq!(second.value("SELECT b FROM t WHERE a = 7").await, "new");
        second.run_all(["UPDATE t SET b = 'old' WHERE a = 7"]).await;
    }
    cluster.stop().await;
}

/// Who replaces a row by DELETE and INSERT is not kept from that by who waits for its key.
#[tokio::test(flavor = "multi_thread")]
async fn who_deletes_a_row_may_bring_its_key_again() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(2).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    first.run_all(["CREATE TABLE t (a int PRIMARY KEY, b text)"]).await;
    first.run_all(["INSERT INTO t VALUES (1, 'old')", "BEGIN", "DELETE FROM t WHERE a = 1"]).await;
    let replace = "INSERT INTO t VALUES (1, 'replaced'); COMMIT";
    let failed = while_waiting(&second, "INSERT INTO t VALUES (1, 'x')", &first, replace).await;
    assert_eq!(failed.as_deref(), Some("23505"));
    assert_eq!(second.value("SELECT b FROM t").await, "replaced");
    cluster.stop().await;
}

/// Who brings many keys has all of them, and is waited for by those who bring one.
#[tokio::test(flavor = "multi_thread")]
async fn loads_and_single_rows_wait_for_each_other() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(2).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    first.run_all(["CREATE TABLE t (a int PRIMARY KEY, b text)", "BEGIN"]).await;
    first.run_all(["INSERT INTO t VALUES (1, 'x')"]).await;
    let load = "INSERT INTO t SELECT i, 'y' FROM generate_series(1, 5000) AS i";
    let failed = while_waiting(&second, load, &first, "COMMIT").await;
    assert_eq!(failed.as_deref(), Some("23505"));
    let lines: String = (2..3000).map(|i| format!("{i}\tz\n")).collect();
    first.run_all(["BEGIN"]).await;
    assert_eq!(first.copy_in("COPY t FROM STDIN", &lines).await, Ok(2998));
    let insert = "INSERT INTO t VALUES (4000, 'x')";
    assert_eq!(while_waiting(&second, insert, &first, "COMMIT").await, None);
    second.run_all(["SET lock_timeout = '200ms'"]).await;
    first.run_all(["BEGIN", "UPDATE t SET a = a + 10000 WHERE a < 10"]).await;
    let failure = second.failure("INSERT INTO t VALUES (5000, 'x')").await;
    assert_eq!(failure.sqlstate, "55P03", "{failure}");
    first.run_all(["COMMIT"]).await;
    assert_eq!(second.value("SELECT count(*) FROM t").await, "3000");
    cluster.stop().await;
}

/// Who inserts and then updates does not meet who waits for keys; nor do two loaders meet each other.
#[tokio::test(flavor = "multi_thread")]
async fn usual_blocks_are_no_deadlocks() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start(2).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    first.run_all(["CREATE TABLE t (a int PRIMARY KEY, b text)"]).await;
    first.run_all(["INSERT INTO t VALUES (0, 'x')"]).await;
    for (key, waits) in [
        (1, "INSERT INTO t VALUES (0, 'y') ON CONFLICT (a) DO UPDATE SET b = excluded.b"),
        (2, "UPDATE t SET a = a WHERE a = 0"),
    ] {
        first.run_all(["BEGIN".to_string(), format!("INSERT INTO t VALUES ({key}, 'x')")]).await;
        let ends = "UPDATE t SET b = 'z' WHERE a > 0; COMMIT";
        assert_eq!(while_waiting(&second, waits, &first, ends).await, None, "{waits}");
    }
    let load = |from: u32| {
        let rows: Vec<_> = (from..from + 2000).map(|key| format!("({key}, 'l')")).collect();
        format!("INSERT INTO t VALUES {}", rows.join(", "))
    };
    for session in [&first, &second] {
        session.run_all(["BEGIN"]).await;
    }
    first.run_all(["INSERT INTO t VALUES (10000, 'l')"]).await;
    second.run_all(["INSERT INTO t VALUES (20000, 'l')"]).await;
    first.run_all([load(10_001)]).await;
    second.run_all([load(20_001), "COMMIT".into()]).await;
    first.run_all(["COMMIT"]).await;
    assert_eq!(second.value("SELECT count(*) FROM t WHERE b = 'l'").await, "4002");
    cluster.stop().await;
}

/// Sessions that insert the same keys in different orders: each key is there once at the end.
#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_bring_each_key_once() {
    if databases_hold_rows() {
        return;
    }
    const KEYS: u64 = 40;
    let cluster = TestCluster::start(2).await;
    let looking = cluster.session().await;
    looking.run_all(["CREATE TABLE t (a int PRIMARY KEY, b int)"]).await;
    let mut running = tokio::task::JoinSet::new();
    for session in 0..4u64 {
        let client = cluster.session().await;
        running.spawn(async move {
            let mut inserted = 0u64;
            for n in 0..KEYS {
                let key = (n * 7 + session * 11) % KEYS;
                match client.run(&format!("INSERT INTO t VALUES ({key}, {session})")).await {
                    Answer::Done(rows) => inserted += rows,
                    Answer::Error(failure) => {
                        assert_eq!(failure.sqlstate, "23505", "{failure}");
                    }
                    Answer::Rows { .. } => panic!("INSERT has rows"),
                }
            }
            inserted
        });
    }
    let mut inserted = 0u64;
    while let Some(ended) =
        tokio::time::timeout(Duration::from_secs(120), running.join_next()).await.unwrap()
    {
        inserted += ended.unwrap();
    }
    assert_eq!(inserted, KEYS);
    let counts = "SELECT count(*), count(DISTINCT a) FROM t";
    let expected = [Some(KEYS.to_string()), Some(KEYS.to_string())];
    assert_eq!(looking.rows(counts).await.remove(0), expected);
    cluster.stop().await;
}
