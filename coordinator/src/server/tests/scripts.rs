//! What the client sends, and line by line what it gets.

use bytes::Bytes;
use pgwire::messages::Message;
use pgwire::messages::copy::{CopyData, CopyDone, CopyFail};
use pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Flush, Parse, Sync};
use pgwire::messages::simplequery::Query;
use pgwire::messages::startup::{SslRequest, Startup};

use super::raw::RawClient;
use super::*;

/// Query strings and their answers.
async fn check(client: &mut RawClient, sql: &str, expected: &[&str]) {
    assert_eq!(client.query(sql).await, expected, "{sql}");
}

const ROWS: &str = "columns n:23:0 t:25:0";

#[tokio::test]
async fn startup_tells_the_settings() {
    let server = Server::start().await;
    let parameters = [("user", "me"), ("database", "kestrel"), ("application_name", "psql")];
    let client = RawClient::connect_as(server.address, &parameters).await;
    let expected = [
        "authenticated",
        "key",
        "parameter DateStyle=ISO, MDY",
        "parameter IntervalStyle=postgres",
        "parameter TimeZone=UTC",
        "parameter application_name=psql",
        "parameter client_encoding=UTF8",
        "parameter default_transaction_read_only=off",
        "parameter in_hot_standby=off",
        "parameter integer_datetimes=on",
        "parameter is_superuser=on",
        "parameter server_encoding=UTF8",
        &format!("parameter server_version=15.0 (Kestrel {})", env!("CARGO_PKG_VERSION")),
        "parameter session_authorization=me",
        "parameter standard_conforming_strings=on",
        "ready",
    ];
    assert_eq!(client.welcome, expected);
}

#[tokio::test]
async fn startup_refuses_with_fatal() {
    let server = Server::start().await;
    let cases: [(&[(&str, &str)], &str); 2] = [
        (&[("database", "x")], "error FATAL 3D000 database \"x\" does not exist"),
        (&[("user", "nobody")], "error FATAL 28000 role \"nobody\" does not exist"),
    ];
    for (parameters, error) in cases {
        let client = RawClient::connect_as(server.address, parameters).await;
        assert_eq!(client.welcome, [error, "closed by server"]);
    }
    assert!(server.clients.is_empty());
}

#[tokio::test]
async fn encryption_is_refused_and_newer_protocols_negotiated() {
    let server = Server::start().await;
    let mut client = RawClient::open(server.address).await;
    client.send(&SslRequest::new()).await;
    let mut answer = [0];
    tokio::io::AsyncReadExt::read_exact(&mut client.socket, &mut answer).await.unwrap();
    assert_eq!(&answer, b"N");
    let mut startup = Startup::new();
    startup.protocol_number_minor = 2;
    startup.parameters.insert("_pq_.x".into(), "1".into());
    client.send(&startup).await;
    let lines = client.until_ready().await;
    assert_eq!(lines[0], "negotiate 196608 [\"_pq_.x\"]");
    assert_eq!(lines.last().unwrap(), "ready");
}

#[tokio::test]
async fn simple_queries() {
    let server = Server::start().await;
    let client = &mut RawClient::connect(server.address).await;
    check(client, "", &["empty", "ready"]).await;
    check(client, "create", &["done CREATE", "ready"]).await;
    check(client, "rows 0", &[ROWS, "done SELECT 0", "ready"]).await;
    check(client, "rows 2", &[ROWS, "row 0|row 0", "row 1|row 1", "done SELECT 2", "ready"]).await;
    let expected = ["done A", ROWS, "row 0|row 0", "done SELECT 1", "done B", "ready"];
    check(client, "a; rows 1; b", &expected).await;
    check(client, "begin", &["done BEGIN", "ready in transaction"]).await;
    let expected = ["error ERROR 42P01 nope at 7", "ready in failed transaction"];
    check(client, "fail 7", &expected).await;
    check(client, "commit", &["done COMMIT", "ready"]).await;
    check(client, "zone Asia/Tokyo", &["done SET", "parameter TimeZone=Asia/Tokyo", "ready"]).await;
    check(client, "a", &["done A", "ready"]).await;
}

#[tokio::test]
async fn the_first_error_ends_a_batch() {
    let server = Server::start().await;
    let client = &mut RawClient::connect(server.address).await;
    server.log.take();
    check(client, "a; fail 4; b", &["done A", "error ERROR 42P01 nope at 4", "ready"]).await;
    let expected = ["begin", "execute a", "execute fail 4", "failed 42P01", "end"];
    assert_eq!(server.log.take(), expected);
    check(client, "a; syntax", &["error ERROR 42601 syntax error at 4", "ready"]).await;
    assert_eq!(server.log.take(), ["begin", "failed 42601", "end"]);
    let expected =
        [ROWS, "row 0|row 0", "row 1|row 1", "error ERROR 22012 division by zero", "ready"];
    check(client, "late; a", &expected).await;
    let expected = ["begin", "execute late", "stream dropped", "failed 22012", "end"];
    assert_eq!(server.log.take(), expected);
}

#[tokio::test]
async fn a_batch_is_ended_before_its_last_tag() {
    let server = Server::start().await;
    let client = &mut RawClient::connect(server.address).await;
    server.log.take();
    client.send(&Query::new("a; b".into())).await;
    assert_eq!(client.next().await, "done A");
    assert_eq!(client.next().await, "done B");
    assert_eq!(server.log.take(), ["begin", "execute a", "execute b", "end"]);
}

fn parse(name: &str, sql: &str, types: &[u32]) -> Parse {
    Parse::new(Some(name.into()), sql.into(), types.to_vec())
}

fn bind(portal: &str, statement: &str, parameters: &[Option<&str>]) -> Bind {
    let parameters = parameters.iter();
    let parameters = parameters.map(|p| p.map(|p| Bytes::copy_from_slice(p.as_bytes())));
    Bind::new(Some(portal.into()), Some(statement.into()), vec![], parameters.collect(), vec![])
}

fn execute(portal: &str, rows: i32) -> Execute {
    Execute::new(Some(portal.into()), rows)
}

#[tokio::test]
async fn extended_queries() {
    let server = Server::start().await;
    let client = &mut RawClient::connect(server.address).await;
    server.log.take();
    client.send(&parse("s", "echo 2", &[23])).await;
    client.send(&Describe::new(b'S', Some("s".into()))).await;
    client.send(&bind("", "s", &[Some("7"), None])).await;
    client.send(&Describe::new(b'P', None)).await;
    client.send(&execute("", 0)).await;
    client.send(&Flush::new()).await;
    for expected in [
        "parsed",
        "parameters [23, 25]",
        "columns p:23:0 p:25:0",
        "bound",
        "columns p:23:0 p:25:0",
        "row 7|NULL",
        "done SELECT 1",
    ] {
        assert_eq!(client.next().await, expected);
    }
    assert_eq!(server.log.take(), ["begin", "execute echo 2"]);
    client.send(&Close::new(b'S', Some("s".into()))).await;
    client.send(&parse("", "create", &[])).await;
    client.send(&bind("", "", &[])).await;
    client.send(&Describe::new(b'P', None)).await;
    client.send(&execute("", 0)).await;
    client.send(&Sync::new()).await;
    let expected = ["closed", "parsed", "bound", "no data", "done CREATE", "ready"];
    assert_eq!(client.until_ready().await, expected);
    assert_eq!(server.log.take(), ["execute create", "end"]);
    client.send(&parse("", " ; ", &[])).await;
    client.send(&bind("", "", &[])).await;
    client.send(&execute("", 0)).await;
    client.send(&Sync::new()).await;
    assert_eq!(client.until_ready().await, ["parsed", "bound", "empty", "ready"]);
}

#[tokio::test]
async fn portals_are_fetched_in_pieces() {
    let server = Server::start().await;
    let client = &mut RawClient::connect(server.address).await;
    check(client, "begin", &["done BEGIN", "ready in transaction"]).await;
    client.send(&parse("", "rows 5", &[])).await;
    client.send(&bind("p", "", &[])).await;
    client.send(&execute("p", 2)).await;
    client.send(&Sync::new()).await;
    let suspended = ["suspended", "ready in transaction"];
    let mut expected = vec!["parsed", "bound", "row 0|row 0", "row 1|row 1"];
    expected.extend(suspended);
    assert_eq!(client.until_ready().await, expected);
    // Another statement in between.
    check(client, "a", &["done A", "ready in transaction"]).await;
    for (rows, expected) in [
        (2, vec!["row 2|row 2", "row 3|row 3", "suspended", "ready in transaction"]),
        (2, vec!["row 4|row 4", "done SELECT 1", "ready in transaction"]),
        (0, vec!["done SELECT 0", "ready in transaction"]),
    ] {
        client.send(&execute("p", rows)).await;
        client.send(&Sync::new()).await;
        assert_eq!(client.until_ready().await, expected);
    }
    // The portal ends with its transaction.
    check(client, "commit", &["done COMMIT", "ready"]).await;
    client.send(&execute("p", 0)).await;
    client.send(&Sync::new()).await;
    let expected = ["error ERROR 34000 portal \"p\" does not exist", "ready"];
    assert_eq!(client.until_ready().await, expected);
}

#[tokio::test]
async fn what_is_older_than_a_savepoint_outlives_an_error() {
    let server = Server::start().await;
    let client = &mut RawClient::connect(server.address).await;
    check(client, "begin", &["done BEGIN", "ready in transaction"]).await;
    client.send(&parse("s", "rows 5", &[])).await;
    client.send(&parse("back", "back", &[])).await;
    client.send(&bind("p", "s", &[])).await;
    client.send(&execute("p", 1)).await;
    client.send(&Sync::new()).await;
    client.until_ready().await;
    check(client, "savepoint", &["done SAVEPOINT", "ready in transaction"]).await;
    // It is as old as before, whoever fetches from it.
    client.send(&execute("p", 1)).await;
    client.send(&bind("young", "s", &[])).await;
    client.send(&Sync::new()).await;
    let expected = ["row 1|row 1", "suspended", "bound", "ready in transaction"];
    assert_eq!(client.until_ready().await, expected);
    check(client, "fail 1", &["error ERROR 42P01 nope at 1", "ready in failed transaction"]).await;
    refused_in_a_failed_transaction(client, &parse("", "rows 1", &[])).await;
    refused_in_a_failed_transaction(client, &bind("", "s", &[])).await;
    refused_in_a_failed_transaction(client, &Describe::new(b'S', Some("s".into()))).await;
    refused_in_a_failed_transaction(client, &execute("p", 1)).await;
    client.send(&bind("", "back", &[])).await;
    client.send(&execute("", 0)).await;
    client.send(&Sync::new()).await;
    assert_eq!(client.until_ready().await, ["bound", "done ROLLBACK", "ready in transaction"]);
    client.send(&execute("p", 1)).await;
    client.send(&execute("young", 1)).await;
    client.send(&Sync::new()).await;
    let gone = "error ERROR 34000 portal \"young\" does not exist";
    let expected = ["row 2|row 2", "suspended", gone, "ready in failed transaction"];
    assert_eq!(client.until_ready().await, expected);
}

async fn refused_in_a_failed_transaction(client: &mut RawClient, message: &impl Message) {
    client.send(message).await;
    client.send(&Sync::new()).await;
    let expected = ["error ERROR 25P02 aborted", "ready in failed transaction"];
    assert_eq!(client.until_ready().await, expected);
}

#[tokio::test]
async fn errors_skip_to_sync() {
    let server = Server::start().await;
    let client = &mut RawClient::connect(server.address).await;
    client.send(&parse("s", "create", &[])).await;
    client.send(&parse("s", "create", &[])).await;
    client.send(&bind("", "s", &[])).await;
    client.send(&Query::new("create".into())).await;
    client.send(&Sync::new()).await;
    let expected = ["parsed", "error ERROR 42P05 prepared statement \"s\" already exists", "ready"];
    assert_eq!(client.until_ready().await, expected);
    let cases = [
        ("x", "p", "error ERROR 26000 prepared statement \"x\" does not exist"),
        ("", "p", "error ERROR 26000 unnamed prepared statement does not exist"),
    ];
    for (statement, portal, expected) in cases {
        client.send(&bind(portal, statement, &[])).await;
        client.send(&Sync::new()).await;
        assert_eq!(client.until_ready().await, [expected, "ready"]);
    }
    client.send(&bind("", "s", &[Some("1")])).await;
    client.send(&Sync::new()).await;
    let expected = "error ERROR 08P01 bind message supplies 1 parameters, but prepared statement \
                    \"s\" requires 0";
    assert_eq!(client.until_ready().await, [expected, "ready"]);
    client.send(&bind("p", "s", &[])).await;
    client.send(&bind("p", "s", &[])).await;
    client.send(&Sync::new()).await;
    let expected = ["bound", "error ERROR 42P03 cursor \"p\" already exists", "ready"];
    assert_eq!(client.until_ready().await, expected);
    client.send(&bind("", "s", &[])).await;
    client.send(&execute("", 0)).await;
    client.send(&execute("", 0)).await;
    client.send(&Sync::new()).await;
    let expected = ["bound", "done CREATE", "error ERROR 55000 portal \"\" cannot be run", "ready"];
    assert_eq!(client.until_ready().await, expected);
}

#[tokio::test]
async fn parse_reports_what_is_wrong() {
    let server = Server::start().await;
    let client = &mut RawClient::connect(server.address).await;
    let cases = [
        (
            parse("", "a; b", &[]),
            "error ERROR 42601 cannot insert multiple commands into a prepared statement",
        ),
        (parse("", "unknown", &[]), "error ERROR 42P01 no such table"),
        (parse("", "syntax", &[]), "error ERROR 42601 syntax error at 1"),
        (
            parse("", "echo 1", &[600]),
            "error ERROR 0A000 a parameter of type OID 600 is not supported",
        ),
    ];
    for (message, expected) in cases {
        client.send(&parse("", "create", &[])).await;
        client.send(&message).await;
        client.send(&Sync::new()).await;
        assert_eq!(client.until_ready().await, ["parsed", expected, "ready"]);
        // Nor is the statement before it there any more.
        client.send(&bind("", "", &[])).await;
        client.send(&Sync::new()).await;
        let gone = "error ERROR 26000 unnamed prepared statement does not exist";
        assert_eq!(client.until_ready().await, [gone, "ready"]);
    }
    client.send(&parse("", "changed", &[])).await;
    client.send(&bind("", "", &[])).await;
    client.send(&execute("", 0)).await;
    client.send(&Sync::new()).await;
    let changed = "error ERROR 0A000 cached plan must not change result type";
    assert_eq!(client.until_ready().await, ["parsed", "bound", changed, "ready"]);
}

fn data(text: &'static str) -> CopyData {
    CopyData::new(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn copy_in_by_simple_query() {
    let server = Server::start().await;
    let client = &mut RawClient::connect(server.address).await;
    client.send(&Query::new("copy; a".into())).await;
    assert_eq!(client.next().await, "copy in 2");
    client.send(&data("1\tone\n2\tt")).await;
    client.send(&data("wo\n")).await;
    client.send(&CopyDone::new()).await;
    assert_eq!(client.until_ready().await, ["done COPY 2", "done A", "ready"]);
    client.send(&Query::new("copy".into())).await;
    client.send(&CopyFail::new("changed my mind".into())).await;
    let failed = "error ERROR 57014 COPY from stdin failed: changed my mind";
    assert_eq!(client.until_ready().await, ["copy in 2", failed, "ready"]);
    // After a bad row the rest of the data is ignored.
    client.send(&Query::new("copy".into())).await;
    for text in ["bad\n", "more\n"] {
        client.send(&data(text)).await;
    }
    client.send(&CopyDone::new()).await;
    assert_eq!(client.until_ready().await, ["copy in 2", "error ERROR 22P04 bad row", "ready"]);
    check(client, "a", &["done A", "ready"]).await;
    client.send(&Query::new("copy".into())).await;
    client.send(&Query::new("a".into())).await;
    let wrong = "error ERROR 08P01 unexpected message type 0x51 during COPY from stdin";
    let end = "error FATAL 08P01 terminating connection because protocol synchronization was lost";
    assert_eq!(client.until_ready().await, ["copy in 2", wrong, end, "closed by server"]);
}

#[tokio::test]
async fn copy_in_by_extended_query() {
    let server = Server::start().await;
    let client = &mut RawClient::connect(server.address).await;
    client.send(&parse("", "copy", &[])).await;
    client.send(&bind("", "", &[])).await;
    client.send(&execute("", 0)).await;
    client.send(&Sync::new()).await;
    client.send(&data("1\tone\n")).await;
    client.send(&CopyDone::new()).await;
    client.send(&Sync::new()).await;
    let expected = ["parsed", "bound", "copy in 2", "done COPY 1", "ready"];
    assert_eq!(client.until_ready().await, expected);
}

#[tokio::test]
async fn copy_out_in_both_protocols() {
    let server = Server::start().await;
    let client = &mut RawClient::connect(server.address).await;
    let data = [
        "copy out [0, 0] as 0",
        "data \"0,row 0\\n\"",
        "data \"1,row 1\\n\"",
        "data \"2,row 2\\n\"",
        "data \"3,row 3\\n\"",
        "copy done",
        "done COPY 4",
    ];
    check(client, "copyout 4; a", &[&data[..], &["done A", "ready"]].concat()).await;
    let header = ["copy out [0, 0] as 0", "data \"n,t\\n\"", "data \"0,row 0\\n\""];
    check(client, "copyout 1", &[&header[..], &["copy done", "done COPY 1", "ready"]].concat())
        .await;
    client.send(&parse("", "copyout 4", &[])).await;
    client.send(&bind("", "", &[])).await;
    client.send(&Describe::new(b'P', None)).await;
    // PostgreSQL, too, sends all rows, whatever the limit is.
    client.send(&execute("", 2)).await;
    client.send(&Sync::new()).await;
    let expected = [&["parsed", "bound", "no data"], &data[..], &["ready"]].concat();
    assert_eq!(client.until_ready().await, expected);
}

#[tokio::test]
async fn what_is_no_protocol_is_refused() {
    let server = Server::start().await;
    // A message with a hole keeps the connection: its length is known.
    let mut client = RawClient::connect(server.address).await;
    client.send_bytes(b"E\0\0\0\x05\0").await;
    client.send(&Sync::new()).await;
    let expected = ["error ERROR 08P01 insufficient data left in message", "ready"];
    assert_eq!(client.until_ready().await, expected);
    client.send_bytes(b"Q\0\0\0\x07\xc3\x28\0").await;
    let expected =
        ["error ERROR 22021 invalid byte sequence for encoding \"UTF8\": 0xc3 0x28", "ready"];
    assert_eq!(client.until_ready().await, expected);
    client.send_bytes(b"!\0\0\0\x04").await;
    let expected = ["error FATAL 08P01 invalid frontend message type 33", "closed by server"];
    assert_eq!(client.until_ready().await, expected);
    let mut client = RawClient::open(server.address).await;
    client.send_bytes(b"GET / HTTP/1.1\r\n\r\n").await;
    let expected = ["error FATAL 08P01 invalid length of startup packet", "closed by server"];
    assert_eq!(client.until_ready().await, expected);
}
