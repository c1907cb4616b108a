//! Why a handler stopped.

use std::io;

use kestrel_proto::{ErrorReport, SqlState};

use super::error_response::fatal;

/// What ends a handler before its time.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client is told; FATAL ends the connection.
    Report(ErrorReport),
    /// There is no client any more to be told.
    Gone(io::Error),
}

/// What breaks into a wait.
#[derive(Debug)]
pub(super) enum Interrupt {
    /// The user cancelled the statement.
    Cancelled,
    /// The connection is to end.
    Terminated,
    /// The client has gone.
    Gone(io::Error),
}

impl From<ErrorReport> for Failure {
    fn from(report: ErrorReport) -> Self {
        Self::Report(report)
    }
}

impl From<Interrupt> for Failure {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::Cancelled => Self::Report(ErrorReport::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to user request",
            )),
            Interrupt::Terminated => Self::Report(shutdown()),
            Interrupt::Gone(error) => Self::Gone(error),
        }
    }
}

/// The connection ends because the server wants it (57P01).
pub(super) fn shutdown() -> ErrorReport {
    fatal(ErrorReport::new(
        SqlState::ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
    ))
}
