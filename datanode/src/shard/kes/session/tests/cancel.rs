//! Statements that nobody waits for any more.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{KesSettings, TransactionStatus},
    connect, failure,
    postgres::{TestPostgres, shared},
    value,
};

const SOON: Duration = Duration::from_millis(200);
const LONG: &str = "SELECT pg_sleep(600)";

#[tokio::test]
async fn a_token_ends_a_statement() {
    let Some(server) = shared() else { return };
    for settings in [
        server.settings(),
        KesSettings {
            ssl_mode: super::super::SslMode::Require,
            ..server.tcp_settings_of("scram_user", "127.0.0.1")
        },
    ] {
        let mut session = connect(settings).await.unwrap();
        let token = session.cancel_token();
        // It harms nobody who waits for his next statement.
        token.cancel().await.unwrap();
        assert_eq!(value(&mut session, "SELECT 1").await, "1");
        let cancel = async {
            sleep(SOON).await;
            token.cancel().await
        };
        let (cancelled, ended) = tokio::join!(cancel, session.query(LONG));
        cancelled.unwrap();
        let (sqlstate, message) = failure(ended);
        assert_eq!(sqlstate, "57014");
        assert_eq!(message, "canceling statement due to user request");
        assert_eq!(value(&mut session, "SELECT 1").await, "1");
    }
}

#[tokio::test]
async fn a_dropped_statement_is_settled() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await.unwrap();
    let process = value(&mut session, "SELECT pg_backend_pid()").await;
    let begin = Instant::now();
    for round in 0..20 {
        // Some are dropped before the server has heard of them.
        let wait = Duration::from_millis(round % 5);
        assert!(timeout(wait, session.query(LONG)).await.is_err());
        assert_eq!(session.transaction_status(), None);
        session.settle().await.unwrap();
        assert_eq!(session.transaction_status(), Some(TransactionStatus::Idle));
        assert_eq!(value(&mut session, "SELECT 1").await, "1");
    }
    // The next statement settles, too.
    assert!(timeout(SOON, session.query(LONG)).await.is_err());
    assert_eq!(value(&mut session, "SELECT pg_backend_pid()").await, process);
    assert!(begin.elapsed() < Duration::from_secs(60));

    session.query("BEGIN").await.unwrap();
    assert!(timeout(SOON, session.query(LONG)).await.is_err());
    session.settle().await.unwrap();
    assert_eq!(session.transaction_status(), Some(TransactionStatus::Failed));
    session.query("ROLLBACK").await.unwrap();
    assert_eq!(session.transaction_status(), Some(TransactionStatus::Idle));
}

#[tokio::test]
async fn a_dropped_copy_is_settled() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await.unwrap();
    session.query("CREATE TEMP TABLE t (i int)").await.unwrap();
    for pieces in [0, 1, 1000] {
        let row = || Ok(Bytes::from("1\n".repeat(10_000)));
        let source = stream::repeat_with(row).take(pieces).chain(stream::pending());
        let copy = session.copy_in("COPY pg_temp.t FROM STDIN", source.boxed());
        assert!(timeout(SOON, copy).await.is_err());
        assert_eq!(value(&mut session, "SELECT count(*) FROM pg_temp.t").await, "0", "{pieces}");
    }
    let endless = "COPY (SELECT generate_series(1, 1000000000000)) TO STDOUT";
    for pieces in [0, 1, 100] {
        let copy = session.copy_out(endless).await.unwrap();
        let taken = copy.take(pieces).map(Result::unwrap).collect::<Vec<_>>().await;
        assert_eq!(taken.len(), pieces);
        assert_eq!(value(&mut session, "SELECT 1").await, "1", "{pieces}");
    }
}

#[tokio::test]
async fn a_dropped_session_ends_its_statement() {
    let Some(server) = shared() else { return };
    let mut other = connect(server.settings()).await.unwrap();
    let mut session = connect(server.settings()).await.unwrap();
    let process = value(&mut session, "SELECT pg_backend_pid()").await;
    assert!(timeout(SOON, session.query(LONG)).await.is_err());
    drop(session);
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {process}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while value(&mut other, &count).await != "0" {
        assert!(Instant::now() < deadline, "the server is still at it");
        sleep(SOON).await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_end_is_left() {
    let Some(server) = shared() else { return };
    let cancel_timeout = Duration::from_millis(600);
    let mut session = connect(KesSettings { cancel_timeout, ..server.settings() }).await.unwrap();
    let process = value(&mut session, "SELECT pg_backend_pid()").await;
    assert!(timeout(SOON, session.query(LONG)).await.is_err());
    TestPostgres::signal("STOP", &process);
    let begin = Instant::now();
    let (sqlstate, message) = failure(session.settle().await);
    TestPostgres::signal("CONT", &process);
    assert_eq!(sqlstate, "58K01");
    assert_eq!(message, "the shard database of dn1 is not reachable");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(session.is_closed());
    assert_eq!(failure(session.query("SELECT 1").await).0, "58K01");
}
