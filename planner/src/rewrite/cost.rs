//! What a plan costs, to compare it with what a rule makes of it.

use datafusion::{
    error::Result,
    physical_plan::{
        aggregates::AggregateExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec},
    },
};

use super::PlanRef;
use crate::{
    distribute::{Distributor, Placed},
    join_order::JoinOrderSettings,
    locus::Locus,
    operators::ShardScanExec,
};

// Nanoseconds of one core, about: only their proportions matter.
const SCANNED_ROW: f64 = 1.0;
const SCANNED_BYTE: f64 = 0.2;
const MOTION: f64 = 50_000.0;
const MOVED_BYTE: f64 = 1.5;
const BUILT_ROW: f64 = 40.0;
const PROBED_ROW: f64 = 15.0;
const PAIR: f64 = 2.0;
const AGGREGATED_ROW: f64 = 25.0;
const GROUP: f64 = 50.0;
const ROW: f64 = 1.0;

/// Says whether a rewritten plan is the better one.
pub(super) struct Weigher<'a> {
    distributor: &'a Distributor,
    /// Leaves joins as they are, which gives as many rows.
    plain: Distributor,
    /// Whatever a rule offers is taken.
    takes_all: bool,
}

impl<'a> Weigher<'a> {
    pub(super) fn by_cost(distributor: &'a Distributor) -> Self {
        Self { distributor, plain: plain(distributor), takes_all: false }
    }

    #[cfg(test)]
    pub(super) fn taking_all(distributor: &'a Distributor) -> Self {
        Self { distributor, plain: plain(distributor), takes_all: true }
    }

    /// Nanoseconds of all datanodes together; `None`: something that the plan reads has no statistics.
    pub(super) fn cost(&self, plan: &PlanRef) -> Result<Option<f64>> {
        if !is_known(&self.plain.place(plan)?) {
            return Ok(None);
        }
        let placed = self.distributor.place(plan)?;
        Ok(Some(cost(&placed, self.distributor.datanodes as f64)))
    }

    /// How many rows a plan gives.
    pub(super) fn rows(&self, plan: &PlanRef) -> Result<f64> {
        Ok(self.plain.place(plan)?.estimate.rows)
    }

    /// Has one plan less than `part` of another one's rows?
    pub(super) fn shrinks(&self, from: &PlanRef, to: &PlanRef, part: f64) -> Result<bool> {
        Ok(self.takes_all || self.rows(to)? < self.rows(from)? * part)
    }

    /// The cheapest of what a rule has made of a plan, if it costs less than `part` of it.
    pub(super) fn best(
        &self,
        plan: &PlanRef,
        offers: Vec<PlanRef>,
        part: f64,
    ) -> Result<Option<PlanRef>> {
        if self.takes_all || offers.is_empty() {
            return Ok(offers.into_iter().next());
        }
        let Some(before) = self.cost(plan)? else { return Ok(None) };
        let mut best = (before * part, None);
        for offer in offers {
            if let Some(cost) = self.cost(&offer)?.filter(|cost| *cost < best.0) {
                best = (cost, Some(offer));
            }
        }
        Ok(best.1)
    }
}

fn plain(distributor: &Distributor) -> Distributor {
    let join_order = JoinOrderSettings { is_enabled: false, ..distributor.join_order };
    Distributor { join_order, ..distributor.clone() }
}

/// Was every column that is read below, or filtered by, analyzed?
fn is_known(placed: &Placed) -> bool {
    if !placed.children.is_empty() {
        return placed.children.iter().all(is_known);
    }
    placed.plan.downcast_ref::<ShardScanExec>().is_some_and(ShardScanExec::is_all_analyzed)
}

fn cost(placed: &Placed, datanodes: f64) -> f64 {
    let inputs: f64 = placed.children.iter().map(|input| cost(input, datanodes)).sum();
    // Every datanode does all of it.
    let times = if placed.locus == Locus::Replicated { datanodes } else { 1.0 };
    inputs + own_cost(placed) * times
}

fn own_cost(placed: &Placed) -> f64 {
    let (plan, estimate) = (&placed.plan, &placed.estimate);
    let rows_of = |input: usize| placed.children.get(input).map_or(0.0, |i| i.estimate.rows);
    if plan.is::<ShardScanExec>() {
        return estimate.base_rows * (SCANNED_ROW + SCANNED_BYTE * estimate.width as f64);
    }
    if placed.motion().is_some() {
        return MOTION + estimate.bytes() * MOVED_BYTE;
    }
    if plan.is::<HashJoinExec>() {
        return rows_of(0) * BUILT_ROW + rows_of(1) * PROBED_ROW + estimate.rows * ROW;
    }
    if plan.is::<NestedLoopJoinExec>() || plan.is::<CrossJoinExec>() {
        return rows_of(0) * rows_of(1) * PAIR;
    }
    if plan.is::<AggregateExec>() {
        return rows_of(0) * AGGREGATED_ROW + estimate.rows * GROUP;
    }
    estimate.rows * ROW
}
