//! Stands before a PostgreSQL server and makes it look, on the wire, like a KingbaseES V9:
//!
//! - `Parse` is answered with 08P01, and the session survives: the message is passed on without its
//!   last part, and then PostgreSQL gives the very error that KingbaseES gives.
//! - the parameter `server_version` and what `version()` and `SHOW server_version` answer are
//!   KingbaseES's.
//! - syntax that came after PostgreSQL 12 is a syntax error.
//! - encryption is refused, as where it is not set up.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter},
    net::{TcpListener, TcpStream, UnixStream},
    runtime::Runtime,
    task::JoinSet,
};

/// `SHOW server_version`, and the parameter.
pub(crate) const SERVER_VERSION: &str = "12.1";
/// `SHOW server_version_num`
const SERVER_VERSION_NUM: &str = "120001";
/// `version()`
pub(crate) const VERSION: &str = "KingbaseES V009R001C010 on x86_64-pc-linux-gnu, compiled by gcc \
                                  (GCC) 4.8.5 20150623 (Red Hat 4.8.5-28), 64-bit";

/// Words that PostgreSQL 12 does not understand, as they are written in upper case with one space
/// between them, outside of quotes.
const LATER_SYNTAX: &[&str] = &[
    // 13
    "WITH TIES",
    "IS NORMALIZED",
    "DROP EXPRESSION",
    "WITH (FORCE)",
    // 14
    "GROUP BY DISTINCT",
    "CREATE OR REPLACE TRIGGER",
    "CREATE OR REPLACE AGGREGATE",
    "PROCESS_TOAST",
    "SET COMPRESSION",
    "DETACH PARTITION CONCURRENTLY",
    "SEARCH DEPTH FIRST",
    "SEARCH BREADTH FIRST",
    "IDLE_SESSION_TIMEOUT",
    "CLIENT_CONNECTION_CHECK_INTERVAL",
    // 15
    "MERGE INTO",
    "NULLS NOT DISTINCT",
    "SECURITY_INVOKER",
    "HEADER MATCH",
    "STRATEGY",
    "SET ACCESS METHOD",
];

const SSL_REQUEST: i32 = 80_877_103;
const GSS_REQUEST: i32 = 80_877_104;
/// Larger ones are no test's.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// The shim before one server. It ends when it is dropped.
pub(crate) struct KesShim {
    address: SocketAddr,
    /// Of its own: those of tests end with them.
    runtime: Option<Runtime>,
}

impl KesShim {
    /// Before the server whose Unix socket is in this directory.
    pub(crate) fn start(sockets: &Path, port: u16) -> Self {
        let socket = sockets.join(format!(".s.PGSQL.{port}"));
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let mut connections = JoinSet::new();
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                connections.spawn(connection(client, socket.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, runtime: Some(runtime) }
    }

    /// Where clients come.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for KesShim {
    fn drop(&mut self) {
        // Not in the background it would block a test's runtime, which panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One connection, to its end. Errors are ends.
async fn connection(mut client: TcpStream, socket: PathBuf) -> io::Result<()> {
    client.set_nodelay(true)?;
    let Some(first) = first_message(&mut client).await? else { return Ok(()) };
    let mut server = UnixStream::connect(socket).await?;
    server.write_all(&first).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        ended = pump(from_client, to_server, Message::of_client) => ended,
        ended = pump(from_server, to_client, Answers::default().change()) => ended,
    }
}

/// The startup message, or a cancel request, which has no answer; before it, encryption is refused.
async fn first_message(client: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    loop {
        let length = client.read_i32().await?;
        let rest = usize::try_from(length).unwrap_or(0).saturating_sub(4);
        if !(4..=10_000).contains(&rest) {
            return Ok(None);
        }
        let mut message = length.to_be_bytes().to_vec();
        message.resize(4 + rest, 0);
        client.read_exact(&mut message[4..]).await?;
        let code = i32::from_be_bytes(message[4..8].try_into().unwrap());
        match code {
            SSL_REQUEST | GSS_REQUEST => client.write_all(b"N").await?,
            _ => return Ok(Some(message)),
        }
    }
}

/// A message with its type.
struct Message {
    kind: u8,
    body: Vec<u8>,
}

async fn pump(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    mut change: impl FnMut(Message) -> Message,
) -> io::Result<()> {
    let (mut from, mut to) = (BufReader::with_capacity(64 << 10, from), BufWriter::new(to));
    loop {
        let kind = from.read_u8().await?;
        let length = usize::try_from(from.read_i32().await?).unwrap_or(0);
        if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut body = vec![0; length - 4];
        from.read_exact(&mut body).await?;
        let message = change(Message { kind, body });
        to.write_u8(message.kind).await?;
        to.write_i32(i32::try_from(message.body.len() + 4).unwrap()).await?;
        to.write_all(&message.body).await?;
        // What is under way is sent on before the next wait.
        if from.buffer().is_empty() {
            to.flush().await?;
        }
    }
}

impl Message {
    fn of_client(mut self) -> Self {
        match self.kind {
            // Name and text stay, the types of parameters are missing.
            b'P' => {
                let mut zeros = self.body.iter().enumerate().filter(|(_, byte)| **byte == 0);
                let end = zeros.nth(1).map(|(end, _)| end);
                if let Some(end) = end {
                    self.body.truncate(end + 1);
                }
            }
            b'Q' => {
                let text = String::from_utf8_lossy(&self.body);
                if let Some(word) = later_syntax(text.trim_end_matches('\0')) {
                    self.body = format!("PostgreSQL_12_has_no {word}\0").into_bytes();
                }
            }
            _ => {}
        }
        self
    }
}

/// What of the answers is to be changed.
#[derive(Default)]
struct Answers {
    /// Of the rows under way.
    columns: Vec<Option<&'static str>>,
}

impl Answers {
    fn change(mut self) -> impl FnMut(Message) -> Message {
        move |mut message| {
            match message.kind {
                b'S' if message.body.starts_with(b"server_version\0") => {
                    message.body = format!("server_version\0{SERVER_VERSION}\0").into_bytes();
                }
                b'T' => self.columns = columns(&message.body),
                b'D' if self.columns.iter().any(Option::is_some) => {
                    if let Some(body) = row(&message.body, &self.columns) {
                        message.body = body;
                    }
                }
                _ => {}
            }
            message
        }
    }
}

/// What the values of each column become, by the columns' names in a `RowDescription`.
fn columns(body: &[u8]) -> Vec<Option<&'static str>> {
    let mut columns = Vec::new();
    let mut rest = body.get(2..).unwrap_or_default();
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        columns.push(match &rest[..end] {
            b"version" => Some(VERSION),
            b"server_version" => Some(SERVER_VERSION),
            b"server_version_num" => Some(SERVER_VERSION_NUM),
            _ => None,
        });
        // Table, column, type, its length, its modifier, format.
        rest = rest.get(end + 1 + 18..).unwrap_or_default();
    }
    columns
}

/// A `DataRow` with other values; `None`: it is none.
fn row(body: &[u8], columns: &[Option<&'static str>]) -> Option<Vec<u8>> {
    let mut changed = body.get(..2)?.to_vec();
    let mut rest = body.get(2..)?;
    for column in columns {
        let length = i32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
        let value = rest.get(4..4 + usize::try_from(length).unwrap_or(0))?;
        rest = &rest[4 + value.len()..];
        match column {
            Some(text) if length >= 0 => {
                changed.extend(i32::try_from(text.len()).ok()?.to_be_bytes());
                changed.extend(text.as_bytes());
            }
            _ => {
                changed.extend(length.to_be_bytes());
                changed.extend(value);
            }
        }
    }
    Some(changed)
}

/// The first words that PostgreSQL 12 does not understand.
fn later_syntax(sql: &str) -> Option<&'static str> {
    let words = unquoted(sql).to_uppercase();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    LATER_SYNTAX.iter().copied().find(|later| {
        let at = words.find(later);
        at.is_some_and(|at| {
            let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let (before, after) = (&words[..at], &words[at + later.len()..]);
            !is_word(before.chars().next_back()) && !is_word(after.chars().next())
        })
    })
}

/// The text without what stands in quotes, and without comments.
fn unquoted(sql: &str) -> String {
    let mut out = String::new();
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let end = |close: &str| rest[1..].find(close).map(|at| at + 1 + close.len());
        let skipped = match c {
            '\'' | '"' => end(&c.to_string()),
            '-' if rest.starts_with("--") => end("\n"),
            '/' if rest.starts_with("/*") => end("*/"),
            '$' if rest.starts_with("$$") => rest[2..].find("$$").map(|at| at + 4),
            _ => {
                out.push(c);
                Some(c.len_utf8())
            }
        };
        rest = skipped.and_then(|skipped| rest.get(skipped..)).unwrap_or_default();
    }
    out
}

#[test]
fn what_came_after_postgresql_12_is_found() {
    for (sql, found) in [
        ("MERGE INTO t USING u ON true", Some("MERGE INTO")),
        ("select 1 fetch first 2 rows  with\n ties", Some("WITH TIES")),
        ("CREATE UNIQUE INDEX i ON t (a) NULLS NOT DISTINCT", Some("NULLS NOT DISTINCT")),
        (
            "SELECT 'merge into', \"with ties\", 'it''s with ties' -- with ties\n, $$with ties$$",
            None,
        ),
        ("SELECT 1 /* with ties */ FROM strategy_table, astrategy", None),
        ("COPY t TO STDOUT (FORMAT BINARY)", None),
    ] {
        assert_eq!(later_syntax(sql), found, "{sql}");
    }
}
