//! How a connection begins: encryption, cancel requests, who the client is, its session.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use kestrel_proto::{ErrorReport, Result, SqlState};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey, Startup,
};

use super::authentication::authenticate;
use super::backend::{Backend, StartupInfo};
use super::clients::{Admission, Registered};
use super::connection::Connection;
use super::error_response::{fatal, protocol_violation};
use super::failure::Failure;
use super::frontend::FirstPacket;
use super::{DATABASE, DEFAULT_USER, PARAMETERS, ServeOptions};

/// Serves what comes before a session. `None`: there will be none, the connection is done.
pub(super) async fn negotiate(
    connection: &mut Connection,
    options: &ServeOptions,
) -> Result<Option<Startup>, Failure> {
    /// One for TLS and one for GSSAPI; libpq asks for both.
    const MOST_WISHES: usize = 2;
    for _ in 0..=MOST_WISHES {
        match connection.read_first().await? {
            FirstPacket::Tls => match &options.gate.tls {
                Some(tls) if !connection.is_encrypted() => connection.encrypt(tls).await?,
                _ => connection.answer(b'N').await?,
            },
            FirstPacket::Gssapi => connection.answer(b'N').await?,
            FirstPacket::Cancel { process_id, secret } => {
                options.clients.cancel_with_secret(process_id, secret);
                return Ok(None);
            }
            FirstPacket::Startup(startup) => return Ok(Some(startup)),
        }
    }
    Err(fatal(protocol_violation("encryption was asked for again and again")).into())
}

/// Asks the client who it is, takes it in and opens its session.
///
/// # Errors
/// FATAL: 28000, 28P01, 53300, 3D000, 0A000, or what the backend says.
pub(super) async fn connect<B: Backend>(
    connection: &mut Connection,
    startup: Startup,
    peer: SocketAddr,
    backend: &B,
    options: &ServeOptions,
) -> Result<(Registered, B::Session, StartupInfo), Failure> {
    let mut info = startup_info(startup, peer).map_err(fatal)?;
    let role = authenticate(connection, &info, backend, &options.gate).await?;
    let client = options.clients.register(&Admission {
        role: &role,
        max_connections: options.max_connections,
        reserved_connections: options.reserved_connections,
    })?;
    info.process_id = client.process_id();
    client.enters(&info);
    // Only who is known is told what is there.
    check_database(&info.database).map_err(fatal)?;
    let session = backend.connect(info.clone()).await.map_err(fatal)?;
    Ok((client, session, info))
}

/// All but the process id, which only a client has that was let in.
fn startup_info(startup: Startup, peer: SocketAddr) -> Result<StartupInfo> {
    let mut parameters = startup.parameters;
    let mut taken = |name: &str| parameters.remove(name).filter(|value| !value.is_empty());
    let user = taken("user").unwrap_or_else(|| DEFAULT_USER.to_string());
    let database = taken("database").unwrap_or_else(|| DATABASE.to_string());
    let application_name = taken("application_name").unwrap_or_default();
    let replication = taken("replication");
    if replication.is_some_and(|value| !matches!(value.as_str(), "false" | "off" | "no" | "0")) {
        return Err(ErrorReport::unsupported("replication connections are not supported"));
    }
    let parameters = parameters.into_iter().filter(|(name, _)| !name.starts_with("_pq_."));
    Ok(StartupInfo {
        process_id: 0,
        peer,
        user,
        database,
        application_name,
        parameters: parameters.collect(),
    })
}

fn check_database(database: &str) -> Result<()> {
    if database == DATABASE {
        return Ok(());
    }
    let message = format!("database \"{database}\" does not exist");
    Err(ErrorReport::new(SqlState::INVALID_CATALOG_NAME, message)
        .hint(format!("The database of a Kestrel cluster is \"{DATABASE}\".")))
}

/// Tells the client that its protocol is newer than ours, if it is.
pub(super) fn put_negotiation(connection: &mut Connection, startup: &Startup) {
    let options = startup.parameters.keys().filter(|name| name.starts_with("_pq_."));
    let options: Vec<String> = options.cloned().collect();
    if startup.protocol_number_minor > 0 || !options.is_empty() {
        let message = NegotiateProtocolVersion::new(Startup::PROTOCOL_VERSION_3_0, options);
        connection.put(&message);
    }
}

/// Tells the client that it is in.
pub(super) fn put_welcome(connection: &mut Connection, client: &Registered) {
    connection.put(&Authentication::Ok);
    let secret = SecretKey::I32(client.secret());
    connection.put(&BackendKeyData::new(client.process_id(), secret));
}

/// The settings that a client watches, as it was last told them.
#[derive(Debug, Default)]
pub(super) struct ReportedParameters {
    told: BTreeMap<&'static str, String>,
    /// What differed from the defaults then; `None`: it was told nothing yet.
    differing: Option<Vec<(&'static str, String)>>,
}

impl ReportedParameters {
    /// Tells the client what is new. `differing` has the values that are not the defaults.
    pub(super) fn put_changes(
        &mut self,
        connection: &mut Connection,
        user: &str,
        differing: Vec<(&'static str, String)>,
    ) {
        if self.differing.as_ref() == Some(&differing) {
            return;
        }
        let mut current: BTreeMap<&'static str, String> = BTreeMap::new();
        current.extend(PARAMETERS.iter().map(|(name, value)| (*name, value.to_string())));
        current.insert("session_authorization", user.to_string());
        current.extend(differing.iter().cloned());
        for (name, value) in &current {
            if self.told.get(name) != Some(value) {
                connection.put(&ParameterStatus::new(name.to_string(), value.clone()));
            }
        }
        (self.told, self.differing) = (current, Some(differing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(parameters: &[(&str, &str)]) -> Result<StartupInfo> {
        let mut startup = Startup::new();
        for (name, value) in parameters {
            startup.parameters.insert(name.to_string(), value.to_string());
        }
        startup_info(startup, ([127, 0, 0, 1], 1).into())
    }

    #[test]
    fn names_have_defaults() {
        let info = info(&[("TimeZone", "UTC"), ("_pq_.x", "1")]).unwrap();
        assert_eq!((info.user.as_str(), info.database.as_str()), ("kestrel", "kestrel"));
        assert_eq!(info.parameters, [("TimeZone".to_string(), "UTC".to_string())]);
    }

    #[test]
    fn other_databases_do_not_exist() {
        let info_of_x = info(&[("user", "a"), ("database", "x")]).unwrap();
        let error = check_database(&info_of_x.database).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::INVALID_CATALOG_NAME);
        assert_eq!(error.message, "database \"x\" does not exist");
        let error = info(&[("replication", "database")]).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
    }
}
