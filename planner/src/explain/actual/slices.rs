//! What the slices of a plan that has run took.

use kestrel_proto::{DatanodeId, message::FragmentReport};
use serde_json::{Map, Value, json};

use super::{
    Execution,
    show::{as_milliseconds, bytes, milliseconds, rounded, spread},
};
use crate::explain::ExplainOptions;

/// `Slice 1: memory: avg 2048 bytes x 3 datanodes, max …, min …; time: …`, those of init plans first.
pub fn slice_lines(execution: &Execution, options: ExplainOptions) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, init) in execution.init.iter().enumerate() {
        let of_init = slice_lines(init, options).into_iter();
        lines.extend(of_init.map(|line| format!("InitPlan {}, {line}", number + 1)));
    }
    for (slice, reports) in slices(execution) {
        let values = |value: fn(&FragmentReport) -> u64| {
            reports.iter().map(|(datanode, report)| (*datanode, value(report))).collect::<Vec<_>>()
        };
        let memory = spread(&values(|report| report.peak_memory_bytes), bytes);
        let mut line = format!("Slice {slice}: memory: {memory}");
        if options.timing {
            let time = spread(&values(|report| report.elapsed_ns), as_milliseconds);
            line.push_str(&format!("; time: {time}"));
        }
        lines.push(line);
    }
    lines
}

/// The same as a JSON array.
pub fn slice_values(execution: &Execution, options: ExplainOptions) -> Value {
    let mut values = Vec::new();
    for (number, init) in execution.init.iter().enumerate() {
        if let Value::Array(of_init) = slice_values(init, options) {
            values.extend(of_init.into_iter().map(|mut value| {
                if let Value::Object(fields) = &mut value {
                    fields.entry("InitPlan").or_insert(json!(number + 1));
                }
                value
            }));
        }
    }
    for (slice, reports) in slices(execution) {
        let of_one = |(datanode, report): &(DatanodeId, &FragmentReport)| {
            let mut fields = Map::new();
            fields.insert("Datanode".into(), json!(datanode.name()));
            fields.insert("Memory".into(), json!(report.peak_memory_bytes));
            if options.timing {
                fields.insert("Time".into(), rounded(milliseconds(report.elapsed_ns)));
            }
            Value::Object(fields)
        };
        let datanodes: Vec<_> = reports.iter().map(of_one).collect();
        values.push(json!({ "Slice": slice, "On Datanodes": datanodes }));
    }
    Value::Array(values)
}

/// The reports of each slice, by datanode.
fn slices(execution: &Execution) -> Vec<(u32, Vec<(DatanodeId, &FragmentReport)>)> {
    let mut all: Vec<_> =
        execution.fragments.iter().map(|(s, d, report)| (*s, *d, report)).collect();
    all.sort_by_key(|(slice, datanode, _)| (*slice, *datanode));
    let mut slices: Vec<(u32, Vec<_>)> = Vec::new();
    for (slice, datanode, report) in all {
        match slices.last_mut() {
            Some((last, reports)) if *last == slice => reports.push((datanode, report)),
            _ => slices.push((slice, vec![(datanode, report)])),
        }
    }
    slices
}
