//! The words for what operators count and choose.

use kestrel_proto::{DatanodeId, message::OperatorReport};

use super::Run;

/// Rows that a filter has looked at and dropped.
pub(super) const ROWS_REMOVED: &str = "rows_filtered_by_conjuncts";
/// Of a scan: how many segments there are, and of how many it has read something.
pub(super) const SEGMENTS: &str = "segments";
pub(super) const SEGMENTS_READ: &str = "segments_read";

/// What operators count that is worth a line, and its name there. The rest VERBOSE shows.
pub(super) const COUNTERS: &[(&str, &str)] = &[
    ("partitions_pruned", "Partitions Pruned"),
    ("pieces_read", "Row Groups Read"),
    ("pieces_pruned", "Row Groups Pruned"),
    ("zones_pruned", "Zones Pruned"),
    (ROWS_REMOVED, "Rows Removed by Filter"),
    ("rows_filtered_by_runtime_filters", "Rows Removed by Runtime Filter"),
];

/// How an operator counts something; 0: it does not.
pub(super) fn counter(report: &OperatorReport, name: &str) -> u64 {
    report.counters.iter().find(|counter| counter.name == name).map_or(0, |counter| counter.value)
}

/// What a datanode chose for an operator, under its name; `None`: there was nothing to choose.
fn choice(run: &Run) -> Option<(&'static str, String)> {
    let OperatorReport { name, detail, .. } = &run.report;
    match name.as_str() {
        "HashJoinExec" => {
            let mode = detail.split_once("mode=")?.1.split(',').next()?;
            let turned = if run.is_turned { ", first input hashed" } else { "" };
            Some(("Join Mode", format!("{mode}{turned}")))
        }
        "NestedLoopJoinExec" | "CrossJoinExec" | "SortMergeJoinExec" if run.is_turned => {
            Some(("Join Mode", "inputs exchanged".into()))
        }
        "DirectAggregateExec" => {
            let is_dense = detail.contains(", dense");
            Some(("Strategy", if is_dense { "direct, dense" } else { "direct" }.into()))
        }
        _ => None,
    }
}

/// What the datanodes chose: `CollectLeft`, or `CollectLeft (dn1, dn3), Partitioned (dn2)`.
pub(super) fn choices(runs: &[Run]) -> Option<(&'static str, String)> {
    let mut found: Vec<(String, Vec<DatanodeId>)> = Vec::new();
    let mut label = None;
    for run in runs {
        let text = match choice(run) {
            Some((name, text)) => {
                label = Some(name);
                text
            }
            None => "as planned".into(),
        };
        match found.iter_mut().find(|(other, _)| *other == text) {
            Some((_, datanodes)) => datanodes.push(run.datanode),
            None => found.push((text, vec![run.datanode])),
        }
    }
    let label = label?;
    if let [(text, _)] = found.as_slice() {
        return Some((label, text.clone()));
    }
    let of_some = found.iter().map(|(text, datanodes)| {
        let names: Vec<_> = datanodes.iter().map(|datanode| datanode.name()).collect();
        format!("{text} ({})", names.join(", "))
    });
    Some((label, of_some.collect::<Vec<_>>().join(", ")))
}
