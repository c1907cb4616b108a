//! The clients that are connected, how to stop what one of them runs, which errors they were sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::Utc;
use kestrel_planner::{catalog::RoleDef, parse::without_passwords};
use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::backend::{StartupInfo, TransactionStatus};
use super::error_response::fatal;

/// All clients of a server, by their process id (the number that BackendKeyData tells them).
#[derive(Debug, Default)]
pub struct Clients {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_process_id: HashMap<i32, Arc<Client>>,
    last_process_id: i32,
    /// By their five characters.
    sent_errors: BTreeMap<&'static str, u64>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) process_id: i32,
    pub(super) secret: i32,
    role: String,
    /// What stops the statement that runs now.
    running: Mutex<Option<CancellationToken>>,
    /// Ends the connection.
    terminate: CancellationToken,
    /// `None` until it has said who it is.
    activity: Mutex<Option<Activity>>,
}

/// Who wants a place, and how many there are.
#[derive(Clone, Debug)]
pub(super) struct Admission<'a> {
    pub(super) role: &'a RoleDef,
    pub(super) max_connections: usize,
    /// The last places, which are kept for superusers.
    pub(super) reserved_connections: usize,
}

/// A client's place among [`Clients`]; given back when dropped.
#[derive(Debug)]
pub(super) struct Registered {
    clients: Arc<Clients>,
    client: Arc<Client>,
}

/// A statement under way: what may stop it. Until it is dropped, cancelling its client cancels it.
pub(super) struct Running {
    /// Cancelled: the statement is to stop.
    pub(super) cancel: CancellationToken,
    /// Cancelled: the connection is to end.
    pub(super) terminate: CancellationToken,
    client: Option<Arc<Client>>,
}

impl Clients {
    /// None yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.state.lock().by_process_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What each of them is doing, by process id.
    pub fn activities(&self) -> Vec<Activity> {
        let clients: Vec<_> = self.state.lock().by_process_id.values().cloned().collect();
        let activities = clients.iter().filter_map(|client| client.activity.lock().clone());
        let mut activities: Vec<_> = activities.collect();
        activities.sort_by_key(|activity| activity.process_id);
        activities
    }

    /// How many errors of each SQLSTATE clients were sent.
    pub fn sent_errors(&self) -> BTreeMap<&'static str, u64> {
        self.state.lock().sent_errors.clone()
    }

    /// A client is sent an error.
    pub(super) fn note_sent_error(&self, sqlstate: SqlState) {
        *self.state.lock().sent_errors.entry(sqlstate.as_str()).or_default() += 1;
    }

    /// Cancels what this client runs, if anything (`pg_cancel_backend`); whether there is such a
    /// client.
    pub fn cancel(&self, process_id: i32) -> bool {
        let client = self.get(process_id);
        client.inspect(|client| client.cancel_running()).is_some()
    }

    /// Ends this client's connection (`pg_terminate_backend`); whether there is such a client.
    pub fn terminate(&self, process_id: i32) -> bool {
        let client = self.get(process_id);
        client.inspect(|client| client.terminate.cancel()).is_some()
    }

    /// Cancels as a CancelRequest asks, if it knows the secret. Nobody is told whether it did.
    pub(super) fn cancel_with_secret(&self, process_id: i32, secret: i32) {
        match self.get(process_id).filter(|client| client.secret == secret) {
            Some(client) => client.cancel_running(),
            None => tracing::info!(process_id, "cancel request for an unknown client"),
        }
    }

    /// Ends all connections.
    pub(super) fn terminate_all(&self) {
        for client in self.state.lock().by_process_id.values() {
            client.terminate.cancel();
        }
    }

    /// Takes one more in.
    ///
    /// # Errors
    /// FATAL 53300: there is no place for it.
    pub(super) fn register(self: &Arc<Self>, admission: &Admission<'_>) -> Result<Registered> {
        let mut state = self.state.lock();
        state.check(admission).map_err(fatal)?;
        let mut process_id = state.last_process_id;
        loop {
            process_id = process_id.checked_add(1).unwrap_or(1);
            if !state.by_process_id.contains_key(&process_id) {
                break;
            }
        }
        state.last_process_id = process_id;
        let client = Arc::new(Client {
            process_id,
            secret: rand::random(),
            role: admission.role.name.clone(),
            running: Mutex::new(None),
            terminate: CancellationToken::new(),
            activity: Mutex::new(None),
        });
        state.by_process_id.insert(process_id, Arc::clone(&client));
        Ok(Registered { clients: Arc::clone(self), client })
    }

    fn get(&self, process_id: i32) -> Option<Arc<Client>> {
        self.state.lock().by_process_id.get(&process_id).cloned()
    }
}

impl State {
    /// Whether there is a place, in PostgreSQL's words.
    fn check(&self, admission: &Admission<'_>) -> Result<()> {
        let Admission { role, max_connections, reserved_connections } = admission;
        let full = |message: String| ErrorReport::new(SqlState::TOO_MANY_CONNECTIONS, message);
        let taken = self.by_process_id.len();
        if taken >= *max_connections {
            return Err(full("sorry, too many clients already".into())
                .detail(format!("max_connections is {max_connections}.")));
        }
        if role.superuser {
            return Ok(());
        }
        // A negative limit is none.
        if let Ok(limit) = usize::try_from(role.connection_limit) {
            let own = self.by_process_id.values().filter(|client| client.role == role.name);
            if own.count() >= limit {
                return Err(full(format!("too many connections for role \"{}\"", role.name)));
            }
        }
        if taken >= max_connections.saturating_sub(*reserved_connections) {
            return Err(full(
                "remaining connection slots are reserved for non-replication superuser connections"
                    .into(),
            ));
        }
        Ok(())
    }
}

impl Client {
    fn cancel_running(&self) {
        if let Some(running) = &*self.running.lock() {
            running.cancel();
        }
    }
}

impl Registered {
    /// Its process id.
    pub(super) fn process_id(&self) -> i32 {
        self.client.process_id
    }

    /// What a CancelRequest must know.
    pub(super) fn secret(&self) -> i32 {
        self.client.secret
    }

    /// The client has said who it is.
    pub(super) fn enters(&self, info: &StartupInfo) {
        *self.client.activity.lock() = Some(Activity::new(info, Utc::now()));
    }

    /// What the client asks for begins.
    pub(super) fn begins(&self, sql: &str) {
        if let Some(activity) = &mut *self.client.activity.lock() {
            activity.begins(&without_passwords(sql), Utc::now());
        }
    }

    /// The client is told that it may go on. `parameters`: those of its session.
    pub(super) fn rests(&self, status: TransactionStatus, parameters: &[(&str, String)]) {
        if let Some(activity) = &mut *self.client.activity.lock() {
            activity.rests(status, Utc::now());
            let name = parameters.iter().find(|(name, _)| *name == "application_name");
            // Without a word it is as it is at first: empty.
            activity.application_name = name.map(|(_, name)| name.clone()).unwrap_or_default();
        }
    }

    /// A statement begins, or goes on, under this token.
    pub(super) fn running(&self, cancel: CancellationToken) -> Running {
        *self.client.running.lock() = Some(cancel.clone());
        Running {
            cancel,
            terminate: self.client.terminate.clone(),
            client: Some(Arc::clone(&self.client)),
        }
    }

    /// No statement runs: there is nothing to cancel.
    pub(super) fn idle(&self) -> Running {
        Running {
            cancel: CancellationToken::new(),
            terminate: self.client.terminate.clone(),
            client: None,
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.clients.state.lock().by_process_id.remove(&self.client.process_id);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(client) = &self.client {
            *client.running.lock() = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(
        clients: &Arc<Clients>,
        role: &RoleDef,
        max_connections: usize,
    ) -> Result<Registered> {
        clients.register(&Admission { role, max_connections, reserved_connections: 1 })
    }

    fn place(clients: &Arc<Clients>, max_connections: usize) -> Result<Registered> {
        register(clients, &RoleDef::initial(), max_connections)
    }

    #[test]
    fn roles_have_their_own_limits_and_superusers_a_place() {
        let clients = Clients::new();
        let ann = RoleDef { connection_limit: 1, ..RoleDef::new(1, "ann") };
        let bob = RoleDef { connection_limit: 0, ..RoleDef::new(2, "bob") };
        let zoe = RoleDef::new(3, "zoe");
        let refused = |role: &RoleDef| register(&clients, role, 3).unwrap_err().message;
        let _first = register(&clients, &ann, 3).unwrap();
        assert_eq!(refused(&ann), "too many connections for role \"ann\"");
        assert_eq!(refused(&bob), "too many connections for role \"bob\"");
        let _second = register(&clients, &zoe, 3).unwrap();
        let reserved =
            "remaining connection slots are reserved for non-replication superuser connections";
        assert_eq!(refused(&zoe), reserved);
        let limited = RoleDef { connection_limit: 0, ..RoleDef::initial() };
        let _third = register(&clients, &limited, 3).unwrap();
        assert_eq!(refused(&limited), "sorry, too many clients already");
    }

    #[test]
    fn only_the_secret_cancels() {
        let clients = Clients::new();
        let client = place(&clients, 2).unwrap();
        let running = client.running(CancellationToken::new());
        clients.cancel_with_secret(client.process_id(), client.secret().wrapping_add(1));
        assert!(!running.cancel.is_cancelled());
        clients.cancel_with_secret(client.process_id(), client.secret());
        assert!(running.cancel.is_cancelled());
    }

    #[test]
    fn a_cancel_between_statements_is_lost() {
        let clients = Clients::new();
        let client = place(&clients, 1).unwrap();
        drop(client.running(CancellationToken::new()));
        assert!(clients.cancel(client.process_id()));
        assert!(!client.running(CancellationToken::new()).cancel.is_cancelled());
    }

    #[test]
    fn a_name_that_was_taken_back_is_shown_no_longer() {
        let clients = Clients::new();
        let client = place(&clients, 1).unwrap();
        client.enters(&StartupInfo {
            process_id: client.process_id(),
            peer: ([127, 0, 0, 1], 1).into(),
            user: "u".into(),
            database: "kestrel".into(),
            application_name: "psql".into(),
            parameters: Vec::new(),
        });
        let shown = || clients.activities().remove(0).application_name;
        client.rests(TransactionStatus::Idle, &[("application_name", "psql".into())]);
        assert_eq!(shown(), "psql");
        client.rests(TransactionStatus::Idle, &[("TimeZone", "UTC".into())]);
        assert_eq!(shown(), "");
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let clients = Clients::new();
        let first = place(&clients, 1).unwrap();
        let error = place(&clients, 1).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::TOO_MANY_CONNECTIONS);
        let process_id = first.process_id();
        drop(first);
        assert!(!clients.terminate(process_id));
        assert_ne!(place(&clients, 1).unwrap().process_id(), process_id);
    }
}
