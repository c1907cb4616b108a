//! Locks between sessions: LOCK TABLE, writers, advisory locks, and what ends a wait.

use std::time::Duration;

use crate::support::{Failure, Session, TestCluster};

const TIMED_OUT: (&str, &str) = ("55P03", "canceling statement due to lock timeout");

fn short(failure: &Failure) -> (&str, &str) {
    (&failure.sqlstate, &failure.message)
}

async fn impatient(cluster: &TestCluster) -> Session {
    let session = cluster.session().await;
    session.run_all(["SET lock_timeout = '200ms'"]).await;
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_table_keeps_writers_out_and_readers_in() {
    let cluster = TestCluster::start(2).await;
    let (holder, other) = (cluster.session().await, impatient(&cluster).await);
    holder.run_all(["CREATE TABLE t (a int)", "BEGIN", "LOCK TABLE t IN SHARE MODE"]).await;
    assert_eq!(other.value("SELECT count(*) FROM t").await, "0");
    assert_eq!(short(&other.failure("INSERT INTO t VALUES (1)").await), TIMED_OUT);
    other.run_all(["BEGIN", "LOCK TABLE t IN SHARE MODE NOWAIT", "ROLLBACK", "BEGIN"]).await;
    let failure = other.failure("LOCK TABLE t IN EXCLUSIVE MODE NOWAIT").await;
    assert_eq!(short(&failure), ("55P03", "could not obtain lock on relation \"t\""));
    other.run_all(["ROLLBACK"]).await;
    // The holder itself does not wait, and its lock goes with the transaction.
    holder.run_all(["INSERT INTO t VALUES (1)", "COMMIT"]).await;
    other.run_all(["INSERT INTO t VALUES (2)"]).await;
    assert_eq!(other.value("SELECT count(*) FROM t").await, "2");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_timeout_bounds_the_wait_for_a_key() {
    let cluster = TestCluster::start(2).await;
    let (holder, other) = (cluster.session().await, impatient(&cluster).await);
    holder.run_all(["CREATE TABLE k (a int PRIMARY KEY)", "BEGIN"]).await;
    holder.run_all(["INSERT INTO k VALUES (1)"]).await;
    assert_eq!(short(&other.failure("INSERT INTO k VALUES (2)").await), TIMED_OUT);
    holder.run_all(["COMMIT"]).await;
    other.run_all(["INSERT INTO k VALUES (2)"]).await;
    assert_eq!(other.failure("INSERT INTO k VALUES (1)").await.sqlstate, "23505");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn advisory_locks_are_waited_for() {
    let cluster = TestCluster::start(1).await;
    let holder = cluster.session().await;
    assert_eq!(holder.value("SELECT pg_advisory_lock(1)").await, "");
    let waiting = cluster.session().await;
    let waits = async { waiting.value("SELECT pg_advisory_lock(1)").await };
    let unlocks = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        holder.value("SELECT pg_advisory_unlock(1)").await
    };
    assert_eq!(tokio::join!(waits, unlocks), (String::new(), "t".to_string()));
    assert_eq!(holder.value("SELECT pg_try_advisory_lock(1)").await, "f");
    assert_eq!(holder.value("SELECT pg_try_advisory_lock(1, 1)").await, "t");
    // Locks of a session end with it.
    drop(waiting);
    assert_eq!(holder.value("SELECT pg_advisory_lock(1)").await, "");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_for_advisory_locks_end_at_their_limits() {
    let cluster = TestCluster::start(1).await;
    let (holder, other) = (cluster.session().await, impatient(&cluster).await);
    holder.run_all(["BEGIN", "SELECT pg_advisory_xact_lock_shared(7)"]).await;
    assert_eq!(other.value("SELECT pg_try_advisory_lock_shared(7)").await, "t");
    assert_eq!(other.value("SELECT pg_advisory_unlock_shared(7)").await, "t");
    assert_eq!(short(&other.failure("SELECT pg_advisory_lock(7)").await), TIMED_OUT);
    other.run_all(["SET lock_timeout = 0", "SET statement_timeout = '200ms'"]).await;
    let failure = other.failure("SELECT pg_advisory_lock(7)").await;
    let timed_out = ("57014", "canceling statement due to statement timeout");
    assert_eq!(short(&failure), timed_out);
    other.run_all(["RESET statement_timeout"]).await;
    let cancel = other.client.cancel_token();
    let canceled = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel_query(tokio_postgres::NoTls).await
    };
    let (failure, done) = tokio::join!(other.failure("SELECT pg_advisory_lock(7)"), canceled);
    done.unwrap();
    assert_eq!(short(&failure), ("57014", "canceling statement due to user request"));
    // None of them got the lock afterwards.
    holder.run_all(["COMMIT"]).await;
    assert_eq!(holder.value("SELECT pg_try_advisory_lock(7)").await, "t");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_deadlock_fails() {
    let cluster = TestCluster::start(1).await;
    let (a, b) = (cluster.session().await, cluster.session().await);
    a.run_all(["SELECT pg_advisory_lock(1)"]).await;
    b.run_all(["SELECT pg_advisory_lock(2)"]).await;
    let waits = a.value("SELECT pg_advisory_lock(2)");
    let closes = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let failure = b.failure("SELECT pg_advisory_lock(1)").await;
        b.run_all(["SELECT pg_advisory_unlock_all()"]).await;
        failure
    };
    let (_, failure) = tokio::join!(waits, closes);
    assert_eq!(short(&failure), ("40P01", "deadlock detected"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_own_a_lock_is_warned() {
    let cluster = TestCluster::start(1).await;
    let mut session = cluster.session().await;
    assert_eq!(session.value("SELECT pg_advisory_unlock(9)").await, "f");
    let notices = session.notices();
    let messages: Vec<_> = notices.iter().map(|notice| notice.message()).collect();
    assert_eq!(messages, ["you don't own a lock of type ExclusiveLock"]);
    session.run_all(["SELECT pg_advisory_lock(9)", "DISCARD ALL"]).await;
    assert_eq!(session.value("SELECT pg_advisory_unlock(9)").await, "f");
    cluster.stop().await;
}
