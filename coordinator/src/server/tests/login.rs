//! Rules, passwords and encryption, before there is a session.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use bytes::BytesMut;
use pgwire::messages::Message;
use pgwire::messages::startup::{SslRequest, Startup};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::{Config, NoTls};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};

use super::raw::RawClient;
use super::{SOON, Server};
use crate::access::{ClientTls, ClientTlsFiles, Gate, MockNonce, RuleSource};
use crate::server::ServeOptions;

/// A server with these rules and, in the directory, a certificate for `localhost`.
async fn server(directory: &TempDir, rules: &str) -> Server {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let path = |name: &str| directory.path().join(name);
    let files = ClientTlsFiles { certificate: path("c.pem"), key: path("c.key") };
    fs::write(&files.certificate, certified.cert.pem()).unwrap();
    fs::write(&files.key, certified.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path("rules"), rules).unwrap();
    let tls = ClientTls::read(&files).unwrap();
    let source = RuleSource::Required(path("rules"));
    let gate = Arc::new(Gate::new(source, Some(tls), MockNonce([1; 32])).unwrap());
    Server::with(ServeOptions { gate, ..ServeOptions::default() }).await
}

/// `ok`, or SQLSTATE and message.
async fn login(server: &Server, user: &str, password: &str) -> String {
    let mut config = Config::new();
    config.host("127.0.0.1").port(server.address.port());
    config.user(user).password(password).dbname("kestrel");
    match config.connect(NoTls).await {
        Ok(_) => "ok".into(),
        Err(error) => match error.as_db_error() {
            Some(error) => format!("{} {}", error.code().code(), error.message()),
            None => error.to_string(),
        },
    }
}

#[tokio::test]
async fn passwords_are_asked_for_where_the_rules_say_so() {
    let directory = TempDir::new().unwrap();
    let rules = "host all ann all scram-sha-256\nhost all mallory all reject\n\
                 hostnossl all bob all trust\n";
    let server = server(&directory, rules).await;
    let wrong = "28P01 password authentication failed for user \"ann\"";
    let of = |what: &str, user: &str| {
        format!(
            "28000 {what} for host \"127.0.0.1\", user \"{user}\", database \"kestrel\", \
             no encryption"
        )
    };
    for (user, password, expected) in [
        ("ann", "secret", "ok".to_string()),
        ("ann", "Secret", wrong.into()),
        ("bob", "", "ok".into()),
        ("mallory", "secret", of("pg_hba.conf rejects connection", "mallory")),
        ("eve", "secret", of("no pg_hba.conf entry", "eve")),
    ] {
        assert_eq!(login(&server, user, password).await, expected, "{user} {password}");
    }
}

#[tokio::test]
async fn only_answers_are_taken_from_a_stranger() {
    let directory = TempDir::new().unwrap();
    let server = server(&directory, "host all all all scram-sha-256").await;
    let error = "error FATAL 08P01";
    let cases: &[(&[u8], &str)] = &[
        (b"Q\0\0\0\x0dSELECT 1\0", "expected SASL response, got message type 81"),
        (b"p\0\x10\0\0", "invalid message length"),
        (b"p\0\0\0\x0aPLAIN\0", "insufficient data left in message"),
        (b"p\0\0\0\x0fPLAIN\0\0\0\0\x01x", "client selected an invalid SASL authentication"),
    ];
    for (bytes, expected) in cases {
        let mut client = RawClient::open(server.address).await;
        let mut startup = Startup::new();
        startup.parameters.insert("user".into(), "ann".into());
        client.send(&startup).await;
        assert_eq!(client.next().await, "authenticated", "the question");
        client.send_bytes(bytes).await;
        let line = client.next().await;
        assert!(line.starts_with(&format!("{error} {expected}")), "{line}");
        assert_eq!(client.next().await, "closed by server");
    }
    assert!(server.clients.is_empty(), "none of them took a place");
}

fn connector(directory: &TempDir) -> TlsConnector {
    let certificate = CertificateDer::from_pem_file(directory.path().join("c.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

fn encoded(message: &impl Message) -> BytesMut {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn a_client_may_encrypt() {
    let directory = TempDir::new().unwrap();
    let server = server(&directory, "hostssl all all all trust").await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(&encoded(&SslRequest::new())).await.unwrap();
    let mut answer = [0];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"S");
    let name = ServerName::try_from("localhost").unwrap();
    let mut socket = connector(&directory).connect(name, socket).await.unwrap();
    let mut startup = Startup::new();
    startup.parameters.insert("user".into(), "ann".into());
    socket.write_all(&encoded(&startup)).await.unwrap();
    let mut received = Vec::new();
    // ReadyForQuery: the session is there.
    let until_ready = async {
        while !received.ends_with(b"Z\0\0\0\x05I") {
            assert_ne!(socket.read_buf(&mut received).await.unwrap(), 0);
        }
    };
    timeout(SOON, until_ready).await.unwrap();
    socket.write_all(b"Q\0\0\0\x0brows 2\0").await.unwrap();
    let mut received = Vec::new();
    let until_ready = async {
        while !received.ends_with(b"Z\0\0\0\x05I") {
            assert_ne!(socket.read_buf(&mut received).await.unwrap(), 0);
        }
    };
    timeout(SOON, until_ready).await.unwrap();
    assert!(received.windows(5).any(|bytes| bytes == b"row 1"));
}

#[tokio::test]
async fn what_came_before_the_handshake_is_not_taken_for_encrypted() {
    let directory = TempDir::new().unwrap();
    let server = server(&directory, "host all all all trust").await;
    let mut client = RawClient::open(server.address).await;
    let mut startup = Startup::new();
    startup.parameters.insert("user".into(), "ann".into());
    let both = [encoded(&SslRequest::new()), encoded(&startup)].concat();
    client.send_bytes(&both).await;
    let line = client.next().await;
    assert_eq!(line, "error FATAL 08P01 received unencrypted data after SSL request");
}
