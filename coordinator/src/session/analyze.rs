//! The lines that EXPLAIN ANALYZE adds.

use std::collections::BTreeMap;

use kestrel_proto::{DatanodeId, message::OperatorReport};

use crate::query::QuerySummary;

/// What ran on the datanodes, slice by slice, then times and what moved.
pub(super) fn lines(summary: &QuerySummary, planning_ms: f64, execution_ms: f64) -> Vec<String> {
    let mut slices: BTreeMap<u32, Vec<(DatanodeId, &[OperatorReport])>> = BTreeMap::new();
    for (slice, datanode, report) in &summary.fragments {
        slices.entry(*slice).or_default().push((*datanode, &report.operators));
    }
    let mut lines = Vec::new();
    for (slice, mut reports) in slices {
        reports.sort_by_key(|(datanode, _)| *datanode);
        lines.push(format!("Slice {slice} (datanodes: {})", reports.len()));
        let Some((_, first)) = reports.first() else { continue };
        for (position, operator) in first.iter().enumerate() {
            let indent = "  ".repeat(operator.depth as usize + 1);
            let same: Vec<_> = reports
                .iter()
                .filter_map(|(datanode, operators)| Some((*datanode, operators.get(position)?)))
                .filter(|(_, other)| other.name == operator.name)
                .collect();
            lines.push(format!("{indent}{}", operator.detail));
            lines.push(format!("{indent}  {}", rows_out(&same)));
        }
    }
    let (rows, bytes) = summary.moved();
    lines.push(format!("Planning Time: {planning_ms:.3} ms"));
    lines.push(format!("Dispatch Time: {:.3} ms", summary.dispatch_ms));
    lines.push(format!("Execution Time: {execution_ms:.3} ms"));
    lines.push(format!("Moved: {rows} rows, {bytes} bytes"));
    lines
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
