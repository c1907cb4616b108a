//! A query from its start to its end. However it ends, its [`QueryRegistry`] is told, and once.

use std::sync::Arc;

use kestrel_proto::{QueryId, Result, SqlState};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    QueryEnvironment, QueryRegistry, QueryState, QuerySummary, RunningQuery, registry::QueryEnd,
};

/// A query that has started; dropping it is its end.
#[must_use]
pub struct NotedQuery {
    queries: QueryRegistry,
    id: QueryId,
    cancel: CancellationToken,
    summary: Arc<Mutex<QuerySummary>>,
    fate: Fate,
    returned_rows: u64,
}

enum Fate {
    /// Nothing has decided it yet.
    Open,
    /// It has done what it was to do. How many rows it has written, if it was to write.
    Finished { written_rows: Option<u64> },
    /// Its first error.
    Failed(SqlState),
}

impl NotedQuery {
    /// A query starts.
    pub fn start(
        queries: &QueryRegistry,
        environment: &QueryEnvironment,
        session_pid: i32,
        user: &str,
        text: &str,
    ) -> Self {
        queries.start(environment.id, session_pid, user, text);
        Self {
            queries: queries.clone(),
            id: environment.id,
            cancel: environment.cancel.clone(),
            summary: Arc::default(),
            fate: Fate::Open,
            returned_rows: 0,
        }
    }

    /// This is what runs; after a retry, another.
    pub fn runs(&mut self, running: &RunningQuery) {
        self.summary = running.summary();
    }

    /// What became of a part of the query, which fails with its first error.
    pub fn part<T>(&mut self, result: Result<T>) -> Result<T> {
        if let (Err(error), Fate::Open) = (&result, &self.fate) {
            self.fate = Fate::Failed(error.sqlstate);
        }
        result
    }

    /// The client is given so many rows.
    pub fn returns(&mut self, rows: usize) {
        self.returned_rows += rows as u64;
    }

    /// The query has done what it was to do.
    pub fn finish(&mut self) {
        if let Fate::Open = self.fate {
            self.fate = Fate::Finished { written_rows: None };
        }
    }

    /// The query has written its rows.
    pub fn finish_written(&mut self, rows: u64) {
        self.fate = Fate::Finished { written_rows: Some(rows) };
    }
}

impl Drop for NotedQuery {
    fn drop(&mut self) {
        let summary = self.summary.lock();
        let (state, sqlstate, written_rows) = match self.fate {
            Fate::Finished { written_rows } => (QueryState::Finished, None, written_rows),
            Fate::Failed(sqlstate) => (QueryState::Failed, Some(sqlstate), None),
            // Nobody waits for its end: it was cancelled, or the client wants no more rows.
            Fate::Open => {
                let canceled = self.cancel.is_cancelled().then_some(SqlState::QUERY_CANCELED);
                (QueryState::Failed, canceled, None)
            }
        };
        let rows = written_rows.unwrap_or(summary.rows);
        let end = QueryEnd { state, sqlstate, rows, returned_rows: self.returned_rows };
        self.queries.end(self.id, end, &summary);
    }
}
