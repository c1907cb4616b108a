//! COPY both ways.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use kestrel_proto::{ErrorReport, SqlState};

use super::{
    super::{KesSettings, Session, TransactionStatus},
    connect, failure,
    postgres::shared,
    value,
};

async fn all(session: &mut Session, sql: &str) -> (Vec<u8>, u64) {
    let mut copy = session.copy_out(sql).await.unwrap();
    let mut bytes = vec![];
    while let Some(piece) = copy.try_next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert!(copy.next().await.is_none());
    (bytes, copy.rows().unwrap())
}

#[tokio::test]
async fn rows_come_out_as_they_are() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await.unwrap();
    let sql = "COPY (SELECT i, repeat('x', i % 50) FROM generate_series(1, 200000) i) TO STDOUT";
    let (bytes, rows) = all(&mut session, sql).await;
    assert_eq!(rows, 200_000);
    let text = String::from_utf8(bytes).unwrap();
    let mut lines = text.lines();
    for i in 1..=200_000_usize {
        assert_eq!(lines.next(), Some(format!("{i}\t{}", "x".repeat(i % 50)).as_str()));
    }
    assert_eq!(lines.next(), None);

    let sql = "COPY (SELECT 7::int4 WHERE true) TO STDOUT (FORMAT BINARY)";
    let (bytes, rows) = all(&mut session, sql).await;
    let mut expected = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    expected.extend(b"\0\x01\0\0\0\x04\0\0\0\x07\xff\xff");
    assert_eq!((bytes, rows), (expected, 1));
    assert_eq!(all(&mut session, "COPY (SELECT 1 WHERE false) TO STDOUT").await, (vec![], 0));
    assert_eq!(session.transaction_status(), Some(TransactionStatus::Idle));
}

#[tokio::test]
async fn large_rows_pass_both_ways() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await.unwrap();
    let megabytes = 48;
    let sql = format!("COPY (SELECT repeat('x', {megabytes} << 20), 1) TO STDOUT");
    let (bytes, _) = all(&mut session, &sql).await;
    assert_eq!(bytes.len(), (megabytes << 20) + 3);
    session.query("CREATE TEMP TABLE large (a text, b int)").await.unwrap();
    let source = stream::iter([Ok(Bytes::from(bytes))]).boxed();
    assert_eq!(session.copy_in("COPY pg_temp.large FROM STDIN", source).await.unwrap(), 1);
    let length = value(&mut session, "SELECT length(a) FROM pg_temp.large").await;
    assert_eq!(length, (megabytes << 20).to_string());

    let small = KesSettings { message_bytes_max: 1 << 20, ..server.settings() };
    let mut session = connect(small).await.unwrap();
    let copy = session.copy_out(&sql).await.unwrap();
    let (sqlstate, message) = failure(copy.try_collect::<Vec<_>>().await);
    assert_eq!(sqlstate, "58K01", "{message}");
    assert!(session.is_closed());
}

#[tokio::test]
async fn an_error_in_the_middle_ends_the_rows() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await.unwrap();
    let sql = "COPY (SELECT 1 / (100000 - i) FROM generate_series(1, 200000) i) TO STDOUT";
    let mut copy = session.copy_out(sql).await.unwrap();
    let (mut bytes, mut error) = (0, None);
    while let Some(piece) = copy.next().await {
        assert!(error.is_none(), "rows after the error");
        match piece {
            Ok(piece) => bytes += piece.len(),
            Err(report) => error = Some(report),
        }
    }
    assert_eq!(error.unwrap().sqlstate.as_str(), "22012");
    assert!(bytes > 100_000, "{bytes}");
    assert_eq!(copy.rows(), None);
    assert_eq!(value(&mut session, "SELECT 'whole'").await, "whole");

    for (sql, sqlstate) in [
        ("COPY missing TO STDOUT", "42P01"),
        ("SELECT generate_series(1, 10)", "0A000"),
        ("COPY (SELECT 1) TO STDOUT; nonsense", "42601"),
        ("", "0A000"),
    ] {
        assert_eq!(failure(session.copy_out(sql).await.map(|_| ())).0, sqlstate, "{sql}");
        assert_eq!(value(&mut session, "SELECT 'whole'").await, "whole", "{sql}");
    }
}

#[tokio::test]
async fn a_slow_reader_holds_up_the_server() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await.unwrap();
    let mut other = connect(server.settings()).await.unwrap();
    let process = value(&mut session, "SELECT pg_backend_pid()").await;
    let sql = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) TO STDOUT";
    let mut copy = session.copy_out(sql).await.unwrap();
    copy.next().await.unwrap().unwrap();
    let waits_for =
        format!("SELECT coalesce(wait_event, '') FROM pg_stat_activity WHERE pid = {process}");
    let mut event = String::new();
    for _ in 0..100 {
        event = value(&mut other, &waits_for).await;
        if event == "ClientWrite" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(event, "ClientWrite");
    drop(copy);
    assert_eq!(value(&mut session, "SELECT 'settled'").await, "settled");
}

#[tokio::test]
async fn rows_go_in() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await.unwrap();
    session.query("CREATE TEMP TABLE t (i int, s text)").await.unwrap();
    // Pieces that end anywhere, some empty.
    let text: String = (0..300_000).map(|i| format!("{i}\tvalue {i}\n")).collect();
    let text = Bytes::from(text);
    let pieces: Vec<_> = (0..text.len()).step_by(10_007).collect();
    let source = stream::iter(pieces).flat_map(move |at| {
        let piece = text.slice(at..text.len().min(at + 10_007));
        stream::iter([Ok(piece), Ok(Bytes::new())])
    });
    let rows = session.copy_in("COPY pg_temp.t FROM STDIN", source.boxed()).await.unwrap();
    assert_eq!(rows, 300_000);
    let sum = value(&mut session, "SELECT sum(i) FROM pg_temp.t WHERE s = 'value ' || i").await;
    assert_eq!(sum, "44999850000");
    let nothing = session.copy_in("COPY pg_temp.t FROM STDIN", stream::empty().boxed()).await;
    assert_eq!(nothing.unwrap(), 0);
}

#[tokio::test]
async fn a_failing_source_leaves_no_rows() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await.unwrap();
    session.query("CREATE TEMP TABLE t (i int)").await.unwrap();
    let row = Ok(Bytes::from_static(b"1\n"));
    let failed = ErrorReport::new(SqlState::DISK_FULL, "the source has no \0 more");
    let source = stream::iter([row, Err(failed.clone())]).boxed();
    let error = session.copy_in("COPY pg_temp.t FROM STDIN", source).await.unwrap_err();
    assert_eq!(error, failed);
    assert_eq!(value(&mut session, "SELECT count(*) FROM pg_temp.t").await, "0");

    for (sql, sqlstate) in [
        ("COPY missing FROM STDIN", "42P01"),
        ("SELECT 1", "0A000"),
        ("COPY (SELECT 1) TO STDOUT", "0A000"),
    ] {
        let source = stream::iter([Ok(Bytes::from_static(b"1\n"))]).boxed();
        assert_eq!(failure(session.copy_in(sql, source).await).0, sqlstate, "{sql}");
        assert_eq!(value(&mut session, "SELECT 'whole'").await, "whole", "{sql}");
    }
}

#[tokio::test]
async fn the_servers_error_ends_an_endless_source() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await.unwrap();
    session.query("CREATE TEMP TABLE t (i int)").await.unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let source = stream::repeat_with(move || {
        let is_bad = counted.fetch_add(1, Ordering::Relaxed) == 10;
        Ok(Bytes::from(if is_bad { "bad\n".to_string() } else { "1\n".repeat(10_000) }))
    });
    let copy = session.copy_in("COPY pg_temp.t FROM STDIN", source.boxed());
    let error = tokio::time::timeout(Duration::from_secs(60), copy).await.unwrap().unwrap_err();
    assert_eq!(error.sqlstate.as_str(), "22P02");
    assert_eq!(error.context.as_deref(), Some("COPY t, line 100001, column i: \"bad\""));
    assert_eq!(value(&mut session, "SELECT count(*) FROM pg_temp.t").await, "0");

    // One that gives nothing more does not hide it.
    let source = stream::iter([Ok(Bytes::from_static(b"bad\n1\n"))]).chain(stream::pending());
    let copy = session.copy_in("COPY pg_temp.t FROM STDIN", source.boxed());
    let error = tokio::time::timeout(Duration::from_secs(60), copy).await.unwrap().unwrap_err();
    assert_eq!(error.sqlstate.as_str(), "22P02");
}
