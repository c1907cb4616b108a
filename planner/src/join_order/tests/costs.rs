//! The search finds what a search of all splits of all sets finds, and joins no pair twice.

use std::collections::{HashMap, HashSet};

use super::{
    super::{Hypergraph, JoinSpace, RelationSet, SearchLimits, Step, search},
    Random,
    written::{Kind, tree_of, written},
};

/// Any rows at all per set; the cost of a plan is the rows of all its joins.
#[derive(Default)]
struct AnyRows {
    seed: u64,
    joined: HashSet<(RelationSet, RelationSet)>,
    /// Leaves out what costs more than the plan at hand.
    prunes: bool,
    most: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Costs {
    set: RelationSet,
    cost: f64,
}

/// 0 … 999.
pub(super) fn rows(seed: u64, set: RelationSet) -> f64 {
    let relations = set
        .iter()
        .fold(seed, |seed, relation| seed.wrapping_mul(67).wrapping_add(relation as u64 + 1));
    (Random(relations).next() % 1000) as f64
}

impl JoinSpace for AnyRows {
    type Plan = Costs;

    fn join(&mut self, step: &Step, left: &[Costs], right: &[Costs]) -> Vec<Costs> {
        let (one, other) = (step.left.min(step.right), step.left.max(step.right));
        let is_new = self.joined.insert((one, other));
        assert!(is_new, "twice: {one:?}, {other:?}");
        let set = one.union(other);
        let cost = left[0].cost + right[0].cost + rows(self.seed, set);
        let is_more = self.prunes && self.most.is_some_and(|most| cost > most);
        if is_more { Vec::new() } else { vec![Costs { set, cost }] }
    }

    fn beats(&self, plan: &Costs, other: &Costs) -> bool {
        plan.cost <= other.cost
    }

    fn rows(&self, plan: &Costs) -> f64 {
        rows(self.seed, plan.set)
    }

    fn is_at_hand(&mut self, plans: &[Costs]) {
        self.joined.clear();
        self.most = plans.first().map(|plan| plan.cost);
    }
}

/// The lowest cost, and how many pairs can be joined: of all trees whose joins are `joined`.
fn all_splits(
    relations: usize,
    seed: u64,
    joined: impl Fn(RelationSet, RelationSet) -> bool,
) -> (Option<f64>, usize) {
    let all = RelationSet::first_ones(relations);
    let mut best: HashMap<RelationSet, f64> = HashMap::new();
    let mut pairs = 0;
    for set in all.subsets() {
        if set.len() == 1 {
            best.insert(set, 0.0);
        }
        for one in set.subsets().filter(|one| one.first() == set.first()) {
            let other = set.without(one);
            let (Some(l), Some(r)) = (best.get(&one), best.get(&other)) else { continue };
            if joined(one, other) {
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
    let (best, pairs) = all_splits(count, seed, |one, other| graph.step(one, other).is_some());
    let mut space = AnyRows { seed, ..AnyRows::default() };
    let found = search(&graph, &mut space, relations(count), limits);
    let about = format!("seed {seed}, {count} relations: {tree:?}");
    assert_eq!(found.first().map(|plan| plan.cost), best, "{about}");
    assert_eq!(space.joined.len(), pairs, "{about}");
    let mut space = AnyRows { seed, prunes: true, ..AnyRows::default() };
    let pruned = search(&graph, &mut space, relations(count), limits);
    assert_eq!(pruned.first().map(|plan| plan.cost), best, "{about}");
    // With a pair less than there are, the search turns greedy, and finds nothing better.
    let limits = SearchLimits { pairs: pairs - 1, ..limits };
    let mut space = AnyRows { seed, ..AnyRows::default() };
    let greedy = search(&graph, &mut space, relations(count), limits);
    assert!(greedy.iter().all(|plan| plan.cost >= found[0].cost), "{about}");
    assert!(kind == Kind::All || !greedy.is_empty(), "{about}");
}

/// Inner joins by the edges of a graph: all trees count that have an edge at each of their joins.
fn check_graph(seed: u64, relations: usize, edges: &[(usize, usize)]) {
    let graph = Hypergraph::new(&tree_of(relations, edges));
    let is_edge = |one: RelationSet, other: RelationSet| {
        edges.iter().any(|(a, b)| {
            let (a, b) = (RelationSet::of(*a), RelationSet::of(*b));
            (a.is_subset(one) && b.is_subset(other)) || (b.is_subset(one) && a.is_subset(other))
        })
    };
    let (best, pairs) = all_splits(relations, seed, is_edge);
    let mut space = AnyRows { seed, ..AnyRows::default() };
    let limits = SearchLimits { relations: 64, pairs };
    let found = search(&graph, &mut space, self::relations(relations), limits);
    let about = format!("seed {seed}, {relations} relations: {edges:?}");
    assert!(best.is_some(), "{about}");
    assert_eq!(found.first().map(|plan| plan.cost), best, "{about}");
    assert_eq!(space.joined.len(), pairs, "{about}");
}

/// All edges, each with another one before it, under other numbers.
fn renumbered(relations: usize, chosen: u64, random: &mut Random) -> Vec<(usize, usize)> {
    let mut numbers: Vec<usize> = (0..relations).collect();
    for at in (1..relations).rev() {
        numbers.swap(at, random.below(at + 1));
    }
    let pairs = (1..relations).flat_map(|b| (0..b).map(move |a| (a, b))).enumerate();
    let edges = pairs.filter(|(at, _)| chosen >> at & 1 == 1);
    edges.map(|(_, (a, b))| (numbers[a], numbers[b])).collect()
}

/// Is each relation but the first one next to an earlier one?
fn is_connected(relations: usize, chosen: u64) -> bool {
    let mut first = 0;
    (1..relations).all(|relation| {
        let earlier = chosen >> first & ((1 << relation) - 1);
        first += relation;
        earlier != 0
    })
}

#[test]
fn the_search_is_optimal_over_all_graphs() {
    for relations in 2..=6 {
        let edges = relations * (relations - 1) / 2;
        for chosen in (0..1 << edges).filter(|chosen| is_connected(relations, *chosen)) {
            let mut random = Random(chosen);
            check_graph(chosen, relations, &renumbered(relations, chosen, &mut random));
        }
    }
    let mut checked = 0;
    for seed in 0.. {
        let mut random = Random(seed);
        // Trees, too, and cliques.
        let chosen = match seed % 3 {
            0 => random.next() & random.next() & random.next(),
            1 => random.next(),
            _ => random.next() | random.next(),
        };
        let chosen = chosen & ((1 << 21) - 1);
        if is_connected(7, chosen) {
            check_graph(seed, 7, &renumbered(7, chosen, &mut random));
            checked += 1;
        }
        if checked == 4000 {
            break;
        }
    }
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
