//! Servers that do not keep to the protocol: no panic, no hang, bounded memory.

use std::{io::Cursor, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use kestrel_proto::{DatanodeId, ErrorReport, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    super::{
        Address, Connector, KesSettings, Password, Session, SslMode,
        authentication::authenticate,
        connector::Opened,
        wire::{Connection, Wire},
    },
    connect,
};

fn message(tag: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 4).unwrap();
    [[tag].as_slice(), &length.to_be_bytes(), payload].concat()
}

fn authentication(code: u32, payload: &[u8]) -> Vec<u8> {
    message(b'R', &[code.to_be_bytes().as_slice(), payload].concat())
}

fn settings(address: Address) -> KesSettings {
    KesSettings {
        password: Some(Password::new("secret")),
        connect_timeout: Duration::from_secs(10),
        cancel_timeout: Duration::from_millis(300),
        message_bytes_max: 1 << 20,
        result_bytes_max: 1 << 20,
        ..KesSettings::new(address, "postgres", "postgres")
    }
}

/// A server that reads what begins a session, says `script` and closes.
async fn serve(script: Vec<u8>) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.read(&mut [0; 1024]).await;
            let _ = connection.write_all(&script).await;
            // What has not been read would make the end a reset.
            let _ = connection.shutdown().await;
            let _ = tokio::io::copy(&mut connection, &mut tokio::io::sink()).await;
        }
    });
    Address::new("127.0.0.1", port)
}

async fn check(what: &str, script: Vec<u8>, sqlstate: &str, words: &str) {
    let error = connect(settings(serve(script).await)).await.unwrap_err();
    let text = format!("{error:?}");
    assert_eq!(error.sqlstate.as_str(), sqlstate, "{what}: {text}");
    assert!(text.contains(words), "{what}: {text}");
    assert!(!text.contains("secret"), "{what}: {text}");
}

#[tokio::test]
async fn beginnings_that_make_no_sense() {
    let sasl = |mechanisms: &[u8]| authentication(10, mechanisms);
    let scram_begun = sasl(b"SCRAM-SHA-256\0\0");
    let then = |next: Vec<u8>| [scram_begun.clone(), next].concat();
    let ok = authentication(0, b"");
    for (what, script, sqlstate, words) in [
        ("nothing", vec![], "58K01", "Connecting to"),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "58K01", "a message 'H' of"),
        ("an unknown message", message(b'?', b"x"), "58K01", "unknown message tag"),
        ("a row", message(b'D', b"\0\0"), "58K01", "does not belong to authentication"),
        ("COPY data", message(b'd', b"x"), "58K01", "before the authentication"),
        ("a large error", message(b'E', &vec![b'M'; 2 << 20]), "58K01", "more than"),
        ("an error cut short", message(b'E', b"Mno end"), "58K01", "unexpected EOF"),
        ("an unknown method", authentication(77, b""), "58K01", "unknown authentication tag `77`"),
        ("GSSAPI", authentication(7, b""), "F0000", "authentication by GSSAPI"),
        ("clear text", authentication(3, b""), "F0000", "not encrypted"),
        ("SCRAM-SM3", sasl(b"SCRAM-SM3\0OTHER\0\0"), "F0000", "are SCRAM-SM3, OTHER;"),
        ("no mechanism", sasl(b"\0"), "F0000", "SASL mechanisms are"),
        ("mechanisms without end", sasl(b"SCRAM"), "58K01", "unexpected EOF"),
        ("SASL unasked", authentication(11, b"r=x,s=,i=1"), "58K01", "not asked for"),
        ("SASL's end unasked", authentication(12, b"v=eA=="), "58K01", "not asked for"),
        ("a stranger's nonce", then(authentication(11, b"r=x,s=eA==,i=1")), "58K01", "nonce"),
        ("no proof", then(ok.clone()), "58K01", "before the end of SCRAM"),
        ("a proof too early", then(authentication(12, b"v=eA==")), "F0000", "did not prove"),
        ("rows", [ok.clone(), message(b'D', b"\0\0")].concat(), "58K01", "before the first"),
        (
            "a status",
            [ok.clone(), message(b'Z', b"?")].concat(),
            "58K01",
            "the transaction status 63",
        ),
        ("no status", [ok.clone(), message(b'Z', b"")].concat(), "58K01", "whole buffer"),
        ("an end", ok, "58K01", "closed the connection"),
    ] {
        check(what, script, sqlstate, words).await;
    }
    let starting =
        message(b'E', b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0");
    check("starting up", starting, "58K01", "is not reachable").await;
    let full = message(b'E', b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0");
    check("full", full, "53300", "sorry, too many clients already").await;
    let chinese = message(b'E', b"SFATAL\0C28P01\0M\xc3\xdc\xc2\xeb\0\0");
    check("another encoding", chinese, "F0000", "28P01").await;
}

#[tokio::test]
async fn tls_is_not_given_up() {
    for (what, script, sqlstate, words) in [
        ("refused", b"N".to_vec(), "F0000", "does not encrypt"),
        ("an error", b"E".to_vec(), "58K01", "the answer 69 to an SSLRequest"),
        ("no TLS", b"Snonsense that is not TLS at all".to_vec(), "F0000", "TLS with"),
        ("nothing", vec![], "58K01", "Connecting to"),
    ] {
        let settings = settings(serve(script).await);
        let error = connect(KesSettings { ssl_mode: SslMode::Require, ..settings }).await;
        let error = error.unwrap_err();
        let text = format!("{error:?}");
        assert_eq!(error.sqlstate.as_str(), sqlstate, "{what}: {text}");
        assert!(text.contains(words), "{what}: {text}");
    }
}

/// A session that hears `script` and whose words nobody hears.
fn scripted(script: Vec<u8>) -> (Arc<Connector>, Wire) {
    // Nobody listens there: cancelling fails.
    let settings = settings(Address::new("/nowhere", 1));
    let connector = Arc::new(Connector::new(settings, DatanodeId(0)).unwrap());
    let transport = tokio::io::join(Cursor::new(script), tokio::io::sink());
    let wire =
        Wire::new(Connection::Other(Box::new(transport)), connector.settings().message_bytes_max);
    (connector, wire)
}

async fn ready(script: Vec<u8>) -> Session {
    let (connector, wire) = scripted([message(b'Z', b"I"), script].concat());
    let mut session = Session::starting(connector, wire);
    session.started().await.unwrap();
    session
}

/// All that can be done with a session.
async fn query(script: Vec<u8>) -> Result<()> {
    ready(script).await.query_all("SELECT").await.map(|_| ())
}

async fn copy_out(script: Vec<u8>) -> Result<()> {
    let mut session = ready(script).await;
    session.copy_out("COPY").await?.try_for_each(|_| async { Ok(()) }).await
}

async fn copy_in(script: Vec<u8>) -> Result<()> {
    let source = stream::iter([Ok(Bytes::from_static(b"1\n"))]).boxed();
    ready(script).await.copy_in("COPY", source).await.map(|_| ())
}

async fn authenticated(script: Vec<u8>) -> Result<()> {
    let (connector, wire) = scripted(script);
    authenticate(&connector, &mut Opened { wire, is_private: true }).await
}

#[tokio::test]
async fn answers_that_make_no_sense() {
    let copy_in_begins = message(b'G', b"\0\0\0");
    for (what, script, words) in [
        ("a row cut short", message(b'D', b"\0\x05\0\0"), "whole buffer"),
        ("a value longer than its row", message(b'D', b"\0\x01\0\0\x01\0x"), "EOF"),
        ("a row with more", message(b'D', b"\0\0more"), "not empty"),
        ("columns cut short", message(b'T', b"\0\x05name\0"), "whole buffer"),
        ("a tag without end", message(b'C', b"SELECT"), "EOF"),
        ("COPY both", message(b'W', b"\0\0\0"), "unknown message tag"),
        ("an extended answer", message(b'1', b""), "does not belong to simple queries"),
        ("a password question", authentication(3, b""), "does not belong to simple queries"),
        ("a message without end", b"D\0\0\0\xff\0".to_vec(), "closed the connection"),
        ("too much", b"D\x7f\0\0\0".to_vec(), "more than 1048576"),
    ] {
        let error = query(script.clone()).await.unwrap_err();
        let text = format!("{error:?}");
        assert_eq!(error.sqlstate.as_str(), "58K01", "{what}: {text}");
        assert!(text.contains(words), "{what}: {text}");
        assert!(copy_out(script.clone()).await.is_err(), "{what}");
        assert!(copy_in(script).await.is_err(), "{what}");
    }
    let row = [copy_in_begins, message(b'D', b"\0\0")].concat();
    let error = copy_in(row).await.unwrap_err();
    assert!(format!("{error:?}").contains("in the middle of a COPY"), "{error:?}");
}

#[tokio::test]
async fn a_flood_is_not_kept() {
    let words = [b'x'; 10_000];
    let fields = [b"SNOTICE\0C00000\0M".as_slice(), &words, b"\0\0"].concat();
    let notice = message(b'N', &fields);
    let parameter = |i: usize| message(b'S', format!("name{i}\0value\0").as_bytes());
    let mut script: Vec<u8> = notice.repeat(2000);
    script.extend((0..10_000).flat_map(parameter));
    script.extend(message(b'C', b"SELECT 0\0"));
    script.extend(message(b'Z', b"I"));
    let mut session = ready(script).await;
    session.query("SELECT").await.unwrap();
    let notices = session.take_notices();
    let kept: usize = notices.iter().map(|notice| notice.message.len()).sum();
    assert!((500_000..2_000_000).contains(&kept), "{kept}");
    assert_eq!(session.parameter("name0"), Some("value"));
    assert_eq!(session.parameter("name9999"), None);

    let row = message(b'D', &[b"\0\x01\0\0\0\x64".as_slice(), &[b'x'; 100]].concat());
    let error = query(row.repeat(100_000)).await.unwrap_err();
    assert_eq!(error.sqlstate.as_str(), "54000");
}

/// Numbers that look random (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize;
        high % bound
    }
}

/// Whole conversations, with some bytes changed.
#[tokio::test]
async fn changed_conversations_end_in_errors() {
    let column = b"\0\x01name\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0";
    let notice = message(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mwords\0\0");
    let failed = message(b'E', b"SERROR\0VERROR\0C23505\0Mno\0Ddetail\0sschema\0tt\0\0");
    let row = message(b'D', b"\0\x01\0\0\0\x01x");
    let complete = message(b'C', b"SELECT 1\0");
    let ready = message(b'Z', b"I");
    let data = message(b'd', b"1\n");
    let (copy_in_begins, copy_out_begins) =
        (message(b'G', b"\0\0\x01\0\0"), message(b'H', b"\0\0\x01\0\0"));
    let (done, parameter) = (message(b'c', b""), message(b'S', b"name\0value\0"));
    let conversations: [Vec<u8>; 4] = [
        [message(b'T', column), row, notice, complete.clone(), ready.clone()].concat(),
        [copy_out_begins, data.clone(), data, done, complete.clone(), ready.clone()].concat(),
        [copy_in_begins, parameter, complete, ready.clone()].concat(),
        [failed, ready].concat(),
    ];
    let beginnings: [Vec<u8>; 3] = [
        [authentication(5, b"salt"), authentication(0, b"")].concat(),
        [authentication(10, b"SCRAM-SHA-256\0\0"), authentication(11, b"r=,s=,i=1")].concat(),
        authentication(3, b""),
    ];
    let mut random = Random(4711);
    for round in 0..20_000 {
        let is_beginning = round % 4 == 0;
        let scripts = if is_beginning { beginnings.as_slice() } else { conversations.as_slice() };
        let mut script = scripts[random.below(scripts.len())].clone();
        for _ in 0..random.below(4) {
            let at = random.below(script.len());
            match random.below(3) {
                0 => script[at] = random.below(256) as u8,
                1 => script.truncate(at.max(1)),
                _ => script.insert(at, random.below(256) as u8),
            }
        }
        let shown = script.clone();
        let run = async {
            match round % 4 {
                0 => authenticated(script).await,
                1 => query(script).await,
                2 => copy_out(script).await,
                _ => copy_in(script).await,
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(10), run).await;
        let ended: Result<(), ErrorReport> = ended.unwrap_or_else(|_| panic!("hangs: {shown:?}"));
        if let Err(error) = ended {
            assert_ne!(error.sqlstate.as_str(), "XX000", "{error:?}: {shown:?}");
        }
    }
}
