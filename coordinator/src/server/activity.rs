//! What clients are doing, for `pg_stat_activity`.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};

use super::backend::{StartupInfo, TransactionStatus};

/// So much of a statement is shown (PostgreSQL's track_activity_query_size, less the zero byte).
const SHOWN_BYTES: usize = 1023;

/// What a client is doing.
#[derive(Clone, Debug)]
pub struct Activity {
    /// The session's number.
    pub process_id: i32,
    /// Its role.
    pub user: String,
    /// Its `application_name`.
    pub application_name: String,
    /// Where the client is.
    pub peer: SocketAddr,
    /// When it connected.
    pub backend_start: DateTime<Utc>,
    /// When its transaction began; `None`: it is in none.
    pub xact_start: Option<DateTime<Utc>>,
    /// When its last statement began; `None`: it has sent none.
    pub query_start: Option<DateTime<Utc>>,
    /// Since when `state` holds.
    pub state_change: DateTime<Utc>,
    /// What it is doing.
    pub state: ActivityState,
    /// The statement that runs, or ran last.
    pub query: String,
}

/// What a client is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityState {
    /// It runs a statement.
    Active,
    /// It runs none.
    Idle,
    /// It is in a transaction, and runs no statement.
    IdleInTransaction,
    /// The same, and a statement of the transaction has failed.
    IdleInTransactionAborted,
}

impl ActivityState {
    /// As `pg_stat_activity` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
            Self::IdleInTransaction => "idle in transaction",
            Self::IdleInTransactionAborted => "idle in transaction (aborted)",
        }
    }
}

impl Activity {
    /// Of a client that has just connected.
    pub(super) fn new(info: &StartupInfo, now: DateTime<Utc>) -> Self {
        Self {
            process_id: info.process_id,
            user: info.user.clone(),
            application_name: info.application_name.clone(),
            peer: info.peer,
            backend_start: now,
            xact_start: None,
            query_start: None,
            state_change: now,
            state: ActivityState::Idle,
            query: String::new(),
        }
    }

    /// A statement begins.
    pub(super) fn begins(&mut self, sql: &str, now: DateTime<Utc>) {
        let mut end = sql.len().min(SHOWN_BYTES);
        while !sql.is_char_boundary(end) {
            end -= 1;
        }
        self.query = sql[..end].to_string();
        self.query_start = Some(now);
        self.xact_start.get_or_insert(now);
        self.state_change = now;
        self.state = ActivityState::Active;
    }

    /// The client is told that the next statement may come.
    pub(super) fn rests(&mut self, status: TransactionStatus, now: DateTime<Utc>) {
        self.state = match status {
            TransactionStatus::Idle => ActivityState::Idle,
            TransactionStatus::Open => ActivityState::IdleInTransaction,
            TransactionStatus::Failed => ActivityState::IdleInTransactionAborted,
        };
        if status == TransactionStatus::Idle {
            self.xact_start = None;
        }
        self.state_change = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_begins_with_its_first_statement_and_ends_at_rest() {
        let info = StartupInfo {
            process_id: 7,
            peer: ([127, 0, 0, 1], 1).into(),
            user: "u".into(),
            database: "kestrel".into(),
            application_name: "a".into(),
            parameters: Vec::new(),
        };
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let mut activity = Activity::new(&info, at(1));
        assert_eq!((activity.state, activity.query_start), (ActivityState::Idle, None));
        activity.begins("BEGIN", at(2));
        assert_eq!((activity.state, activity.xact_start), (ActivityState::Active, Some(at(2))));
        activity.rests(TransactionStatus::Open, at(3));
        activity.begins(&"é".repeat(1000), at(4));
        assert_eq!((activity.xact_start, activity.query_start), (Some(at(2)), Some(at(4))));
        assert_eq!(activity.query.len(), 1022);
        activity.rests(TransactionStatus::Failed, at(5));
        assert_eq!(activity.state.as_str(), "idle in transaction (aborted)");
        activity.rests(TransactionStatus::Idle, at(6));
        assert_eq!((activity.xact_start, activity.state_change), (None, at(6)));
    }
}
