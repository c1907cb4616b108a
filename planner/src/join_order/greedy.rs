//! One order of joins, when there are too many to try: always the two sets whose join has the fewest
//! rows.
//!
//! GOO: L. Fegaras, "A New Heuristic for Optimizing Large Queries", DEXA 1998.

use super::{Hypergraph, JoinSpace, RelationSet, search::Memo};

/// Empty: at some step no two sets could be joined.
pub(super) fn greedy<S: JoinSpace>(
    graph: &Hypergraph,
    space: &mut S,
    mut memo: Memo<S>,
) -> Vec<S::Plan> {
    let mut sets: Vec<_> = (0..graph.relations()).map(RelationSet::of).collect();
    let mut pairs: Vec<(f64, RelationSet, RelationSet)> = Vec::new();
    for (at, one) in sets.iter().enumerate() {
        for other in &sets[at + 1..] {
            pairs.extend(pair(graph, space, &mut memo, *one, *other));
        }
    }
    while sets.len() > 1 {
        // Of equal ones the first.
        let Some(best) = pairs.iter().min_by(|a, b| a.0.total_cmp(&b.0)) else { break };
        let (one, other) = (best.1, best.2);
        let gone = |set: &RelationSet| *set == one || *set == other;
        sets.retain(|set| !gone(set));
        pairs.retain(|(_, a, b)| !gone(a) && !gone(b));
        let joined = one.union(other);
        for set in &sets {
            pairs.extend(pair(graph, space, &mut memo, *set, joined));
        }
        sets.push(joined);
    }
    memo.take(RelationSet::first_ones(graph.relations()))
}

/// Joins two sets, if they may be, and says how many rows they have together.
fn pair<S: JoinSpace>(
    graph: &Hypergraph,
    space: &mut S,
    memo: &mut Memo<S>,
    one: RelationSet,
    other: RelationSet,
) -> Option<(f64, RelationSet, RelationSet)> {
    let step = graph.step(one, other)?;
    memo.join(space, &step);
    let rows = memo.of(one.union(other)).first().map(|plan| space.rows(plan))?;
    Some((rows, one, other))
}
