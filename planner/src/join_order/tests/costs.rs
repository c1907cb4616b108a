//! The search finds what a search of all splits of all sets finds, and joins no pair twice.

use std::collections::{HashMap, HashSet};

use super::{
    super::{Hypergraph, JoinSpace, RelationSet, SearchLimits, Step, search},
    Random,
    written::{Kind, written},
};

/// Any rows at all per set; the cost of a plan is the rows of all its joins.
struct AnyRows {
    seed: u64,
    joined: HashSet<(RelationSet, RelationSet)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Costs {
    set: RelationSet,
    cost: f64,
}

fn rows(seed: u64, set: RelationSet) -> f64 {
    let relations = set.iter().fold(seed, |seed, relation| seed * 67 + relation as u64 + 1);
    (Random(relations).next() % 1000) as f64
}

impl JoinSpace for AnyRows {
    type Plan = Costs;

    fn join(&mut self, step: &Step, left: &[Costs], right: &[Costs]) -> Vec<Costs> {
        let (one, other) = (step.left.min(step.right), step.left.max(step.right));
        let is_new = self.joined.insert((one, other));
        assert!(is_new, "twice: {one:?}, {other:?}");
        let set = one.union(other);
        vec![Costs { set, cost: left[0].cost + right[0].cost + rows(self.seed, set) }]
    }

    fn beats(&self, plan: &Costs, other: &Costs) -> bool {
        plan.cost <= other.cost
    }

    fn rows(&self, plan: &Costs) -> f64 {
        rows(self.seed, plan.set)
    }
}

/// The lowest cost, and how many pairs can be joined.
fn all_splits(graph: &Hypergraph, seed: u64) -> (Option<f64>, usize) {
    let all = RelationSet::first_ones(graph.relations());
    let mut best: HashMap<RelationSet, f64> = HashMap::new();
    let mut pairs = 0;
    for set in all.subsets() {
        if set.len() == 1 {
            best.insert(set, 0.0);
        }
        for one in set.subsets().filter(|one| one.first() == set.first()) {
            let other = set.without(one);
            let (Some(l), Some(r)) = (best.get(&one), best.get(&other)) else { continue };
            if graph.step(one, other).is_some() {
                pairs += 1;
                let cost = l + r + rows(seed, set);
                let known = best.entry(set).or_insert(cost);
                *known = known.min(cost);
            }
        }
    }
    (best.get(&all).copied(), pairs)
}

fn relations(count: usize) -> Vec<Vec<Costs>> {
    (0..count).map(|at| vec![Costs { set: RelationSet::of(at), cost: 0.0 }]).collect()
}

fn check(seed: u64, count: usize, kind: Kind) {
    let mut random = Random(seed);
    let tree = written(count, kind, &mut random).tree;
    let graph = Hypergraph::new(&tree);
    let limits = SearchLimits { relations: 64, pairs: usize::MAX };
    let (best, pairs) = all_splits(&graph, seed);
    let mut space = AnyRows { seed, joined: HashSet::new() };
    let found = search(&graph, &mut space, relations(count), limits);
    let about = format!("seed {seed}, {count} relations: {tree:?}");
    assert_eq!(found.first().map(|plan| plan.cost), best, "{about}");
    assert_eq!(space.joined.len(), pairs, "{about}");
    // With a pair less than there are, the search turns greedy, and finds nothing better.
    let limits = SearchLimits { pairs: pairs - 1, ..limits };
    let mut space = AnyRows { seed, joined: HashSet::new() };
    let greedy = search(&graph, &mut space, relations(count), limits);
    assert!(greedy.iter().all(|plan| plan.cost >= found[0].cost), "{about}");
    assert!(kind == Kind::All || !greedy.is_empty(), "{about}");
}

#[test]
fn the_search_is_optimal() {
    for count in 2..=7 {
        for seed in 0..1500 {
            check(seed, count, Kind::Inner);
            check(seed, count, Kind::All);
        }
    }
}
