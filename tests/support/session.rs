//! A session with Kestrel or PostgreSQL: statements by the simple protocol, their rows as text.

use std::{fmt, future::poll_fn, io::Cursor, pin::pin, time::Duration};

use futures::{SinkExt, StreamExt};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_postgres::{
    AsyncMessage, Client, NoTls, SimpleQueryMessage, error::DbError, error::ErrorPosition,
};

/// A statement that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// Cuts lines anywhere.
const COPY_CHUNK_BYTES: usize = 10_007;

/// A session; it ends when it is dropped.
pub(crate) struct Session {
    /// For what [`Session::run`] does not do: prepared statements, COPY, cancelling.
    pub(crate) client: Client,
    notices: mpsc::UnboundedReceiver<DbError>,
    /// Drives the connection. Left alone it would read the rest of a query's rows when the client
    /// has gone.
    connection: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// What the server answered to one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Rows: how many columns each has, and the rows.
    Rows { columns: usize, rows: Vec<Vec<Option<String>>> },
    /// No rows, but so many were affected.
    Done(u64),
    /// An error.
    Error(Failure),
}

/// An error, as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The SQLSTATE; `HANGS` without an answer in time, `CLOSED` when the connection ended.
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    /// Where it happened (`COPY t, line 3, …`).
    pub(crate) context: Option<String>,
    /// 1-based position in the statement.
    pub(crate) position: Option<u32>,
}

impl Session {
    /// Connects, with a URL or a libpq connection string.
    pub(crate) async fn connect(url: &str) -> Self {
        Self::try_connect(url).await.unwrap_or_else(|e| panic!("cannot connect to {url}: {e}"))
    }

    /// Connects, if the server lets us.
    pub(crate) async fn try_connect(url: &str) -> Result<Self, tokio_postgres::Error> {
        let (client, mut connection) = tokio_postgres::connect(url, NoTls).await?;
        let (sender, notices) = mpsc::unbounded_channel();
        let connection = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notice(notice) = message {
                    let _ = sender.send(notice);
                }
            }
        });
        Ok(Self { client, notices, connection })
    }

    /// Runs one statement to its end.
    pub(crate) async fn run(&self, sql: &str) -> Answer {
        match tokio::time::timeout(PATIENCE, self.client.simple_query(sql)).await {
            Ok(Ok(messages)) => Answer::of(messages),
            Ok(Err(error)) => Answer::Error(Failure::of(&error)),
            Err(_) => Answer::Error(Failure::named("HANGS", "no answer in time")),
        }
    }

    /// Runs a statement that must succeed; its rows.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        match self.run(sql).await {
            Answer::Rows { rows, .. } => rows,
            Answer::Done(_) => Vec::new(),
            Answer::Error(error) => panic!("{sql}\n{error}"),
        }
    }

    /// Runs a query of one row and one column.
    pub(crate) async fn value(&self, sql: &str) -> String {
        let rows = self.rows(sql).await;
        match rows.as_slice() {
            [row] if row.len() == 1 => row[0].clone().unwrap_or_else(|| "NULL".into()),
            rows => panic!("{sql}\nexpected one value, got {rows:?}"),
        }
    }

    /// Runs a statement that must fail.
    pub(crate) async fn failure(&self, sql: &str) -> Failure {
        match self.run(sql).await {
            Answer::Error(failure) => failure,
            answer => panic!("{sql}\nexpected an error, got {answer:?}"),
        }
    }

    /// Sends data to `COPY … FROM STDIN`, in chunks; how many rows the server took.
    pub(crate) async fn copy_in(&self, sql: &str, data: impl AsRef<[u8]>) -> Result<u64, Failure> {
        self.copy_in_blocks(sql, data.as_ref().chunks(COPY_CHUNK_BYTES).map(<[u8]>::to_vec)).await
    }

    /// The same for data that is made while it is sent, and goes on as long as the connection does.
    pub(crate) async fn copy_in_blocks(
        &self,
        sql: &str,
        blocks: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<u64, Failure> {
        let failure = |e: tokio_postgres::Error| Failure::of(&e);
        let sink = self.client.copy_in::<_, Cursor<Vec<u8>>>(sql).await.map_err(failure)?;
        let mut sink = pin!(sink);
        for block in blocks {
            // The server may have failed already: finish() tells why.
            if sink.send(Cursor::new(block)).await.is_err() {
                break;
            }
        }
        sink.finish().await.map_err(failure)
    }

    /// Runs `COPY … TO STDOUT`; all its data.
    pub(crate) async fn copy_out(&self, sql: &str) -> Result<Vec<u8>, Failure> {
        let failure = |e: tokio_postgres::Error| Failure::of(&e);
        let mut pieces = pin!(self.client.copy_out(sql).await.map_err(failure)?);
        let mut data = Vec::new();
        while let Some(piece) = pieces.next().await {
            data.extend_from_slice(&piece.map_err(failure)?);
        }
        Ok(data)
    }

    /// Runs statements that must succeed.
    pub(crate) async fn run_all<S: AsRef<str>>(&self, statements: impl IntoIterator<Item = S>) {
        for statement in statements {
            self.rows(statement.as_ref()).await;
        }
    }

    /// The notices that have come since the last call.
    pub(crate) fn notices(&mut self) -> Vec<DbError> {
        let mut notices = Vec::new();
        while let Ok(notice) = self.notices.try_recv() {
            notices.push(notice);
        }
        notices
    }
}

impl Answer {
    fn of(messages: Vec<SimpleQueryMessage>) -> Self {
        let (mut columns, mut rows, mut affected) = (None, Vec::new(), 0);
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(description) => {
                    columns = Some(description.len());
                }
                SimpleQueryMessage::Row(row) => {
                    rows.push((0..row.len()).map(|i| row.get(i).map(str::to_string)).collect());
                }
                SimpleQueryMessage::CommandComplete(count) => affected = count,
                _ => {}
            }
        }
        match columns {
            Some(columns) => Self::Rows { columns, rows },
            None => Self::Done(affected),
        }
    }

    /// The SQLSTATE of an error.
    pub(crate) fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Error(failure) => Some(&failure.sqlstate),
            _ => None,
        }
    }
}

impl Failure {
    fn named(sqlstate: &str, message: &str) -> Self {
        let (sqlstate, message) = (sqlstate.to_string(), message.to_string());
        Self { sqlstate, message, detail: None, hint: None, context: None, position: None }
    }

    /// What a failed call of the client tells.
    pub(crate) fn of(error: &tokio_postgres::Error) -> Self {
        let Some(error) = error.as_db_error() else {
            return Self::named("CLOSED", &error.to_string());
        };
        Self {
            sqlstate: error.code().code().to_string(),
            message: error.message().to_string(),
            detail: error.detail().map(str::to_string),
            hint: error.hint().map(str::to_string),
            context: error.where_().map(str::to_string),
            position: match error.position() {
                Some(ErrorPosition::Original(position)) => Some(*position),
                _ => None,
            },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.sqlstate, self.message)?;
        for (word, text) in
            [("DETAIL", &self.detail), ("HINT", &self.hint), ("CONTEXT", &self.context)]
        {
            if let Some(text) = text {
                write!(f, "\n{word}: {text}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Enough to see what is wrong.
        const ROWS_SHOWN: usize = 40;
        match self {
            Self::Error(failure) => write!(f, "{failure}"),
            Self::Done(count) => write!(f, "(done: {count})"),
            Self::Rows { columns, rows } => {
                write!(f, "({} rows of {columns} columns)", rows.len())?;
                for row in rows.iter().take(ROWS_SHOWN) {
                    let values: Vec<&str> =
                        row.iter().map(|v| v.as_deref().unwrap_or("NULL")).collect();
                    write!(f, "\n{}", values.join(" | "))?;
                }
                if rows.len() > ROWS_SHOWN {
                    f.write_str("\n…")?;
                }
                Ok(())
            }
        }
    }
}
