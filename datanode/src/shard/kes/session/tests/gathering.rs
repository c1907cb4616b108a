//! Long COPYs, which a thread reads: the same comes as without one, and the session is as it was after.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{KesSettings, Session, SslMode},
    connect,
    postgres::{TestPostgres, shared},
    value,
};

/// More bytes than are read before a thread takes over, and than it reads ahead.
const TAKEN_OVER: usize = 8 << 20;
const A_WHILE: Duration = Duration::from_secs(60);

/// Over a unix socket, TCP, and TLS, which has no thread.
fn ways(server: &TestPostgres) -> [KesSettings; 3] {
    let tls = server.tcp_settings_of("scram_user", "127.0.0.1");
    let tcp = KesSettings { password: None, ..server.tcp_settings_of("postgres", "127.0.0.1") };
    [server.settings(), tcp, KesSettings { ssl_mode: SslMode::Require, ..tls }]
}

/// COPY of this many lines: something, a tab, and 107 bytes.
fn copy(value: &str, rows: u32) -> String {
    format!(
        "COPY (SELECT {value}, to_char(i, 'FM0000000'), repeat('x', 98) \
         FROM (SELECT generate_series(1, {rows}) AS i) AS numbers) TO STDOUT"
    )
}

/// What comes before the stream's end or error, and that.
async fn read(session: &mut Session, sql: &str) -> (usize, Option<String>) {
    let mut rows = session.copy_out(sql).await.unwrap();
    let mut bytes = 0;
    while let Some(piece) = rows.next().await {
        match piece {
            Ok(piece) => bytes += piece.len(),
            Err(report) => {
                assert!(rows.next().await.is_none());
                return (bytes, Some(report.sqlstate.as_str().to_string()));
            }
        }
    }
    (bytes, None)
}

/// Waits until a process of the server has ended.
async fn until_gone(server: &TestPostgres, process: &str) {
    let mut other = connect(server.settings()).await.unwrap();
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {process}");
    let begin = Instant::now();
    while value(&mut other, &sql).await != "0" {
        assert!(begin.elapsed() < A_WHILE, "{process} stays");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn all_rows_come_in_order_and_again() {
    let Some(server) = shared() else { return };
    for settings in ways(server) {
        let mut session = connect(settings).await.unwrap();
        for _ in 0..3 {
            let rows = session.copy_out(&copy("1", 200_000)).await.unwrap();
            let bytes = rows.try_collect::<Vec<_>>().await.unwrap().concat();
            assert_eq!(bytes.len(), 200_000 * 109);
            for (row, i) in bytes.chunks(109).zip(1..) {
                assert!(row.starts_with(format!("1\t{i:07}\tx").as_bytes()), "row {i}");
            }
            assert_eq!(value(&mut session, "SELECT 'whole'").await, "whole");
        }
        assert!(session.is_alive());
    }
}

#[tokio::test]
async fn errors_notices_and_timeouts_come_amid_rows() {
    let Some(server) = shared() else { return };
    let division = copy("1 / (200000 - i)", 300_000);
    let slow = copy("CASE WHEN i > 150000 THEN pg_sleep(600)::text END", 200_000);
    for settings in ways(server) {
        let mut session = connect(settings).await.unwrap();
        let (bytes, error) = read(&mut session, &division).await;
        assert_eq!(error.as_deref(), Some("22012"));
        assert!(bytes > TAKEN_OVER, "{bytes}");

        let loud = "CREATE FUNCTION pg_temp.loud(i int) RETURNS int LANGUAGE plpgsql AS \
                    $$ BEGIN IF i % 50000 = 0 THEN RAISE NOTICE 'at %', i; END IF; RETURN 1; END $$";
        session.query(loud).await.unwrap();
        session.take_notices();
        let noticed = read(&mut session, &copy("pg_temp.loud(i)", 200_000)).await;
        assert_eq!(noticed, (200_000 * 109, None));
        let notices = session.take_notices().into_iter().map(|notice| notice.message);
        assert!(notices.eq(["at 50000", "at 100000", "at 150000", "at 200000"]));

        session.query("SET statement_timeout = '3s'").await.unwrap();
        let (bytes, error) = read(&mut session, &slow).await;
        assert_eq!(error.as_deref(), Some("57014"));
        assert!(bytes > TAKEN_OVER, "{bytes}");
        assert_eq!(value(&mut session, "SELECT 'whole'").await, "whole");
    }
}

#[tokio::test]
async fn a_token_ends_it() {
    let Some(server) = shared() else { return };
    let endless = copy("1", 2_000_000_000);
    let stops = copy("CASE WHEN i > 150000 THEN pg_sleep(600)::text END", 200_000);
    for settings in ways(server) {
        let mut session = connect(settings).await.unwrap();
        let token = session.cancel_token();
        for sql in [&endless, &stops] {
            let mut rows = session.copy_out(sql).await.unwrap();
            let (mut bytes, mut cancelling) = (0, None);
            let error = loop {
                match timeout(A_WHILE, rows.next()).await.unwrap().unwrap() {
                    Ok(piece) => bytes += piece.len(),
                    Err(report) => break report,
                }
                if bytes > TAKEN_OVER && cancelling.is_none() {
                    let token = token.clone();
                    cancelling = Some(tokio::spawn(async move { token.cancel().await }));
                }
            };
            assert_eq!(error.sqlstate.as_str(), "57014");
            assert!(rows.next().await.is_none());
            cancelling.unwrap().await.unwrap().unwrap();
            assert_eq!(value(&mut session, "SELECT 'whole'").await, "whole");
        }
    }
}

#[tokio::test]
async fn who_is_dropped_leaves_no_statement_and_no_connection() {
    let Some(server) = shared() else { return };
    // Both while the thread waits for the task, and while it waits for the server.
    let endless = copy("1", 2_000_000_000);
    let stops = copy("CASE WHEN i > 150000 THEN pg_sleep(600)::text END", 200_000);
    for settings in ways(server) {
        for sql in [&endless, &stops] {
            for keeps_session in [true, false] {
                let mut session = connect(settings.clone()).await.unwrap();
                let process = value(&mut session, "SELECT pg_backend_pid()").await;
                let mut rows = session.copy_out(sql).await.unwrap();
                let mut bytes = 0;
                while bytes < TAKEN_OVER {
                    bytes += rows.next().await.unwrap().unwrap().len();
                }
                drop(rows);
                if keeps_session {
                    let settled = timeout(A_WHILE, value(&mut session, "SELECT 'settled'"));
                    assert_eq!(settled.await.unwrap(), "settled");
                }
                drop(session);
                until_gone(server, &process).await;
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_goes_amid_rows_is_lost() {
    let Some(server) = shared() else { return };
    let mut other = connect(server.settings()).await.unwrap();
    for settings in ways(server) {
        let mut session = connect(settings).await.unwrap();
        let process = value(&mut session, "SELECT pg_backend_pid()").await;
        let end = async {
            sleep(Duration::from_millis(500)).await;
            value(&mut other, &format!("SELECT pg_terminate_backend({process})")).await
        };
        let endless = copy("1", 2_000_000_000);
        let (_, (_, error)) = tokio::join!(end, read(&mut session, &endless));
        assert_eq!(error.as_deref(), Some("58K01"));
        assert!(session.is_closed());
    }
}
