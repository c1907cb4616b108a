//! Of a set's plans the search keeps those that may be worth it for where their rows are.

use std::collections::HashMap;

use super::{
    super::{Hypergraph, JoinSpace, RelationSet, SearchLimits, Step, search},
    Random,
    costs::rows,
    written::{Kind, written},
};

const PLACES: u64 = 3;

/// Sides are joined in one place, whose work is its own; rows that are elsewhere come there.
struct Places {
    seed: u64,
    /// What costs more is not made.
    most: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Plan {
    set: RelationSet,
    place: u64,
    cost: f64,
}

impl Places {
    fn bringing(&self, plan: &Plan, place: u64) -> f64 {
        if plan.place == place { 0.0 } else { rows(self.seed, plan.set) }
    }

    fn joined(&self, left: &Plan, right: &Plan, place: u64) -> Plan {
        let set = left.set.union(right.set);
        let work = rows(self.seed.wrapping_add(place + 1), set);
        let brought = self.bringing(left, place) + self.bringing(right, place);
        Plan { set, place, cost: left.cost + right.cost + brought + work }
    }
}

impl JoinSpace for Places {
    type Plan = Plan;

    fn join(&mut self, _: &Step, left: &[Plan], right: &[Plan]) -> Vec<Plan> {
        let mut found = Vec::new();
        for l in left {
            for r in right {
                found.extend((0..PLACES).map(|place| self.joined(l, r, place)));
            }
        }
        found.retain(|plan| self.most.is_none_or(|most| plan.cost <= most));
        found
    }

    fn beats(&self, plan: &Plan, other: &Plan) -> bool {
        plan.cost + self.bringing(plan, other.place) <= other.cost
    }

    fn rows(&self, plan: &Plan) -> f64 {
        rows(self.seed, plan.set)
    }

    fn is_at_hand(&mut self, plans: &[Plan]) {
        self.most = plans.iter().map(|plan| plan.cost).reduce(f64::min);
    }
}

/// The lowest cost of each set in each place, however much more that is than elsewhere.
fn all_places(graph: &Hypergraph, space: &Places, relations: &[Vec<Plan>]) -> Option<f64> {
    let all = RelationSet::first_ones(graph.relations());
    let mut best: HashMap<(RelationSet, u64), Plan> = HashMap::new();
    let leaves = relations.iter().flatten();
    best.extend(leaves.map(|plan| ((plan.set, plan.place), *plan)));
    let plans = |best: &HashMap<(RelationSet, u64), Plan>, set: RelationSet| {
        (0..PLACES).filter_map(|place| best.get(&(set, place)).copied()).collect::<Vec<_>>()
    };
    for set in all.subsets() {
        for one in set.subsets().filter(|one| one.first() == set.first()) {
            let other = set.without(one);
            if graph.step(one, other).is_none() {
                continue;
            }
            for l in plans(&best, one) {
                for r in plans(&best, other) {
                    for place in 0..PLACES {
                        let plan = space.joined(&l, &r, place);
                        let known = best.entry((set, place)).or_insert(plan);
                        if plan.cost < known.cost {
                            *known = plan;
                        }
                    }
                }
            }
        }
    }
    plans(&best, all).into_iter().map(|plan| plan.cost).reduce(f64::min)
}

#[test]
fn the_search_is_optimal_where_places_count() {
    for count in 2..=7 {
        for seed in 0..500 {
            let mut random = Random(seed);
            let kind = if seed % 2 == 0 { Kind::Inner } else { Kind::All };
            let tree = written(count, kind, &mut random).tree;
            let graph = Hypergraph::new(&tree);
            let relations: Vec<_> = (0..count)
                .map(|at| {
                    let place = random.below(PLACES as usize) as u64;
                    vec![Plan { set: RelationSet::of(at), place, cost: 0.0 }]
                })
                .collect();
            let mut space = Places { seed, most: None };
            let best = all_places(&graph, &space, &relations);
            let limits = SearchLimits { relations: 64, pairs: usize::MAX };
            let found = search(&graph, &mut space, relations, limits);
            let found = found.into_iter().map(|plan| plan.cost).reduce(f64::min);
            assert_eq!(found, best, "seed {seed}, {count} relations: {tree:?}");
        }
    }
}
