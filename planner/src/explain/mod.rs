//! EXPLAIN: a placed plan as text in Greenplum's shape, or as JSON.
//!
//! ```text
//! Gather Motion 3:1  (slice1; datanodes: 3)  (cost=12.10..431.00 rows=1000 width=8)
//!   ->  Hash Join  (cost=12.10..421.00 rows=334 width=8)
//!         Hash Cond: (a = b)
//! ```
//!
//! Rows below a Gather are those of one datanode, as in Greenplum. Golden tests compare this text.

mod cost;
mod describe;
mod json;
mod render;

use kestrel_proto::DatanodeId;

use crate::{distribute::Placed, plan::Plan, slice::Slice};

pub use cost::Cost;
pub use json::json;
pub use render::text;

/// What to print besides the plan.
#[derive(Clone, Copy, Debug)]
pub struct ExplainOptions {
    /// `(cost=… rows=… width=…)`
    pub costs: bool,
    /// `Locus:` and `Output:` lines.
    pub verbose: bool,
}

/// A node of the printed plan.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainNode {
    /// `Hash Join`, `Gather Motion 3:1`, …
    pub title: String,
    /// The slice that sends, and how many datanodes run it.
    pub slice: Option<(u32, usize)>,
    /// Until the first row, and until the last.
    pub cost: Cost,
    /// On one datanode, where there are parts.
    pub rows: f64,
    /// Bytes.
    pub width: usize,
    /// `Hash Cond: …`, in order.
    pub properties: Vec<(&'static str, String)>,
    /// Before its own inputs: `InitPlan 1 (returns $0)`.
    pub label: Option<String>,
    /// Inputs.
    pub children: Vec<ExplainNode>,
}

/// The tree that EXPLAIN prints.
pub fn explain(plan: &Plan, options: ExplainOptions) -> ExplainNode {
    let mut numbering = Numbering { slices: &plan.slices, next: 1, options };
    let mut root = numbering.node(&plan.root, plan.slices[0].executors.len());
    for (number, init) in plan.init.iter().enumerate() {
        let mut tree = explain(init, options);
        tree.label = Some(format!("InitPlan {} (returns ${number})", number + 1));
        root.children.insert(number, tree);
    }
    root
}

/// The rows of a query that the coordinator writes into a table itself.
pub fn insert(table: &str, rows: ExplainNode) -> ExplainNode {
    let cost = Cost { startup: rows.cost.total, total: rows.cost.total };
    ExplainNode {
        title: format!("Insert on {table}"),
        slice: None,
        cost,
        rows: 0.0,
        width: 0,
        properties: Vec::new(),
        label: None,
        children: vec![rows],
    }
}

/// Walks the tree in the order in which slicing numbered its motions.
struct Numbering<'a> {
    slices: &'a [Slice],
    next: usize,
    options: ExplainOptions,
}

impl Numbering<'_> {
    fn node(&mut self, placed: &Placed, executors: usize) -> ExplainNode {
        if let Some(motion) = placed.motion() {
            let number = self.next;
            self.next += 1;
            let senders: &[DatanodeId] =
                self.slices.get(number).map_or(&[], |slice| &slice.executors);
            let child = self.node(&placed.children[0], senders.len());
            let mut node = self.describe(placed, executors, vec![child]);
            node.title = format!("{} {}:{}", motion.label(), senders.len(), executors);
            node.slice = Some((number as u32, senders.len()));
            return node;
        }
        let mut children: Vec<_> =
            placed.children.iter().map(|child| self.node(child, executors)).collect();
        if describe::is_silent(placed)
            && !self.options.verbose
            && children.len() == 1
            && let Some(child) = children.pop()
        {
            return child;
        }
        self.describe(placed, executors, children)
    }

    fn describe(
        &self,
        placed: &Placed,
        executors: usize,
        children: Vec<ExplainNode>,
    ) -> ExplainNode {
        let share = if placed.locus.is_partitioned() { executors.max(1) as f64 } else { 1.0 };
        let rows = (placed.estimate.rows / share).max(1.0).round();
        let mut properties = describe::properties(placed);
        if self.options.verbose {
            let schema = placed.plan.schema();
            let name = |column: usize| schema.field(column).name().clone();
            properties.push(("Locus", placed.locus.describe(name)));
            let output: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            properties.push(("Output", output.join(", ")));
        }
        let mut node = ExplainNode {
            title: describe::title(placed),
            slice: None,
            cost: Cost::default(),
            rows,
            width: cost::width(&placed.plan.schema()),
            properties,
            label: None,
            children: describe::arrange(placed, children),
        };
        node.cost = cost::cost(placed, &node, share);
        node
    }
}
