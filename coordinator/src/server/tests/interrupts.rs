//! What breaks into a statement: cancel, disconnect, notices, panics, the server's end.

use std::time::{Duration, Instant};

use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::extendedquery::{Bind, Execute, Flush, Parse, Sync};
use pgwire::messages::simplequery::Query;
use pgwire::messages::startup::SecretKey;
use pgwire::messages::terminate::Terminate;
use tokio::time::sleep;

use super::raw::RawClient;
use super::*;

const CANCELLED: &str = "error ERROR 57014 canceling statement due to user request";
const ENDED: &str = "error FATAL 57P01 terminating connection due to administrator command";
const ROWS: &str = "columns n:23:0 t:25:0";

async fn cancel(server: &Server, (process_id, secret): (i32, i32)) {
    let mut canceller = RawClient::open(server.address).await;
    canceller.send(&CancelRequest::new(process_id, SecretKey::I32(secret))).await;
    assert_eq!(canceller.next().await, "closed by server");
}

#[tokio::test]
async fn the_first_row_does_not_wait_for_the_second() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.address).await;
    client.send(&Query::new("wait".into())).await;
    assert_eq!(client.next().await, ROWS);
    assert_eq!(client.next().await, "row 0|row 0");
    cancel(&server, client.key).await;
    assert_eq!(client.until_ready().await, [CANCELLED, "ready"]);
    // So in the extended protocol.
    client.send(&Parse::new(None, "wait".into(), vec![])).await;
    client.send(&Bind::new(None, None, vec![], vec![], vec![])).await;
    client.send(&Execute::new(None, 0)).await;
    client.send(&Flush::new()).await;
    for expected in ["parsed", "bound", "row 0|row 0"] {
        assert_eq!(client.next().await, expected);
    }
    cancel(&server, client.key).await;
    client.send(&Sync::new()).await;
    assert_eq!(client.until_ready().await, [CANCELLED, "ready"]);
}

#[tokio::test]
async fn cancel_stops_execute_and_stream() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.address).await;
    client.send(&Query::new("hang".into())).await;
    server.log.wait_for("execute hang").await;
    // A wrong secret does nothing.
    cancel(&server, (client.key.0, client.key.1.wrapping_add(1))).await;
    assert!(!server.log.take().contains(&"hang was cancelled".to_string()));
    cancel(&server, client.key).await;
    assert_eq!(client.until_ready().await, [CANCELLED, "ready"]);
    server.log.wait_for("failed 57014").await;
    client.send(&Query::new("endless".into())).await;
    assert_eq!(client.next().await, ROWS);
    cancel(&server, client.key).await;
    let lines = client.until_ready().await;
    assert_eq!(lines[lines.len() - 2..], [CANCELLED, "ready"]);
    server.log.wait_for("stream dropped").await;
    // Nothing of the cancel is left.
    assert_eq!(client.query("a").await, ["done A", "ready"]);
}

#[tokio::test]
async fn a_client_that_does_not_read_can_be_cancelled() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.address).await;
    client.send(&Query::new("endless".into())).await;
    server.log.wait_for("execute endless").await;
    // Until the buffers of both sockets are full.
    sleep(Duration::from_millis(300)).await;
    server.log.take();
    cancel(&server, client.key).await;
    server.log.wait_for("stream dropped").await;
    let lines = client.until_ready().await;
    assert_eq!(lines[lines.len() - 2..], [CANCELLED, "ready"]);
}

#[tokio::test]
async fn notices_arrive_before_the_rows() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.address).await;
    client.send(&Query::new("notice".into())).await;
    let mut lines = vec![client.next().await, client.next().await];
    lines.sort();
    assert_eq!(lines, [ROWS, "notice NOTICE 00000 look"]);
    // The row comes only now.
    server.log.add("the client saw the notice");
    assert_eq!(client.until_ready().await, ["row 0|row 0", "done SELECT 1", "ready"]);
}

#[tokio::test]
async fn disconnect_cancels() {
    let server = Server::start().await;
    for (sql, event) in
        [("hang", "hang was cancelled"), ("wait", "stream dropped"), ("endless", "stream dropped")]
    {
        let mut client = RawClient::connect(server.address).await;
        server.log.take();
        client.send(&Query::new(sql.into())).await;
        server.log.wait_for(&format!("execute {sql}")).await;
        let gone = Instant::now();
        drop(client);
        server.log.wait_for(event).await;
        assert!(gone.elapsed() < Duration::from_secs(2), "{sql}: {:?}", gone.elapsed());
        server.log.wait_for("close").await;
    }
    assert!(server.clients.is_empty());
}

#[tokio::test]
async fn disconnect_is_seen_behind_pipelined_messages() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.address).await;
    client.send(&Query::new("hang".into())).await;
    // More than the server reads ahead; the rest waits in the socket, and the end behind it.
    let long = format!("a {}", "x".repeat(280_000));
    client.send(&Query::new(long)).await;
    server.log.wait_for("execute hang").await;
    drop(client);
    server.log.wait_for("hang was cancelled").await;
}

#[tokio::test]
async fn disconnect_fails_a_copy() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.address).await;
    client.send(&Query::new("copy".into())).await;
    assert_eq!(client.next().await, "copy in 2");
    drop(client);
    server.log.wait_for("copy failed: the client has gone").await;
}

#[tokio::test]
async fn cancel_fails_a_copy() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.address).await;
    client.send(&Query::new("copy".into())).await;
    assert_eq!(client.next().await, "copy in 2");
    cancel(&server, client.key).await;
    assert_eq!(client.until_ready().await, [CANCELLED, "ready"]);
    server.log.wait_for("copy failed: canceling statement due to user request").await;
}

#[tokio::test]
async fn cancel_ends_a_copy_that_sends() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.address).await;
    client.send(&Query::new("copyout 0".into())).await;
    assert_eq!(client.next().await, "copy out [0, 0] as 0");
    assert_eq!(client.next().await, "data \"0,row 0\\n\"");
    cancel(&server, client.key).await;
    let lines = client.until_ready().await;
    assert_eq!(lines[lines.len() - 2..], [CANCELLED, "ready"]);
    server.log.wait_for("stream dropped").await;
}

#[tokio::test]
async fn terminate_closes_the_session() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.address).await;
    client.send(&Terminate::new()).await;
    assert_eq!(client.next().await, "closed by server");
    server.log.wait_for("close").await;
}

#[tokio::test]
async fn a_panic_ends_one_session_only() {
    let server = Server::start().await;
    let mut other = RawClient::connect(server.address).await;
    let mut client = RawClient::connect(server.address).await;
    let fatal = "error FATAL XX000 the session met a bug in Kestrel and ends";
    assert_eq!(client.query("panic").await, [fatal, "closed by server"]);
    assert_eq!(other.query("a").await, ["done A", "ready"]);
    assert_eq!(RawClient::connect(server.address).await.query("a").await, ["done A", "ready"]);
}

#[tokio::test]
async fn connections_are_limited() {
    let options = ServeOptions { max_connections: 2, ..ServeOptions::default() };
    let server = Server::with(options).await;
    let first = RawClient::connect(server.address).await;
    let mut second = RawClient::connect(server.address).await;
    let third = RawClient::connect(server.address).await;
    let refused = "error FATAL 53300 sorry, too many clients already";
    assert_eq!(third.welcome, [refused, "closed by server"]);
    // A cancel request needs no place.
    second.send(&Query::new("hang".into())).await;
    server.log.wait_for("execute hang").await;
    cancel(&server, second.key).await;
    assert_eq!(second.until_ready().await, [CANCELLED, "ready"]);
    drop(first);
    server.log.wait_for("close").await;
    while server.clients.len() > 1 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(RawClient::connect(server.address).await.welcome.last().unwrap(), "ready");
}

#[tokio::test]
async fn shutdown_waits_for_statements_and_not_for_clients() {
    let mut server = Server::start().await;
    let mut idle = RawClient::connect(server.address).await;
    let mut busy = RawClient::connect(server.address).await;
    busy.send(&Query::new("slow".into())).await;
    server.log.wait_for("execute slow").await;
    server.shutdown.cancel();
    assert_eq!(idle.until_ready().await, [ENDED, "closed by server"]);
    assert_eq!(busy.until_ready().await, ["done SLOW", "ready"]);
    assert_eq!(busy.until_ready().await, [ENDED, "closed by server"]);
    tokio::time::timeout(SOON, &mut server.task).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn shutdown_ends_long_statements() {
    let options = ServeOptions { drain: Duration::from_millis(50), ..ServeOptions::default() };
    let mut server = Server::with(options).await;
    let mut client = RawClient::connect(server.address).await;
    client.send(&Query::new("hang".into())).await;
    server.log.wait_for("execute hang").await;
    server.shutdown.cancel();
    assert_eq!(client.until_ready().await, [ENDED, "closed by server"]);
    server.log.wait_for("hang was cancelled").await;
    tokio::time::timeout(SOON, &mut server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn others_may_cancel_and_terminate() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.address).await;
    client.send(&Query::new("hang".into())).await;
    server.log.wait_for("execute hang").await;
    assert!(server.clients.cancel(client.key.0));
    assert_eq!(client.until_ready().await, [CANCELLED, "ready"]);
    assert!(server.clients.terminate(client.key.0));
    assert_eq!(client.until_ready().await, [ENDED, "closed by server"]);
    assert!(!server.clients.cancel(client.key.0 + 1));
}

#[tokio::test]
async fn a_silent_client_is_sent_away() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.address).await;
    assert_eq!(client.query("idle 200").await, ["done SET", "ready"]);
    // In the middle of a group of messages nobody counts.
    client.send(&Parse::new(None, "rows 1".into(), vec![])).await;
    client.send(&Flush::new()).await;
    assert_eq!(client.next().await, "parsed");
    sleep(Duration::from_millis(400)).await;
    client.send(&Sync::new()).await;
    assert_eq!(client.until_ready().await, ["ready"]);
    let silent = Instant::now();
    assert_eq!(client.next().await, "error FATAL 57P05 silent for too long");
    assert!(silent.elapsed() >= Duration::from_millis(150));
    assert_eq!(client.next().await, "closed by server");
}

#[tokio::test]
async fn activity_is_what_clients_are_doing() {
    let server = Server::start().await;
    let mut client = RawClient::connect(server.address).await;
    client.send(&Query::new("hang".into())).await;
    server.log.wait_for("execute hang").await;
    let [activity] = server.clients.activities().try_into().unwrap();
    assert_eq!((activity.state, activity.query.as_str()), (ActivityState::Active, "hang"));
    cancel(&server, client.key).await;
    assert_eq!(client.until_ready().await, [CANCELLED, "ready"]);
    let [activity] = server.clients.activities().try_into().unwrap();
    assert_eq!((activity.state, activity.xact_start), (ActivityState::Idle, None));
}
