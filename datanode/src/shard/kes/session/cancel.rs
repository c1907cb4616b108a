//! Ends statements that nobody waits for any more.

use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use kestrel_proto::Result;
use postgres_protocol::message::frontend;
use tokio::time::{timeout, timeout_at};

use super::{
    connector::Connector,
    report::{self, Lost},
    session::{Answer, Phase, Session},
};

/// A server may get the request before the statement that it is about: then it gets another one.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Cancels what a session is doing, from anywhere.
///
/// The server tells nobody whether that came in time; a session that waits for its next statement is
/// not harmed.
#[derive(Clone)]
pub struct CancelToken {
    connector: Arc<Connector>,
    /// The server's process and its secret.
    key: Option<(i32, i32)>,
}

impl CancelToken {
    pub(super) fn new(connector: Arc<Connector>, key: Option<(i32, i32)>) -> Self {
        Self { connector, key }
    }

    /// Asks on a connection of its own, within the settings' connect timeout. When this is done, the
    /// request was delivered: PostgreSQL closes that connection after it has sent the signal
    /// (`ProcessStartupPacket`, postmaster.c). So it cannot hit a statement that is sent later.
    ///
    /// # Errors
    /// 58K01: the database is not reachable, or has given the session no key to cancel with.
    pub async fn cancel(&self) -> Result<()> {
        let request = self.request();
        match timeout(self.connector.settings().connect_timeout, request).await {
            Ok(requested) => requested,
            Err(_elapsed) => Err(self.connector.timed_out()),
        }
    }

    async fn request(&self) -> Result<()> {
        let datanode = self.connector.datanode();
        let Some((process_id, secret_key)) = self.key else {
            let detail = "The server gave the session no key to cancel with.";
            return Err(report::unreachable(datanode, detail));
        };
        let mut wire = self.connector.open().await?.wire;
        frontend::cancel_request(process_id, secret_key, wire.outgoing());
        let sent = poll_fn(|cx| wire.poll_flush(cx)).await;
        sent.map_err(|lost| lost.report(datanode))?;
        match poll_fn(|cx| wire.poll_incoming(cx)).await {
            Err(Lost::Closed) => Ok(()),
            // It has closed without reading to the end.
            Err(Lost::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Err(lost) => Err(lost.report(datanode)),
            Ok(_) => Err(report::not_understood(datanode, "an answer to a CancelRequest")),
        }
    }
}

impl std::fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Who knows the key can cancel.
        f.debug_struct("CancelToken").finish_non_exhaustive()
    }
}

impl Session {
    /// Makes a busy session ready again: cancels its statement, and reads what is left of the
    /// answers. Does nothing when no statement is under way. A transaction stays open, and has
    /// failed then.
    ///
    /// # Errors
    /// 58K01: the session was or is now closed, because the server did not end the statement within
    /// the settings' cancel timeout.
    pub async fn settle(&mut self) -> Result<()> {
        match self.phase {
            Phase::Ready(_) => return Ok(()),
            Phase::Closed => return Err(self.closed()),
            // Dropped while it was settled: that request could hit the next statement.
            Phase::Busy { .. } if self.is_settling => {
                self.phase = Phase::Closed;
                return Err(self.closed());
            }
            Phase::Busy { wants_copy_data: true } => {
                self.queue_copy_fail("the datanode has ended the COPY");
            }
            Phase::Busy { wants_copy_data: false } => {}
        }
        let bound = self.connector.settings().cancel_timeout;
        self.is_settling = true;
        let settled = self.cancel_and_drain(bound).await;
        self.is_settling = false;
        if settled.is_err() {
            self.phase = Phase::Closed;
        }
        settled
    }

    async fn cancel_and_drain(&mut self, bound: Duration) -> Result<()> {
        let token = self.cancel_token();
        let datanode = self.connector.datanode();
        let deadline = tokio::time::Instant::now() + bound;
        loop {
            // Both are waited for: a request that is still on its way could hit the next statement.
            let round = async { tokio::join!(token.cancel(), timeout(AGAIN_AFTER, self.drain())) };
            let Ok((cancelled, drained)) = timeout_at(deadline, round).await else {
                let detail = format!("The server did not end a statement within {bound:?}.");
                return Err(report::unreachable(datanode, detail));
            };
            if let Ok(drained) = drained {
                return drained.and(cancelled);
            }
            cancelled?;
        }
    }

    /// Sends what is left to be sent and reads up to `ReadyForQuery`.
    async fn drain(&mut self) -> Result<()> {
        poll_fn(|cx| self.poll_drain(cx)).await?;
        // What the server has not read of a COPY that failed: it skips that.
        self.flush().await
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // A connection that takes nothing more says why when it is read.
        let _ = self.wire.poll_flush(cx);
        while !matches!(self.phase, Phase::Ready(_)) {
            if let Answer::CopyIn = ready!(self.poll_answer(cx))? {
                self.queue_copy_fail("the datanode has ended the COPY");
                let _ = self.wire.poll_flush(cx);
            }
        }
        Poll::Ready(Ok(()))
    }
}
