//! The plans of a region's sets: in which order, moved how, and where the rows are then.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{common::Result, physical_expr::PhysicalExpr};

use super::{
    Condition, Region,
    condition::column,
    cost::{Here, giving, joining, moving},
    local::{LocalJoin, position, schema_of},
};
use crate::{
    cardinality::{self, Estimate, JoinSides},
    distribute::{
        Distributor, JoinChoice, JoinMotions, JoinPlace, JoinShape, JoinSideFacts, Move, Placed,
        join_choices, join_key, joined_locus, moved_locus,
    },
    join_order::{Hypergraph, JoinSpace, RelationSet, Step},
    locus::Locus,
};

/// What is the same for all plans of a set.
#[derive(Clone, Debug)]
pub(super) struct SetFacts {
    /// Its columns that are still needed.
    pub columns: Vec<usize>,
    pub schema: SchemaRef,
    pub estimate: Estimate,
}

/// So much more than the plan at hand other ones may cost: sums of the same differ by their order.
const SLACK: f64 = 1e-9;

/// A plan of a set.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub set: RelationSet,
    /// What its joins and motions cost.
    pub cost: f64,
    /// Where its rows are, by their positions among the set's columns.
    pub locus: Locus,
    /// How many times the average the largest datanode's rows are.
    skew: f64,
    /// `None`: a relation.
    pub joined: Option<Rc<Joined>>,
}

/// How a plan came to be.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    pub step: Rc<Step>,
    pub left: Candidate,
    pub right: Candidate,
    pub motions: JoinMotions,
}

/// The columns that a set's plans have.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub columns: Vec<usize>,
    /// None is needed: one stands for the rows, so that batches have columns.
    stands_for_rows: bool,
}

impl Kept {
    /// Where rows are that were joined: a column that only stands for them is no key.
    pub(super) fn locus(&self, locus: Locus) -> Locus {
        if self.stands_for_rows { locus.project(|_| Vec::new()) } else { locus }
    }
}

/// A step, as all plans of its sides take it.
struct Made {
    step: Rc<Step>,
    join: LocalJoin,
    shape: JoinShape,
    kept: Kept,
    /// Positions, among the joined columns, of those that the set keeps.
    positions: Vec<usize>,
    lefts: Vec<Arc<dyn PhysicalExpr>>,
    rights: Vec<Arc<dyn PhysicalExpr>>,
}

pub(super) struct Space<'a> {
    distributor: &'a Distributor,
    region: &'a Region,
    relations: &'a [Placed],
    /// For each column the sets with which its conditions are done.
    needed_until: Vec<Vec<RelationSet>>,
    sets: HashMap<RelationSet, Rc<SetFacts>>,
    skews: HashMap<(RelationSet, usize), f64>,
    /// Of each set what a plan may cost at most: another one brings its rows anywhere for that.
    bounds: HashMap<RelationSet, f64>,
    /// What a plan of any set may cost at most: a plan of all relations is at hand for that.
    most: f64,
}

impl<'a> Space<'a> {
    pub(super) fn new(
        distributor: &'a Distributor,
        region: &'a Region,
        graph: &Hypergraph,
        relations: &'a [Placed],
    ) -> Self {
        let mut needed_until = vec![Vec::new(); region.columns.len()];
        for (id, condition) in region.conditions.iter().enumerate() {
            let until =
                graph.mentioned_by(id).filter(|_| !matches!(condition, Condition::Same { .. }));
            for (at, until) in condition.columns().into_iter().zip(std::iter::repeat(until)) {
                needed_until[at].extend(until);
            }
        }
        let sets = relations.iter().enumerate().map(|(relation, placed)| {
            let columns = region.columns_of(relation);
            let facts = SetFacts {
                schema: schema_of(region, &columns),
                columns,
                estimate: placed.estimate.clone(),
            };
            (RelationSet::of(relation), Rc::new(facts))
        });
        let sets = sets.collect();
        let (skews, bounds, most) = (HashMap::new(), HashMap::new(), f64::INFINITY);
        Self { distributor, region, relations, needed_until, sets, skews, bounds, most }
    }

    /// The plans of the relations.
    pub(super) fn leaves(&self) -> Vec<Vec<Candidate>> {
        let leaf = |(relation, placed): (usize, &Placed)| Candidate {
            set: RelationSet::of(relation),
            cost: 0.0,
            locus: placed.locus.clone(),
            skew: placed.estimate.skew,
            joined: None,
        };
        self.relations.iter().enumerate().map(|relation| vec![leaf(relation)]).collect()
    }

    /// What is known of a set that was joined.
    pub(super) fn facts(&self, set: RelationSet) -> Option<&Rc<SetFacts>> {
        self.sets.get(&set)
    }

    /// Of these columns those that are still needed beyond a set, in the order that all its plans have.
    pub(super) fn kept(&self, set: RelationSet, columns: &[usize]) -> Kept {
        let output = &self.region.output;
        let mut kept: Vec<usize> = Vec::new();
        if set.len() == self.relations.len() {
            for at in output {
                if !kept.contains(at) {
                    kept.push(*at);
                }
            }
        } else {
            let is_needed = |at: &usize| {
                output.contains(at)
                    || self.needed_until[*at].iter().any(|until| !until.is_subset(set))
                    || self.is_key(*at, set, columns)
            };
            kept.extend(columns.iter().copied().filter(is_needed));
            kept.sort_unstable();
        }
        let stands_for_rows = kept.is_empty();
        if stands_for_rows {
            kept.extend(columns.first());
        }
        Kept { columns: kept, stands_for_rows }
    }

    /// Is this the column of its class, among these of a set, that the set is joined by?
    fn is_key(&self, at: usize, set: RelationSet, columns: &[usize]) -> bool {
        let class = self.region.classes.iter().find(|class| class.contains(&at));
        class.is_some_and(|class| {
            let goes_on = !self.region.relations_of(class.iter().copied()).is_subset(set);
            goes_on && class.iter().find(|other| columns.contains(other)) == Some(&at)
        })
    }

    fn make(&mut self, step: &Step) -> Result<Option<Made>> {
        let (Some(left), Some(right)) = (self.facts(step.left), self.facts(step.right)) else {
            return Ok(None);
        };
        let (left, right) = (Rc::clone(left), Rc::clone(right));
        let join = LocalJoin::new(self.region, step, &left.columns, &right.columns)?;
        let set = step.left.union(step.right);
        let kept = self.kept(set, &join.columns);
        let positions = kept.columns.iter().map(|at| position(&join.columns, *at));
        let positions = positions.collect::<Result<Vec<_>>>()?;
        let skews = join
            .on
            .iter()
            .map(|(l, r)| (self.skew((step.left, &left), l), self.skew((step.right, &right), r)));
        let shape = JoinShape {
            join_type: join.join_type,
            null_aware: false,
            nulls_equal: false,
            keys: join.on.iter().map(|on| join_key(on, &left.schema, &right.schema)).collect(),
            skews: skews.collect(),
            datanodes: self.distributor.datanodes,
        };
        if !self.sets.contains_key(&set) {
            let estimate = estimate(&join, &left.estimate, &right.estimate).kept(&positions);
            let columns = kept.columns.clone();
            let schema = schema_of(self.region, &columns);
            self.sets.insert(set, Rc::new(SetFacts { columns, schema, estimate }));
        }
        let (lefts, rights) = join.on.iter().cloned().unzip();
        let step = Rc::new(step.clone());
        Ok(Some(Made { step, join, shape, kept, positions, lefts, rights }))
    }

    /// How unevenly a set's rows would come by a key.
    fn skew(&mut self, (set, facts): (RelationSet, &SetFacts), key: &Arc<dyn PhysicalExpr>) -> f64 {
        let computed = || self.distributor.skew_by(key, &facts.schema, &facts.estimate);
        match column(key) {
            Some(at) => *self.skews.entry((set, at)).or_insert_with(computed),
            None => computed(),
        }
    }

    /// Two plans joined in one of the ways.
    fn joined(
        &self,
        made: &Made,
        (left, right): (&Candidate, &Candidate),
        choice: JoinChoice,
    ) -> Option<Candidate> {
        let set = left.set.union(right.set);
        let (facts, l, r) = (self.facts(set)?, self.facts(left.set)?, self.facts(right.set)?);
        let motions = &choice.motions;
        let moved = |plan: &Candidate, motion: &Move, exprs: &[_], facts: &SetFacts| {
            moved_locus(&plan.locus, motion, &made.shape, exprs, &facts.schema)
        };
        let left_locus = moved(left, &motions.left, &made.lefts, l);
        let right_locus = moved(right, &motions.right, &made.rights, r);
        let skew_after =
            |plan: &Candidate, motion: &Move, side: fn(&(f64, f64)) -> f64| match motion {
                Move::Stay => plan.skew,
                Move::Single | Move::Broadcast => 1.0,
                Move::Redistribute(keys) => made.shape.skew(keys, side),
            };
        let left_skew = skew_after(left, &motions.left, |skews| skews.0);
        let right_skew = skew_after(right, &motions.right, |skews| skews.1);
        let skew = match motions.place {
            JoinPlace::Left => left_skew,
            JoinPlace::Right => right_skew,
            JoinPlace::Both => left_skew.max(right_skew),
            JoinPlace::Single => 1.0,
        };
        let width = l.columns.len();
        let locus = joined_locus(motions.place, (&left_locus, width), &right_locus, &made.shape);
        let kept = |at: usize| -> Vec<usize> {
            made.positions.iter().position(|kept| *kept == at).into_iter().collect()
        };
        let locus = made.kept.locus(locus.project(kept));
        let work = joining(
            self.here(&l.estimate, &left_locus, left_skew),
            self.here(&r.estimate, &right_locus, right_skew),
            self.here(&facts.estimate, &locus, skew),
            !made.join.on.is_empty(),
        );
        let received = self.receiving(&choice);
        let motions = choice.motions;
        let cost = left.cost + right.cost + received + work;
        let step = Rc::clone(&made.step);
        let joined = Joined { step, left: left.clone(), right: right.clone(), motions };
        Some(Candidate { set, cost, locus, skew, joined: Some(Rc::new(joined)) })
    }

    fn datanodes(&self) -> f64 {
        self.distributor.datanodes.max(1) as f64
    }

    /// What the datanode has that has most.
    fn here(&self, estimate: &Estimate, locus: &Locus, skew: f64) -> Here {
        let rows = match locus.is_partitioned() {
            true => (estimate.rows * skew / self.datanodes()).min(estimate.rows),
            false => estimate.rows,
        };
        Here { rows, width: estimate.width as f64 }
    }

    /// What a join at least costs for the rows it gives, if they are known.
    fn giving_at_least(&self, set: RelationSet) -> f64 {
        let even = |facts: &Rc<SetFacts>| {
            let (rows, width) = (facts.estimate.rows, facts.estimate.width as f64);
            giving(Here { rows: rows / self.datanodes(), width })
        };
        self.facts(set).map_or(0.0, even)
    }

    /// What the motions of a join cost.
    fn receiving(&self, choice: &JoinChoice) -> f64 {
        moving(choice.moved / self.datanodes())
    }

    /// What a plan costs with a motion to wherever its rows may be wanted.
    fn anywhere(&self, plan: &Candidate) -> f64 {
        match plan.locus {
            // Copies cannot be taken apart.
            Locus::General | Locus::Replicated => f64::INFINITY,
            _ => {
                let bringing = self.bringing(plan.set, &plan.locus, &Locus::Replicated);
                plan.cost + bringing.unwrap_or(f64::INFINITY)
            }
        }
    }

    /// What it costs at least to bring rows from one place to another; `None`: there is no motion.
    fn bringing(&self, set: RelationSet, from: &Locus, to: &Locus) -> Option<f64> {
        let bytes = self.facts(set).map_or(0.0, |facts| facts.estimate.bytes());
        let nodes = self.datanodes();
        // Bytes that come from elsewhere.
        let all = moving(bytes * (nodes - 1.0) / nodes);
        match (from, to) {
            (from, to) if from.is_also(to) => Some(0.0),
            (Locus::Hashed(_), Locus::Strewn) => Some(0.0),
            (Locus::Replicated | Locus::General, Locus::Single) => Some(0.0),
            (Locus::General, Locus::Replicated) => Some(0.0),
            (Locus::Replicated | Locus::General, _) | (_, Locus::General) => None,
            (_, Locus::Replicated | Locus::Single) => Some(all),
            (_, Locus::Hashed(_) | Locus::Strewn) => Some(all / nodes),
        }
    }
}

fn estimate(join: &LocalJoin, left: &Estimate, right: &Estimate) -> Estimate {
    let sides = JoinSides {
        left,
        right,
        on: &join.on,
        filter: join.filter.as_ref(),
        join_type: join.join_type,
        nulls_equal: false,
    };
    match join.on.is_empty() {
        true => cardinality::pairs(sides),
        false => cardinality::join(sides),
    }
}

impl JoinSpace for Space<'_> {
    type Plan = Candidate;

    fn join(&mut self, step: &Step, left: &[Candidate], right: &[Candidate]) -> Vec<Candidate> {
        let set = step.left.union(step.right);
        let mut bound = self.bounds.get(&set).copied().unwrap_or(f64::INFINITY).min(self.most);
        if least(left) + least(right) + self.giving_at_least(set) >= bound {
            return Vec::new();
        }
        // Without the columns it needs a step is none.
        let Ok(Some(made)) = self.make(step) else { return Vec::new() };
        let giving = self.giving_at_least(set);
        let bytes = |set| self.facts(set).map_or(0.0, |facts| facts.estimate.bytes());
        let (left_bytes, right_bytes) = (bytes(step.left), bytes(step.right));
        let mut found: Vec<Candidate> = Vec::new();
        for l in left {
            for r in right {
                let choices = join_choices(
                    JoinSideFacts { locus: &l.locus, bytes: left_bytes },
                    JoinSideFacts { locus: &r.locus, bytes: right_bytes },
                    &made.shape,
                );
                for choice in choices {
                    if l.cost + r.cost + self.receiving(&choice) + giving >= bound {
                        continue;
                    }
                    let Some(plan) = self.joined(&made, (l, r), choice) else { continue };
                    bound = bound.min(self.anywhere(&plan));
                    found.push(plan);
                }
            }
        }
        self.bounds.insert(set, bound);
        found
    }

    /// Rows that a motion could bring where the other's are, and still for less.
    fn beats(&self, plan: &Candidate, other: &Candidate) -> bool {
        let bringing = self.bringing(plan.set, &plan.locus, &other.locus);
        bringing.is_some_and(|bringing| plan.cost + bringing <= other.cost)
    }

    fn rows(&self, plan: &Candidate) -> f64 {
        self.facts(plan.set).map_or(f64::INFINITY, |facts| facts.estimate.rows)
    }

    fn is_at_hand(&mut self, plans: &[Candidate]) {
        self.most = least(plans) * (1.0 + SLACK);
        self.bounds.clear();
    }
}

fn least(plans: &[Candidate]) -> f64 {
    plans.iter().map(|plan| plan.cost).fold(f64::INFINITY, f64::min)
}
