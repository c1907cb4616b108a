//! Runs the 22 queries, measures each, and checks the answers.

use std::time::Instant;

use serde::Serialize;

use super::STORED_SCALE;
use super::answer::{Precision, compare, stored_answer};
use super::oracle::Oracle;
use super::query::{QUERIES, Query};
use crate::Result;
use crate::client::{Client, Notice, Row};
use crate::output::Console;

/// The server's own count for the query that this session ran last.
const MOVED: &str = "SELECT rows_moved, bytes_moved FROM kestrel.queries \
    WHERE session_pid = pg_backend_pid() AND state = 'finished' ORDER BY started_at DESC LIMIT 1";

/// The right answers.
pub struct Expected {
    answers: Vec<Vec<Row>>,
    precision: Precision,
}

impl Expected {
    /// The right answers at this scale: the stored ones of PostgreSQL at scale 0.01, elsewhere
    /// computed here by DataFusion, which takes memory and time.
    pub async fn at_scale(scale: f64, console: &Console) -> Result<Self> {
        if scale == STORED_SCALE {
            let answers = QUERIES.iter().map(stored_answer).collect();
            return Ok(Self { answers, precision: Precision::Rounded });
        }
        let oracle = Oracle::new(scale, console).await?;
        let bar = console.bar("checking", QUERIES.len() as u64);
        let mut answers = Vec::new();
        for query in &QUERIES {
            answers.push(oracle.answer(query).await?);
            bar.advance(1);
        }
        bar.done("computed the expected answers with DataFusion");
        Ok(Self { answers, precision: Precision::CutOff })
    }

    /// `Ok`, or the first difference in words.
    pub fn check(&self, query: &Query, got: &[Row]) -> Result<(), String> {
        let expected = self.answers.get(query.number - 1);
        compare(query, expected.map_or(&[], Vec::as_slice), got, self.precision)
    }
}

/// What came of one query.
#[derive(Clone, Debug, Serialize)]
pub struct QueryReport {
    /// 1 to 22.
    pub query: usize,
    /// From the query's text sent to its last row received.
    pub ms: f64,
    /// Rows of the answer.
    pub rows: usize,
    /// Rows that went from one datanode to another; `None`: the server does not say.
    pub rows_moved: Option<u64>,
    /// Their bytes.
    pub bytes_moved: Option<u64>,
    /// Whether the answer is right.
    pub answer: Verdict,
    /// The first difference from the right answer, or the error.
    pub problem: Option<String>,
    /// What the server warned of.
    pub warnings: Vec<String>,
}

/// Whether an answer is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is.
    Right,
    /// It is not.
    Wrong,
    /// There was none, but an error.
    Failed,
    /// Nobody looked.
    Unchecked,
}

/// What came of all of them.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The scale.
    pub scale: f64,
    /// One for each query, in order.
    pub queries: Vec<QueryReport>,
    /// Of all queries together.
    pub total_ms: f64,
    /// The 22nd root of their product.
    pub geometric_mean_ms: f64,
}

impl RunReport {
    /// The queries whose answer is wrong, or which failed.
    pub fn bad(&self) -> impl Iterator<Item = (usize, &str)> {
        self.queries.iter().filter_map(|report| Some((report.query, report.problem.as_deref()?)))
    }
}

/// Runs the queries one after another and shows each report as it comes. `expected: None`:
/// answers are not checked. Fails only when the connection is lost.
pub async fn run(
    client: &mut Client,
    scale: f64,
    expected: Option<&Expected>,
    mut show: impl FnMut(&QueryReport),
) -> Result<RunReport> {
    let mut queries = Vec::new();
    for query in &QUERIES {
        let report = run_query(client, query, expected).await?;
        show(&report);
        queries.push(report);
    }
    let total_ms = queries.iter().map(|q| q.ms).sum();
    let logarithms: f64 = queries.iter().map(|q| q.ms.max(f64::MIN_POSITIVE).ln()).sum();
    let geometric_mean_ms = (logarithms / queries.len() as f64).exp();
    Ok(RunReport { scale, queries, total_ms, geometric_mean_ms })
}

async fn run_query(
    client: &mut Client,
    query: &Query,
    expected: Option<&Expected>,
) -> Result<QueryReport> {
    let started = Instant::now();
    let result = client.query(query.sql).await;
    let ms = started.elapsed().as_secs_f64() * 1000.0;
    let mut report = QueryReport {
        query: query.number,
        ms,
        rows: 0,
        rows_moved: None,
        bytes_moved: None,
        answer: Verdict::Unchecked,
        problem: None,
        warnings: Vec::new(),
    };
    match result {
        Ok(answer) => {
            report.rows = answer.rows.len();
            report.warnings = answer.notices.iter().map(describe).collect();
            (report.rows_moved, report.bytes_moved) = moved(client).await;
            report.problem = expected.and_then(|e| e.check(query, &answer.rows).err());
            report.answer = match (expected, &report.problem) {
                (None, _) => Verdict::Unchecked,
                (Some(_), None) => Verdict::Right,
                (Some(_), Some(_)) => Verdict::Wrong,
            };
        }
        Err(error) if client.is_closed() => return Err(error.into()),
        Err(error) => {
            report.answer = Verdict::Failed;
            report.problem = Some(error.to_string());
        }
    }
    Ok(report)
}

/// Not every server keeps count; that is no reason to fail.
async fn moved(client: &mut Client) -> (Option<u64>, Option<u64>) {
    let Ok(answer) = client.query(MOVED).await else { return (None, None) };
    let number = |i: usize| answer.rows.first()?.get(i)?.as_deref()?.parse().ok();
    (number(0), number(1))
}

fn describe(notice: &Notice) -> String {
    format!("{} {}: {}", notice.severity, notice.sqlstate, notice.text)
}
