//! Which queries run, and what the last ones did: `kestrel.queries`, and a line of the log for each.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use kestrel_proto::{QueryId, SqlState};
use parking_lot::Mutex;

use super::QuerySummary;
use crate::metrics::Metrics;

/// Ended queries that are remembered.
const REMEMBERED: usize = 1000;
/// Bytes of a statement that are remembered and logged: PostgreSQL's `track_activity_query_size`.
const TEXT_BYTES_MAX: usize = 1024;

/// The queries of this coordinator. Cloning shares them.
#[derive(Clone, Default)]
pub struct QueryRegistry {
    records: Arc<Mutex<VecDeque<QueryRecord>>>,
    metrics: Metrics,
}

/// Where a query stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryState {
    /// It waits until it may begin.
    Queued,
    /// It runs.
    Running,
    /// It has ended well.
    Finished,
    /// It has failed.
    Failed,
    /// It was cancelled, took too long, or its client wanted no more rows.
    Canceled,
}

/// One query.
#[derive(Clone, Debug)]
pub struct QueryRecord {
    /// Its id.
    pub id: QueryId,
    /// The session's process id.
    pub session_pid: i32,
    /// The session's user.
    pub user: Arc<str>,
    /// Where it stands.
    pub state: QueryState,
    /// When it began to run; of one that waits, when it began to wait.
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
    /// The statement; of a long one, its beginning.
    pub text: Arc<str>,
}

impl QueryState {
    /// As `kestrel.queries` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    fn has_ended(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Finished | Self::Failed | Self::Canceled => true,
        }
    }
}

/// How a query has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueryEnd {
    pub(super) state: QueryState,
    /// Of its error.
    pub(super) sqlstate: Option<SqlState>,
    /// Rows of the result, or that were written.
    pub(super) rows: u64,
    /// Rows that the client was given.
    pub(super) returned_rows: u64,
}

impl QueryRegistry {
    /// Without queries; these metrics count them.
    pub fn new(metrics: Metrics) -> Self {
        Self { records: Arc::default(), metrics }
    }

    /// A query comes, and waits until it [begins](Self::begin).
    pub(super) fn queue(&self, id: QueryId, session_pid: i32, user: &str, text: &str) {
        let (user, text) = (user.into(), beginning(text));
        let mut records = self.records.lock();
        while records.len() >= REMEMBERED
            && let Some(oldest) = records.iter().position(|r| r.state.has_ended())
        {
            records.remove(oldest);
        }
        records.push_back(QueryRecord {
            id,
            session_pid,
            user,
            state: QueryState::Queued,
            started_at: Utc::now(),
            started: Instant::now(),
            duration_ms: None,
            rows: 0,
            rows_moved: 0,
            bytes_moved: 0,
            text,
        });
    }

    /// A query begins to run.
    pub(super) fn begin(&self, id: QueryId) {
        let mut records = self.records.lock();
        if let Some(record) = records.iter_mut().rev().find(|record| record.id == id) {
            record.state = QueryState::Running;
            (record.started_at, record.started) = (Utc::now(), Instant::now());
            self.metrics.query_started();
        }
    }

    /// A query has ended, or waits no longer.
    pub(super) fn end(&self, id: QueryId, end: QueryEnd, summary: &QuerySummary) {
        let Some((record, before, duration)) = self.note_end(id, end, summary) else { return };
        let QueryEnd { state, sqlstate, returned_rows, .. } = end;
        if before == QueryState::Queued {
            self.metrics.query_not_begun(state);
        } else {
            self.metrics.query_ended(state, duration, returned_rows, &summary.motions);
        }
        log(&record, sqlstate);
    }

    /// All that are remembered, oldest first.
    pub fn records(&self) -> Vec<QueryRecord> {
        self.records.lock().iter().cloned().collect()
    }

    fn note_end(
        &self,
        id: QueryId,
        end: QueryEnd,
        summary: &QuerySummary,
    ) -> Option<(QueryRecord, QueryState, Duration)> {
        let mut records = self.records.lock();
        let record = records.iter_mut().rev().find(|record| record.id == id)?;
        let duration = record.started.elapsed();
        let before = std::mem::replace(&mut record.state, end.state);
        record.duration_ms = Some(duration.as_micros() as f64 / 1000.0);
        record.rows = end.rows;
        (record.rows_moved, record.bytes_moved) = summary.moved();
        Some((record.clone(), before, duration))
    }
}

fn log(record: &QueryRecord, sqlstate: Option<SqlState>) {
    tracing::info!(
        target: "kestrel::query",
        query_id = %record.id,
        session_pid = record.session_pid,
        duration_ms = record.duration_ms,
        rows = record.rows,
        rows_moved = record.rows_moved,
        bytes_moved = record.bytes_moved,
        state = record.state.as_str(),
        sqlstate = sqlstate.map(SqlState::as_str),
        statement = logged_text(&record.text),
        "query"
    );
}

/// Not the whole of a long statement.
fn beginning(statement: &str) -> Arc<str> {
    statement[..statement.floor_char_boundary(TEXT_BYTES_MAX)].into()
}

/// The statement on one line.
fn logged_text(statement: &str) -> String {
    statement.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_remembered_with_a_bound_and_logged_on_one_line() {
        assert_eq!(logged_text("SELECT 1,\r\n\t'é'"), "SELECT 1,   'é'");
        for (statement, bytes) in [
            ("SELECT 1".to_string(), 8),
            ("x".repeat(2000), 1024),
            ("é".repeat(2000), 1024),
            // The bound is within a character.
            (format!("x{}", "é".repeat(2000)), 1023),
        ] {
            let text = beginning(&statement);
            assert_eq!(text.len(), bytes);
            assert!(statement.starts_with(&*text));
        }
    }

    #[test]
    fn queries_that_wait_or_run_are_remembered_and_of_the_ended_ones_the_last() {
        let (queries, summary) = (QueryRegistry::default(), QuerySummary::default());
        let end =
            QueryEnd { state: QueryState::Finished, sqlstate: None, rows: 3, returned_rows: 3 };
        let (running, waiting) = (QueryId::random(), QueryId::random());
        queries.queue(running, 1, "anna", "runs");
        queries.begin(running);
        queries.queue(waiting, 1, "anna", "waits");
        for _ in 0..REMEMBERED + 5 {
            let id = QueryId::random();
            queries.queue(id, 1, "bert", "ends");
            queries.begin(id);
            queries.end(id, end, &summary);
        }
        let records = queries.records();
        assert_eq!(records.len(), REMEMBERED);
        assert_eq!((records[0].id, records[0].state), (running, QueryState::Running));
        assert_eq!((records[1].id, records[1].state), (waiting, QueryState::Queued));
        assert_eq!((&*records[0].user, &*records[2].user), ("anna", "bert"));
        assert!(records[2..].iter().all(|r| r.state == QueryState::Finished && r.rows == 3));
        queries.end(running, QueryEnd { state: QueryState::Failed, ..end }, &summary);
        assert_eq!(queries.records()[0].state, QueryState::Failed);
    }
}
