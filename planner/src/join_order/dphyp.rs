//! All orders of joins without products that nobody asked for, each pair of sets once.
//!
//! DPhyp: G. Moerkotte, T. Neumann, "Dynamic Programming Strikes Back", SIGMOD 2008, section 3.

use super::{Hypergraph, JoinSpace, RelationSet, search::Memo};

/// For each pair that is joined, so many sets may be looked at that are not joined in the end.
const LOOKS_PER_PAIR: usize = 16;

pub(super) struct Dphyp<'a, S: JoinSpace> {
    graph: &'a Hypergraph,
    space: &'a mut S,
    memo: Memo<S>,
    pairs_left: usize,
    looks_left: usize,
}

/// The budget is spent.
struct Spent;

impl<'a, S: JoinSpace> Dphyp<'a, S> {
    pub(super) fn new(
        graph: &'a Hypergraph,
        space: &'a mut S,
        memo: Memo<S>,
        pairs: usize,
    ) -> Self {
        let looks_left = pairs.saturating_mul(LOOKS_PER_PAIR);
        Self { graph, space, memo, pairs_left: pairs, looks_left }
    }

    /// `None`: it would be more work than allowed.
    pub(super) fn solve(mut self) -> Option<Vec<S::Plan>> {
        self.enumerate().ok()?;
        Some(self.memo.take(RelationSet::first_ones(self.graph.relations())))
    }

    fn enumerate(&mut self) -> Result<(), Spent> {
        for relation in (0..self.graph.relations()).rev() {
            let set = RelationSet::of(relation);
            self.partners(set)?;
            self.grow(set, RelationSet::up_to(relation))?;
        }
        Ok(())
    }

    /// All connected sets that contain this one (EnumerateCsgRec).
    fn grow(&mut self, set: RelationSet, excluded: RelationSet) -> Result<(), Spent> {
        let near = self.graph.neighbours(set, excluded);
        for more in near.subsets() {
            self.look()?;
            let larger = set.union(more);
            if self.is_planned(larger) {
                self.partners(larger)?;
            }
        }
        for more in near.subsets() {
            self.look()?;
            self.grow(set.union(more), excluded.union(near))?;
        }
        Ok(())
    }

    /// All sets to join this one with (EmitCsg).
    fn partners(&mut self, set: RelationSet) -> Result<(), Spent> {
        let first = set.first().unwrap_or_default();
        let excluded = set.union(RelationSet::up_to(first));
        let near = self.graph.neighbours(set, excluded);
        for relation in near.iter().rev() {
            let partner = RelationSet::of(relation);
            if self.graph.connects(set, partner) {
                self.pair(set, partner)?;
            }
            let lower = near.intersection(RelationSet::up_to(relation));
            self.grow_partner(set, partner, excluded.union(lower))?;
        }
        Ok(())
    }

    /// All sets that contain this partner (EnumerateCmpRec).
    fn grow_partner(
        &mut self,
        set: RelationSet,
        partner: RelationSet,
        excluded: RelationSet,
    ) -> Result<(), Spent> {
        let near = self.graph.neighbours(partner, excluded);
        for more in near.subsets() {
            self.look()?;
            let larger = partner.union(more);
            if self.is_planned(larger) && self.graph.connects(set, larger) {
                self.pair(set, larger)?;
            }
        }
        for more in near.subsets() {
            self.look()?;
            self.grow_partner(set, partner.union(more), excluded.union(near))?;
        }
        Ok(())
    }

    /// Joins two sets, if they may be (EmitCsgCmp).
    fn pair(&mut self, one: RelationSet, other: RelationSet) -> Result<(), Spent> {
        let Some(step) = self.graph.step(one, other) else { return Ok(()) };
        self.pairs_left = self.pairs_left.checked_sub(1).ok_or(Spent)?;
        self.memo.join(self.space, &step);
        Ok(())
    }

    fn is_planned(&self, set: RelationSet) -> bool {
        !self.memo.of(set).is_empty()
    }

    fn look(&mut self) -> Result<(), Spent> {
        self.looks_left = self.looks_left.checked_sub(1).ok_or(Spent)?;
        Ok(())
    }
}
