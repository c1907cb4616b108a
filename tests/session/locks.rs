//! Locks between sessions: LOCK TABLE, writers, DDL, advisory locks, and what ends a wait.

use std::time::Duration;

use super::activity::{process_id, wait_for};
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
    other.run_all(["INSERT INTO k VALUES (2)"]).await;
    assert_eq!(short(&other.failure("INSERT INTO k VALUES (1)").await), TIMED_OUT);
    holder.run_all(["COMMIT"]).await;
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

/// Who waits, as everybody sees it.
const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted";

#[tokio::test(flavor = "multi_thread")]
async fn waits_of_ddl_end_at_their_limits() {
    let cluster = TestCluster::start(1).await;
    let (holder, other) = (cluster.session().await, impatient(&cluster).await);
    holder.run_all(["CREATE TABLE t (a int)", "BEGIN", "CREATE TABLE mine (a int)"]).await;
    for statement in [
        "CREATE TABLE x (a int)",
        "CREATE TABLE x AS SELECT 1 AS a",
        "CREATE VIEW x AS SELECT a FROM t",
        "ALTER TABLE t ADD COLUMN b int",
        "DROP TABLE t",
        "CREATE ROLE x",
        "GRANT SELECT ON t TO PUBLIC",
    ] {
        assert_eq!(short(&other.failure(statement).await), TIMED_OUT, "{statement}");
    }
    other.run_all(["SET lock_timeout = 0", "SET statement_timeout = '200ms'"]).await;
    let failure = other.failure("CREATE TABLE x (a int)").await;
    assert_eq!(short(&failure), ("57014", "canceling statement due to statement timeout"));
    other.run_all(["RESET statement_timeout"]).await;
    let cancel = other.client.cancel_token();
    let cancels = async {
        wait_for(&holder, WAITING, "1").await;
        cancel.cancel_query(tokio_postgres::NoTls).await
    };
    let (failure, done) = tokio::join!(other.failure("CREATE TABLE x (a int)"), cancels);
    done.unwrap();
    assert_eq!(short(&failure), ("57014", "canceling statement due to user request"));
    let id = process_id(&other).await;
    let terminates = async {
        wait_for(&holder, WAITING, "1").await;
        holder.value(&format!("SELECT pg_terminate_backend({id})")).await
    };
    let (failure, _) = tokio::join!(other.failure("CREATE TABLE x (a int)"), terminates);
    assert_eq!(failure.sqlstate, "57P01");
    // A client that has gone waits no more, either.
    let gone = cluster.session().await;
    let waits = tokio::spawn(async move { gone.run("CREATE TABLE x (a int)").await });
    wait_for(&holder, WAITING, "1").await;
    waits.abort();
    wait_for(&holder, WAITING, "0").await;
    // None of them has the lock, and none has made anything.
    holder.run_all(["COMMIT", "CREATE TABLE x (a int)", "DROP TABLE mine, t, x"]).await;
    wait_for(&holder, "SELECT count(*) FROM pg_locks", "0").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_and_waits_are_shown() {
    let cluster = TestCluster::start(1).await;
    let (holder, other) = (cluster.session().await, cluster.session().await);
    holder.run_all(["CREATE TABLE t (a int)", "BEGIN", "LOCK TABLE t IN SHARE MODE"]).await;
    holder.run_all(["SELECT pg_advisory_lock(4294967298), pg_advisory_lock_shared(-1, 2)"]).await;
    holder.run_all(["CREATE TABLE mine (a int)"]).await;
    let (held, waits) = (process_id(&holder).await, process_id(&other).await);
    let waiting = tokio::spawn(async move {
        other.run_all(["CREATE TABLE x (a int)"]).await;
        other
    });
    let looking = cluster.session().await;
    wait_for(&looking, WAITING, "1").await;
    let rows = looking
        .rows(
            "SELECT locktype, database, relation::regclass::text, classid, objid, objsubid, pid, \
             mode, granted, fastpath, waitstart IS NULL FROM pg_locks \
             ORDER BY granted DESC, locktype, objsubid",
        )
        .await;
    let shown: Vec<String> = rows
        .into_iter()
        .map(|row| row.into_iter().map(|cell| cell.unwrap_or("~".into())).collect::<Vec<_>>())
        .map(|row| row.join("|"))
        .collect();
    assert_eq!(
        shown,
        [
            format!("advisory|5|~|1|2|1|{held}|ExclusiveLock|t|f|t"),
            format!("advisory|5|~|4294967295|2|2|{held}|ShareLock|t|f|t"),
            format!("object|5|~|1262|5|0|{held}|ExclusiveLock|t|f|t"),
            format!("relation|5|t|~|~|~|{held}|ShareLock|t|f|t"),
            format!("object|5|~|1262|5|0|{waits}|ExclusiveLock|f|f|f"),
        ]
    );
    let event = format!(
        "SELECT state || ' ' || wait_event_type || ' ' || wait_event FROM pg_stat_activity \
         WHERE pid = {waits}"
    );
    assert_eq!(looking.value(&event).await, "active Lock object");
    holder.run_all(["COMMIT", "SELECT pg_advisory_unlock_all()"]).await;
    let other = waiting.await.unwrap();
    let idle = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    assert_eq!(other.value(idle).await, "NULL");
    assert_eq!(looking.value("SELECT count(*) FROM pg_locks").await, "0");
    cluster.stop().await;
}

/// A block that has DDL's lock and waits for a table, and one that has the table and wants to make
/// another: the one that closes the circle fails, and with it goes what it has locked.
#[tokio::test(flavor = "multi_thread")]
async fn ddl_takes_part_in_deadlocks() {
    let cluster = TestCluster::start(1).await;
    let (a, b) = (cluster.session().await, cluster.session().await);
    a.run_all(["CREATE TABLE t (a int)", "BEGIN", "LOCK TABLE t IN SHARE MODE"]).await;
    b.run_all(["BEGIN", "CREATE TABLE mine (a int)"]).await;
    let closes = async {
        let looking = cluster.session().await;
        wait_for(&looking, WAITING, "1").await;
        a.failure("CREATE TABLE other (a int)").await
    };
    let ((), failure) = tokio::join!(b.run_all(["DROP TABLE t", "COMMIT"]), closes);
    assert_eq!(short(&failure), ("40P01", "deadlock detected"));
    let detail = failure.detail.unwrap_or_default();
    assert!(detail.contains("ExclusiveLock on object 5 of class 1262"), "{detail}");
    assert!(detail.contains("AccessExclusiveLock on relation"), "{detail}");
    a.run_all(["ROLLBACK", "DROP TABLE mine"]).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_table_keeps_ddl_out() {
    let cluster = TestCluster::start(2).await;
    let (holder, other) = (cluster.session().await, impatient(&cluster).await);
    holder.run_all(["CREATE ROLE another", "CREATE TABLE t (a int, b int)"]).await;
    holder.run_all(["INSERT INTO t VALUES (1, 1)"]).await;
    holder.run_all(["BEGIN", "LOCK TABLE t IN ACCESS SHARE MODE"]).await;
    for statement in [
        "DROP TABLE t",
        "TRUNCATE t",
        "ALTER TABLE t ADD COLUMN c int",
        "ALTER TABLE t RENAME TO u",
        "ALTER TABLE t OWNER TO another",
        "DROP SCHEMA public CASCADE",
    ] {
        assert_eq!(short(&other.failure(statement).await), TIMED_OUT, "{statement}");
    }
    // What conflicts with no reader.
    other.run_all(["COMMENT ON TABLE t IS 'x'", "CREATE INDEX ON t (b)"]).await;
    holder.run_all(["LOCK TABLE t IN EXCLUSIVE MODE"]).await;
    for statement in ["COMMENT ON TABLE t IS 'y'", "CREATE INDEX ON t (a)"] {
        assert_eq!(short(&other.failure(statement).await), TIMED_OUT, "{statement}");
    }
    // Others' DDL goes on while a statement waits for the table.
    let patient = cluster.session().await;
    let drops = patient.run_all(["DROP TABLE t"]);
    let goes_on = async {
        wait_for(&other, WAITING, "1").await;
        other.run_all(["CREATE TABLE x (a int)", "DROP TABLE x"]).await;
        holder.run_all(["COMMIT"]).await;
    };
    tokio::join!(drops, goes_on);
    assert_eq!(other.failure("SELECT * FROM t").await.sqlstate, "42P01");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_and_ddl_of_a_table_wait_for_each_other() {
    let cluster = TestCluster::start(2).await;
    let (holder, other) = (cluster.session().await, cluster.session().await);
    holder.run_all(["CREATE TABLE t (a int)", "BEGIN", "INSERT INTO t VALUES (1)"]).await;
    // The rule is checked against the rows that were being written.
    let alters = other.failure("ALTER TABLE t ADD CHECK (a > 1)");
    let commits = async {
        wait_for(&holder, WAITING, "1").await;
        holder.run_all(["COMMIT"]).await;
    };
    let (failure, ()) = tokio::join!(alters, commits);
    assert_eq!(failure.sqlstate, "23514", "{failure}");
    // And a writer that waits for DDL writes the table as it is then.
    holder.run_all(["BEGIN", "ALTER TABLE t ADD COLUMN b int DEFAULT 7"]).await;
    let writes = other.run_all(["INSERT INTO t VALUES (2)"]);
    let commits = async {
        wait_for(&holder, WAITING, "1").await;
        holder.run_all(["COMMIT"]).await;
    };
    tokio::join!(writes, commits);
    assert_eq!(other.value("SELECT b FROM t WHERE a = 2").await, "7");
    holder.run_all(["BEGIN", "DROP TABLE t"]).await;
    let writes = async { other.copy_in("COPY t FROM STDIN", "3\t3\n").await.unwrap_err() };
    let commits = async {
        wait_for(&holder, WAITING, "1").await;
        holder.run_all(["COMMIT"]).await;
    };
    let (failure, ()) = tokio::join!(writes, commits);
    assert_eq!(short(&failure), ("42P01", "relation \"t\" does not exist"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_has_failed_keeps_no_locks() {
    let cluster = TestCluster::start(1).await;
    let (holder, other) = (cluster.session().await, impatient(&cluster).await);
    holder.run_all(["BEGIN", "CREATE TABLE mine (a int)"]).await;
    assert_eq!(short(&other.failure("CREATE TABLE x (a int)").await), TIMED_OUT);
    holder.failure("SELECT 1 / 0").await;
    other.run_all(["CREATE TABLE x (a int)"]).await;
    holder.run_all(["ROLLBACK"]).await;
    // What a savepoint can still go back to is kept.
    holder.run_all(["BEGIN", "CREATE TABLE mine (a int)", "SAVEPOINT s"]).await;
    holder.failure("SELECT 1 / 0").await;
    assert_eq!(short(&other.failure("CREATE TABLE y (a int)").await), TIMED_OUT);
    holder.run_all(["ROLLBACK TO s", "COMMIT"]).await;
    other.run_all(["DROP TABLE mine, x"]).await;
    cluster.stop().await;
}
