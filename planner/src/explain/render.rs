//! The printed plan as text or JSON.

use serde_json::{Map, Value, json as value};

use super::{ExplainNode, ExplainOptions};

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
        let (first, last) = node.cost;
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

/// PostgreSQL's `FORMAT JSON`: an array of one object.
pub fn json(root: &ExplainNode, options: ExplainOptions) -> String {
    let plan = value!([{ "Plan": object(root, options) }]);
    serde_json::to_string_pretty(&plan).unwrap_or_default()
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
        fields.insert("Startup Cost".into(), value!(node.cost.0));
        fields.insert("Total Cost".into(), value!(node.cost.1));
        fields.insert("Plan Rows".into(), value!(node.rows));
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
