//! Which queries run, and what the last ones did: `kestrel.queries`.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use kestrel_proto::QueryId;
use parking_lot::Mutex;

/// Ended queries that are remembered.
const REMEMBERED: usize = 1000;

/// The queries of this coordinator.
#[derive(Clone, Default)]
pub struct QueryRegistry {
    records: Arc<Mutex<VecDeque<QueryRecord>>>,
}

/// Where a query stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryState {
    /// It runs.
    Running,
    /// It has ended well.
    Finished,
    /// It has failed or was cancelled.
    Failed,
}

/// One query.
#[derive(Clone, Debug)]
pub struct QueryRecord {
    /// Its id.
    pub id: QueryId,
    /// The session's process id.
    pub session_pid: i32,
    /// Where it stands.
    pub state: QueryState,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// For the duration of a running one.
    pub started: Instant,
    /// Until its end.
    pub duration_ms: Option<f64>,
    /// Rows of the result.
    pub rows: u64,
    /// Rows that went from one datanode to another.
    pub rows_moved: u64,
    /// Bytes that did.
    pub bytes_moved: u64,
    /// The statement.
    pub text: String,
}

impl QueryState {
    /// As `kestrel.queries` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

impl QueryRegistry {
    /// A query starts.
    pub fn start(&self, id: QueryId, session_pid: i32, text: &str) {
        let mut records = self.records.lock();
        while records.len() >= REMEMBERED
            && let Some(oldest) = records.iter().position(|r| r.state != QueryState::Running)
        {
            records.remove(oldest);
        }
        records.push_back(QueryRecord {
            id,
            session_pid,
            state: QueryState::Running,
            started_at: Utc::now(),
            started: Instant::now(),
            duration_ms: None,
            rows: 0,
            rows_moved: 0,
            bytes_moved: 0,
            text: text.to_string(),
        });
    }

    /// A query has ended.
    pub fn end(&self, id: QueryId, state: QueryState, rows: u64, moved: (u64, u64)) {
        let mut records = self.records.lock();
        if let Some(record) = records.iter_mut().rev().find(|record| record.id == id) {
            record.state = state;
            record.duration_ms = Some(record.started.elapsed().as_secs_f64() * 1000.0);
            record.rows = rows;
            (record.rows_moved, record.bytes_moved) = moved;
        }
    }

    /// All that are remembered, oldest first.
    pub fn records(&self) -> Vec<QueryRecord> {
        self.records.lock().iter().cloned().collect()
    }
}
