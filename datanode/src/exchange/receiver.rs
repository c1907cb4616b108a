//! The receiving end of a stream.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use arrow::array::RecordBatch;
use futures::Stream;
use kestrel_proto::{ErrorReport, ExchangeRequest, Result};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    hub::HubState,
    query::{QueryStreams, Received},
    spill::{self, Reading},
};

/// Pulls one stream; dropping it closes it.
pub(super) struct Receiver {
    hub: Arc<HubState>,
    streams: Arc<QueryStreams>,
    request: ExchangeRequest,
    deadline: Instant,
    /// Runs only while the sending fragment has not arrived.
    wait: Option<Pin<Box<Sleep>>>,
    /// The batch that comes next, while it is read from a file.
    reading: Option<Reading>,
    done: bool,
}

impl Receiver {
    /// The receiving end of a stream that has been opened.
    pub(super) fn new(
        hub: Arc<HubState>,
        streams: Arc<QueryStreams>,
        request: ExchangeRequest,
    ) -> Self {
        let deadline = Instant::now() + hub.settings().open_wait;
        Self { hub, streams, request, deadline, wait: None, reading: None, done: false }
    }

    /// The next batch; `None` after the last.
    fn poll_received(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<RecordBatch>>> {
        if let Some(reading) = &mut self.reading {
            let batch = ready!(Pin::new(reading).poll(context));
            self.reading = None;
            return Poll::Ready(batch.map(Some));
        }
        let ExchangeRequest { motion, receiver, .. } = self.request;
        match self.streams.receive(motion, receiver, context) {
            Received::Batch(batch) => Poll::Ready(Ok(Some(batch))),
            Received::Spilled(frame) => {
                self.reading = Some(spill::read(frame));
                self.poll_received(context)
            }
            Received::End => Poll::Ready(Ok(None)),
            Received::Failed(report) => Poll::Ready(Err(report)),
            Received::Nothing { begun: true } => {
                self.wait = None;
                Poll::Pending
            }
            Received::Nothing { begun: false } if self.waited_in_vain(context) => {
                Poll::Ready(Err(self.no_fragment()))
            }
            Received::Nothing { begun: false } => Poll::Pending,
        }
    }

    fn waited_in_vain(&mut self, context: &mut Context<'_>) -> bool {
        let wait = self.wait.get_or_insert_with(|| Box::pin(sleep_until(self.deadline)));
        wait.as_mut().poll(context).is_ready()
    }

    fn no_fragment(&self) -> ErrorReport {
        let sender = self.request.sender;
        let seconds = self.hub.settings().open_wait.as_secs_f64();
        let message =
            format!("datanode \"{sender}\" has not begun to send within {seconds} seconds");
        ErrorReport::datanode_lost(sender, message).detail(format!(
            "Motion {} of query {} has not arrived there.",
            self.request.motion.0, self.request.query
        ))
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.done, true) {
            self.streams.close(self.request.motion, self.request.receiver);
            // Else the fragment may still come, and must find its stream closed.
            if self.wait.as_ref().is_some_and(|wait| wait.is_elapsed()) {
                self.hub.forget_if_forsaken(self.request.query);
            }
        }
    }
}

impl Stream for Receiver {
    type Item = Result<RecordBatch>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<RecordBatch>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let next = ready!(self.poll_received(context));
        if !matches!(next, Ok(Some(_))) {
            self.end();
        }
        Poll::Ready(next.transpose())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end();
    }
}
