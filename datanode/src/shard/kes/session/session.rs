//! One session: what it is doing, and the server's answers one by one.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use kestrel_proto::{ErrorReport, Result, SqlState};
use postgres_protocol::message::{
    backend::{DataRowBody, Message, RowDescriptionBody},
    frontend,
};
use tokio::runtime::Handle;

use super::{
    cancel::CancelToken,
    connector::Connector,
    frames::Incoming,
    notices::Notices,
    report::{self, Lost},
    wire::{Connection, Wire},
};

/// Parameters that a server may report; PostgreSQL reports some fifteen.
const PARAMETERS_MAX: usize = 200;
/// A parameter's name and value; longer ones are not kept.
const PARAMETER_BYTES_MAX: usize = 4096;
/// PostgreSQL takes about a gigabyte (`MaxAllocSize`, memutils.h).
const SQL_BYTES_MAX: usize = 1 << 29;
/// When a statement cannot be sent: how long the server may take to say why.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(500);

/// A session with a shard's database.
///
/// One statement at a time. A dropped one leaves the session busy; the next [settles](Self::settle)
/// it first. Dropping a busy session asks the server to cancel what it is doing.
pub struct Session {
    pub(super) wire: Wire,
    pub(super) connector: Arc<Connector>,
    pub(super) phase: Phase,
    cancel_key: Option<(i32, i32)>,
    /// A request to cancel was sent that may still be on its way.
    pub(super) is_settling: bool,
    parameters: BTreeMap<String, String>,
    notices: Notices,
    /// What the server has said about a connection that it will close.
    announced_end: Option<ErrorReport>,
}

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It can take a statement.
    Ready(TransactionStatus),
    /// A statement is under way.
    Busy {
        /// The server waits for COPY data.
        wants_copy_data: bool,
    },
    /// Nothing can be done with it any more.
    Closed,
}

/// What `ReadyForQuery` says about the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// There is none.
    Idle,
    /// One is open.
    Open,
    /// One is open, and takes nothing but its end.
    Failed,
}

/// The server's answers to a simple query.
pub(super) enum Answer {
    /// The columns of the rows that follow.
    Columns(RowDescriptionBody),
    /// A row.
    Row(DataRowBody),
    /// A statement is done; its command tag, empty for an empty statement.
    Complete(String),
    /// COPY TO STDOUT begins.
    CopyOut,
    /// COPY FROM STDIN begins.
    CopyIn,
    /// A part of the COPY data.
    CopyData(Bytes),
    /// All COPY data were sent.
    CopyDone,
    /// The statement failed; `Ready` follows.
    Failed(ErrorReport),
    /// The server waits for the next statement.
    Ready,
}

impl Session {
    /// Authenticated; [`Self::started`] comes next.
    pub(super) fn starting(connector: Arc<Connector>, wire: Wire) -> Self {
        Self {
            wire,
            notices: Notices::new(connector.settings().notices_max),
            announced_end: None,
            connector,
            phase: Phase::Busy { wants_copy_data: false },
            cancel_key: None,
            is_settling: false,
            parameters: BTreeMap::new(),
        }
    }

    /// Moves it elsewhere; what stays is closed.
    pub(super) fn take(&mut self) -> Self {
        let nowhere = Wire::new(Connection::nowhere(), 0);
        let mut closed = Self::starting(Arc::clone(&self.connector), nowhere);
        closed.phase = Phase::Closed;
        std::mem::replace(self, closed)
    }

    /// Waits until the server is ready for the first statement.
    pub(super) async fn started(&mut self) -> Result<()> {
        match self.answer().await? {
            Answer::Ready => Ok(()),
            Answer::Failed(report) => Err(report),
            _ => Err(self.malformed("a result before the first statement")),
        }
    }

    /// Whose shard it is, and how to connect to it.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The transaction's state; `None` while a statement is under way, and once the session is
    /// closed.
    pub fn transaction_status(&self) -> Option<TransactionStatus> {
        match self.phase {
            Phase::Ready(status) => Some(status),
            Phase::Busy { .. } | Phase::Closed => None,
        }
    }

    /// Nothing can be done with it any more.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// The last value that the server has reported of a parameter, such as `server_version`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// All notices and warnings since the last call, oldest first.
    pub fn take_notices(&mut self) -> Vec<ErrorReport> {
        self.notices.take()
    }

    /// Cancels from elsewhere whatever the session is doing then.
    pub fn cancel_token(&self) -> CancelToken {
        CancelToken::new(Arc::clone(&self.connector), self.cancel_key)
    }

    /// Whether a session that waits for its next statement still can take one. Costs a look at what
    /// has come, no round trip.
    pub fn is_alive(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        while let Phase::Ready(_) = self.phase {
            match self.poll_answer(&mut cx) {
                // Nothing is what a session without a statement should hear.
                Poll::Pending => return true,
                // After notices and parameters comes either an error or something unasked-for.
                Poll::Ready(_) => self.phase = Phase::Closed,
            }
        }
        false
    }

    /// Says goodbye, if that needs no waiting.
    pub fn close(mut self) {
        self.say_goodbye();
    }

    fn say_goodbye(&mut self) {
        if matches!(self.phase, Phase::Ready(_)) {
            frontend::terminate(self.wire.outgoing());
            let _ = self.wire.poll_flush(&mut Context::from_waker(Waker::noop()));
        }
        self.phase = Phase::Closed;
    }

    /// Sends a query, and is busy from then on.
    pub(super) async fn send(&mut self, sql: &str) -> Result<()> {
        // Checked before anything is written: the other bytes would go out.
        if sql.contains('\0') {
            return Err(ErrorReport::internal("a byte 0 in SQL for a shard's database"));
        }
        if sql.len() > SQL_BYTES_MAX {
            let message = "the SQL for a shard's database is too long";
            let detail = format!("It has {} bytes, more than {SQL_BYTES_MAX}.", sql.len());
            return Err(ErrorReport::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).detail(detail));
        }
        self.settle().await?;
        let written = frontend::query(sql, self.wire.outgoing());
        written.map_err(|error| ErrorReport::internal(error.to_string()))?;
        self.phase = Phase::Busy { wants_copy_data: false };
        self.flush().await
    }

    /// The rest of a COPY's answers is read by a thread, if one can.
    ///
    /// # Errors
    /// 58K01: the session is closed then.
    pub(super) fn gather(&mut self) -> Result<()> {
        self.wire.gather().map_err(|lost| {
            self.phase = Phase::Closed;
            self.lost(&lost)
        })
    }

    /// Writes what is to be written.
    pub(super) async fn flush(&mut self) -> Result<()> {
        match poll_fn(|cx| self.wire.poll_flush(cx)).await {
            Ok(()) => Ok(()),
            Err(lost) => Err(self.last_words(&lost).await),
        }
    }

    /// The connection does not take bytes any more: what the server has said about that, else what
    /// the kernel says.
    pub(super) async fn last_words(&mut self, lost: &Lost) -> ErrorReport {
        let words = async {
            loop {
                match self.answer().await {
                    Ok(Answer::Failed(report)) | Err(report) => return report,
                    Ok(_) => {}
                }
            }
        };
        let words = tokio::time::timeout(LAST_WORDS_WAIT, words).await;
        self.phase = Phase::Closed;
        words.unwrap_or_else(|_elapsed| self.lost(lost))
    }

    /// The next answer.
    ///
    /// # Errors
    /// The session is closed then. An error of the statement only is [`Answer::Failed`].
    pub(super) async fn answer(&mut self) -> Result<Answer> {
        poll_fn(|cx| self.poll_answer(cx)).await
    }

    /// See [`Self::answer`]. Takes notices and parameters on the way.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer>> {
        if self.phase == Phase::Closed {
            return Poll::Ready(Err(self.closed()));
        }
        loop {
            let answer = match ready!(self.wire.poll_incoming(cx)) {
                Ok(Incoming::CopyData(data)) => Ok(Some(Answer::CopyData(data))),
                Ok(Incoming::Message(message)) => self.understand(message),
                Err(lost) => Err(self.lost(&lost)),
            };
            match answer {
                Ok(None) => {}
                Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                Err(report) => {
                    self.phase = Phase::Closed;
                    return Poll::Ready(Err(report));
                }
            }
        }
    }

    /// `None`: a message that may come at any time and is no answer.
    fn understand(&mut self, message: Message) -> Result<Option<Answer>> {
        let datanode = self.connector.datanode();
        let answer = match message {
            Message::RowDescription(body) => Answer::Columns(body),
            Message::DataRow(body) => Answer::Row(body),
            Message::EmptyQueryResponse => Answer::Complete(String::new()),
            Message::CommandComplete(body) => {
                Answer::Complete(body.tag().map_err(|error| self.malformed(error))?.to_string())
            }
            Message::CopyOutResponse(_) => Answer::CopyOut,
            Message::CopyInResponse(_) => {
                self.phase = Phase::Busy { wants_copy_data: true };
                Answer::CopyIn
            }
            Message::CopyDone => Answer::CopyDone,
            Message::ErrorResponse(body) => {
                self.phase = Phase::Busy { wants_copy_data: false };
                let reported = report::error(datanode, body.fields());
                let reported = reported.map_err(|lost| lost.report(datanode))?;
                if reported.fatal {
                    return Err(reported.report);
                }
                Answer::Failed(reported.report)
            }
            Message::ReadyForQuery(body) => {
                self.phase = Phase::Ready(self.status(body.status())?);
                self.wire.shrink();
                Answer::Ready
            }
            Message::NoticeResponse(body) => {
                let notice = report::notice(datanode, body.fields());
                let notice = notice.map_err(|lost| lost.report(datanode))?;
                self.announced_end = report::announced_end(datanode, &notice);
                self.notices.push(notice);
                return Ok(None);
            }
            Message::ParameterStatus(body) => {
                let name = body.name().map_err(|error| self.malformed(error))?;
                let value = body.value().map_err(|error| self.malformed(error))?;
                let is_known = self.parameters.contains_key(name);
                let is_short = name.len() + value.len() <= PARAMETER_BYTES_MAX;
                if is_short && (is_known || self.parameters.len() < PARAMETERS_MAX) {
                    self.parameters.insert(name.to_string(), value.to_string());
                }
                return Ok(None);
            }
            Message::BackendKeyData(body) => {
                self.cancel_key = Some((body.process_id(), body.secret_key()));
                return Ok(None);
            }
            Message::NotificationResponse(_) => return Ok(None),
            _ => return Err(self.malformed("a message that does not belong to simple queries")),
        };
        Ok(Some(answer))
    }

    fn status(&self, status: u8) -> Result<TransactionStatus> {
        match status {
            b'I' => Ok(TransactionStatus::Idle),
            b'T' => Ok(TransactionStatus::Open),
            b'E' => Ok(TransactionStatus::Failed),
            other => Err(self.malformed(format!("the transaction status {other}"))),
        }
    }

    fn lost(&self, lost: &Lost) -> ErrorReport {
        let announced = self.announced_end.clone();
        announced.unwrap_or_else(|| lost.report(self.connector.datanode()))
    }

    /// 58K01.
    pub(super) fn malformed(&self, what: impl std::fmt::Display) -> ErrorReport {
        Lost::malformed(what).report(self.connector.datanode())
    }

    /// 58K01.
    pub(super) fn closed(&self) -> ErrorReport {
        Lost::Closed.report(self.connector.datanode())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A server that computes looks at its connection only when it has something to say.
        if let Phase::Busy { .. } = self.phase
            && let Ok(runtime) = Handle::try_current()
        {
            let token = self.cancel_token();
            runtime.spawn(async move {
                // Nobody waits for it, and the server ends in any case when it writes.
                let _ = token.cancel().await;
            });
        }
        self.say_goodbye();
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("datanode", &self.connector.datanode())
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
