//! The printed plan as text.

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
    if let Some(actual) = &node.actual {
        line.push_str(&actual.title(options));
    }
    lines.push(line);
    let indent = " ".repeat(depth * 6 + 2);
    for (name, text) in &node.properties {
        lines.push(format!("{indent}{name}: {text}"));
    }
    if let Some(sql) = &node.sql {
        lines.extend(sql.lines(options).iter().map(|line| format!("{indent}{line}")));
    }
    if let Some(actual) = &node.actual {
        lines.extend(actual.lines(options).iter().map(|line| format!("{indent}{line}")));
    }
    for child in &node.children {
        if let Some(label) = &child.label {
            lines.push(format!("{indent}{label}"));
        }
        write(child, depth + 1, options, lines);
    }
}
