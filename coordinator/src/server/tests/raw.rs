//! A client that shows every message it gets as a line of text.

use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use pgwire::messages::data::DataRow;
use pgwire::messages::response::TransactionStatus;
use pgwire::messages::simplequery::Query;
use pgwire::messages::startup::{SecretKey, Startup};
use pgwire::messages::{DecodeContext, Message, PgWireBackendMessage, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::SOON;

pub(super) struct RawClient {
    pub(super) socket: TcpStream,
    buffer: BytesMut,
    /// From BackendKeyData.
    pub(super) key: (i32, i32),
    /// The lines of the startup.
    pub(super) welcome: Vec<String>,
}

impl RawClient {
    /// Before the startup packet.
    pub(super) async fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        Self { socket, buffer: BytesMut::new(), key: (0, 0), welcome: vec![] }
    }

    /// After it; `welcome` has the answer.
    pub(super) async fn connect_as(address: SocketAddr, parameters: &[(&str, &str)]) -> Self {
        let mut client = Self::open(address).await;
        let mut startup = Startup::new();
        for (name, value) in parameters {
            startup.parameters.insert(name.to_string(), value.to_string());
        }
        client.send(&startup).await;
        client.welcome = client.until_ready().await;
        client
    }

    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self::connect_as(address, &[("user", "me")]).await
    }

    pub(super) async fn send(&mut self, message: &impl Message) {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes).unwrap();
        self.socket.write_all(&bytes).await.unwrap();
    }

    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// Sends a query and gives all lines of the answer.
    pub(super) async fn query(&mut self, sql: &str) -> Vec<String> {
        self.send(&Query::new(sql.to_string())).await;
        self.until_ready().await
    }

    /// The lines up to `ready`, or to the end of the connection.
    pub(super) async fn until_ready(&mut self) -> Vec<String> {
        let mut lines = vec![];
        loop {
            let line = self.next().await;
            let is_last = line.starts_with("ready") || line == "closed by server";
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> String {
        let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        loop {
            if let Some(message) = PgWireBackendMessage::decode(&mut self.buffer, &context).unwrap()
            {
                return self.show(message);
            }
            let read = timeout(SOON, self.socket.read_buf(&mut self.buffer)).await;
            if !matches!(read.expect("nothing came"), Ok(1..)) {
                return "closed by server".to_string();
            }
        }
    }

    fn show(&mut self, message: PgWireBackendMessage) -> String {
        use PgWireBackendMessage as M;
        match message {
            M::Authentication(_) => "authenticated".into(),
            M::ParameterStatus(m) => format!("parameter {}={}", m.name, m.value),
            M::BackendKeyData(m) => {
                let SecretKey::I32(secret) = m.secret_key else { panic!("long secret") };
                self.key = (m.pid, secret);
                "key".into()
            }
            M::NegotiateProtocolVersion(m) => {
                format!("negotiate {} {:?}", m.newest_minor_protocol, m.unsupported_options)
            }
            M::ParseComplete(_) => "parsed".into(),
            M::BindComplete(_) => "bound".into(),
            M::CloseComplete(_) => "closed".into(),
            M::PortalSuspended(_) => "suspended".into(),
            M::CommandComplete(m) => format!("done {}", m.tag),
            M::EmptyQueryResponse(_) => "empty".into(),
            M::ReadyForQuery(m) => match m.status {
                TransactionStatus::Idle => "ready".into(),
                TransactionStatus::Transaction => "ready in transaction".into(),
                TransactionStatus::Error => "ready in failed transaction".into(),
            },
            M::ErrorResponse(m) => report("error", &m.fields),
            M::NoticeResponse(m) => report("notice", &m.fields),
            M::ParameterDescription(m) => format!("parameters {:?}", m.types),
            M::RowDescription(m) => {
                let columns = m.fields.iter();
                let columns =
                    columns.map(|f| format!("{}:{}:{}", f.name, f.type_id, f.format_code));
                format!("columns {}", columns.collect::<Vec<_>>().join(" "))
            }
            M::DataRow(m) => row(m),
            M::NoData(_) => "no data".into(),
            M::CopyInResponse(m) => format!("copy in {}", m.columns),
            M::CopyOutResponse(m) => format!("copy out {:?} as {}", m.column_formats, m.format),
            M::CopyData(m) => format!("data {:?}", String::from_utf8_lossy(&m.data)),
            M::CopyDone(_) => "copy done".into(),
            other => format!("{other:?}"),
        }
    }
}

fn report(kind: &str, fields: &[(u8, String)]) -> String {
    let field = |code| fields.iter().find(|(c, _)| *c == code).map(|(_, text)| text.as_str());
    let mut line = kind.to_string();
    for code in [b'S', b'C', b'M'] {
        line = format!("{line} {}", field(code).unwrap());
    }
    match field(b'P') {
        Some(position) => format!("{line} at {position}"),
        None => line,
    }
}

fn row(mut message: DataRow) -> String {
    let cells = (0..message.field_count).map(|_| match message.data.get_i32() {
        -1 => "NULL".to_string(),
        length => {
            let cell = message.data.split_to(length as usize);
            String::from_utf8_lossy(&cell).into_owned()
        }
    });
    format!("row {}", cells.collect::<Vec<_>>().join("|"))
}
