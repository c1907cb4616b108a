//! The printed plan as JSON, with PostgreSQL's keys where it has them (`ExplainNode`, explain.c), and
//! ours for motions.

use serde_json::{Map, Value, json as value};

use super::{Cost, ExplainNode, ExplainOptions};

/// PostgreSQL's `FORMAT JSON`: an array of one object, which has the plan and what `more` says
/// (`Planning Time`, …).
pub fn json(root: &ExplainNode, options: ExplainOptions, more: Map<String, Value>) -> String {
    let mut document = Map::from_iter([("Plan".to_string(), object(root, None, options))]);
    document.extend(more);
    serde_json::to_string_pretty(&value!([document])).unwrap_or_default()
}

fn object(node: &ExplainNode, relationship: Option<&str>, options: ExplainOptions) -> Value {
    let mut fields: Map<String, Value> =
        title(&node.title).into_iter().map(|(key, text)| (key.to_string(), text)).collect();
    if let Some(relationship) = relationship {
        fields.insert("Parent Relationship".into(), value!(relationship));
    }
    if let Some(label) = &node.label {
        fields.insert("Subplan Name".into(), value!(label));
    }
    if let Some((slice, datanodes)) = node.slice {
        fields.insert("Slice".into(), value!(slice));
        fields.insert("Datanodes".into(), value!(datanodes));
    }
    if options.costs {
        let cents = |cost: f64| value!((cost * 100.0).round() / 100.0);
        let Cost { startup, total } = node.cost;
        fields.insert("Startup Cost".into(), cents(startup));
        fields.insert("Total Cost".into(), cents(total));
        fields.insert("Plan Rows".into(), value!(node.rows as u64));
        fields.insert("Plan Width".into(), value!(node.width));
    }
    if let Some(actual) = &node.actual {
        fields.extend(actual.fields(options));
    }
    for (name, text) in &node.properties {
        fields.insert((*name).into(), value!(text));
    }
    if let Some(sql) = &node.sql {
        let (name, of_datanodes) = sql.value();
        fields.insert(name.into(), of_datanodes);
    }
    if !node.children.is_empty() {
        let mut inputs = 0;
        let child = |child: &ExplainNode| {
            let relationship = match (&child.label, inputs) {
                (Some(_), _) => "InitPlan",
                (None, 0) => "Outer",
                (None, _) => "Inner",
            };
            inputs += usize::from(child.label.is_none());
            object(child, Some(relationship), options)
        };
        fields.insert("Plans".into(), node.children.iter().map(child).collect());
    }
    Value::Object(fields)
}

/// What a title says: `Seq Scan on t` is a node type and a relation.
fn title(title: &str) -> Vec<(&'static str, Value)> {
    let typed = |node_type: &str| vec![("Node Type", value!(node_type))];
    if let Some((node_type, relation)) = title.split_once(" on ") {
        let mut fields = typed(node_type);
        fields.push(("Relation Name", value!(relation)));
        return fields;
    }
    if let Some((motion, numbers)) = title.rsplit_once(' ')
        && let Some((senders, receivers)) = numbers.split_once(':')
        && let (Ok(senders), Ok(receivers)) = (senders.parse::<u64>(), receivers.parse::<u64>())
    {
        let mut fields = typed(motion);
        fields.extend([("Senders", value!(senders)), ("Receivers", value!(receivers))]);
        return fields;
    }
    for (prefix, node_type) in [("Hash ", "Hash Join"), ("Nested Loop", "Nested Loop")] {
        let Some(rest) = title.strip_prefix(prefix) else { continue };
        let kind = match rest.strip_suffix("Join") {
            Some(kind) => kind.trim(),
            None if rest.is_empty() => "",
            None => continue,
        };
        let mut fields = typed(node_type);
        fields.push(("Join Type", value!(if kind.is_empty() { "Inner" } else { kind })));
        return fields;
    }
    let (mode, aggregate) = match title.split_once(' ') {
        Some((mode @ ("Partial" | "Finalize"), aggregate)) => (mode, aggregate),
        _ => ("Simple", title),
    };
    let strategy = match aggregate {
        "HashAggregate" => "Hashed",
        "Aggregate" => "Plain",
        _ => return typed(title),
    };
    let mut fields = typed("Aggregate");
    fields.extend([("Strategy", value!(strategy)), ("Partial Mode", value!(mode))]);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_taken_apart() {
        for (text, expected) in [
            ("Seq Scan on t", "Node Type=Seq Scan, Relation Name=t"),
            ("Gather Motion 3:1", "Node Type=Gather Motion, Senders=3, Receivers=1"),
            ("Hash Join", "Node Type=Hash Join, Join Type=Inner"),
            (
                "Hash Left Anti Semi (Not-In) Join",
                "Node Type=Hash Join, Join Type=Left Anti Semi (Not-In)",
            ),
            ("Nested Loop", "Node Type=Nested Loop, Join Type=Inner"),
            ("Nested Loop Left Join", "Node Type=Nested Loop, Join Type=Left"),
            ("Hash", "Node Type=Hash"),
            ("Partial HashAggregate", "Node Type=Aggregate, Strategy=Hashed, Partial Mode=Partial"),
            ("Aggregate", "Node Type=Aggregate, Strategy=Plain, Partial Mode=Simple"),
            ("Sort", "Node Type=Sort"),
        ] {
            let found = title(text).into_iter().map(|(key, value)| match value.as_str() {
                Some(text) => format!("{key}={text}"),
                None => format!("{key}={value}"),
            });
            assert_eq!(found.collect::<Vec<_>>().join(", "), expected);
        }
    }

    #[test]
    fn keys_are_postgresqls() {
        let node = |title: &str, children| ExplainNode {
            title: title.into(),
            slice: None,
            cost: Cost { startup: 0.004, total: 1.256 },
            rows: 3.0,
            width: 4,
            properties: vec![("Filter", "(a > 1)".into())],
            sql: None,
            label: None,
            actual: None,
            children,
        };
        let tree = node("Nested Loop", vec![node("Seq Scan on t", vec![]), node("Result", vec![])]);
        let options = ExplainOptions { costs: true, verbose: false, timing: true };
        let more = Map::from_iter([("Planning Time".to_string(), value!(0.5))]);
        let found: Value = serde_json::from_str(&json(&tree, options, more)).unwrap();
        let costs = r#""Startup Cost": 0.0, "Total Cost": 1.26, "Plan Rows": 3, "Plan Width": 4,
            "Filter": "(a > 1)""#;
        let expected = format!(
            r#"[{{"Plan": {{"Node Type": "Nested Loop", "Join Type": "Inner", {costs}, "Plans": [
                {{"Node Type": "Seq Scan", "Relation Name": "t", "Parent Relationship": "Outer", {costs}}},
                {{"Node Type": "Result", "Parent Relationship": "Inner", {costs}}}
            ]}}, "Planning Time": 0.5}}]"#
        );
        assert_eq!(found, serde_json::from_str::<Value>(&expected).unwrap());
    }
}
