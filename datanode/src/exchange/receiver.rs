//! The receiving end of a stream.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arrow::array::RecordBatch;
use futures::Stream;
use kestrel_proto::{ErrorReport, ExchangeRequest, Result, SqlState};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    hub::HubState,
    query::{QueryStreams, Received},
};

/// Pulls one stream; dropping it closes it.
pub(crate) struct Receiver {
    hub: Arc<HubState>,
    streams: Arc<QueryStreams>,
    request: ExchangeRequest,
    deadline: Instant,
    /// Runs only while the sending fragment has not arrived.
    wait: Option<Pin<Box<Sleep>>>,
    done: bool,
}

impl Receiver {
    /// The receiving end of a stream that has been opened.
    pub(crate) fn new(
        hub: Arc<HubState>,
        streams: Arc<QueryStreams>,
        request: ExchangeRequest,
    ) -> Self {
        let deadline = Instant::now() + hub.settings().open_wait;
        Self { hub, streams, request, deadline, wait: None, done: false }
    }

    fn waited_in_vain(&mut self, context: &mut Context<'_>) -> bool {
        let wait = self.wait.get_or_insert_with(|| Box::pin(sleep_until(self.deadline)));
        wait.as_mut().poll(context).is_ready()
    }

    fn no_fragment(&self) -> ErrorReport {
        let sender = self.request.sender;
        let seconds = self.hub.settings().open_wait.as_secs_f64();
        ErrorReport::new(
            SqlState::DATANODE_LOST,
            format!("datanode \"{sender}\" has not begun to send within {seconds} seconds"),
        )
        .detail(format!(
            "Motion {} of query {} has not arrived there.",
            self.request.motion.0, self.request.query
        ))
        .hint("See the state of the datanode in kestrel.datanodes, and run the statement again.")
        .on_datanode(sender.name())
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.done, true) {
            self.streams.close(self.request.motion, self.request.receiver);
            self.hub.forget_if_forsaken(self.request.query);
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
        let ExchangeRequest { motion, receiver, .. } = self.request;
        let report = match self.streams.receive(motion, receiver, context) {
            Received::Batch(batch) => return Poll::Ready(Some(Ok(batch))),
            Received::End => {
                self.end();
                return Poll::Ready(None);
            }
            Received::Nothing { begun: true } => {
                self.wait = None;
                return Poll::Pending;
            }
            Received::Nothing { begun: false } => {
                if !self.waited_in_vain(context) {
                    return Poll::Pending;
                }
                self.no_fragment()
            }
            Received::Failed(report) => report,
        };
        self.end();
        Poll::Ready(Some(Err(report)))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end();
    }
}
