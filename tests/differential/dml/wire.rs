//! A session that keeps the tags of commands, which drivers throw away: `ROLLBACK` is what the COMMIT
//! of a failed block answers.

use std::{io, net::SocketAddr, path::Path, time::Duration};

use kestrel::postgres::SOCKET_PORT;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::support::{Answer, Failure};

/// A statement that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// The simple protocol, without passwords.
pub(super) struct Wire {
    socket: BufReader<Box<dyn Socket>>,
    pub(super) is_closed: bool,
}

/// The answer to a statement, and its tag; an error has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) answer: Answer,
    pub(super) tag: String,
}

impl Wire {
    pub(super) async fn to_postgres(directory: &Path) -> Self {
        let path = directory.join(format!(".s.PGSQL.{SOCKET_PORT}"));
        let socket = UnixStream::connect(path).await.unwrap();
        Self::begin(Box::new(socket), "postgres", "postgres").await
    }

    pub(super) async fn to_kestrel(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        Self::begin(Box::new(socket), "kestrel", "kestrel").await
    }

    async fn begin(socket: Box<dyn Socket>, user: &str, database: &str) -> Self {
        let mut wire = Self { socket: BufReader::new(socket), is_closed: false };
        let mut startup = vec![0, 3, 0, 0];
        for word in ["user", user, "database", database, ""] {
            startup.extend(word.as_bytes());
            startup.push(0);
        }
        let length = (startup.len() as u32 + 4).to_be_bytes();
        wire.socket.write_all(&[&length[..], &startup].concat()).await.unwrap();
        let reply = wire.reply(None).await.unwrap();
        assert!(reply.answer.sqlstate().is_none(), "{}", reply.answer);
        wire
    }

    /// One statement, and the data that it asks for.
    pub(super) async fn run(&mut self, sql: &str, data: Option<&str>) -> Reply {
        let reply = timeout(PATIENCE, async {
            self.send(b'Q', &[sql.as_bytes(), b"\0"].concat()).await?;
            self.reply(data).await
        });
        let failure = match reply.await {
            Ok(Ok(reply)) => return reply,
            Ok(Err(error)) => failure("CLOSED", &error.to_string()),
            Err(_) => failure("HANGS", "no answer in time"),
        };
        self.is_closed = true;
        Reply { answer: Answer::Error(failure), tag: String::new() }
    }

    /// Statements that must succeed.
    pub(super) async fn run_all<S: AsRef<str>>(&mut self, statements: impl IntoIterator<Item = S>) {
        for statement in statements {
            let Reply { answer, .. } = self.run(statement.as_ref(), None).await;
            assert!(answer.sqlstate().is_none(), "{}\n{answer}", statement.as_ref());
        }
    }

    async fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let length = (body.len() as u32 + 4).to_be_bytes();
        self.socket.write_all(&[&[kind], &length[..], body].concat()).await?;
        self.socket.flush().await
    }

    /// All messages until the server waits for a statement.
    async fn reply(&mut self, data: Option<&str>) -> io::Result<Reply> {
        let mut reply = Reply { answer: Answer::Done(0), tag: String::new() };
        loop {
            let kind = self.socket.read_u8().await?;
            let length = self.socket.read_u32().await?.saturating_sub(4);
            let mut body = vec![0; length as usize];
            self.socket.read_exact(&mut body).await?;
            match kind {
                b'Z' => return Ok(reply),
                b'G' => {
                    self.send(b'd', data.unwrap_or_default().as_bytes()).await?;
                    self.send(b'c', &[]).await?;
                }
                b'C' => reply.tag = texts(&body).remove(0),
                b'E' => {
                    let fields = texts(&body);
                    let field = |kind: char| {
                        fields.iter().find_map(|field| field.strip_prefix(kind)).unwrap_or_default()
                    };
                    reply.answer = Answer::Error(failure(field('C'), field('M')));
                    reply.tag.clear();
                }
                b'T' => {
                    let columns = usize::from(u16::from_be_bytes([body[0], body[1]]));
                    reply.answer = Answer::Rows { columns, rows: Vec::new() };
                }
                b'D' => {
                    if let Answer::Rows { rows, .. } = &mut reply.answer {
                        rows.push(row(&body));
                    }
                }
                _ => {}
            }
        }
    }
}

/// Texts that end with zeros.
fn texts(body: &[u8]) -> Vec<String> {
    body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

fn row(body: &[u8]) -> Vec<Option<String>> {
    let (mut row, mut rest) = (Vec::new(), &body[2..]);
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        // NULL has the length -1.
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, after) = after.split_at(length.unwrap_or(0));
        row.push(length.map(|_| String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    row
}

fn failure(sqlstate: &str, message: &str) -> Failure {
    Failure {
        sqlstate: sqlstate.into(),
        message: message.into(),
        detail: None,
        hint: None,
        context: None,
        position: None,
    }
}
