//! What EXPLAIN adds to a plan: times, and with ANALYZE what ran.

use std::collections::BTreeMap;

use kestrel_proto::{DatanodeId, message::OperatorReport};
use serde_json::{Map, Value, json};

use crate::query::QuerySummary;

/// What was measured of a statement.
pub(super) struct Measured {
    /// How long it was planned.
    pub(super) planning_ms: f64,
    /// Whether times are wanted.
    pub(super) summary: bool,
    /// ANALYZE: how long it ran, and what there was to see.
    pub(super) execution: Option<(f64, QuerySummary)>,
}

impl Measured {
    /// As lines: slice by slice, then times and what moved.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some((_, summary)) = &self.execution {
            for slice in slices(summary) {
                lines.push(format!("Slice {} (datanodes: {})", slice.number, slice.datanodes));
                for operator in &slice.operators {
                    let indent = "  ".repeat(operator.depth + 1);
                    lines.push(format!("{indent}{}", operator.detail));
                    let spilled = match operator.spilled_bytes {
                        0 => String::new(),
                        bytes => format!("; spilled: {bytes} bytes"),
                    };
                    lines.push(format!("{indent}  {}{spilled}", operator.rows_out));
                }
            }
        }
        if self.summary {
            lines.push(format!("Planning Time: {:.3} ms", self.planning_ms));
        }
        if let Some((execution_ms, summary)) = &self.execution {
            if self.summary {
                lines.push(format!("Dispatch Time: {:.3} ms", summary.dispatch_ms));
                lines.push(format!("Execution Time: {execution_ms:.3} ms"));
            }
            let (rows, bytes) = summary.moved();
            lines.push(format!("Moved: {rows} rows, {bytes} bytes"));
        }
        lines
    }

    /// The same as parts of a JSON document.
    pub(super) fn values(&self) -> Map<String, Value> {
        let mut values = Map::new();
        if self.summary {
            values.insert("Planning Time".into(), milliseconds(self.planning_ms));
        }
        let Some((execution_ms, summary)) = &self.execution else { return values };
        let slices = slices(summary).into_iter().map(|slice| {
            let operators = slice.operators.iter().map(|operator| {
                json!({
                    "Depth": operator.depth,
                    "Operator": operator.detail,
                    "Rows Out": operator.total_rows,
                    "Actual": operator.rows_out,
                    "Spilled Bytes": operator.spilled_bytes,
                })
            });
            json!({
                "Slice": slice.number,
                "Datanodes": slice.datanodes,
                "Operators": operators.collect::<Vec<_>>(),
            })
        });
        values.insert("Slices".into(), slices.collect());
        if self.summary {
            values.insert("Dispatch Time".into(), milliseconds(summary.dispatch_ms));
            values.insert("Execution Time".into(), milliseconds(*execution_ms));
        }
        let (rows, bytes) = summary.moved();
        values.insert("Rows Moved".into(), json!(rows));
        values.insert("Bytes Moved".into(), json!(bytes));
        values
    }
}

fn milliseconds(ms: f64) -> Value {
    json!((ms * 1000.0).round() / 1000.0)
}

/// What ran of a slice.
struct SliceReport {
    number: u32,
    datanodes: usize,
    operators: Vec<OperatorRows>,
}

/// An operator on all its datanodes.
struct OperatorRows {
    depth: usize,
    detail: String,
    total_rows: u64,
    spilled_bytes: u64,
    rows_out: String,
}

fn slices(summary: &QuerySummary) -> Vec<SliceReport> {
    let mut slices: BTreeMap<u32, Vec<(DatanodeId, &[OperatorReport])>> = BTreeMap::new();
    for (slice, datanode, report) in &summary.fragments {
        slices.entry(*slice).or_default().push((*datanode, &report.operators));
    }
    let report = |(number, mut reports): (u32, Vec<(DatanodeId, &[OperatorReport])>)| {
        reports.sort_by_key(|(datanode, _)| *datanode);
        let first = reports.first().map_or(&[][..], |(_, operators)| *operators);
        let operators = first.iter().enumerate().map(|(position, operator)| {
            let same: Vec<_> = reports
                .iter()
                .filter_map(|(datanode, operators)| Some((*datanode, operators.get(position)?)))
                .filter(|(_, other)| other.name == operator.name)
                .collect();
            OperatorRows {
                depth: operator.depth as usize,
                detail: operator.detail.clone(),
                total_rows: same.iter().map(|(_, operator)| operator.rows_out).sum(),
                spilled_bytes: same.iter().map(|(_, operator)| operator.spilled_bytes).sum(),
                rows_out: rows_out(&same),
            }
        });
        SliceReport { number, datanodes: reports.len(), operators: operators.collect() }
    };
    slices.into_iter().map(report).collect()
}

fn rows_out(same: &[(DatanodeId, &OperatorReport)]) -> String {
    let total: u64 = same.iter().map(|(_, o)| o.rows_out).sum();
    let average = total as f64 / same.len().max(1) as f64;
    let most = same.iter().max_by_key(|(_, o)| o.rows_out);
    let least = same.iter().min_by_key(|(_, o)| o.rows_out);
    let slowest = same.iter().map(|(_, o)| o.elapsed_compute_ns).max().unwrap_or(0);
    match (most, least) {
        (Some((most_at, most)), Some((least_at, least))) => format!(
            "Rows out: avg {average:.1} x {} datanodes, max {} ({most_at}), min {} ({least_at}); \
             time: max {:.3} ms",
            same.len(),
            most.rows_out,
            least.rows_out,
            slowest as f64 / 1e6,
        ),
        _ => "Rows out: none".into(),
    }
}
