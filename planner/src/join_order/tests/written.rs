//! Random join trees.

use super::{
    super::{JoinNode, JoinTree, Operator, Predicates, RelationSet},
    Random,
};

/// Two columns per relation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) relation: usize,
    pub(super) of_two: usize,
}

/// A conjunct.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Equal(Column, Column),
    /// NULL counts as 0.
    EqualOrNull(Column, Column),
    SumEqual(Column, Column, Column),
    IsOne(Column),
}

#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) tree: JoinTree,
    pub(super) conditions: Vec<Condition>,
}

impl Condition {
    pub(super) fn columns(&self) -> Vec<Column> {
        match self {
            Self::Equal(a, b) | Self::EqualOrNull(a, b) => vec![*a, *b],
            Self::SumEqual(a, b, c) => vec![*a, *b, *c],
            Self::IsOne(a) => vec![*a],
        }
    }

    fn relations(&self) -> RelationSet {
        self.columns().iter().map(|column| column.relation).collect()
    }

    fn rejects_nulls(&self) -> RelationSet {
        match self {
            Self::EqualOrNull(..) => RelationSet::EMPTY,
            _ => self.relations(),
        }
    }
}

/// What kinds of trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Inner,
    All,
}

pub(super) fn written(relations: usize, kind: Kind, random: &mut Random) -> Written {
    let mut conditions = Vec::new();
    let all: Vec<usize> = (0..relations).collect();
    let (tree, _) = subtree(&all, kind, random, &mut conditions);
    Written { tree, conditions }
}

/// Inner joins, one relation after the other, each with the edges that lead to those before it: the
/// relations are in an order in which there are some.
pub(super) fn tree_of(relations: usize, edges: &[(usize, usize)]) -> JoinTree {
    let mut tree = JoinTree::Relation(edges.first().map_or(0, |(a, _)| *a));
    while tree.relations().len() < relations {
        let there = tree.relations();
        let is_there = |relation: usize| RelationSet::of(relation).is_subset(there);
        let next = edges.iter().find_map(|(a, b)| match (is_there(*a), is_there(*b)) {
            (true, false) => Some(*b),
            (false, true) => Some(*a),
            _ => None,
        });
        let next = next.expect("a graph in one piece");
        let leads_there = |(_, (a, b)): &(usize, &(usize, usize))| {
            (*a == next && is_there(*b)) || (*b == next && is_there(*a))
        };
        let edges = edges.iter().enumerate().filter(leads_there);
        let predicates = edges.map(|(id, (a, b))| {
            let relations = [*a, *b].into_iter().collect();
            Predicates { ids: vec![id], relations, rejects_nulls: relations }
        });
        let node = JoinNode {
            operator: Operator::Inner,
            predicates: predicates.collect(),
            left: tree,
            right: JoinTree::Relation(next),
        };
        tree = JoinTree::Join(Box::new(node));
    }
    tree
}

/// A tree, and the relations whose columns are its output.
fn subtree(
    relations: &[usize],
    kind: Kind,
    random: &mut Random,
    conditions: &mut Vec<Condition>,
) -> (JoinTree, RelationSet) {
    if let [relation] = relations {
        return (JoinTree::Relation(*relation), RelationSet::of(*relation));
    }
    let at = 1 + random.below(relations.len() - 1);
    let (left, left_seen) = subtree(&relations[..at], kind, random, conditions);
    let (right, right_seen) = subtree(&relations[at..], kind, random, conditions);
    let operator = match (kind, random.below(8)) {
        (Kind::Inner, _) | (_, 0..=2) => Operator::Inner,
        (_, 3 | 4) => Operator::Left,
        (_, 5) => Operator::Full,
        (_, 6) => Operator::Semi,
        _ => Operator::Anti,
    };
    let count = match random.below(10) {
        0 if kind == Kind::All => 0,
        1..=6 => 1,
        _ => 2,
    };
    let first = conditions.len();
    for _ in 0..count {
        conditions.push(condition(left_seen, right_seen, random));
    }
    let parts = (first..conditions.len()).map(|id| Predicates {
        ids: vec![id],
        relations: conditions[id].relations(),
        rejects_nulls: conditions[id].rejects_nulls(),
    });
    let seen = match operator {
        Operator::Semi | Operator::Anti => left_seen,
        _ => left_seen.union(right_seen),
    };
    let node = JoinNode { operator, predicates: parts.collect(), left, right };
    (JoinTree::Join(Box::new(node)), seen)
}

fn condition(left: RelationSet, right: RelationSet, random: &mut Random) -> Condition {
    let mut of =
        |side: RelationSet| Column { relation: random.one_of(side), of_two: random.below(2) };
    let (a, b, c) = (of(left), of(right), of(left.union(right)));
    match random.below(20) {
        0..=12 => Condition::Equal(a, b),
        13..=15 => Condition::EqualOrNull(a, b),
        16..=18 => Condition::SumEqual(a, c, b),
        _ => Condition::IsOne(c),
    }
}
