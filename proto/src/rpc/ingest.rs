//! Rows on their way to be written: the frames of one ingest call.

use std::sync::Arc;

use arrow::datatypes::Schema;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use tonic::{Code, Status, Streaming};

use super::{
    BatchDecoder, BatchEncoder, Compression,
    exchange::payload,
    frame::{Content, Frame},
};
use crate::{BatchStream, ErrorReport, IngestStream, Result, SqlState, error::LOST_HINT};

/// Why the rows stopped before their end, if they did.
#[derive(Clone, Debug, Default)]
pub(super) struct Failure(Arc<Mutex<Option<ErrorReport>>>);

impl Failure {
    pub(super) fn take(&self) -> Option<ErrorReport> {
        self.0.lock().take()
    }
}

struct Sender {
    rows: IngestStream,
    encoder: BatchEncoder,
    failure: Failure,
    /// Frames of the batch that was encoded last.
    encoded: std::vec::IntoIter<Content>,
    sequence: u64,
    ended: bool,
}

/// The header, the rows, the end; the end does not come when the rows fail.
pub(super) fn frames(
    header: Bytes,
    schema: &Schema,
    rows: IngestStream,
) -> Result<(impl Stream<Item = Frame> + Send + 'static, Failure)> {
    let failure = Failure::default();
    let sender = Sender {
        rows,
        encoder: BatchEncoder::new(schema, Compression::None)?,
        failure: failure.clone(),
        encoded: vec![Content::Header(header)].into_iter(),
        sequence: 0,
        ended: false,
    };
    let frames = stream::unfold(sender, async |mut sender| {
        let frame = sender.next().await?;
        Some((frame, sender))
    });
    Ok((frames, failure))
}

impl Sender {
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(content) = self.encoded.next() {
                let sequence = self.sequence;
                self.sequence += 1;
                return Some(Frame { sequence, content });
            }
            if self.ended {
                return None;
            }
            let contents = match self.rows.next().await {
                Some(batch) => {
                    let frames = batch.and_then(|batch| self.encoder.encode(&batch));
                    frames.map(|frames| frames.into_iter().map(Content::Rows).collect())
                }
                None => {
                    self.ended = true;
                    Ok(vec![Content::End])
                }
            };
            match contents {
                Ok(contents) => self.encoded = Vec::into_iter(contents),
                Err(report) => {
                    *self.failure.0.lock() = Some(report);
                    return None;
                }
            }
        }
    }
}

/// The service's side: the header, then the rows. Rows that end without an end were given up.
pub async fn receive(mut frames: Streaming<Frame>) -> Result<(Bytes, BatchStream), Status> {
    let broken = || Status::invalid_argument("an ingest without a header");
    let header = match frames.message().await?.ok_or_else(broken)?.expect(0)? {
        Content::Header(header) => header,
        Content::Rows(_) | Content::End => return Err(broken()),
    };
    let rows = Receiver { frames, decoder: BatchDecoder::default(), sequence: 1 };
    let rows = stream::unfold(Some(rows), async |rows| {
        let mut rows = rows?;
        match rows.next().await {
            Ok(Some(batch)) => Some((Ok(batch), Some(rows))),
            Ok(None) => None,
            Err(report) => Some((Err(report), None)),
        }
    });
    Ok((header, Box::pin(rows)))
}

struct Receiver {
    frames: Streaming<Frame>,
    decoder: BatchDecoder,
    sequence: u64,
}

impl Receiver {
    async fn next(&mut self) -> Result<Option<arrow::array::RecordBatch>> {
        let lost = |why: &str| {
            let message = format!("rows to be written were lost on their way: {why}");
            ErrorReport::new(SqlState::DATANODE_LOST, message).hint(LOST_HINT)
        };
        let given_up = || {
            let message = "the rows to be written were given up";
            ErrorReport::new(SqlState::QUERY_CANCELED, message)
        };
        let frame = self.frames.message().await.map_err(|status| match status.code() {
            Code::Cancelled => given_up(),
            _ => lost(status.message()),
        })?;
        let frame = frame.ok_or_else(given_up)?;
        let content = frame.expect(self.sequence).map_err(|status| lost(status.message()))?;
        self.sequence += 1;
        match content {
            Content::End => Ok(None),
            Content::Rows(buffers) => self.decoder.decode(payload(buffers)).map(Some),
            Content::Header(_) => Err(lost("they have two headers")),
        }
    }
}
