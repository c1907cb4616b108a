//! COPY … FROM STDIN: sends what a source gives.

use std::{future::poll_fn, task::Poll};

use bytes::{Buf, Bytes};
use futures::{StreamExt, stream::BoxStream};
use kestrel_proto::{ErrorReport, Result};
use postgres_protocol::message::frontend;

use super::{
    query::{affected_rows, misplaced_copy},
    report::Lost,
    session::{Answer, Phase, Session},
};

/// No message is larger: what a source gives is cut, which COPY allows anywhere.
const MESSAGE_BYTES_MAX: usize = 256 << 10;
/// The source is not asked for more while so much is to be written.
const QUEUED_BYTES_MAX: usize = 256 << 10;

impl Session {
    /// Runs `COPY … FROM STDIN` with the bytes of `source`, and gives how many rows it took. The
    /// source is asked only as fast as the server takes its bytes.
    ///
    /// # Errors
    /// The source's, after which the server has taken no row; the server's, which is noticed while
    /// the source still gives; 0A000 when the statement is no such COPY.
    pub async fn copy_in(
        &mut self,
        sql: &str,
        source: BoxStream<'_, Result<Bytes>>,
    ) -> Result<u64> {
        self.begin_copy_in(sql).await?;
        match self.feed(source).await {
            Fed::All => {
                frontend::copy_done(self.wire.outgoing());
                self.finish_copy_in(None).await
            }
            Fed::SourceFailed(report) => {
                self.queue_copy_fail(&report.message);
                self.finish_copy_in(Some(report)).await
            }
            Fed::ServerFailed(report) => self.finish_copy_in(Some(report)).await,
            Fed::Unwritable(lost) => Err(self.last_words(&lost).await),
            Fed::Closed(report) => Err(report),
        }
    }

    async fn begin_copy_in(&mut self, sql: &str) -> Result<()> {
        self.send(sql).await?;
        let mut failed = None;
        loop {
            match self.answer().await? {
                Answer::CopyIn => return Ok(()),
                Answer::Failed(report) => failed = Some(report),
                Answer::Ready => return Err(failed.unwrap_or_else(misplaced_copy)),
                Answer::Columns(_)
                | Answer::Row(_)
                | Answer::Complete(_)
                | Answer::CopyOut
                | Answer::CopyData(_)
                | Answer::CopyDone => {}
            }
        }
    }

    /// Listens, writes and asks the source, all at once.
    async fn feed(&mut self, mut source: BoxStream<'_, Result<Bytes>>) -> Fed {
        let mut piece = Bytes::new();
        poll_fn(|cx| {
            loop {
                match self.poll_answer(cx) {
                    Poll::Ready(Ok(Answer::Failed(report))) => {
                        return Poll::Ready(Fed::ServerFailed(report));
                    }
                    Poll::Ready(Ok(_)) => {
                        let report = self.malformed("an answer in the middle of a COPY");
                        self.phase = Phase::Closed;
                        return Poll::Ready(Fed::Closed(report));
                    }
                    Poll::Ready(Err(report)) => return Poll::Ready(Fed::Closed(report)),
                    Poll::Pending => {}
                }
                if let Poll::Ready(Err(lost)) = self.wire.poll_flush(cx) {
                    return Poll::Ready(Fed::Unwritable(lost));
                }
                if self.wire.outgoing().len() >= QUEUED_BYTES_MAX {
                    return Poll::Pending;
                }
                if !piece.has_remaining() {
                    match source.poll_next_unpin(cx) {
                        Poll::Ready(Some(Ok(bytes))) => piece = bytes,
                        Poll::Ready(Some(Err(report))) => {
                            return Poll::Ready(Fed::SourceFailed(report));
                        }
                        Poll::Ready(None) => return Poll::Ready(Fed::All),
                        Poll::Pending => return Poll::Pending,
                    }
                }
                let message = piece.split_to(piece.len().min(MESSAGE_BYTES_MAX));
                if let Err(lost) = self.wire.queue_copy_data(message) {
                    return Poll::Ready(Fed::Unwritable(lost));
                }
            }
        })
        .await
    }

    /// Writes the end and reads the answer. `failed`: what the caller will see in any case.
    async fn finish_copy_in(&mut self, mut failed: Option<ErrorReport>) -> Result<u64> {
        let mut rows = 0;
        loop {
            match self.answer_while_writing().await {
                Ok(Answer::Ready) => {
                    // What the server has not read of a COPY that failed: it skips that.
                    let flushed = self.flush().await;
                    return failed.map_or(flushed.map(|()| rows), Err);
                }
                Ok(Answer::Complete(tag)) => rows = affected_rows(&tag).unwrap_or_default(),
                Ok(Answer::Failed(report)) => {
                    failed.get_or_insert(report);
                }
                Ok(_) => {}
                Err(report) => return Err(failed.unwrap_or(report)),
            }
        }
    }

    /// The next answer, while what is left to be written goes out: a server that has failed may
    /// answer before it has read everything.
    async fn answer_while_writing(&mut self) -> Result<Answer> {
        poll_fn(|cx| {
            // A connection that takes nothing more says why when it is read.
            let _ = self.wire.poll_flush(cx);
            self.poll_answer(cx)
        })
        .await
    }
}

/// How the sending ended.
enum Fed {
    /// The source has ended.
    All,
    /// The source has failed.
    SourceFailed(ErrorReport),
    /// The server has failed the statement.
    ServerFailed(ErrorReport),
    /// The connection takes no more.
    Unwritable(Lost),
    /// The session is closed.
    Closed(ErrorReport),
}
