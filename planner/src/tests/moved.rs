//! Plans with what the planner expects their motions to move: the bytes by which it has chosen them.

use super::{ExplainOptions, Plan, SentSql, explain};
use crate::{distribute::Placed, explain::ExplainNode, motion::Motion};

/// `Moves: 1000 rows of 24 bytes, 0.018 MB` below each motion, and the sum of all: the rows that come to
/// it, and the megabytes of them that leave a datanode, as they do when every datanode has as many.
pub(super) fn printed(plan: &Plan) -> String {
    let options = ExplainOptions { costs: false, verbose: false, timing: true };
    let mut tree = explain::explain(plan, options, &SentSql::default(), None);
    let bytes = describe(plan, &mut tree);
    let lines = explain::text(&tree, options);
    format!("{}\nAll motions: {:.3} MB\n", lines.join("\n"), bytes / 1e6)
}

/// Adds a line to each motion; the bytes of all.
fn describe(plan: &Plan, tree: &mut ExplainNode) -> f64 {
    let mut found = Vec::new();
    let mut executors = plan.slices.iter().map(|slice| slice.executors.len());
    let receivers = executors.next().unwrap();
    motions(&plan.root, receivers, &mut executors, &mut found);
    let mut bytes: f64 = found.iter().map(|(_, bytes)| bytes).sum();
    annotate(tree, &found);
    // Init plans come before the root's own inputs, and number their slices for themselves.
    for (init, tree) in plan.init.iter().zip(&mut tree.children) {
        bytes += describe(init, tree);
    }
    bytes
}

/// The text and the bytes of each motion, in the order of their slices. `executors`: of those slices.
fn motions(
    placed: &Placed,
    receivers: usize,
    executors: &mut impl Iterator<Item = usize>,
    found: &mut Vec<(String, f64)>,
) {
    let mut here = receivers;
    if let Some(motion) = placed.motion() {
        let others = receivers as f64 - 1.0;
        let times = match motion {
            Motion::Gather { .. } => 1.0,
            Motion::Redistribute { .. } | Motion::Spread => others / receivers as f64,
            Motion::Broadcast => others,
        };
        let estimate = &placed.estimate;
        let bytes = estimate.bytes() * times;
        let (rows, width) = (estimate.rows, estimate.width);
        found.push((format!("{rows:.0} rows of {width} bytes, {:.3} MB", bytes / 1e6), bytes));
        here = executors.next().unwrap_or_default();
    }
    for child in &placed.children {
        motions(child, here, executors, found);
    }
}

fn annotate(node: &mut ExplainNode, found: &[(String, f64)]) {
    if let Some((slice, _)) = node.slice {
        let (text, _) = &found[slice as usize - 1];
        node.properties.push(("Moves", text.clone()));
    }
    for child in node.children.iter_mut().filter(|child| child.label.is_none()) {
        annotate(child, found);
    }
}
