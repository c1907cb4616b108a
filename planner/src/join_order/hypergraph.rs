//! A join tree as a hypergraph: relations, and joins as edges that say where they may stand.
//!
//! Conflict detector CD-C of G. Moerkotte, P. Fender, M. Eich, "On the Correct and Complete Enumeration
//! of the Core Search Space", SIGMOD 2013. The conjuncts of an inner join are edges of their own.

use super::{
    RelationSet,
    conflict::{Joined, associative, left_asscom, right_asscom},
};

/// What a join does with rows that find no partner, and which side's columns it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Pairs.
    Inner,
    /// Pairs, and the left rows without partner.
    Left,
    /// Pairs, and the rows of both sides without partner.
    Full,
    /// Left rows with a partner.
    Semi,
    /// Left rows without one.
    Anti,
}

/// Conjuncts, of which a join is made that only together have a meaning.
#[derive(Clone, Debug, Default)]
pub struct Predicates {
    /// Their numbers, for who builds the join.
    pub ids: Vec<usize>,
    /// The relations of their columns.
    pub relations: RelationSet,
    /// Those of them without which, all columns NULL, they are not true.
    pub rejects_nulls: RelationSet,
}

/// Joins as they were written.
#[derive(Clone, Debug)]
pub enum JoinTree {
    /// A relation by its number.
    Relation(usize),
    /// A join.
    Join(Box<JoinNode>),
}

/// A join as it was written.
#[derive(Clone, Debug)]
pub struct JoinNode {
    /// What it does.
    pub operator: Operator,
    /// What it joins by: each conjunct of an inner join by itself, those of others as one.
    pub predicates: Vec<Predicates>,
    /// Its left side.
    pub left: JoinTree,
    /// Its right side.
    pub right: JoinTree,
}

/// If a set has one of `when`, it must have all of `then`.
#[derive(Clone, Copy, Debug)]
struct Rule {
    when: RelationSet,
    then: RelationSet,
}

/// A join between sets of relations.
#[derive(Clone, Debug)]
struct Edge {
    operator: Operator,
    predicates: Predicates,
    /// The relations that it is about (SES).
    mentioned: RelationSet,
    /// What must be on the left, and on the right (TES).
    left: RelationSet,
    right: RelationSet,
    rules: Vec<Rule>,
}

/// Where each join may stand.
#[derive(Clone, Debug)]
pub struct Hypergraph {
    relations: usize,
    edges: Vec<Edge>,
}

/// How two sets of relations are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the join does.
    pub operator: Operator,
    /// The left side; of other joins than inner and full ones it cannot be the right one.
    pub left: RelationSet,
    /// The right side.
    pub right: RelationSet,
    /// The numbers of the conjuncts, ascending.
    pub predicates: Vec<usize>,
}

impl JoinTree {
    /// The relations below.
    pub fn relations(&self) -> RelationSet {
        match self {
            Self::Relation(relation) => RelationSet::of(*relation),
            Self::Join(join) => join.left.relations().union(join.right.relations()),
        }
    }

    fn joins<'a>(&'a self, found: &mut Vec<&'a JoinNode>) {
        if let Self::Join(join) = self {
            join.left.joins(found);
            join.right.joins(found);
            found.push(join);
        }
    }
}

impl JoinNode {
    /// All conjuncts as one.
    fn together(&self) -> Predicates {
        let mut all = Predicates::default();
        for predicates in &self.predicates {
            all.ids.extend(&predicates.ids);
            all.relations = all.relations.union(predicates.relations);
            all.rejects_nulls = all.rejects_nulls.union(predicates.rejects_nulls);
        }
        all
    }

    fn edges(&self) -> Vec<Edge> {
        let (left, right) = (self.left.relations(), self.right.relations());
        let together = self.together();
        let rules = self.rules(&together);
        let parts = match self.operator {
            Operator::Inner if !self.predicates.is_empty() => self.predicates.clone(),
            _ => vec![together],
        };
        let edges = parts.into_iter().map(|predicates| {
            let mut rules = rules.clone();
            // A side that is not mentioned is meant as a whole.
            let of_side = |side: RelationSet| match predicates.relations.intersection(side) {
                RelationSet::EMPTY => side,
                mentioned => mentioned,
            };
            let mentioned = of_side(left).union(of_side(right));
            let mut needed = mentioned;
            while let Some(at) = rules.iter().position(|rule| rule.when.overlaps(needed)) {
                needed = needed.union(rules.swap_remove(at).then);
            }
            Edge {
                operator: self.operator,
                mentioned,
                left: needed.intersection(left),
                right: needed.intersection(right),
                predicates,
                rules,
            }
        });
        edges.collect()
    }

    /// What the joins below forbid to this one.
    fn rules(&self, predicates: &Predicates) -> Vec<Rule> {
        let this = Joined { operator: self.operator, predicates };
        let mut rules = Vec::new();
        let mut below = Vec::new();
        self.left.joins(&mut below);
        for join in below.drain(..) {
            let under = join.together();
            let other = Joined { operator: join.operator, predicates: &under };
            let (l, r) = (join.left.relations(), join.right.relations());
            if !associative(other, this, r) {
                rules.push(Rule { when: r, then: mentioned(l, &under) });
            }
            if !left_asscom(other, this, l) {
                rules.push(Rule { when: l, then: mentioned(r, &under) });
            }
        }
        self.right.joins(&mut below);
        for join in below {
            let under = join.together();
            let other = Joined { operator: join.operator, predicates: &under };
            let (l, r) = (join.left.relations(), join.right.relations());
            if !associative(this, other, l) {
                rules.push(Rule { when: l, then: mentioned(r, &under) });
            }
            if !right_asscom(this, other, r) {
                rules.push(Rule { when: r, then: mentioned(l, &under) });
            }
        }
        rules
    }
}

/// The relations of a side that its join is about; all of them if it is about none.
fn mentioned(side: RelationSet, predicates: &Predicates) -> RelationSet {
    match side.intersection(predicates.relations) {
        RelationSet::EMPTY => side,
        mentioned => mentioned,
    }
}

impl Edge {
    /// Is all that it needs in a set, and do its rules hold?
    fn obeys(&self, set: RelationSet) -> bool {
        let has_all = self.left.union(self.right).is_subset(set);
        has_all
            && self.rules.iter().all(|rule| !rule.when.overlaps(set) || rule.then.is_subset(set))
    }

    /// All pairs: it is only a way to connect what nothing else does.
    fn is_product(&self) -> bool {
        self.operator == Operator::Inner && self.predicates.ids.is_empty()
    }

    fn joins(&self, left: RelationSet, right: RelationSet) -> bool {
        self.left.is_subset(left) && self.right.is_subset(right)
    }
}

impl Hypergraph {
    /// The hypergraph of a tree over the relations 0 … n - 1.
    pub fn new(tree: &JoinTree) -> Self {
        let mut joins = Vec::new();
        tree.joins(&mut joins);
        let edges = joins.into_iter().flat_map(JoinNode::edges).collect();
        Self { relations: tree.relations().len(), edges }
    }

    /// How many relations there are.
    pub fn relations(&self) -> usize {
        self.relations
    }

    /// The relations that are together when a conjunct has been applied.
    pub fn mentioned_by(&self, predicate: usize) -> Option<RelationSet> {
        let edge = self.edges.iter().find(|edge| edge.predicates.ids.contains(&predicate))?;
        Some(edge.mentioned)
    }

    /// Does an edge lead from one to the other?
    pub fn connects(&self, one: RelationSet, other: RelationSet) -> bool {
        self.edges.iter().any(|edge| edge.joins(one, other) || edge.joins(other, one))
    }

    /// Relations that edges lead to from a set, outside of it and of what is excluded; of each edge's
    /// other side the lowest one stands for all.
    pub fn neighbours(&self, set: RelationSet, excluded: RelationSet) -> RelationSet {
        let outside = |near: RelationSet, far: RelationSet| {
            let is_new = near.is_subset(set) && !far.overlaps(set) && !far.overlaps(excluded);
            if is_new { far.lowest() } else { RelationSet::EMPTY }
        };
        self.edges.iter().fold(RelationSet::EMPTY, |found, edge| {
            found.union(outside(edge.left, edge.right)).union(outside(edge.right, edge.left))
        })
    }

    /// How two sets are joined; `None`: not at all. All conjuncts whose relations come together are
    /// applied, so that the rows of a set are the same whatever the order.
    pub fn step(&self, one: RelationSet, other: RelationSet) -> Option<Step> {
        if !self.connects(one, other) {
            return None;
        }
        let set = one.union(other);
        let mut step =
            Step { operator: Operator::Inner, left: one, right: other, predicates: Vec::new() };
        let mut edges = 0;
        for edge in &self.edges {
            let comes_together = edge.mentioned.is_subset(set)
                && !edge.mentioned.is_subset(one)
                && !edge.mentioned.is_subset(other);
            if !comes_together || edge.is_product() {
                continue;
            }
            if !edge.obeys(set) {
                return None;
            }
            edges += 1;
            step.predicates.extend(&edge.predicates.ids);
            if edge.operator != Operator::Inner {
                step.operator = edge.operator;
                (step.left, step.right) = match edge.joins(one, other) {
                    true => (one, other),
                    false if edge.joins(other, one) => (other, one),
                    false => return None,
                };
            }
        }
        let is_alone = step.operator == Operator::Inner || edges == 1;
        step.predicates.sort_unstable();
        is_alone.then_some(step)
    }
}
