//! What EXPLAIN adds to a plan: times, and with ANALYZE what ran.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kestrel_planner::{
    explain::{self, Execution, ExplainOptions},
    plan::Plan,
};
use kestrel_proto::{ErrorReport, Result};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::query::{QuerySummary, RunningQuery};

/// A statement that EXPLAIN ANALYZE runs: its first query, whose rows it is about. Those that come
/// later look for keys of these, or compute what RETURNING gives back, and are not measured.
pub(super) struct Analysis {
    begun: Instant,
    first: Mutex<Option<AnalyzedQuery>>,
}

/// A query that was started.
struct AnalyzedQuery {
    plan: Plan,
    summary: Arc<Mutex<QuerySummary>>,
    /// What had to be done before it.
    planning: Duration,
}

impl Analysis {
    /// From now on.
    pub(super) fn begin() -> Self {
        Self { begun: Instant::now(), first: Mutex::default() }
    }

    /// Whether the next query is the first one.
    pub(super) fn is_awaited(&self) -> bool {
        self.first.lock().is_none()
    }

    /// How long ago it began.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// A query was started. `planning`: what had elapsed before.
    pub(super) fn note(&self, plan: &Plan, running: &RunningQuery, planning: Duration) {
        let query = || AnalyzedQuery { plan: plan.clone(), summary: running.summary(), planning };
        self.first.lock().get_or_insert_with(query);
    }

    /// The statement has ended: the plan of its first query, how long it was planned, in milliseconds,
    /// and what ran.
    pub(super) fn end(self) -> Result<(Plan, f64, Executed)> {
        let all = self.begun.elapsed();
        let none = || ErrorReport::internal("EXPLAIN ANALYZE has run no query");
        let AnalyzedQuery { plan, summary, planning } = self.first.into_inner().ok_or_else(none)?;
        let summary = summary.lock().clone();
        let milliseconds = all.saturating_sub(planning).as_secs_f64() * 1000.0;
        let execution = execution(&summary);
        let executed = Executed { milliseconds, summary, execution };
        Ok((plan, planning.as_secs_f64() * 1000.0, executed))
    }
}

/// What ran, as EXPLAIN knows it.
fn execution(summary: &QuerySummary) -> Execution {
    Execution {
        fragments: summary.fragments.clone(),
        init: summary.init.iter().map(execution).collect(),
    }
}

/// A statement that has run.
pub(super) struct Executed {
    /// How long it ran.
    pub(super) milliseconds: f64,
    /// What moved, and when everything had been handed over.
    pub(super) summary: QuerySummary,
    /// The operators.
    pub(super) execution: Execution,
}

/// What was measured of a statement.
pub(super) struct Measured {
    /// How long it was planned.
    pub(super) planning_ms: f64,
    /// Whether times are wanted.
    pub(super) summary: bool,
    /// ANALYZE: what ran.
    pub(super) executed: Option<Executed>,
}

impl Measured {
    /// As lines: what each slice took, then times and what moved.
    pub(super) fn lines(&self, options: ExplainOptions) -> Vec<String> {
        let mut lines = Vec::new();
        if let (Some(executed), true) = (&self.executed, self.summary) {
            lines.extend(explain::slice_lines(&executed.execution, options));
        }
        if self.summary {
            lines.push(format!("Planning Time: {:.3} ms", self.planning_ms));
        }
        if let Some(Executed { milliseconds, summary, .. }) = &self.executed {
            if self.summary {
                lines.push(format!("Dispatch Time: {:.3} ms", summary.dispatch_ms));
                lines.push(format!("Execution Time: {milliseconds:.3} ms"));
            }
            let (rows, bytes) = summary.moved();
            lines.push(format!("Moved: {rows} rows, {bytes} bytes"));
        }
        lines
    }

    /// The same as parts of a JSON document.
    pub(super) fn values(&self, options: ExplainOptions) -> Map<String, Value> {
        let mut values = Map::new();
        if self.summary {
            values.insert("Planning Time".into(), rounded(self.planning_ms));
        }
        let Some(Executed { milliseconds, summary, execution }) = &self.executed else {
            return values;
        };
        if self.summary {
            values.insert("Slices".into(), explain::slice_values(execution, options));
            values.insert("Dispatch Time".into(), rounded(summary.dispatch_ms));
            values.insert("Execution Time".into(), rounded(*milliseconds));
        }
        let (rows, bytes) = summary.moved();
        if let Some((rows, bytes)) = result(execution) {
            values.insert("Result Rows".into(), json!(rows));
            values.insert("Result Bytes".into(), json!(bytes));
        }
        values.insert("Rows Moved".into(), json!(rows));
        values.insert("Bytes Moved".into(), json!(bytes));
        values
    }
}

/// Rows and bytes that came out of the plan.
fn result(execution: &Execution) -> Option<(u64, u64)> {
    let (.., of_slice_0) = execution.fragments.iter().find(|(slice, ..)| *slice == 0)?;
    of_slice_0.operators.first().map(|root| (root.rows_out, root.bytes_out))
}

fn rounded(ms: f64) -> Value {
    json!((ms * 1000.0).round() / 1000.0)
}
