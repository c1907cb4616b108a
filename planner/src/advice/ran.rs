//! The operators of a plan that has run: what was thought of each, and what it gave.

use std::collections::BTreeMap;

use datafusion::physical_plan::{
    InputOrderMode,
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
    /// Its rows are states of aggregates, or come of such: one for each group and execution partition, and
    /// how many of these a datanode has the planner does not know.
    pub(super) gives_states: bool,
    /// It may be stopped before its end: a limit above it is reached.
    pub(super) may_be_stopped: bool,
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
            walk.add(root, 0, Above::default());
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

    /// The node of a motion.
    pub(super) fn of_motion(&self, number: u32) -> Option<&Node<'a>> {
        self.nodes.iter().find(|node| node.motion == Some(number))
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

/// What is above an operator, and matters to it.
#[derive(Clone, Copy, Default)]
struct Above {
    may_be_cut: bool,
    is_repeated: bool,
    stop: Stop,
}

/// When a limit may stop an operator.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    /// Not before its end.
    #[default]
    Never,
    /// When it has given a row, on every datanode that has one.
    AfterRow,
    /// At any time: the rows of other datanodes may be enough.
    AtAnyTime,
}

impl Stop {
    /// Of an operator, below what may be stopped like that.
    fn of(self, placed: &Placed) -> Self {
        // A Top-N reads all its input.
        match is_bounded(placed) && !placed.plan.is::<SortExec>() {
            true => self.max(Self::AfterRow),
            false => self,
        }
    }

    /// Of the inputs of an operator that may be stopped like that.
    fn of_inputs(self, placed: &Placed) -> Self {
        match (self, placed.motion()) {
            (Self::Never, _) => Self::Never,
            // To merge, a row of each sender is needed.
            (_, Some(Motion::Gather { merge: Some(_), .. })) => self,
            (_, Some(_)) => Self::AtAnyTime,
            (Self::AfterRow, None) if reads_all_first(placed) => Self::Never,
            (_, None) => self,
        }
    }
}

/// Does an operator read its input to the end before it gives a row?
fn reads_all_first(placed: &Placed) -> bool {
    let plan = placed.plan.as_ref();
    let aggregates = plan.downcast_ref::<AggregateExec>().is_some_and(|aggregate| {
        // Groups without aggregates may be given as they are found.
        !is_partial(placed)
            && !aggregate.aggr_expr().is_empty()
            && *aggregate.input_order_mode() == InputOrderMode::Linear
    });
    aggregates || plan.is::<SortExec>()
}

/// Has it a limit of its own?
pub(super) fn is_bounded(placed: &Placed) -> bool {
    let is_motion = matches!(placed.motion(), Some(Motion::Gather { fetch: Some(_), .. }));
    is_motion || placed.plan.fetch().is_some()
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
    fn add(&mut self, placed: &'a Placed, slice: u32, above: Above) -> usize {
        let may_be_cut = above.may_be_cut;
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
        let stop = above.stop.of(placed);
        let is_repeated = above.is_repeated || placed.plan.is::<RecursiveQueryExec>();
        self.nodes.push(Node {
            placed,
            motion,
            rows,
            may_be_cut,
            is_repeated,
            gives_states: false,
            may_be_stopped: stop != Stop::Never,
            slice,
            position,
            inputs: Vec::new(),
            end: at,
        });
        let turned = self.run.turned(slice, position);
        let mut inputs = Vec::new();
        for (input, child) in placed.children.iter().enumerate() {
            let is_cut = may_be_cut || cuts(placed, input, turned);
            let above = Above { may_be_cut: is_cut, is_repeated, stop: stop.of_inputs(placed) };
            inputs.push(self.add(child, inner, above));
        }
        let gives_states = self.gives_states(placed, &inputs);
        let end = self.nodes.len();
        if let Some(node) = self.nodes.get_mut(at) {
            (node.inputs, node.end, node.gives_states) = (inputs, end, gives_states);
        }
        at
    }

    /// Aggregates give as many rows as there are groups, unless they are partial.
    fn gives_states(&self, placed: &Placed, inputs: &[usize]) -> bool {
        match placed.plan.is::<AggregateExec>() {
            true => is_partial(placed),
            false => {
                let mut inputs = inputs.iter().filter_map(|input| self.nodes.get(*input));
                inputs.any(|input| input.gives_states)
            }
        }
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

/// Each execution partition of each datanode has groups of its own: how many rows it gives depends on how
/// many of these there are.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::{
        physical_expr::{PhysicalExpr, PhysicalSortExpr, expressions::Column},
        physical_plan::{
            ExecutionPlan, ExecutionPlanProperties, aggregates::PhysicalGroupBy, empty::EmptyExec,
        },
    };

    use super::*;
    use crate::{cardinality::Estimate, locus::Locus};

    fn placed(plan: Arc<dyn ExecutionPlan>, children: Vec<Placed>) -> Placed {
        let estimate = Estimate::unknown(1000.0, &plan.schema());
        Placed { plan, locus: Locus::Strewn, estimate, children }
    }

    fn rows() -> Placed {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, false)]);
        placed(Arc::new(EmptyExec::new(Arc::new(schema))), vec![])
    }

    fn joined(left: Placed, right: Placed) -> Placed {
        let join = CrossJoinExec::new(Arc::clone(&left.plan), Arc::clone(&right.plan));
        placed(Arc::new(join), vec![left, right])
    }

    fn grouped(mode: AggregateMode, input: Placed) -> Placed {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new("a", 0));
        let by = PhysicalGroupBy::new_single(vec![(column, "a".into())]);
        let (plan, schema) = (Arc::clone(&input.plan), input.plan.schema());
        let aggregate = AggregateExec::try_new(mode, by, vec![], vec![], plan, schema).unwrap();
        placed(Arc::new(aggregate), vec![input])
    }

    fn sorted(input: Placed) -> Placed {
        let by = PhysicalSortExpr::new_default(Arc::new(Column::new("a", 0)));
        let sort = SortExec::new([by].into(), Arc::clone(&input.plan));
        placed(Arc::new(sort), vec![input])
    }

    fn limited(input: Placed) -> Placed {
        let limit = GlobalLimitExec::new(Arc::clone(&input.plan), 0, Some(10));
        placed(Arc::new(limit), vec![input])
    }

    /// Of each operator, in pre-order: `x`, it is like that.
    #[track_caller]
    fn check(root: Placed, is_it: impl Fn(&Node<'_>) -> bool, expected: &str) {
        let facts = PlanFacts { root: Some(Arc::new(root)), ..PlanFacts::default() };
        let run = RunFacts::default();
        let ran = Ran::of(&facts, &run);
        let found = ran.nodes().iter().map(|node| if is_it(node) { 'x' } else { '.' });
        assert_eq!(found.collect::<String>(), expected);
    }

    #[test]
    fn what_comes_of_states_is_known_up_to_the_next_aggregate() {
        let partial = || grouped(AggregateMode::Partial, rows());
        let over = |mode| grouped(mode, joined(partial(), rows()));
        let gives_states = |node: &Node<'_>| node.gives_states;
        check(sorted(over(AggregateMode::Final)), gives_states, "..xx..");
        check(sorted(over(AggregateMode::Single)), gives_states, "..xx..");
        check(partial().moved(Motion::gather(), Locus::Single), gives_states, "xx.");
    }

    #[test]
    fn limits_stop_what_gives_rows_before_it_has_read_all() {
        let may_be_stopped = |node: &Node<'_>| node.may_be_stopped;
        let single = |input: Placed, motion| limited(input.moved(motion, Locus::Single));
        let join = || joined(rows(), rows());
        check(single(join(), Motion::gather()), may_be_stopped, "xxxxx");
        // No datanode has to give a row.
        check(single(sorted(join()), Motion::gather()), may_be_stopped, "xxxxxx");
        let sorted = sorted(join());
        let merge = sorted.plan.output_ordering().cloned();
        assert!(merge.is_some());
        let merged = sorted.moved(Motion::Gather { merge, fetch: Some(10) }, Locus::Single);
        check(merged, may_be_stopped, "xx...");
        check(limited(joined(limited(rows()), rows())), may_be_stopped, "xxxxx");
        check(joined(limited(rows()), rows()), may_be_stopped, ".xx.");
    }
}
