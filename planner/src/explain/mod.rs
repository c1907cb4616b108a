//! EXPLAIN: a placed plan as text in Greenplum's shape, or as JSON.
//!
//! ```text
//! Gather Motion 3:1  (slice1; datanodes: 3)  (cost=12.10..431.00 rows=1000 width=8)
//!   ->  Hash Join  (cost=12.10..421.00 rows=334 width=8)
//!         Hash Cond: (a = b)
//! ```
//!
//! Rows below a Gather are those of one datanode, as in Greenplum. Golden tests compare this text.
//! With ANALYZE each node has what ran of it: [`actual`].

mod actual;
mod cost;
mod describe;
mod dispatched;
mod expression;
mod json;
mod render;
mod sent;

use datafusion::physical_plan::filter::FilterExec;
use kestrel_proto::DatanodeId;

use crate::{
    distribute::Placed,
    operators::{RowChangeExec, RowChangeKind, SegmentWriteExec, ShardScanExec},
    plan::Plan,
    slice::Slice,
};

use actual::Actuals;
pub use actual::{Actual, Execution, OperatorRows, operator_rows, slice_lines, slice_values};
pub use cost::Cost;
pub(crate) use describe::{condition, title};
pub use dispatched::dispatched;
pub(crate) use expression::{Columns, Printer};
pub use json::json;
pub use render::text;
pub use sent::{NodeSql, SentSql};

/// So many times the average the largest datanode's rows are where that is worth a line.
const SKEW_SHOWN: f64 = 1.5;

/// What to print besides the plan.
#[derive(Clone, Copy, Debug)]
pub struct ExplainOptions {
    /// `(cost=… rows=… width=…)`
    pub costs: bool,
    /// `Locus:` and `Output:` lines.
    pub verbose: bool,
    /// Times of what ran.
    pub timing: bool,
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
    /// Of a scan of a table that databases hold.
    pub sql: Option<NodeSql>,
    /// Before its own inputs: `InitPlan 1 (returns $0)`.
    pub label: Option<String>,
    /// What ran of it; `None`: nothing did, or it is no operator.
    pub actual: Option<Actual>,
    /// Inputs.
    pub children: Vec<ExplainNode>,
}

/// The tree that EXPLAIN prints. `sent`: what datanodes say of its scans. `execution`: what ran, if it
/// did.
pub fn explain(
    plan: &Plan,
    options: ExplainOptions,
    sent: &SentSql,
    execution: Option<&Execution>,
) -> ExplainNode {
    let actuals = execution.map(|execution| Actuals::of(&plan.root, execution));
    let mut numbering = Numbering {
        slices: &plan.slices,
        next: 1,
        slice: 0,
        scans: 0,
        operators: 0,
        sent,
        actuals,
        options,
    };
    let mut root = numbering.node(&plan.root, plan.slices[0].executors.len());
    let nothing = SentSql::default();
    for (number, init) in plan.init.iter().enumerate() {
        let sent = sent.init.get(number).unwrap_or(&nothing);
        let of_init = execution.and_then(|execution| execution.init.get(number));
        let mut tree = explain(init, options, sent, of_init);
        tree.label = Some(format!("InitPlan {} (returns ${number})", number + 1));
        root.children.insert(number, tree);
    }
    root
}

/// Whether a plan's own operators write.
pub fn writes(plan: &Plan) -> bool {
    let is_write = |slice: &Slice| {
        let root = slice.plan.children();
        let root = root.first().map_or(&slice.plan, |below| *below);
        root.is::<SegmentWriteExec>() || root.is::<RowChangeExec>()
    };
    plan.slices.iter().any(is_write)
}

/// The rows of a query that the coordinator writes into a table itself.
pub fn insert(table: &str, rows: ExplainNode) -> ExplainNode {
    written(format!("Insert on {table}"), rows)
}

/// The rows of a query by which the coordinator changes a table itself.
pub fn row_change(kind: RowChangeKind, table: &str, rows: ExplainNode) -> ExplainNode {
    written(describe::row_change_title(kind, table), rows)
}

fn written(title: String, rows: ExplainNode) -> ExplainNode {
    let cost = Cost { startup: rows.cost.total, total: rows.cost.total };
    ExplainNode {
        title,
        slice: None,
        cost,
        rows: 0.0,
        width: 0,
        properties: Vec::new(),
        sql: None,
        label: None,
        actual: None,
        children: vec![rows],
    }
}

/// Walks the tree in the order in which slicing numbered its motions.
struct Numbering<'a> {
    slices: &'a [Slice],
    next: usize,
    /// The one that the walk is in.
    slice: usize,
    /// Scans of databases that it has come by in that slice.
    scans: usize,
    /// Operators, too.
    operators: usize,
    sent: &'a SentSql,
    actuals: Option<Actuals>,
    options: ExplainOptions,
}

impl Numbering<'_> {
    fn node(&mut self, placed: &Placed, executors: usize) -> ExplainNode {
        if let Some(motion) = placed.motion() {
            let number = self.next;
            self.next += 1;
            let below = self.slices.get(number);
            let senders: &[DatanodeId] = below.map_or(&[], |slice| &slice.executors);
            let mut actual = self.actual();
            let above = (self.slice, self.scans, self.operators);
            (self.slice, self.scans, self.operators) = (number, 0, 0);
            if let (Some(received), Some(sent)) = (&mut actual, self.actual()) {
                received.add_sender(sent);
            }
            let child = self.node(&placed.children[0], senders.len());
            (self.slice, self.scans, self.operators) = above;
            let mut node = self.describe(placed, executors, actual, vec![child]);
            node.title = format!("{} {}:{}", motion.label(), senders.len(), executors);
            node.slice = Some((number as u32, senders.len()));
            if below.is_some_and(|slice| slice.is_direct) {
                let names: Vec<_> = senders.iter().map(|datanode| datanode.name()).collect();
                node.properties.push(("Dispatch", names.join(", ")));
            }
            return node;
        }
        let mut actual = self.actual();
        let mut children: Vec<_> =
            placed.children.iter().map(|child| self.node(child, executors)).collect();
        if describe::is_silent(placed)
            && !self.options.verbose
            && children.len() == 1
            && let Some(mut child) = children.pop()
        {
            if let (Some(of_child), Some(silent)) = (&mut child.actual, actual) {
                of_child.add_silent(silent);
            }
            return child;
        }
        if placed.plan.is::<FilterExec>()
            && let Some(input) = children.first().and_then(|child| child.actual.as_ref())
            && let Some(actual) = &mut actual
        {
            actual.add_removed(input);
        }
        self.describe(placed, executors, actual, children)
    }

    /// What ran of the next operator of the slice.
    fn actual(&mut self) -> Option<Actual> {
        let position = self.operators;
        self.operators += 1;
        self.actuals.as_mut().map(|actuals| actuals.take(self.slice, position))
    }

    fn describe(
        &mut self,
        placed: &Placed,
        executors: usize,
        actual: Option<Actual>,
        children: Vec<ExplainNode>,
    ) -> ExplainNode {
        let share = if placed.locus.is_partitioned() { executors.max(1) as f64 } else { 1.0 };
        let rows = (placed.estimate.rows / share).max(1.0).round();
        let mut properties = describe::properties(placed);
        if self.options.verbose {
            let schema = placed.plan.schema();
            let print = Printer::new(Columns::Output(placed));
            let name = |column: usize| print.column(column, schema.field(column).name());
            properties.push(("Locus", placed.locus.describe(name)));
            if placed.motion().is_some() && placed.estimate.skew >= SKEW_SHOWN {
                let times = placed.estimate.skew;
                properties.push(("Skew", format!("{times:.1} times the average")));
            }
            let output: Vec<_> = (0..schema.fields().len()).map(name).collect();
            properties.push(("Output", output.join(", ")));
        }
        let mut node = ExplainNode {
            title: describe::title(placed),
            slice: None,
            cost: Cost::default(),
            rows,
            width: cost::width(&placed.plan.schema()),
            properties,
            sql: self.sql(placed),
            label: None,
            actual,
            children: describe::arrange(placed, children),
        };
        node.cost = cost::cost(placed, &node, share);
        node
    }

    fn sql(&mut self, placed: &Placed) -> Option<NodeSql> {
        let scan = placed.plan.downcast_ref::<ShardScanExec>();
        let scan = scan.filter(|scan| scan.table().is_on_shards())?;
        let position = self.scans;
        self.scans += 1;
        let slice = self.slices.get(self.slice)?;
        Some(self.sent.of_scan(slice, position, describe::presumed_sql(scan)?))
    }
}
