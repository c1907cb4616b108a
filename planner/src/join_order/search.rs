//! What a search of the join order works on.

use std::collections::HashMap;

use super::{Hypergraph, RelationSet, Step, dphyp::Dphyp, greedy::greedy};

/// How plans are made and compared.
pub trait JoinSpace {
    /// A plan of a set of relations.
    type Plan: Clone;

    /// Plans that join one of the left set's plans with one of the right set's; sides are swapped by
    /// whoever makes the plans.
    fn join(&mut self, step: &Step, left: &[Self::Plan], right: &[Self::Plan]) -> Vec<Self::Plan>;

    /// Is a plan of the same set needless beside this one? Of equal plans the first one stays.
    fn beats(&self, plan: &Self::Plan, other: &Self::Plan) -> bool;

    /// How many rows a plan's set has: what the greedy search keeps low.
    fn rows(&self, plan: &Self::Plan) -> f64;

    /// All orders are tried from here on, and these plans of all relations are at hand: no plan that
    /// is worse need be made of any set.
    fn is_at_hand(&mut self, plans: &[Self::Plan]);
}

/// What a search may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchLimits {
    /// Of so many relations at most all orders are tried.
    pub relations: usize,
    /// So many pairs of sets are joined at most before the search turns greedy.
    pub pairs: usize,
}

/// The plans found of each set.
pub(super) struct Memo<S: JoinSpace> {
    plans: HashMap<RelationSet, Vec<S::Plan>>,
}

impl<S: JoinSpace> Memo<S> {
    pub(super) fn new(relations: Vec<Vec<S::Plan>>) -> Self {
        let sets = relations.into_iter().enumerate();
        Self { plans: sets.map(|(at, plans)| (RelationSet::of(at), plans)).collect() }
    }

    pub(super) fn of(&self, set: RelationSet) -> &[S::Plan] {
        self.plans.get(&set).map_or(&[], Vec::as_slice)
    }

    pub(super) fn take(&mut self, set: RelationSet) -> Vec<S::Plan> {
        self.plans.remove(&set).unwrap_or_default()
    }

    /// Makes the plans of a step, and keeps those that no other one beats.
    pub(super) fn join(&mut self, space: &mut S, step: &Step) {
        let found = space.join(step, self.of(step.left), self.of(step.right));
        let kept = self.plans.entry(step.left.union(step.right)).or_default();
        for plan in found {
            if !kept.iter().any(|other| space.beats(other, &plan)) {
                kept.retain(|other| !space.beats(&plan, other));
                kept.push(plan);
            }
        }
    }
}

/// The plans of all relations that no other one beats: of all orders if that is no more work than the
/// limits allow, else of one that joins what gives the fewest rows first. That one is made in any case:
/// what costs more than all of it leads nowhere. Empty: none was found.
///
/// `relations` are plans of each relation, which must not be empty.
pub fn search<S: JoinSpace>(
    graph: &Hypergraph,
    space: &mut S,
    relations: Vec<Vec<S::Plan>>,
    limits: SearchLimits,
) -> Vec<S::Plan> {
    let first = greedy(graph, space, Memo::new(relations.clone()));
    if graph.relations() > limits.relations || !is_within(graph, limits.pairs) {
        return first;
    }
    space.is_at_hand(&first);
    let memo = Memo::new(relations);
    let found = Dphyp::new(graph, space, memo, limits.pairs).solve();
    found.filter(|plans| !plans.is_empty()).unwrap_or(first)
}

/// Are all orders so many pairs at most? To count them is much less work than to make their plans.
fn is_within(graph: &Hypergraph, pairs: usize) -> bool {
    let memo = Memo::new(vec![vec![()]; graph.relations()]);
    Dphyp::new(graph, &mut Counting, memo, pairs).solve().is_some()
}

/// One plan of each set, of which nothing is known.
struct Counting;

impl JoinSpace for Counting {
    type Plan = ();

    fn join(&mut self, _: &Step, _: &[()], _: &[()]) -> Vec<()> {
        vec![()]
    }

    fn beats(&self, _: &(), _: &()) -> bool {
        true
    }

    fn rows(&self, _: &()) -> f64 {
        1.0
    }

    fn is_at_hand(&mut self, _: &[()]) {}
}
