//! What a statement gives back to the client's protocol handler.

use kestrel_planner::catalog::SqlType;
use kestrel_proto::{BatchStream, ByteStream, ErrorReport, Result, Severity};
use tokio::sync::mpsc;

use crate::copy::CopyForm;

/// A column of a result, as RowDescription shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputField {
    /// PostgreSQL's name for it (`?column?`, `sum`, …).
    pub name: String,
    /// Its type.
    pub sql_type: SqlType,
    /// The table it comes from unchanged, by OID; 0: none.
    pub table_oid: u32,
    /// The column number in that table; 0: none.
    pub column_number: i16,
}

/// What a statement did or is about to do.
pub enum Outcome {
    /// Rows follow. The batches' columns are those of `fields`, in Arrow's form of each type.
    Rows {
        /// The columns.
        fields: Vec<OutputField>,
        /// The rows. The statement has succeeded only when the stream ends without an error.
        rows: BatchStream,
        /// The word of the command tag before the row count: `SELECT`, or the whole tag for
        /// others (`SHOW`, `EXPLAIN`).
        tag: RowsTag,
    },
    /// Done, without rows: the command tag (`CREATE TABLE`, `INSERT 0 3`).
    Done(String),
    /// `COPY t FROM STDIN`: the client's data follows.
    CopyIn(Box<dyn CopyIn>),
    /// `COPY … TO STDOUT`: rows follow, as COPY data.
    CopyOut(CopyOut),
    /// `BACKUP`: a file's bytes follow, as binary COPY data without columns.
    Bytes(ByteStream),
    /// The statement was empty.
    Empty,
}

/// How a result's command tag is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowsTag {
    /// `SELECT n`
    Counted(&'static str),
    /// As it stands.
    Fixed(&'static str),
    /// The same, of a statement that has changed rows and gives some back: what it has changed,
    /// whatever the client takes of them (`INSERT 0 3`).
    Changed(String),
}

/// What `COPY … TO STDOUT` sends.
pub struct CopyOut {
    /// The columns.
    pub fields: Vec<OutputField>,
    /// The rows, as those of [`Outcome::Rows`].
    pub rows: BatchStream,
    /// How they are written.
    pub form: CopyForm,
    /// The columns' names come first.
    pub header: bool,
}

/// The receiving end of `COPY … FROM STDIN`.
#[async_trait::async_trait]
pub trait CopyIn: Send {
    /// How many columns the client is to send.
    fn columns(&self) -> usize;
    /// Whether it is to send binary data.
    fn is_binary(&self) -> bool {
        false
    }
    /// Takes data, cut anywhere; waits when the cluster is slower than the client.
    async fn data(&mut self, bytes: bytes::Bytes) -> Result<()>;
    /// CopyDone: all data have come; the command tag (`COPY n`).
    async fn done(self: Box<Self>) -> Result<String>;
    /// CopyFail, or the client has gone: nothing of it is visible.
    async fn fail(self: Box<Self>, message: String) -> ErrorReport;
}

/// Where notices and warnings go: to the client, at once.
#[derive(Clone, Debug)]
pub struct NoticeSender {
    to_client: mpsc::UnboundedSender<ErrorReport>,
    silences: Silences,
}

/// What `client_min_messages` keeps from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silences {
    /// Nothing.
    Nothing,
    /// Notices.
    Notices,
    /// Notices and warnings.
    Warnings,
}

impl NoticeSender {
    /// Sends everything.
    pub fn new(to_client: mpsc::UnboundedSender<ErrorReport>) -> Self {
        Self { to_client, silences: Silences::Nothing }
    }

    /// Sends less.
    pub fn silenced(self, silences: Silences) -> Self {
        Self { silences, ..self }
    }

    /// Sends it, unless it is silenced. The client may have gone: then nobody misses it.
    pub fn send(&self, notice: ErrorReport) {
        let is_silenced = match notice.severity {
            Severity::Notice => self.silences != Silences::Nothing,
            Severity::Warning => self.silences == Silences::Warnings,
            // INFO was asked for.
            Severity::Info | Severity::Error | Severity::Fatal => false,
        };
        if !is_silenced {
            let _ = self.to_client.send(notice);
        }
    }
}
