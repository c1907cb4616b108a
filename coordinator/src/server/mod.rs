//! The clients' protocol (PostgreSQL's, version 3.0): sockets, messages, formats. It knows nothing
//! of SQL; sessions stand behind [`Backend`] and [`Session`].
//!
//! One task serves one client, from its first packet to its last:
//!
//! 1. [`serve`] accepts a socket; `startup` encrypts it if the client wishes, serves cancel
//!    requests, lets `authentication` ask who the client is, and opens the session.
//! 2. `conversation` reads a message and hands it to `simple_query` or `extended_query`; `copy`
//!    takes COPY data, `copy_out` sends it, `rows` sends results, `encode` writes values, `decode` reads parameters.
//! 3. `connection` does all waiting: a wait for a session, a batch or the socket is broken by a
//!    cancel (`clients`), by the server's end or by the client's going, and notices pass at once.
//!
//! The messages we send are pgwire's. Its handlers and accept loop (`process_socket`,
//! `SimpleQueryHandler`, …) are not used: they collect a whole result before its first row in the
//! extended protocol, flush notices and rows late, do not cancel a result that streams, do not
//! look at the socket while a statement runs, and plan a whole string before its first answer.
//! To change all that, every handler would have to be replaced, and the wait for the socket is
//! still not ours.

mod activity;
mod authentication;
mod backend;
mod clients;
mod connection;
mod conversation;
mod copy;
mod copy_out;
mod decode;
mod encode;
mod error_response;
mod extended_query;
mod failure;
mod frontend;
mod listener;
mod portals;
mod prepared;
mod rows;
mod simple_query;
mod socket;
mod startup;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::access::Gate;

pub use activity::{Activity, ActivityState};
pub use backend::{
    Backend, Description, IdleLimit, Parameter, Session, StartupInfo, TransactionStatus,
};
pub use clients::Clients;
pub use decode::parameter_of_text;
pub use encode::{CopyEncoder, EncodableRows, Format, RowEncoder};
pub use listener::serve;
pub use portals::{CursorTraits, Portal, PortalState, Portals, SharedCursor};
pub use prepared::{PreparedStatement, PreparedStatements, check_unchanged};

/// The only database.
pub const DATABASE: &str = "kestrel";
/// The user, if a client names none.
pub const DEFAULT_USER: &str = "kestrel";
/// What `server_version` shows: the PostgreSQL version whose behaviour is followed, and ours.
pub const SERVER_VERSION: &str = concat!("15.0 (Kestrel ", env!("CARGO_PKG_VERSION"), ")");

/// The settings that every client is told of, and their values unless its session says
/// otherwise; `session_authorization`, the user, is told besides.
pub const PARAMETERS: &[(&str, &str)] = &[
    ("server_version", SERVER_VERSION),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("application_name", ""),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("is_superuser", "on"),
    ("in_hot_standby", "off"),
    ("default_transaction_read_only", "off"),
];

/// How long a cancelled statement may take to stop. One that takes longer loses its session.
pub const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// How [`serve`] serves.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// So many clients at once, at most; more are refused with 53300.
    pub max_connections: usize,
    /// So many of these places are kept for superusers.
    pub reserved_connections: usize,
    /// So many that have not shown yet who they are, besides; more are dropped.
    pub max_unauthenticated: usize,
    /// How long a client may take to show that.
    pub authentication_timeout: Duration,
    /// The longest message that is taken from a client.
    pub max_message_bytes: usize,
    /// Who may come in.
    pub gate: Arc<Gate>,
    /// At the end, how long running statements may go on.
    pub drain: Duration,
    /// Who is connected: shared with those who may cancel or end others' statements.
    pub clients: Arc<Clients>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            max_connections: 100,
            reserved_connections: 3,
            max_unauthenticated: 100,
            authentication_timeout: Duration::from_secs(60),
            max_message_bytes: frontend::MAX_MESSAGE_BYTES,
            gate: Arc::new(Gate::for_this_machine()),
            drain: Duration::from_secs(5),
            clients: Clients::new(),
        }
    }
}
