//! The printed plan as text or JSON.

use serde_json::{Map, Value, json as value};

use super::{Cost, ExplainNode, ExplainOptions};

/// One line per node and property.
pub fn text(root: &ExplainNode, options: ExplainOptions) -> Vec<String> {
    let mut lines = Vec::new();
    write(root, 0, options, &mut lines);
    lines
}

fn write(node: &ExplainNode, depth: usize, options: ExplainOptions, lines: &mut Vec<String>) {
    // The root stands at the left edge; each level below is six further in, behind an arrow.
    let arrow = match depth {
        0 => String::new(),
        _ => format!("{}->  ", " ".repeat(depth * 6 - 4)),
    };
    let mut line = format!("{arrow}{}", node.title);
    if let Some((slice, datanodes)) = node.slice {
        line.push_str(&format!("  (slice{slice}; datanodes: {datanodes})"));
    }
    if options.costs {
        let Cost { startup: first, total: last } = node.cost;
        let (rows, width) = (node.rows, node.width);
        line.push_str(&format!("  (cost={first:.2}..{last:.2} rows={rows:.0} width={width})"));
    }
    lines.push(line);
    let indent = " ".repeat(depth * 6 + 2);
    for (name, text) in &node.properties {
        lines.push(format!("{indent}{name}: {text}"));
    }
    for child in &node.children {
        if let Some(label) = &child.label {
            lines.push(format!("{indent}{label}"));
        }
        write(child, depth + 1, options, lines);
    }
}

/// PostgreSQL's `FORMAT JSON`: an array of one object, which has the plan and what `more` says
/// (`Planning Time`, …).
pub fn json(root: &ExplainNode, options: ExplainOptions, more: Map<String, Value>) -> String {
    let mut document = Map::from_iter([("Plan".to_string(), object(root, options))]);
    document.extend(more);
    serde_json::to_string_pretty(&value!([document])).unwrap_or_default()
}

fn object(node: &ExplainNode, options: ExplainOptions) -> Value {
    let mut fields = Map::new();
    fields.insert("Node Type".into(), value!(node.title));
    if let Some(label) = &node.label {
        fields.insert("Subplan Name".into(), value!(label));
    }
    if let Some((slice, datanodes)) = node.slice {
        fields.insert("Slice".into(), value!(slice));
        fields.insert("Datanodes".into(), value!(datanodes));
    }
    if options.costs {
        let cents = |cost: f64| value!((cost * 100.0).round() / 100.0);
        fields.insert("Startup Cost".into(), cents(node.cost.startup));
        fields.insert("Total Cost".into(), cents(node.cost.total));
        fields.insert("Plan Rows".into(), value!(node.rows as u64));
        fields.insert("Plan Width".into(), value!(node.width));
    }
    for (name, text) in &node.properties {
        fields.insert((*name).into(), value!(text));
    }
    if !node.children.is_empty() {
        let plans = node.children.iter().map(|child| object(child, options)).collect();
        fields.insert("Plans".into(), Value::Array(plans));
    }
    Value::Object(fields)
}
