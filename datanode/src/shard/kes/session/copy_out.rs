//! COPY … TO STDOUT: the payload as it comes.

use std::{
    ops::DerefMut,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::Stream;
use kestrel_proto::{ErrorReport, Result};

use super::{
    query::{affected_rows, misplaced_copy},
    session::{Answer, Session},
};

/// A COPY that has sent so much is long: a thread of its own pays.
const LONG_BYTES: usize = 256 << 10;

/// The payload of a COPY: pieces of one or more whole `CopyData` messages, which are whole rows from
/// PostgreSQL's `COPY` (the binary header and trailer are in messages of their own or with a row).
///
/// A slow reader holds up the server: nothing is read unless it is polled, but for a few reads ahead of
/// a thread that takes over in a long COPY. The stream ends after
/// `ReadyForQuery`; what fails in the middle is its last item. Dropping it early leaves the session
/// busy, see [`Session::settle`].
///
/// `S`: `&mut Session`, or a session that it owns, such as a pool's.
pub struct CopyOut<S> {
    session: S,
    tag: Option<String>,
    failed: Option<ErrorReport>,
    is_done: bool,
    /// Of the payload so far; `None`: a thread reads the rest.
    bytes: Option<usize>,
}

impl Session {
    /// Runs `COPY … TO STDOUT`.
    ///
    /// # Errors
    /// As [`CopyOut::start`].
    pub async fn copy_out(&mut self, sql: &str) -> Result<CopyOut<&mut Self>> {
        CopyOut::start(self, sql).await
    }
}

impl<S: DerefMut<Target = Session> + Unpin> CopyOut<S> {
    /// Runs `COPY … TO STDOUT` on `session`.
    ///
    /// # Errors
    /// The server's; 0A000 when the statement is no such COPY.
    pub async fn start(mut session: S, sql: &str) -> Result<Self> {
        begin(&mut session, sql).await?;
        Ok(Self { session, tag: None, failed: None, is_done: false, bytes: Some(0) })
    }

    /// The command tag, once the stream has ended.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// How many rows there were, once the stream has ended.
    pub fn rows(&self) -> Option<u64> {
        affected_rows(self.tag()?)
    }

    /// The session; busy, unless the stream has ended.
    pub fn into_session(self) -> S {
        self.session
    }

    /// `None`: more to read.
    fn take(&mut self, answer: Answer) -> Option<Option<Result<Bytes>>> {
        match answer {
            // After an error they are of no use.
            Answer::CopyData(data) => {
                self.bytes = self.bytes.map(|bytes| bytes + data.len());
                return self.failed.is_none().then_some(Some(Ok(data)));
            }
            Answer::CopyDone => {}
            Answer::Complete(tag) => self.tag = Some(tag),
            Answer::Failed(report) => {
                self.failed.get_or_insert(report);
            }
            Answer::Ready => {
                self.is_done = true;
                return Some(self.failed.take().map(Err));
            }
            Answer::CopyIn | Answer::CopyOut | Answer::Columns(_) | Answer::Row(_) => {
                self.is_done = true;
                return Some(Some(Err(misplaced_copy())));
            }
        }
        None
    }
}

async fn begin(session: &mut Session, sql: &str) -> Result<()> {
    session.send(sql).await?;
    let mut failed = None;
    loop {
        match session.answer().await? {
            Answer::CopyOut => return Ok(()),
            Answer::Failed(report) => failed = Some(report),
            Answer::Ready => return Err(failed.unwrap_or_else(misplaced_copy)),
            Answer::CopyIn => session.send_copy_fail("COPY TO is expected here").await?,
            Answer::Columns(_)
            | Answer::Row(_)
            | Answer::Complete(_)
            | Answer::CopyData(_)
            | Answer::CopyDone => {}
        }
    }
}

impl<S: DerefMut<Target = Session> + Unpin> Stream for CopyOut<S> {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.is_done {
            if self.bytes.is_some_and(|bytes| bytes >= LONG_BYTES) {
                self.bytes = None;
                if let Err(report) = self.session.gather() {
                    self.is_done = true;
                    return Poll::Ready(Some(Err(report)));
                }
            }
            let item = match ready!(self.session.poll_answer(cx)) {
                Ok(answer) => self.take(answer),
                Err(report) => {
                    self.is_done = true;
                    Some(Some(Err(self.failed.take().unwrap_or(report))))
                }
            };
            if let Some(item) = item {
                return Poll::Ready(item);
            }
        }
        Poll::Ready(None)
    }
}
