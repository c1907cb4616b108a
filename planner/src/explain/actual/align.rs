//! Which operator of a datanode does the work of which planned one.
//!
//! A datanode's rules turn joins round, take operators together and put others between. What they
//! leave is the shape: which operators follow one another below each join or union.
//!
//! ```text
//!   planned                       ran
//!   Send                          Send
//!     Finalize Aggregate            Aggregate: mode=Single         Finalize Aggregate
//!       Partial Aggregate             Repartition                  (another, below it)
//!         Join                        Join, turned                 Join
//!           Scan t                      Receive 2                  Receive 2
//!           Receive 2                   Scan t                     Scan t
//! ```
//!
//! So both trees are cut into chains of operators with one input. Of two chains the longest common
//! sequence by kind is found, where an equal variant (the phase of an aggregate) counts more; the
//! joins and unions below them belong together, and their inputs are told apart by what they read.

use std::fmt::{self, Write};

use datafusion::physical_plan::{ExecutionPlan, displayable};
use kestrel_proto::message::OperatorReport;

/// A planned operator, or one that ran, as far as it can be told from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Operator {
    /// `aggregate`, `join`, …: those of one kind can stand for each other.
    pub(super) kind: String,
    /// What tells it from others of its kind: the phase of an aggregate, what a leaf reads.
    pub(super) variant: String,
}

/// Operators in pre-order.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    operator: Operator,
    children: Vec<usize>,
}

/// Where an operator that ran belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is this planned one; `is_turned`: with its inputs the other way round.
    Same { planned: usize, is_turned: bool },
    /// There is none; this one is the nearest above it.
    Below(usize),
}

/// Of an operator by DataFusion's name, and the line that it describes itself with.
pub(super) fn operator(name: &str, detail: &str) -> Operator {
    let kind = kind_of_name(name);
    let rest = detail.split_once(": ").map_or("", |(_, rest)| rest);
    let variant = match kind {
        "aggregate" => phase(name, detail),
        "receive" => rest.split(' ').next().unwrap_or_default(),
        "scan" => rest,
        _ => "",
    };
    Operator { kind: kind.into(), variant: variant.into() }
}

/// Of an operator. What is long in its line, and of no use here, is not printed.
pub(super) fn operator_of(plan: &dyn ExecutionPlan) -> Operator {
    let detail = match kind_of_name(plan.name()) {
        "aggregate" => displayable(plan).one_line().to_string(),
        "receive" | "scan" => {
            let mut start = Start(String::new());
            // It ends where enough is printed.
            let _ = write!(start, "{}", displayable(plan).one_line());
            start.0
        }
        _ => String::new(),
    };
    operator(plan.name(), detail.trim_end())
}

/// The first bytes of what is printed.
struct Start(String);

/// So many: table, columns, of which there may be hundreds, and filters.
const START_BYTES: usize = 4096;

impl Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text);
        if self.0.len() < START_BYTES { Ok(()) } else { Err(fmt::Error) }
    }
}

fn kind_of_name(name: &str) -> &str {
    KINDS.iter().find(|(_, names)| names.contains(&name)).map_or(name, |(kind, _)| *kind)
}

/// Operators that can stand for one another. Any other is only for its own name.
const KINDS: &[(&str, &[&str])] = &[
    ("aggregate", &["AggregateExec", "DirectAggregateExec"]),
    ("empty", &["EmptyExec"]),
    (
        "join",
        &[
            "CrossJoinExec",
            "HashJoinExec",
            "NestedLoopJoinExec",
            "PiecewiseMergeJoinExec",
            "SortMergeJoinExec",
            "SymmetricHashJoinExec",
        ],
    ),
    ("limit", &["GlobalLimitExec", "LocalLimitExec", "OffsetExec"]),
    ("receive", &["MotionReceiveExec"]),
    ("scan", &["ColumnarScanExec", "KesScanExec", "ShardScanExec"]),
    ("sort", &["PartialSortExec", "SortExec", "SortPreservingMergeExec"]),
    ("union", &["InterleaveExec", "UnionExec"]),
    ("window", &["BoundedWindowAggExec", "WindowAggExec"]),
];

fn phase(name: &str, detail: &str) -> &'static str {
    if name == "DirectAggregateExec" {
        return if detail.ends_with(", results") { "single" } else { "partial" };
    }
    match detail.split_once("mode=").map(|(_, mode)| mode) {
        Some(mode) if mode.starts_with("Partial") => "partial",
        Some(mode) if mode.starts_with("Final") => "final",
        _ => "single",
    }
}

impl Tree {
    /// Adds an operator under one that is there.
    pub(super) fn add(&mut self, parent: Option<usize>, operator: Operator) -> usize {
        let position = self.nodes.len();
        self.nodes.push(Node { operator, children: Vec::new() });
        if let Some(parent) = parent.and_then(|parent| self.nodes.get_mut(parent)) {
            parent.children.push(position);
        }
        position
    }

    /// What a datanode reports, which is in pre-order.
    pub(super) fn of_reports(reports: &[OperatorReport]) -> Self {
        let mut tree = Self::default();
        // The last operator of each depth.
        let mut above: Vec<usize> = Vec::new();
        for report in reports {
            above.truncate(report.depth as usize);
            let added = tree.add(above.last().copied(), operator(&report.name, &report.detail));
            above.push(added);
        }
        tree
    }

    /// How many there are.
    pub(super) fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The kind of one of them.
    pub(super) fn kind(&self, at: usize) -> &str {
        kind_of(self, at).unwrap_or_default()
    }

    /// The only input of an operator.
    pub(super) fn only_input(&self, at: usize) -> Option<usize> {
        match self.children(at) {
            [only] => Some(*only),
            _ => None,
        }
    }

    fn children(&self, at: usize) -> &[usize] {
        self.nodes.get(at).map_or(&[], |node| &node.children)
    }

    /// From an operator down to the first that has not one input.
    fn chain(&self, top: usize) -> Vec<usize> {
        let mut chain = vec![top];
        let mut at = top;
        while let [only] = self.children(at) {
            chain.push(*only);
            at = *only;
        }
        chain
    }

    fn leaves(&self, top: usize) -> Vec<&Operator> {
        let (mut leaves, mut open) = (Vec::new(), vec![top]);
        while let Some(at) = open.pop() {
            match (self.children(at), self.nodes.get(at)) {
                ([], Some(node)) => leaves.push(&node.operator),
                (children, _) => open.extend(children),
            }
        }
        leaves
    }
}

/// For each operator that ran, where it belongs.
pub(super) fn align(planned: &Tree, ran: &Tree) -> Vec<Place> {
    let mut places = vec![Place::Below(0); ran.size()];
    // Those that are still to be looked at: planned, ran, and the planned one above.
    let mut open = vec![(0, 0, 0)];
    if planned.nodes.is_empty() || ran.nodes.is_empty() {
        open.clear();
    }
    while let Some((planned_top, ran_top, above)) = open.pop() {
        let mut anchor = above;
        let (chain, ran_chain) = (planned.chain(planned_top), ran.chain(ran_top));
        let (end, ran_end) = (last(&chain), last(&ran_chain));
        let meet = ran.children(ran_end).len() > 1
            && planned.children(end).len() == ran.children(ran_end).len()
            && kind_of(planned, end) == kind_of(ran, ran_end);
        let pairs = if meet {
            let all_but_last = |chain: &[usize]| chain[..chain.len() - 1].to_vec();
            let mut pairs = common(planned, &all_but_last(&chain), ran, &all_but_last(&ran_chain));
            pairs.push((end, ran_end));
            pairs
        } else {
            common(planned, &chain, ran, &ran_chain)
        };
        for at in &ran_chain {
            let same = pairs.iter().find(|(_, ran_at)| ran_at == at);
            if let Some((planned_at, _)) = same {
                anchor = *planned_at;
            }
            places[*at] = match same {
                Some((planned, _)) => Place::Same { planned: *planned, is_turned: false },
                None => Place::Below(anchor),
            };
        }
        if meet {
            let is_turned = is_turned(planned, end, ran, ran_end);
            places[ran_end] = Place::Same { planned: end, is_turned };
            let mut inputs = ran.children(ran_end).to_vec();
            if is_turned {
                inputs.reverse();
            }
            open.extend(planned.children(end).iter().zip(inputs).map(|(p, r)| (*p, r, end)));
        } else {
            leave(ran, ran_end, anchor, &mut places);
        }
    }
    places
}

fn last(chain: &[usize]) -> usize {
    chain.last().copied().unwrap_or_default()
}

fn kind_of(tree: &Tree, at: usize) -> Option<&str> {
    tree.nodes.get(at).map(|node| node.operator.kind.as_str())
}

/// What is below an operator has no planned counterpart.
fn leave(ran: &Tree, top: usize, anchor: usize, places: &mut [Place]) {
    let mut open = ran.children(top).to_vec();
    while let Some(at) = open.pop() {
        if let Some(place) = places.get_mut(at) {
            *place = Place::Below(anchor);
        }
        open.extend(ran.children(at));
    }
}

/// Whether a join has its inputs the other way round than it was planned.
fn is_turned(planned: &Tree, end: usize, ran: &Tree, ran_end: usize) -> bool {
    let ([left, right], [ran_left, ran_right]) = (planned.children(end), ran.children(ran_end))
    else {
        return false;
    };
    if kind_of(planned, end) != Some("join") {
        return false;
    }
    let alike = |planned_at: usize, ran_at: usize| {
        let found = ran.leaves(ran_at);
        let best = |leaf: &Operator| found.iter().map(|other| likeness(leaf, other)).max();
        planned.leaves(planned_at).into_iter().filter_map(best).sum::<usize>()
    };
    alike(*left, *ran_right) + alike(*right, *ran_left)
        > alike(*left, *ran_left) + alike(*right, *ran_right)
}

/// How much two leaves look like the same one.
fn likeness(planned: &Operator, ran: &Operator) -> usize {
    if !fits(planned, ran) {
        return 0;
    }
    let is_same = planned.variant == ran.variant;
    if planned.kind == "receive" && !is_same {
        return 0;
    }
    // What both say of their table, columns and filters; in SQL the table's name is somewhere.
    let same = planned.variant.bytes().zip(ran.variant.bytes()).take_while(|(p, r)| p == r).count();
    if is_same {
        return 1000 + same;
    }
    let table = planned.variant.split(", columns=").next().unwrap_or_default();
    let in_sql = ran.variant.contains(&format!(".\"{table}\""));
    1 + if in_sql { same.max(table.len()) } else { same }
}

fn fits(planned: &Operator, ran: &Operator) -> bool {
    // A datanode that has no rows of a table reads nothing.
    planned.kind == ran.kind || (planned.kind == "scan" && ran.kind == "empty")
}

/// The pairs of the longest common sequence, from the top.
fn common(planned: &Tree, chain: &[usize], ran: &Tree, ran_chain: &[usize]) -> Vec<(usize, usize)> {
    let weight = |p: usize, r: usize| match (planned.nodes.get(p), ran.nodes.get(r)) {
        (Some(p), Some(r)) if fits(&p.operator, &r.operator) => {
            2 + u32::from(p.operator.variant == r.operator.variant)
        }
        _ => 0,
    };
    let width = ran_chain.len() + 1;
    // The best of what is left from each pair of positions on.
    let mut best = vec![0; (chain.len() + 1) * width];
    for (at, planned_at) in chain.iter().enumerate().rev() {
        for (ran_index, ran_at) in ran_chain.iter().enumerate().rev() {
            let weight = weight(*planned_at, *ran_at);
            let together = match weight {
                0 => 0,
                weight => weight + best[(at + 1) * width + ran_index + 1],
            };
            let apart = best[(at + 1) * width + ran_index].max(best[at * width + ran_index + 1]);
            best[at * width + ran_index] = together.max(apart);
        }
    }
    let (mut at, mut ran_index, mut pairs) = (0, 0, Vec::new());
    while let (Some(planned_at), Some(ran_at)) = (chain.get(at), ran_chain.get(ran_index)) {
        let here = best[at * width + ran_index];
        let weight = weight(*planned_at, *ran_at);
        if weight > 0 && here == weight + best[(at + 1) * width + ran_index + 1] {
            pairs.push((*planned_at, *ran_at));
            (at, ran_index) = (at + 1, ran_index + 1);
        } else if here == best[at * width + ran_index + 1] {
            ran_index += 1;
        } else {
            at += 1;
        }
    }
    pairs
}
