//! The receiving end of a stream from another process.
//!
//! ```text
//!   open, credit ───────────────────────────> sender's process
//!   frame 0, frame 1, … End  <─────────────── (as many bytes as there is credit, or one batch)
//! ```
//!
//! Rows wait in the connection's buffers, whose windows are larger than the credit, until they are
//! polled; what was polled is given back as credit. Dropping the stream resets the call, and the
//! sender sees that nobody wants the rest.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use arrow::{array::RecordBatch, buffer::Buffer};
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use super::{
    BatchDecoder,
    channel::Signed,
    frame::{Content, Frame},
    status::from_status,
};
use crate::{
    BatchStream, DatanodeId, ErrorReport, ExchangeRequest, Result,
    message::{ExchangeControl, ExchangeOpen, datanode_client::DatanodeClient},
};

/// Messages of credit on their way; each is sent for half of it at least, so two would do.
const CONTROLS_MAX: usize = 16;

/// Opens the stream at once: rows come before they are asked for.
pub(super) fn open(
    mut client: DatanodeClient<Signed>,
    request: ExchangeRequest,
    credit_bytes: u64,
) -> BatchStream {
    let (control, controls) = mpsc::channel(CONTROLS_MAX);
    let open = ExchangeControl {
        open: Some(ExchangeOpen {
            query_id: request.query.to_bytes().to_vec().into(),
            motion: request.motion.0,
            sender: request.sender.0,
            receiver: request.receiver.0,
        }),
        credit_bytes,
    };
    let opened = tokio::spawn(async move {
        let controls = stream::unfold(controls, async |mut controls| {
            controls.recv().await.map(|control| (control, controls))
        });
        let controls = stream::iter([open]).chain(controls);
        client.exchange(controls).await.map(tonic::Response::into_inner)
    });
    Box::pin(RemoteStream {
        sender: request.sender,
        state: State::Opening(AbortOnDropHandle::new(opened)),
        decoder: BatchDecoder::default(),
        control,
        sequence: 0,
        credit_bytes,
        taken_bytes: 0,
    })
}

struct RemoteStream {
    sender: DatanodeId,
    state: State,
    decoder: BatchDecoder,
    control: mpsc::Sender<ExchangeControl>,
    sequence: u64,
    credit_bytes: u64,
    /// Polled, and not given back yet.
    taken_bytes: u64,
}

enum State {
    Opening(AbortOnDropHandle<Result<Streaming<Frame>, Status>>),
    Open(Box<Streaming<Frame>>),
    Done,
}

impl RemoteStream {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Frame>, Status>> {
        loop {
            match &mut self.state {
                State::Opening(opened) => {
                    let opened = ready!(Pin::new(opened).poll(context));
                    let lost = |error| Status::internal(format!("a task was lost: {error}"));
                    self.state = State::Open(Box::new(opened.map_err(lost)??));
                }
                State::Open(frames) => {
                    return frames.poll_next_unpin(context).map(Option::transpose);
                }
                State::Done => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// The next batch; `None` after the last.
    fn accept(&mut self, frame: Option<Frame>) -> Result<Option<RecordBatch>, Status> {
        let Some(frame) = frame else {
            return Err(Status::data_loss("The stream was cut off before its end"));
        };
        let bytes = frame.payload_bytes() as u64;
        let content = frame.expect(self.sequence)?;
        self.sequence += 1;
        match content {
            Content::End => Ok(None),
            Content::Header(_) => Err(Status::data_loss("A stream of rows has a header")),
            Content::Rows(buffers) => {
                let batch = self.decoder.decode(payload(buffers));
                let batch = batch.map_err(|report| Status::data_loss(report.message))?;
                self.give_back(bytes);
                Ok(Some(batch))
            }
        }
    }

    /// Credit goes back in large pieces. If there is no room for the message, it goes with the
    /// next.
    fn give_back(&mut self, bytes: u64) {
        self.taken_bytes += bytes;
        if self.taken_bytes * 2 >= self.credit_bytes {
            let credit = ExchangeControl { open: None, credit_bytes: self.taken_bytes };
            if self.control.try_send(credit).is_ok() {
                self.taken_bytes = 0;
            }
        }
    }

    fn report(&self, status: &Status) -> ErrorReport {
        from_status(self.sender, status)
    }
}

/// What came over the wire is one buffer.
pub(super) fn payload(mut buffers: Vec<Buffer>) -> Buffer {
    match (buffers.pop(), buffers.is_empty()) {
        (Some(buffer), true) => buffer,
        (last, _) => {
            let all = buffers.iter().chain(&last).flat_map(|buffer| buffer.as_slice());
            Buffer::from(all.copied().collect::<Vec<u8>>())
        }
    }
}

impl Stream for RemoteStream {
    type Item = Result<RecordBatch>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<RecordBatch>>> {
        if matches!(self.state, State::Done) {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_frame(context)).and_then(|frame| self.accept(frame));
        if !matches!(next, Ok(Some(_))) {
            self.state = State::Done;
        }
        Poll::Ready(next.map_err(|status| self.report(&status)).transpose())
    }
}
