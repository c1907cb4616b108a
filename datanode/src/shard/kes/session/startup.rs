//! The beginning of a session: who connects, and the settings that all sessions have.

use std::{future::poll_fn, sync::Arc, time::Duration};

use kestrel_proto::Result;
use postgres_protocol::message::frontend;

use super::{authentication::authenticate, connector::Connector, report, session::Session};

/// What the startup packet says besides user and database. Nothing else: a server refuses the
/// session for a parameter that it does not know.
const STARTUP_PARAMETERS: [(&str, &str); 2] =
    [("client_encoding", "UTF8"), ("application_name", "kestrel")];

/// What makes equal statements give equal text on every server, and names mean what they say.
const SESSION_SETTINGS: [(&str, &str); 10] = [
    ("client_encoding", "UTF8"),
    ("application_name", "kestrel"),
    ("search_path", ""),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("standard_conforming_strings", "on"),
    // The statement's own timeout is the coordinator's, which cancels.
    ("statement_timeout", "0"),
];

impl Session {
    /// Opens a session, within the settings' connect timeout.
    ///
    /// # Errors
    /// 58K01: the database is not reachable or does not take sessions now; 53300: it has too many;
    /// F0000: it does not let the datanode in.
    pub async fn connect(connector: Arc<Connector>) -> Result<Self> {
        let begun = begin(Arc::clone(&connector));
        match tokio::time::timeout(connector.settings().connect_timeout, begun).await {
            Ok(begun) => {
                begun.map_err(|error| report::while_connecting(connector.datanode(), error))
            }
            Err(_elapsed) => Err(connector.timed_out()),
        }
    }
}

async fn begin(connector: Arc<Connector>) -> Result<Session> {
    let settings = connector.settings();
    let mut opened = connector.open().await?;
    let identity = [("user", settings.user.as_str()), ("database", settings.database.as_str())];
    let parameters = identity.into_iter().chain(STARTUP_PARAMETERS);
    frontend::startup_message(parameters, opened.wire.outgoing()).map_err(|_| {
        report::refused(connector.datanode(), "The user's or database's name has a byte 0.")
    })?;
    poll_fn(|cx| opened.wire.poll_flush(cx))
        .await
        .map_err(|lost| lost.report(connector.datanode()))?;
    authenticate(&connector, &mut opened).await?;
    let lock_timeout = settings.lock_timeout;
    let mut session = Session::starting(connector, opened.wire);
    session.started().await?;
    session.query(&session_settings(lock_timeout)).await?;
    session.take_notices();
    Ok(session)
}

/// One query for all settings: one round trip.
fn session_settings(lock_timeout: Duration) -> String {
    // Zero means no bound: what is shorter than a millisecond must not become that.
    let lock_timeout_ms = lock_timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
    let lock_timeout_ms = lock_timeout_ms.to_string();
    let settings = SESSION_SETTINGS.into_iter().chain([("lock_timeout", lock_timeout_ms.as_str())]);
    let statements = settings.map(|(name, value)| format!("SET {name} = '{value}'"));
    statements.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_timeout_is_milliseconds() {
        for (timeout, expected) in [
            (Duration::ZERO, "SET lock_timeout = '0'"),
            (Duration::from_micros(1), "SET lock_timeout = '1'"),
            (Duration::from_millis(1500), "SET lock_timeout = '1500'"),
            (Duration::MAX, "SET lock_timeout = '2147483647'"),
        ] {
            let sql = session_settings(timeout);
            assert!(sql.ends_with(expected), "{sql}");
            assert!(sql.contains("SET search_path = '';"), "{sql}");
        }
    }
}
