//! What the server asks of the engine: the seam between the client protocol and the sessions
//! behind it. Nothing here knows bytes on the wire; nothing in `server` knows SQL.
//!
//! The life of a session:
//!
//! 1. [`Backend::connect`] when a client has shown who it is.
//! 2. Per query string (simple protocol) or per group of messages up to a Sync (extended):
//!    [`Session::begin_batch`], then [`Session::parse`], [`Session::describe`] and
//!    [`Session::execute`] as the client asks, [`Session::statement_failed`] for each error it is
//!    shown, and [`Session::end_batch`] before it is told that all is done.
//! 3. [`Session::close`] when the client has left.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use datafusion::scalar::ScalarValue;
use kestrel_planner::{
    catalog::{RoleDef, SqlType},
    functions::SessionFormats,
};
use kestrel_proto::{ErrorReport, Result};
use tokio_util::sync::CancellationToken;

use super::{Format, Portals, PreparedStatements};
use crate::session::{NoticeSender, Outcome, OutputField, RowCursor};

/// Makes sessions.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// A client's session.
    type Session: Session;

    /// The role of this name, if there is one: whoever wants to log in is asked for it first.
    fn role(&self, name: &str) -> Option<RoleDef>;

    /// The names of the roles that this one is a member of, its own among them.
    fn memberships(&self, name: &str) -> BTreeSet<String> {
        [name.to_string()].into()
    }

    /// Opens a session. An error is shown as FATAL, and the connection ends.
    async fn connect(&self, startup: StartupInfo) -> Result<Self::Session>;
}

/// What a client said about itself when it connected.
#[derive(Clone, Debug)]
pub struct StartupInfo {
    /// The session's number, as `pg_backend_pid()` shows it; [`super::Clients::cancel`] takes it.
    pub process_id: i32,
    /// Where the client is.
    pub peer: SocketAddr,
    /// The user; `kestrel` if the client named none.
    pub user: String,
    /// The database: always [`super::DATABASE`], any other was refused.
    pub database: String,
    /// `application_name`; may be empty.
    pub application_name: String,
    /// All other parameters as they came: settings to apply (`DateStyle`, `TimeZone`, …), and
    /// `options` with its `-c name=value` words, not taken apart.
    pub parameters: Vec<(String, String)>,
}

/// One client's session, used by one task.
#[async_trait]
pub trait Session: Sized + Send + 'static {
    /// One parsed SQL statement.
    type Statement: Clone + Send + Sync + 'static;

    /// Cuts a query string into its statements; an empty one has none.
    ///
    /// # Errors
    /// A syntax error anywhere in the string, with its position in the string.
    fn parse(&mut self, sql: &str) -> Result<Vec<Self::Statement>>;

    /// The types of a statement's parameters and the columns of its result. `parameter_types`
    /// holds what the client declared, and may be shorter than the list of parameters.
    ///
    /// Has no lasting effect: the call may be dropped at any await.
    async fn describe(
        &mut self,
        statement: &Self::Statement,
        parameter_types: &[Option<SqlType>],
    ) -> Result<Description>;

    /// Runs a statement, at least as far as its first rows.
    ///
    /// When `cancel` is cancelled — by the user, or because the client has gone or is being sent
    /// away — the call is to return soon, with whatever result; the server words the error. It is
    /// dropped only when it has not returned [`super::CANCEL_GRACE`] later, and then the session
    /// ends. The rows of [`Outcome::Rows`] are dropped at once on cancel, without being asked
    /// again. A `CopyIn` that is dropped without `done` has the meaning of `fail`.
    async fn execute(
        &mut self,
        statement: &Self::Statement,
        parameters: &[Parameter],
        notices: NoticeSender,
        cancel: CancellationToken,
    ) -> Result<Outcome>;

    /// Plans a statement whose rows are to be fetched in pieces: each begins anew to count for
    /// [`Session::deadline`]. `None`: it is not of this kind, and [`Session::execute`] runs it.
    async fn open(
        &mut self,
        statement: &Self::Statement,
        parameters: &[Parameter],
        notices: NoticeSender,
        cancel: CancellationToken,
    ) -> Result<Option<(Vec<OutputField>, RowCursor)>> {
        let _ = (statement, parameters, notices, cancel);
        Ok(None)
    }

    /// When a piece that is fetched from now on must have come.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The data of an [`Outcome::CopyIn`] have come, to their end: they become part of the
    /// transaction. Under the cancel of the statement.
    ///
    /// # Errors
    /// A rule of the table that only all rows together can break.
    async fn copied(&mut self) -> Result<()> {
        Ok(())
    }

    /// A batch begins: what follows up to [`Session::end_batch`] is one implicit transaction,
    /// unless the statements themselves say BEGIN.
    fn begin_batch(&mut self) {}

    /// The batch ends: commits its implicit transaction, or rolls it back if
    /// [`Session::statement_failed`] was called in it. Called once per
    /// [`Session::begin_batch`]; in a query string before the last statement's command tag is
    /// sent, so that the tag is true.
    async fn end_batch(&mut self) -> Result<()> {
        Ok(())
    }

    /// The client was shown this error: of a call above, of a row stream, of a cancel, or of the
    /// protocol (an unknown portal, …). An open transaction has failed.
    fn statement_failed(&mut self, error: &ErrorReport) {
        let _ = error;
    }

    /// Whether a statement may be prepared and run now.
    ///
    /// # Errors
    /// 25P02: the transaction has failed, and the statement does not end that.
    fn check_usable(&self, statement: &Self::Statement) -> Result<()> {
        let _ = statement;
        Ok(())
    }

    /// What ReadyForQuery tells.
    fn transaction_status(&self) -> TransactionStatus;

    /// Settings that clients watch and whose values differ from [`super::PARAMETERS`]
    /// (`TimeZone`, `application_name`, …). Asked before each ReadyForQuery; changes are sent.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    /// How values are to be written as text, and parameters read. Asked once per result.
    fn text_style(&self) -> SessionFormats {
        SessionFormats::default()
    }

    /// The format of a statement's rows in the simple protocol: those of BINARY cursors are binary.
    fn simple_format(&self, statement: &Self::Statement) -> Format {
        let _ = statement;
        Format::Text
    }

    /// How long the client may now stay silent. Asked when it is told that it may go on.
    fn idle_limit(&self) -> Option<IdleLimit> {
        None
    }

    /// The session's portals, those of the protocol and those of DECLARE: the session keeps them,
    /// so that its FETCH and CLOSE see them and its transactions end them.
    fn portals(&mut self) -> &mut Portals<Self::Statement>;

    /// The session's prepared statements, those of the protocol and those of PREPARE: the
    /// session keeps them, so that its PREPARE, EXECUTE, DEALLOCATE and DISCARD see them.
    fn prepared_statements(&mut self) -> &mut PreparedStatements<Self::Statement>;

    /// The client has left: rolls back, gives everything back.
    async fn close(self);
}

/// How long a client may stay silent, and what it is told when it has (FATAL).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleLimit {
    /// From the moment when it was told that it may go on.
    pub after: Duration,
    /// The last words.
    pub report: ErrorReport,
}

/// What is known of a statement before it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Its parameters, `$1` first.
    pub parameters: Vec<SqlType>,
    /// The columns of its rows; `None`: it returns no rows.
    pub fields: Option<Vec<OutputField>>,
}

/// A parameter's value, as Bind brought it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The type that [`Session::describe`] gave it. For numeric: with the precision and scale of
    /// the value itself, so that no digit of it is lost.
    pub sql_type: SqlType,
    /// The value, in Arrow's form of `sql_type`; NULL is the typed null.
    pub value: ScalarValue,
}

/// Where a session stands in its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// In none.
    Idle,
    /// In a transaction block.
    Open,
    /// In a transaction block that has failed: only ROLLBACK is accepted.
    Failed,
}
