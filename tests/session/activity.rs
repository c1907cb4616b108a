//! What sessions see of one another, how they end one another, and how silent ones end.

use std::time::Duration;

use crate::support::{Session, TestCluster};

/// Waits until this query has this value.
pub(super) async fn wait_for(session: &Session, sql: &str, expected: &str) {
    for _ in 0..500 {
        if session.value(sql).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{sql}\nnever was {expected}, but {}", session.value(sql).await);
}

pub(super) async fn process_id(session: &Session) -> String {
    session.value("SELECT pg_backend_pid()").await
}

/// Runs for minutes.
const LONG: &str = "SELECT count(*) FROM t a, t b, t c WHERE a.i + b.i < c.i - 9000";

async fn fill(session: &Session) {
    session.run_all(["CREATE TABLE t (i int) DISTRIBUTED BY (i)"]).await;
    let lines: String = (0..3000).map(|i| format!("{i}\n")).collect();
    assert_eq!(session.copy_in("COPY t FROM STDIN", &lines).await, Ok(3000));
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_shows_every_session() {
    let cluster = TestCluster::start(2).await;
    let (looking, seen) = (cluster.session().await, cluster.session().await);
    fill(&looking).await;
    seen.run_all(["SET application_name = 'seen'"]).await;
    let id = process_id(&seen).await;
    let look = async |columns: &str| -> Vec<String> {
        let sql = format!("SELECT {columns} FROM pg_stat_activity WHERE pid = {id}");
        looking.rows(&sql).await.remove(0).into_iter().map(Option::unwrap_or_default).collect()
    };
    let first = look("application_name, state, query, usename, datname, backend_type").await;
    let expected =
        ["seen", "idle", "SELECT pg_backend_pid()", "kestrel", "kestrel", "client backend"];
    assert_eq!(first, expected);
    let times = look(
        "xact_start IS NULL, backend_start <= query_start, query_start <= state_change, \
         client_addr IS NULL, client_port > 0",
    )
    .await;
    assert_eq!(times, ["t", "t", "t", "f", "t"]);
    seen.run_all(["BEGIN"]).await;
    let open = look("state, query, xact_start IS NULL").await;
    assert_eq!(open, ["idle in transaction", "BEGIN", "f"]);
    seen.failure("SELECT 1 / 0").await;
    let failed = look("state").await;
    assert_eq!(failed, ["idle in transaction (aborted)"]);
    seen.run_all(["ROLLBACK"]).await;
    let own = "SELECT state, query FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    assert_eq!(looking.rows(own).await, [[Some("active".to_string()), Some(own.to_string())]]);
    drop(seen);
    wait_for(&looking, "SELECT count(*) FROM pg_stat_activity", "1").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cancels_and_ends_another() {
    let cluster = TestCluster::start(2).await;
    let (mut looking, other) = (cluster.session().await, cluster.session().await);
    fill(&looking).await;
    let id = process_id(&other).await;
    let active = format!("SELECT state FROM pg_stat_activity WHERE pid = {id}");
    let cancel = async {
        wait_for(&looking, &active, "active").await;
        // The statement may not have begun to listen.
        tokio::time::sleep(Duration::from_millis(200)).await;
        looking.value(&format!("SELECT pg_cancel_backend({id})")).await
    };
    let (failure, cancelled) = tokio::join!(other.failure(LONG), cancel);
    assert_eq!((failure.sqlstate.as_str(), cancelled.as_str()), ("57014", "t"), "{failure}");
    assert_eq!(failure.message, "canceling statement due to user request");
    let terminate = async {
        wait_for(&looking, &active, "active").await;
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid =";
        looking.value(&format!("{sql} {id}")).await
    };
    let (failure, terminated) = tokio::join!(other.failure(LONG), terminate);
    assert_eq!((failure.sqlstate.as_str(), terminated.as_str()), ("57P01", "t"), "{failure}");
    assert_eq!(other.failure("SELECT 1").await.sqlstate, "CLOSED");
    wait_for(&looking, "SELECT count(*) FROM pg_stat_activity", "1").await;
    looking.notices();
    assert_eq!(looking.value("SELECT pg_cancel_backend(987654)").await, "f");
    let notices = looking.notices();
    let messages: Vec<_> = notices.iter().map(|notice| notice.message()).collect();
    assert_eq!(messages, ["PID 987654 is not a PostgreSQL backend process"]);
    assert_eq!(looking.value("SELECT pg_terminate_backend(NULL)").await, "NULL");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_set_by_a_function_and_reset() {
    let cluster = TestCluster::start(1).await;
    let session = cluster.session().await;
    let set = "SELECT set_config('statement_timeout', '90s', false)";
    // Describing it sets nothing.
    session.client.prepare(set).await.unwrap();
    assert_eq!(session.value("SHOW statement_timeout").await, "0");
    assert_eq!(session.value(set).await, "90s");
    assert_eq!(session.value("SELECT current_setting('statement_timeout')").await, "90s");
    let raw = "SELECT setting || unit FROM pg_settings WHERE name = 'statement_timeout'";
    assert_eq!(session.value(raw).await, "90000ms");
    assert_eq!(session.value("SELECT set_config('lock_timeout', '120000', false)").await, "2min");
    session.run_all(["DISCARD ALL"]).await;
    assert_eq!(session.value("SHOW statement_timeout").await, "0");
    // SET LOCAL ends with the transaction, SET with one that is undone.
    for (timeout, end) in [("5s", "COMMIT"), ("6s", "ROLLBACK")] {
        session.run_all(["BEGIN", "SET LOCAL lock_timeout = '1s'"]).await;
        session.run_all([format!("SET statement_timeout = '{timeout}'")]).await;
        assert_eq!(session.value("SHOW lock_timeout").await, "1s");
        session.run_all([end]).await;
        assert_eq!(session.value("SHOW lock_timeout").await, "0", "{end}");
        assert_eq!(session.value("SHOW statement_timeout").await, "5s", "{end}");
    }
    session.run_all(["BEGIN", "SELECT set_config('lock_timeout', '3s', true)"]).await;
    assert_eq!(session.value("SHOW lock_timeout").await, "3s");
    session.run_all(["COMMIT"]).await;
    assert_eq!(session.value("SHOW lock_timeout").await, "0");
    let failure = session.failure("SELECT set_config('no_such', 'x', false)").await;
    assert_eq!(failure.sqlstate, "42704", "{failure}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_sessions_end() {
    let cluster = TestCluster::start(1).await;
    let looking = cluster.session().await;
    for (setting, block) in
        [("idle_session_timeout", "SELECT 1"), ("idle_in_transaction_session_timeout", "BEGIN")]
    {
        let silent = cluster.session().await;
        silent.run_all([format!("SET {setting} = '300ms'"), block.to_string()]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        wait_for(&looking, "SELECT count(*) FROM pg_stat_activity", "1").await;
        assert_eq!(silent.failure("SELECT 1").await.sqlstate, "CLOSED", "{setting}");
    }
    // Outside of a transaction block the second one does nothing.
    let session = cluster.session().await;
    session.run_all(["SET idle_in_transaction_session_timeout = 100", "SELECT 1"]).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    session.run_all(["SELECT 1"]).await;
    cluster.stop().await;
}
