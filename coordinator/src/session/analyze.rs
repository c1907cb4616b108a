//! What EXPLAIN adds to a plan: times, and with ANALYZE what ran.

use std::sync::Arc;

use kestrel_planner::{
    explain::{self, Execution, ExplainOptions},
    plan::Plan,
};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::query::QuerySummary;

/// The queries that a statement starts while EXPLAIN ANALYZE runs it, in their order.
#[derive(Default)]
pub(super) struct Watched(Mutex<Vec<(Plan, Arc<Mutex<QuerySummary>>)>>);

impl Watched {
    /// Another one.
    pub(super) fn note(&self, plan: &Plan, summary: Arc<Mutex<QuerySummary>>) {
        self.0.lock().push((plan.clone(), summary));
    }

    /// The first, whose rows the statement is about: others look for keys of these.
    pub(super) fn into_first(self) -> Option<(Plan, QuerySummary)> {
        let (plan, summary) = self.0.into_inner().into_iter().next()?;
        let summary = summary.lock().clone();
        Some((plan, summary))
    }
}

/// What ran, as EXPLAIN knows it.
pub(super) fn execution(summary: &QuerySummary) -> Execution {
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
        values.insert("Rows Moved".into(), json!(rows));
        values.insert("Bytes Moved".into(), json!(bytes));
        values
    }
}

fn rounded(ms: f64) -> Value {
    json!((ms * 1000.0).round() / 1000.0)
}
