//! The clients that are connected, how to stop what one of them runs, which errors they were sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::Utc;
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
    /// What stops the statement that runs now.
    running: Mutex<Option<CancellationToken>>,
    /// Ends the connection.
    terminate: CancellationToken,
    /// `None` until it has said who it is.
    activity: Mutex<Option<Activity>>,
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
    /// FATAL 53300: there are `max_connections` already.
    pub(super) fn register(self: &Arc<Self>, max_connections: usize) -> Result<Registered> {
        let mut state = self.state.lock();
        if state.by_process_id.len() >= max_connections {
            return Err(fatal(
                ErrorReport::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
                    .detail(format!("max_connections is {max_connections}.")),
            ));
        }
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
            activity.begins(sql, Utc::now());
        }
    }

    /// The client is told that it may go on. `parameters`: those of its session.
    pub(super) fn rests(&self, status: TransactionStatus, parameters: &[(&str, String)]) {
        if let Some(activity) = &mut *self.client.activity.lock() {
            activity.rests(status, Utc::now());
            let name = parameters.iter().find(|(name, _)| *name == "application_name");
            if let Some((_, name)) = name {
                activity.application_name.clone_from(name);
            }
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

    #[test]
    fn only_the_secret_cancels() {
        let clients = Clients::new();
        let client = clients.register(2).unwrap();
        let running = client.running(CancellationToken::new());
        clients.cancel_with_secret(client.process_id(), client.secret().wrapping_add(1));
        assert!(!running.cancel.is_cancelled());
        clients.cancel_with_secret(client.process_id(), client.secret());
        assert!(running.cancel.is_cancelled());
    }

    #[test]
    fn a_cancel_between_statements_is_lost() {
        let clients = Clients::new();
        let client = clients.register(1).unwrap();
        drop(client.running(CancellationToken::new()));
        assert!(clients.cancel(client.process_id()));
        assert!(!client.running(CancellationToken::new()).cancel.is_cancelled());
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let clients = Clients::new();
        let first = clients.register(1).unwrap();
        let error = clients.register(1).unwrap_err();
        assert_eq!(error.sqlstate, SqlState::TOO_MANY_CONNECTIONS);
        let process_id = first.process_id();
        drop(first);
        assert!(!clients.terminate(process_id));
        assert_ne!(clients.register(1).unwrap().process_id(), process_id);
    }
}
