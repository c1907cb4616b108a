//! One client's conversation: reads a message, serves it, says when it is ready for the next.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use kestrel_proto::{ErrorReport, Severity};
use pgwire::messages::response::ReadyForQuery;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::CANCEL_GRACE;
use super::backend::{IdleLimit, Parameter, Session, TransactionStatus};
use super::clients::{Registered, Running};
use super::connection::Connection;
use super::error_response::{fatal, protocol_violation};
use super::failure::{Failure, Interrupt, shutdown};
use super::frontend::Frame;
use super::startup::ReportedParameters;
use crate::session::Outcome;

/// A client that is in.
pub(super) struct Conversation<S: Session> {
    pub(super) connection: Connection,
    pub(super) client: Registered,
    pub(super) session: S,
    user: String,
    reported: ReportedParameters,
    shutdown: CancellationToken,
    /// Between the session's `begin_batch` and `end_batch`.
    batch_is_open: bool,
    /// How long the client may be silent now; `None` in the middle of what it asks.
    idle_limit: Option<IdleLimit>,
    /// After an error in the extended protocol: messages up to Sync are not served.
    skips_to_sync: bool,
}

impl<S: Session> Conversation<S> {
    /// With a client that was let in. When `shutdown` is cancelled the conversation ends as soon
    /// as no statement runs.
    pub(super) fn new(
        connection: Connection,
        client: Registered,
        session: S,
        user: String,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            connection,
            client,
            session,
            user,
            reported: ReportedParameters::default(),
            shutdown,
            batch_is_open: false,
            idle_limit: None,
            skips_to_sync: false,
        }
    }

    /// Serves the client until it leaves or has to.
    pub(super) async fn hold(mut self) {
        let end = guarded(self.serve()).await;
        // What the client has not fetched ends now, not when it has taken its last words.
        self.session.portals().clear();
        let last = match end {
            Ok(()) => None,
            Err(Failure::Report(report)) => Some(report),
            Err(Failure::Gone(error)) => {
                tracing::debug!(%error, "the client has gone");
                None
            }
        };
        self.connection.close(last.as_ref()).await;
        if timeout(CANCEL_GRACE, self.session.close()).await.is_err() {
            tracing::error!("a session did not close");
        }
    }

    async fn serve(&mut self) -> Result<(), Failure> {
        self.ready().await?;
        loop {
            let frame = self.next_frame().await?;
            let is_extended = frame.is_extended();
            if frame.kind == b'X' {
                return Ok(());
            }
            match self.serve_frame(frame).await {
                Ok(()) => {}
                Err(Failure::Report(report)) if report.severity != Severity::Fatal => {
                    self.fail(&report);
                    match is_extended {
                        true => self.skips_to_sync = true,
                        false => self.ready().await?,
                    }
                }
                Err(end) => return Err(end),
            }
            // Without a Sync nothing asks for the answers, but they are not let grow for ever.
            if self.connection.is_full() {
                self.flush().await?;
            }
        }
    }

    async fn next_frame(&mut self) -> Result<Frame, Failure> {
        let idle = self.client.idle();
        let limit = self.idle_limit.take();
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(shutdown().into()),
            frame = self.connection.read(&idle) => frame,
            report = silence(limit) => Err(fatal(report).into()),
        }
    }

    async fn serve_frame(&mut self, frame: Frame) -> Result<(), Failure> {
        match frame.kind {
            b'S' => self.sync().await,
            _ if self.skips_to_sync => Ok(()),
            b'Q' => {
                self.simple_query(frame.query()?).await?;
                self.ready().await
            }
            b'P' => self.parse(frame.parse()?).await,
            b'B' => self.bind(frame.bind()?),
            b'D' => self.describe(frame.describe()?),
            b'E' => self.execute_portal(frame.execute()?).await,
            b'C' => self.close(frame.close()?),
            b'H' => self.flush().await,
            // What a client still sends of a COPY that has failed.
            b'd' | b'c' | b'f' => Ok(()),
            b'F' => Err(ErrorReport::unsupported("function calls are not supported").into()),
            kind => {
                let message = format!("unexpected message type 0x{kind:02X}");
                Err(fatal(protocol_violation(message)).into())
            }
        }
    }

    async fn sync(&mut self) -> Result<(), Failure> {
        self.skips_to_sync = false;
        self.ready().await
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.connection.flush(&self.client.idle()).await?)
    }

    /// Tells the session and the client of an error.
    fn fail(&mut self, report: &ErrorReport) {
        if report.sqlstate == kestrel_proto::SqlState::INTERNAL_ERROR {
            tracing::error!(error = %report, "a statement met a bug");
        }
        self.session.statement_failed(report);
        self.connection.put_error(report);
    }

    /// Ends the batch, and tells the client that the next statement may come.
    async fn ready(&mut self) -> Result<(), Failure> {
        if let Err(report) = self.end_batch().await {
            self.fail(&report);
        }
        let status = self.session.transaction_status();
        if status == TransactionStatus::Idle {
            // The portal that has ended the transaction was put back after it.
            self.session.portals().end_transaction();
        }
        let differing = self.session.parameters();
        self.client.rests(status, &differing);
        self.idle_limit = self.session.idle_limit();
        self.reported.put_changes(&mut self.connection, &self.user, differing);
        self.connection.put_notices();
        self.connection.put(&ReadyForQuery::new(wire_status(status)));
        self.flush().await
    }

    /// What follows belongs to one implicit transaction.
    pub(super) fn begin_batch(&mut self) {
        if !self.batch_is_open {
            self.session.begin_batch();
            self.batch_is_open = true;
        }
    }

    /// Ends the implicit transaction, if one is open.
    pub(super) async fn end_batch(&mut self) -> Result<(), ErrorReport> {
        if !self.batch_is_open {
            return Ok(());
        }
        self.batch_is_open = false;
        self.session.end_batch().await
    }

    /// Runs a statement up to its outcome.
    pub(super) async fn execute(
        &mut self,
        statement: &S::Statement,
        parameters: &[Parameter],
        running: &Running,
    ) -> Result<Outcome, Failure> {
        let notices = self.connection.notice_sender();
        let work = self.session.execute(statement, parameters, notices, running.cancel.clone());
        match self.connection.attend_to_end(running, work).await? {
            (outcome, None) => Ok(outcome?),
            // The cancel came too late: what is done is done.
            (Ok(done @ Outcome::Done(_)), Some(Interrupt::Cancelled)) => Ok(done),
            (_, Some(interrupt)) => Err(interrupt.into()),
        }
    }
}

/// Returns when the client has been silent for too long; without a limit never.
async fn silence(limit: Option<IdleLimit>) -> ErrorReport {
    match limit {
        Some(limit) => {
            sleep(limit.after).await;
            limit.report
        }
        None => std::future::pending().await,
    }
}

/// A panic in `work` becomes the end of this one connection (FATAL XX000), not of the server.
pub(super) async fn guarded<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        tracing::error!(panic = text, "a session panicked");
        Err(fatal(ErrorReport::internal("the session met a bug in Kestrel and ends").detail(text))
            .into())
    })
}

fn wire_status(status: TransactionStatus) -> pgwire::messages::response::TransactionStatus {
    use pgwire::messages::response::TransactionStatus as Wire;
    match status {
        TransactionStatus::Idle => Wire::Idle,
        TransactionStatus::Open => Wire::Transaction,
        TransactionStatus::Failed => Wire::Error,
    }
}
