//! The rows of a `BINARY` cursor as COPY would send them, as they come.

use std::{
    ops::DerefMut,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use kestrel_planner::wire_binary::COPY_SIGNATURE;
use kestrel_proto::{ErrorReport, Result};

use super::{
    query::{Column, columns, misplaced_copy},
    session::{Answer, Session},
};

/// So many bytes are put out at once, if so many have come.
const PIECE_BYTES: usize = 64 << 10;

/// Binary COPY data of the one statement among some that gives rows; besides, their columns, which COPY
/// does not tell.
///
/// As [`CopyOut`](super::CopyOut): a slow reader holds up the server, the stream ends after
/// `ReadyForQuery`, what fails in the middle is its last item, and dropping it early leaves the session
/// busy.
///
/// `S`: `&mut Session`, or a session that it owns, such as a pool's.
pub struct BinaryRows<S> {
    session: S,
    columns: Vec<Column>,
    /// Rows that were not put out.
    data: BytesMut,
    failed: Option<ErrorReport>,
    is_done: bool,
}

impl<S: DerefMut<Target = Session> + Unpin> BinaryRows<S> {
    /// Runs the statements, until the columns are known.
    ///
    /// # Errors
    /// The server's; 0A000 for COPY, and where no statement gives rows.
    pub async fn start(mut session: S, sql: &str) -> Result<Self> {
        let columns = begin(&mut session, sql).await?;
        let mut data = BytesMut::from(COPY_SIGNATURE.as_slice());
        // No flags, no extension.
        data.put_u64(0);
        Ok(Self { session, columns, data, failed: None, is_done: false })
    }

    /// The rows' columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// `None`: more to read.
    fn take(&mut self, answer: Answer) -> Option<Result<Bytes>> {
        match answer {
            Answer::Row(body) => {
                // After an error they are of no use.
                if self.failed.is_none() {
                    self.data.put_u16(self.columns.len() as u16);
                    self.data.extend_from_slice(body.buffer());
                }
                (self.data.len() >= PIECE_BYTES).then(|| Ok(self.piece()))
            }
            Answer::Failed(report) => {
                self.failed.get_or_insert(report);
                None
            }
            Answer::Complete(_) => None,
            Answer::Ready => {
                self.is_done = true;
                self.data.put_i16(-1);
                Some(self.failed.take().map_or_else(|| Ok(self.piece()), Err))
            }
            Answer::Columns(_) => {
                self.is_done = true;
                Some(Err(ErrorReport::internal("two statements that give rows")))
            }
            Answer::CopyIn | Answer::CopyOut | Answer::CopyData(_) | Answer::CopyDone => {
                self.is_done = true;
                Some(Err(misplaced_copy()))
            }
        }
    }

    fn piece(&mut self) -> Bytes {
        self.data.split().freeze()
    }
}

async fn begin(session: &mut Session, sql: &str) -> Result<Vec<Column>> {
    session.send(sql).await?;
    let mut failed = None;
    loop {
        match session.answer().await? {
            Answer::Columns(body) => return columns(&body).map_err(|e| session.malformed(e)),
            Answer::Failed(report) => failed = Some(report),
            Answer::Ready => return Err(failed.unwrap_or_else(no_rows)),
            Answer::CopyIn => session.send_copy_fail("rows are expected here").await?,
            Answer::Row(_)
            | Answer::Complete(_)
            | Answer::CopyOut
            | Answer::CopyData(_)
            | Answer::CopyDone => {}
        }
    }
}

/// 0A000
fn no_rows() -> ErrorReport {
    ErrorReport::unsupported("statements for a shard's database that give no rows")
}

impl<S: DerefMut<Target = Session> + Unpin> Stream for BinaryRows<S> {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.is_done {
            let item = match self.session.poll_answer(cx) {
                Poll::Ready(Ok(answer)) => self.take(answer),
                Poll::Ready(Err(report)) => {
                    self.is_done = true;
                    Some(Err(self.failed.take().unwrap_or(report)))
                }
                Poll::Pending if self.data.is_empty() => return Poll::Pending,
                Poll::Pending => Some(Ok(self.piece())),
            };
            if let Some(item) = item {
                return Poll::Ready(Some(item));
            }
        }
        Poll::Ready(None)
    }
}
