//! A client of a server that speaks PostgreSQL's protocol: queries by the simple protocol, COPY,
//! and the notices that come with them.

use std::error::Error as _;
use std::io::{self, Cursor};
use std::pin::pin;

use futures::{SinkExt, StreamExt, TryStreamExt, future};
use tokio::sync::mpsc;
use tokio_postgres::config::Host;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Config, CopyInSink, NoTls, SimpleQueryMessage};

use crate::error::one_line;
use crate::{CommandError, Result};

/// The server of `kestrel up` and `kestrel demo`.
pub const DEFAULT_URL: &str = "postgres://kestrel@127.0.0.1:5433/kestrel";

/// One row: each value as text, `None` for NULL.
pub type Row = Vec<Option<String>>;

/// A connection. Dropping it cancels what runs on it.
pub struct Client {
    postgres: tokio_postgres::Client,
    notices: mpsc::UnboundedReceiver<DbError>,
}

/// What a query gave back.
#[derive(Debug, Default)]
pub struct Answer {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// What the server said meanwhile.
    pub notices: Vec<Notice>,
}

/// A NOTICE, WARNING or INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE`, `WARNING`, …
    pub severity: String,
    /// Its SQLSTATE.
    pub sqlstate: String,
    /// Message, detail and hint on one line.
    pub text: String,
}

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct ClientError {
    /// The server's SQLSTATE; `None`: the connection failed.
    pub sqlstate: Option<String>,
    text: String,
}

impl Client {
    /// Connects. `url`: `postgres://user@host:port/database`, or libpq's `host=… user=…`.
    pub async fn connect(url: &str) -> Result<Self> {
        let config: Config = url.parse().map_err(|e: tokio_postgres::Error| {
            CommandError::usage(format!("not a connection URL: '{url}': {}", deepest(&e)))
        })?;
        let (postgres, mut connection) = config.connect(NoTls).await.map_err(|e| {
            let refused = is_refused(&e);
            let why = ClientError::from(e);
            let hint = if refused { "; is `kestrel up` running there?" } else { "" };
            CommandError::failure(format!("cannot connect to {}: {why}{hint}", place(&config)))
        })?;
        let (sender, notices) = mpsc::unbounded_channel();
        // Ends when the client is dropped or the server has gone; statements then report it.
        tokio::spawn(async move {
            let mut messages =
                pin!(futures::stream::poll_fn(move |context| connection.poll_message(context)));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notice(notice) = message {
                    let _ = sender.send(notice);
                }
            }
        });
        Ok(Self { postgres, notices })
    }

    /// Runs a statement by the simple protocol and reads all of its rows.
    pub async fn query(&mut self, sql: &str) -> Result<Answer, ClientError> {
        self.take_notices();
        let mut answer = Answer::default();
        let mut messages = pin!(self.postgres.simple_query_raw(sql).await?);
        while let Some(message) = messages.try_next().await? {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    answer.columns = columns.iter().map(|c| c.name().to_string()).collect();
                }
                SimpleQueryMessage::Row(row) => {
                    let value = |i| row.try_get(i).map(|text| text.map(str::to_string));
                    answer.rows.push((0..row.len()).map(value).collect::<Result<_, _>>()?);
                }
                _ => {}
            }
        }
        answer.notices = self.take_notices();
        Ok(answer)
    }

    /// Runs statements that give no rows.
    pub async fn execute(&self, sql: &str) -> Result<(), ClientError> {
        Ok(self.postgres.batch_execute(sql).await?)
    }

    /// Sends the chunks to `COPY … FROM STDIN`; the number of rows the server took.
    pub async fn copy_in(
        &self,
        sql: &str,
        mut chunks: mpsc::Receiver<Vec<u8>>,
    ) -> Result<u64, ClientError> {
        let sink: CopyInSink<Cursor<Vec<u8>>> = self.postgres.copy_in(sql).await?;
        let mut sink = pin!(sink);
        while let Some(chunk) = chunks.recv().await {
            if sink.send(Cursor::new(chunk)).await.is_err() {
                break; // `finish` knows why.
            }
        }
        Ok(sink.finish().await?)
    }

    /// The text of `COPY … TO STDOUT`.
    pub async fn copy_out(&self, sql: &str) -> Result<Vec<u8>, ClientError> {
        let chunks = self.postgres.copy_out(sql).await?;
        let add = |mut all: Vec<u8>, chunk| {
            all.extend_from_slice(AsRef::<[u8]>::as_ref(&chunk));
            future::ok(all)
        };
        Ok(chunks.try_fold(Vec::new(), add).await?)
    }

    /// Gives the COPY data that a statement sends to `take`, piece by piece, until it takes no more.
    pub async fn copy_out_to<E: From<ClientError>>(
        &self,
        sql: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let pieces = self.postgres.copy_out(sql).await.map_err(ClientError::from)?;
        let mut pieces = pin!(pieces);
        while let Some(piece) = pieces.try_next().await.map_err(ClientError::from)? {
            take(&piece)?;
        }
        Ok(())
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.postgres.is_closed()
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        let mut notices = Vec::new();
        while let Ok(notice) = self.notices.try_recv() {
            notices.push(Notice {
                severity: notice.severity().to_string(),
                sqlstate: notice.code().code().to_string(),
                text: server_text(&notice),
            });
        }
        notices
    }
}

impl From<tokio_postgres::Error> for ClientError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(server) => Self {
                sqlstate: Some(server.code().code().to_string()),
                text: format!("{}: {}", server.code().code(), server_text(server)),
            },
            None => Self { sqlstate: None, text: deepest(&error) },
        }
    }
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        Self::failure(error.text)
    }
}

fn server_text(server: &DbError) -> String {
    let mut text = server.message().to_string();
    for (word, more) in [("detail", server.detail()), ("hint", server.hint())] {
        if let Some(more) = more {
            text.push_str(&format!("; {word}: {more}"));
        }
    }
    one_line(&text)
}

/// "error connecting to server" alone says nothing: its cause does.
fn deepest(error: &tokio_postgres::Error) -> String {
    match error.source() {
        Some(cause) => one_line(&cause.to_string()),
        None => one_line(&error.to_string()),
    }
}

fn is_refused(error: &tokio_postgres::Error) -> bool {
    let io = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}

fn place(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Tcp(host)) => format!("{host}:{port}"),
        Some(Host::Unix(path)) => format!("{}:{port}", path.display()),
        None => "the server".to_string(),
    }
}
