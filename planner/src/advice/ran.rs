//! The operators of a plan that has run: what was thought of each, and what it gave.

use std::collections::BTreeMap;

use datafusion::physical_plan::{
    aggregates::{AggregateExec, AggregateMode},
    joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec},
    limit::{GlobalLimitExec, LocalLimitExec},
    projection::ProjectionExec,
    recursive_query::RecursiveQueryExec,
    sorts::sort::SortExec,
};

use super::{PlanFacts, RunFacts};
use crate::{distribute::Placed, motion::Motion};

/// The operators, in pre-order.
pub(super) struct Ran<'a> {
    nodes: Vec<Node<'a>>,
}

/// An operator, or a motion.
pub(super) struct Node<'a> {
    pub(super) placed: &'a Placed,
    /// The number of the motion that it is.
    pub(super) motion: Option<u32>,
    /// What each datanode's gave, and of a motion, what each has got. `None`: it is not known.
    pub(super) rows: Option<Vec<(u32, u64)>>,
    /// Rows that may not have been asked for: below a limit, or where the keys of a join filter scans.
    pub(super) may_be_cut: bool,
    /// It is run many times, or a part of what is.
    pub(super) is_repeated: bool,
    slice: u32,
    position: usize,
    inputs: Vec<usize>,
    /// Where what is below it ends.
    end: usize,
}

impl<'a> Ran<'a> {
    /// What ran of a plan, and how.
    pub(super) fn of(facts: &'a PlanFacts, run: &'a RunFacts) -> Self {
        let mut walk = Walk { run, nodes: Vec::new(), motions: 0, sizes: BTreeMap::new() };
        if let Some(root) = &facts.root {
            walk.add(root, 0, (false, false));
        }
        let Walk { mut nodes, sizes, .. } = walk;
        for node in nodes.iter_mut().filter(|node| node.motion.is_none()) {
            let size = sizes.get(&node.slice).copied().unwrap_or_default();
            node.rows = run.rows(node.slice, node.position, size);
        }
        Self { nodes }
    }

    pub(super) fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// The inputs of an operator of which something is known, through those of which nothing is.
    pub(super) fn inputs_where(&self, at: usize, is_known: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let inputs = self.nodes.get(at).map_or(&[][..], |node| &node.inputs);
        let found = inputs.iter().flat_map(|input| match is_known(*input) {
            true => vec![*input],
            false => self.inputs_where(*input, is_known),
        });
        found.collect()
    }

    /// All that is below an operator.
    pub(super) fn below(&self, at: usize) -> std::ops::Range<usize> {
        at + 1..self.nodes.get(at).map_or(at + 1, |node| node.end)
    }
}

impl Node<'_> {
    /// The rows that it gave, each once: those of copies are the same.
    pub(super) fn actual(&self) -> Option<f64> {
        let rows = self.rows.as_ref()?.iter().map(|(_, rows)| *rows);
        let are_parts = match self.placed.motion() {
            Some(Motion::Gather { .. } | Motion::Redistribute { .. } | Motion::Spread) => true,
            Some(Motion::Broadcast) => false,
            None => self.placed.locus.is_partitioned(),
        };
        Some(if are_parts { rows.sum::<u64>() } else { rows.max().unwrap_or_default() } as f64)
    }
}

/// Through a plan as slicing goes: motions are numbered, and operators have a place in their slices.
struct Walk<'a> {
    run: &'a RunFacts,
    nodes: Vec<Node<'a>>,
    motions: u32,
    /// Operators of each slice so far, its send with them.
    sizes: BTreeMap<u32, usize>,
}

impl<'a> Walk<'a> {
    fn add(&mut self, placed: &'a Placed, slice: u32, above: (bool, bool)) -> usize {
        let (may_be_cut, is_repeated) = above;
        let size = self.sizes.entry(slice).or_insert(usize::from(slice > 0));
        let position = *size;
        *size += 1;
        let (mut motion, mut inner, mut rows) = (None, slice, None);
        if placed.motion().is_some() {
            self.motions += 1;
            (motion, inner) = (Some(self.motions), self.motions);
            let carried = self.run.motion(self.motions);
            rows = carried.map(|c| c.0.iter().map(|(to, (rows, _))| (*to, *rows)).collect());
        }
        let at = self.nodes.len();
        let is_repeated = is_repeated || placed.plan.is::<RecursiveQueryExec>();
        self.nodes.push(Node {
            placed,
            motion,
            rows,
            may_be_cut,
            is_repeated,
            slice,
            position,
            inputs: Vec::new(),
            end: at,
        });
        let turned = self.run.turned(slice, position);
        let mut inputs = Vec::new();
        for (input, child) in placed.children.iter().enumerate() {
            let is_cut = may_be_cut || cuts(placed, input, turned);
            inputs.push(self.add(child, inner, (is_cut, is_repeated)));
        }
        let end = self.nodes.len();
        if let Some(node) = self.nodes.get_mut(at) {
            (node.inputs, node.end) = (inputs, end);
        }
        at
    }
}

/// How many datanodes have turned a join round, and how many have run it.
pub(super) type Turned = (usize, usize);

/// May an operator leave rows of an input unread, or have them filtered away below?
pub(super) fn cuts(placed: &Placed, input: usize, (turned, all): Turned) -> bool {
    let plan = placed.plan.as_ref();
    let is_limit = plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
        || plan.downcast_ref::<SortExec>().is_some_and(|sort| sort.fetch().is_some())
        || matches!(placed.motion(), Some(Motion::Gather { fetch: Some(_), .. }));
    let is_probed = match input {
        0 => turned > 0,
        _ => turned < all.max(1),
    };
    let merges = plan.name() == "SortMergeJoinExec";
    is_limit || merges || (is_join(placed) && is_probed)
}

/// Joins.
pub(super) fn is_join(placed: &Placed) -> bool {
    let plan = placed.plan.as_ref();
    plan.is::<HashJoinExec>() || plan.is::<NestedLoopJoinExec>() || plan.is::<CrossJoinExec>()
}

/// Each datanode has groups of its own: how many rows it gives depends on how many datanodes there are.
pub(super) fn is_partial(placed: &Placed) -> bool {
    let aggregate = placed.plan.downcast_ref::<AggregateExec>();
    aggregate.is_some_and(|aggregate| match aggregate.mode() {
        AggregateMode::Partial | AggregateMode::PartialReduce => true,
        AggregateMode::Final
        | AggregateMode::FinalPartitioned
        | AggregateMode::Single
        | AggregateMode::SinglePartitioned => false,
    })
}

/// The operator that EXPLAIN shows for one: expressions are computed in the one below.
pub(super) fn shown(placed: &Placed) -> &Placed {
    match placed.children.as_slice() {
        [input] if placed.plan.is::<ProjectionExec>() => shown(input),
        _ => placed,
    }
}

/// The operator that makes the rows: of a motion, the one below it.
pub(super) fn producer(placed: &Placed) -> &Placed {
    match placed.children.as_slice() {
        [input] if placed.motion().is_some() => shown(input),
        _ => shown(placed),
    }
}
