//! The queue: who waits is seen, can be stopped, and comes in when there is a place.

use std::time::Duration;

use tokio_postgres::NoTls;

use super::{LONG, cluster, limits};
use crate::support::{Failure, Session};

/// How many queries are in this state. This one does not wait itself, and does not see itself.
async fn in_state(session: &Session, state: &str) -> usize {
    let sql = format!("SELECT count(*) FROM kestrel.queries WHERE state = '{state}'");
    session.value(&sql).await.parse().unwrap()
}

async fn wait_for(session: &Session, state: &str, expected: usize) {
    for _ in 0..1000 {
        if in_state(session, state).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never were {expected} queries {state}, but {}", in_state(session, state).await);
}

fn text(failure: &Failure) -> String {
    format!("{}: {}", failure.sqlstate, failure.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_clients_keep_the_limit_and_get_their_answers() {
    const CLIENTS: usize = 10;
    const QUERIES: usize = 20;
    let (cluster, looking) = cluster(limits(3, 100), 2000).await;
    assert_eq!(looking.value("SHOW kestrel.max_running_queries").await, "3");
    assert_eq!(looking.value("SHOW kestrel.max_queued_queries").await, "100");
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let session = cluster.session().await;
        clients.spawn(async move {
            for _ in 0..QUERIES {
                let sql = "SELECT count(*) FROM t a, t b WHERE a.i + b.i < 10";
                assert_eq!(session.value(sql).await, "55");
            }
        });
    }
    let (mut most_running, mut most_queued) = (0, 0);
    while !clients.is_empty() {
        most_running = most_running.max(in_state(&looking, "running").await);
        most_queued = most_queued.max(in_state(&looking, "queued").await);
        assert!(most_running <= 3, "{most_running} ran at once");
        while let Some(ended) = clients.try_join_next() {
            ended.unwrap();
        }
    }
    assert!(most_queued > 0, "nobody ever waited, so the limit was not tried");
    assert_eq!(in_state(&looking, "failed").await, 0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_in_the_queue_is_seen_and_can_be_stopped() {
    let (cluster, looking) = cluster(limits(1, 1), 3000).await;
    let (busy, waits, refused) =
        (cluster.session().await, cluster.session().await, cluster.session().await);
    let busy_cancel = busy.client.cancel_token();
    let busy = tokio::spawn(async move { busy.failure(LONG).await });
    wait_for(&looking, "running", 1).await;

    // By its client.
    let pid = waits.value("SELECT pg_backend_pid()").await;
    let cancel = waits.client.cancel_token();
    let query = "SELECT count(*) FROM t";
    let stop = async {
        wait_for(&looking, "queued", 1).await;
        let sql = format!(
            "SELECT state, wait_event_type, wait_event FROM pg_stat_activity WHERE pid = {pid}"
        );
        let shown: Vec<_> = looking.rows(&sql).await.remove(0).into_iter().flatten().collect();
        assert_eq!(shown, ["active", "ResourceGroup", "Queue"]);
        // Another finds the queue full; what needs no place does not.
        let full = refused.failure(query).await;
        assert_eq!(text(&full), "53000: too many queries are waiting");
        assert!(full.hint.is_some_and(|hint| hint.contains("kestrel.max_queued_queries")));
        assert_eq!(refused.value("SELECT 1 + 1").await, "2");
        cancel.cancel_query(NoTls).await.unwrap();
    };
    let (failure, ()) = tokio::join!(waits.failure(query), stop);
    assert_eq!(text(&failure), "57014: canceling statement due to user request");
    wait_for(&looking, "queued", 0).await;

    // By a timeout.
    for (setting, expected) in [
        ("kestrel.queue_timeout", "57014: canceling statement due to queue timeout"),
        ("statement_timeout", "57014: canceling statement due to statement timeout"),
    ] {
        waits.run_all([format!("SET {setting} = '300ms'")]).await;
        assert_eq!(text(&waits.failure(query).await), expected);
        waits.run_all([format!("RESET {setting}")]).await;
        assert_eq!(in_state(&looking, "queued").await, 0);
    }

    // By the leaving of its client.
    let gone = tokio::time::timeout(Duration::from_millis(300), waits.run(query)).await;
    assert!(gone.is_err(), "it did not wait");
    drop(waits);
    wait_for(&looking, "queued", 0).await;

    // When the place is free the next one runs.
    let next = tokio::spawn(async move { refused.value(query).await });
    wait_for(&looking, "queued", 1).await;
    busy_cancel.cancel_query(NoTls).await.unwrap();
    assert_eq!(busy.await.unwrap().sqlstate, "57014");
    assert_eq!(next.await.unwrap(), "3000");
    cluster.stop().await;
}

/// One client with several open cursors does not wait for itself.
#[tokio::test(flavor = "multi_thread")]
async fn open_cursors_keep_no_place() {
    let (cluster, session) = cluster(limits(1, 10), 100_000).await;
    let other = cluster.session().await;
    session
        .run_all([
            "BEGIN",
            "DECLARE a CURSOR FOR SELECT i FROM t ORDER BY i",
            "DECLARE b CURSOR FOR SELECT i FROM t ORDER BY i DESC",
        ])
        .await;
    for (fetch, expected) in [
        ("FETCH a", "0"),
        ("FETCH b", "99999"),
        ("FETCH RELATIVE 50000 FROM a", "50000"),
        ("FETCH RELATIVE 50000 FROM b", "49999"),
        ("SELECT count(*) FROM t", "100000"),
        ("FETCH a", "50001"),
    ] {
        assert_eq!(session.value(fetch).await, expected, "{fetch}");
    }
    assert_eq!(other.value("SELECT count(*) FROM t").await, "100000");
    session.run_all(["COMMIT"]).await;
    assert_eq!(in_state(&other, "running").await, 0);
    cluster.stop().await;
}

/// Writing statements have places, and give them back.
#[tokio::test(flavor = "multi_thread")]
async fn every_place_comes_back() {
    let (cluster, session) = cluster(limits(1, 0), 1000).await;
    session.run_all(["CREATE TABLE u (i int PRIMARY KEY)"]).await;
    for (sql, sqlstate) in [
        ("INSERT INTO u SELECT i FROM t", None),
        ("INSERT INTO u SELECT i FROM t", Some("23505")),
        ("INSERT INTO u VALUES (1), (2000)", Some("23505")),
        ("CREATE TABLE v AS SELECT i FROM t DISTRIBUTED BY (i)", None),
        ("EXPLAIN ANALYZE SELECT count(*) FROM t", None),
        ("SELECT 1 / i FROM t", Some("22012")),
        ("SELECT i FROM t WHERE i > (SELECT avg(i) FROM u) LIMIT 1", None),
        ("SELECT count(*) FROM t", None),
    ] {
        let answer = session.run(sql).await;
        assert_eq!(answer.sqlstate(), sqlstate, "{sql}: {answer}");
    }
    let data = session.copy_out("COPY (SELECT i FROM t WHERE i < 3) TO STDOUT").await.unwrap();
    assert_eq!(data.len(), 6);
    assert_eq!(session.value("SELECT count(*) FROM t").await, "1000");
    cluster.stop().await;
}
