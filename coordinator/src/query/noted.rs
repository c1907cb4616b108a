//! A query from its coming, through the queue, to its end. However it ends, its [`QueryRegistry`] is
//! told, and once.

use std::{sync::Arc, time::Duration};

use kestrel_planner::plan::Plan;
use kestrel_proto::{QueryId, Result, SqlState};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Priority, QueryEnvironment, QueryRegistry, QueryState, QuerySummary, Request, RunningQuery,
    Wait, admission::Place, registry::QueryEnd,
};
use crate::engine::Engine;

/// Who asks for a query.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The session's process id.
    pub session_pid: i32,
    /// The session's user.
    pub user: String,
    /// `kestrel.query_priority`
    pub priority: Priority,
    /// `kestrel.queue_timeout`
    pub queue_timeout: Duration,
}

/// A query that waits, or runs; dropping it is its end.
#[must_use]
pub struct NotedQuery {
    queries: QueryRegistry,
    id: QueryId,
    cancel: CancellationToken,
    summary: Arc<Mutex<QuerySummary>>,
    fate: Fate,
    returned_rows: u64,
    /// Among those that run; `None`: it needs none.
    place: Option<Place>,
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
    /// A query begins as soon as it may: if datanodes run it, when it has a place.
    ///
    /// # Errors
    /// 53000 when too many wait already; 57014 when it may wait no longer.
    pub async fn start(
        engine: &Engine,
        plan: &Plan,
        environment: &QueryEnvironment,
        asker: &Asker,
        text: &str,
    ) -> Result<Self> {
        let queries = &engine.queries;
        queries.queue(environment.id, asker.session_pid, &asker.user, text);
        let mut noted = Self {
            queries: queries.clone(),
            id: environment.id,
            cancel: environment.cancel.clone(),
            summary: Arc::default(),
            fate: Fate::Open,
            returned_rows: 0,
            place: None,
        };
        if runs_on_datanodes(plan) {
            let (session, role) = (asker.session_pid, asker.user.as_str().into());
            let request = Request { session, role, priority: asker.priority };
            let wait = Wait {
                deadline: environment.deadline,
                timeout: asker.queue_timeout,
                cancel: environment.cancel.clone(),
            };
            let place = engine.admission.enter(request, &wait).await;
            noted.place = Some(noted.part(place)?);
        }
        queries.begin(environment.id);
        Ok(noted)
    }

    /// Its client asks for no rows now: others may run.
    pub fn rests(&self) {
        if let Some(place) = &self.place {
            place.rests();
        }
    }

    /// Its client asks for rows.
    pub fn works(&self) {
        if let Some(place) = &self.place {
            place.works();
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

impl Fate {
    /// How the query has ended, its SQLSTATE, and how many rows it has written. `canceled`: what a
    /// cancel says, if there was one.
    fn end(&self, canceled: Option<SqlState>) -> (QueryState, Option<SqlState>, Option<u64>) {
        match self {
            Self::Finished { written_rows } => (QueryState::Finished, None, *written_rows),
            Self::Failed(SqlState::QUERY_CANCELED) => {
                (QueryState::Canceled, Some(SqlState::QUERY_CANCELED), None)
            }
            Self::Failed(sqlstate) => (QueryState::Failed, Some(*sqlstate), None),
            // Nobody waits for its end: it was cancelled, or the client wants no more rows.
            Self::Open => (QueryState::Canceled, canceled, None),
        }
    }
}

/// Whether a part of it is more than slice 0.
fn runs_on_datanodes(plan: &Plan) -> bool {
    plan.slices.iter().any(|slice| slice.id.0 != 0) || plan.init.iter().any(runs_on_datanodes)
}

impl Drop for NotedQuery {
    fn drop(&mut self) {
        let summary = self.summary.lock();
        let canceled = self.cancel.is_cancelled().then_some(SqlState::QUERY_CANCELED);
        let (state, sqlstate, written_rows) = self.fate.end(canceled);
        let rows = written_rows.unwrap_or(summary.rows);
        let end = QueryEnd { state, sqlstate, rows, returned_rows: self.returned_rows };
        self.queries.end(self.id, end, &summary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_waits_for_is_canceled() {
        let canceled = SqlState::QUERY_CANCELED;
        let memory = SqlState::OUT_OF_MEMORY;
        for (fate, cancel, expected) in [
            (Fate::Finished { written_rows: None }, None, (QueryState::Finished, None, None)),
            (
                Fate::Finished { written_rows: Some(3) },
                Some(canceled),
                (QueryState::Finished, None, Some(3)),
            ),
            (Fate::Failed(memory), Some(canceled), (QueryState::Failed, Some(memory), None)),
            (Fate::Failed(canceled), None, (QueryState::Canceled, Some(canceled), None)),
            (Fate::Open, Some(canceled), (QueryState::Canceled, Some(canceled), None)),
            (Fate::Open, None, (QueryState::Canceled, None, None)),
        ] {
            assert_eq!(fate.end(cancel), expected);
        }
    }
}
