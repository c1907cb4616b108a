//! Aggregation in one, two or three phases (Greenplum's `cdbgroup.c`).
//!
//! DataFusion's initial plan has a Final aggregate directly over its Partial. Between the two goes
//! the motion that brings the groups together:
//!
//! ```text
//!   groups together already     grouped                    not grouped
//!   Final                       Final                      Final
//!     Partial                     Redistribute (groups)      Gather
//!       rows                        Partial                    Partial
//!                                     rows                       rows
//! ```
//!
//! DISTINCT in all aggregates over one expression is two such pairs, one above the other (three
//! phases); where several expressions are DISTINCT, or an aggregate wants its rows in order, the
//! rows themselves are brought together before the first phase.
//!
//! Between the two may be a join (`rewrite/eager_aggregation.rs`): a Partial below it, and a PartialReduce
//! above it, which is then what Partial is here.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    error::Result,
    physical_expr::{PhysicalExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan,
        aggregates::{AggregateExec, AggregateMode},
    },
};

use super::{Distributor, Placed, reproducible::is_reproducible};
use crate::{cardinality::Groups, locus::Locus};

impl Distributor {
    /// Places an aggregate, and with it the Partial one below.
    pub(super) fn aggregate(
        &self,
        aggregate: &AggregateExec,
        plan: &Arc<dyn ExecutionPlan>,
    ) -> Result<Placed> {
        let partial =
            aggregate.input().downcast_ref::<AggregateExec>().filter(|below| gives_states(below));
        let finishes =
            matches!(aggregate.mode(), AggregateMode::Final | AggregateMode::FinalPartitioned);
        match partial {
            Some(partial) if finishes => {
                let rows = self.place(partial.input())?;
                self.two_phase(plan, aggregate, aggregate.input(), partial, rows)
            }
            _ if gives_states(aggregate) => {
                let rows = self.place(aggregate.input())?;
                let groups = groups_of(aggregate, &rows);
                let states = match rows.locus.is_partitioned() && !groups_together(aggregate, &rows)
                {
                    true => groups.partial(rows.estimate.rows, self.datanodes),
                    false => groups.count,
                };
                aggregated(plan, aggregate, rows, groups, states)
            }
            _ => {
                let rows = self.place(aggregate.input())?;
                let rows = self.bring_groups_together(aggregate, rows);
                let groups = match finishes && !aggregate.group_expr().is_empty() {
                    // Of states that something else has made: each group is there once.
                    true => Groups { count: rows.estimate.rows, is_guess: true },
                    false => groups_of(aggregate, &rows),
                };
                let count = groups.count;
                aggregated(plan, aggregate, rows, groups, count)
            }
        }
    }

    fn two_phase(
        &self,
        last_plan: &Arc<dyn ExecutionPlan>,
        last: &AggregateExec,
        partial_plan: &Arc<dyn ExecutionPlan>,
        partial: &AggregateExec,
        rows: Placed,
    ) -> Result<Placed> {
        let rows =
            if needs_all_rows(partial) { self.bring_groups_together(partial, rows) } else { rows };
        let together = groups_together(partial, &rows);
        let groups = groups_of(partial, &rows);
        // Of one that aggregates states nobody knows what they are of.
        let results = match *partial.mode() == AggregateMode::Partial {
            true => groups.results(partial, &rows.estimate),
            false => Vec::new(),
        };
        let first = last.schema().fields().len().saturating_sub(last.aggr_expr().len());
        let knowing = |placed: Placed| Placed {
            estimate: placed.estimate.clone().knowing(first, results),
            ..placed
        };
        let is_parted = !together && rows.locus.is_partitioned();
        let states = match is_parted {
            true => groups.partial(rows.estimate.rows, self.datanodes),
            false => groups.count,
        };
        let partial_result = aggregated(partial_plan, partial, rows, groups, states)?;
        if together {
            return aggregated(last_plan, last, partial_result, groups, groups.count).map(knowing);
        }
        // The groups are the first columns of the partial result, at the same positions.
        let exprs: Vec<_> = last.group_expr().input_exprs();
        let moved = self.redistribute_or_single(partial_result, &exprs);
        aggregated(last_plan, last, moved, groups, groups.count).map(knowing)
    }

    /// The rows of each group to one place, before they are aggregated.
    fn bring_groups_together(&self, aggregate: &AggregateExec, rows: Placed) -> Placed {
        if groups_together(aggregate, &rows) {
            return rows;
        }
        // Grouping sets have no key that all of them share.
        let keys = match aggregate.group_expr().has_grouping_set() {
            true => Vec::new(),
            false => aggregate.group_expr().input_exprs(),
        };
        self.redistribute_or_single(rows, &keys)
    }
}

/// Are its rows states, which another one makes results of?
fn gives_states(aggregate: &AggregateExec) -> bool {
    matches!(aggregate.mode(), AggregateMode::Partial | AggregateMode::PartialReduce)
}

/// Partial states cannot be merged cheaply (several DISTINCTs), or not without the order.
fn needs_all_rows(aggregate: &AggregateExec) -> bool {
    aggregate.aggr_expr().iter().any(|e| e.is_distinct() || !e.order_bys().is_empty())
}

fn groups_together(aggregate: &AggregateExec, rows: &Placed) -> bool {
    if aggregate.group_expr().has_grouping_set() {
        return !rows.locus.is_partitioned();
    }
    rows.locus.groups_together(&group_columns(&aggregate.group_expr().input_exprs()))
}

fn group_columns(groups: &[Arc<dyn PhysicalExpr>]) -> BTreeSet<usize> {
    groups.iter().filter_map(|e| e.downcast_ref::<Column>()).map(Column::index).collect()
}

/// The groups of an aggregate's rows, of all its grouping sets.
fn groups_of(aggregate: &AggregateExec, rows: &Placed) -> Groups {
    let by = aggregate.group_expr();
    let exprs = by.input_exprs();
    if !by.has_grouping_set() {
        return Groups::of(&exprs, &rows.estimate);
    }
    let sets = by.groups().iter().map(|left_out| {
        let kept = exprs.iter().zip(left_out).filter(|(_, left_out)| !**left_out);
        kept.map(|(expr, _)| Arc::clone(expr)).collect()
    });
    Groups::of_sets(&sets.collect::<Vec<_>>(), &rows.estimate)
}

/// The aggregate where its input is, with so many rows of these groups; key columns that are groups move to the group's position.
fn aggregated(
    plan: &Arc<dyn ExecutionPlan>,
    aggregate: &AggregateExec,
    input: Placed,
    groups: Groups,
    rows: f64,
) -> Result<Placed> {
    let exprs = aggregate.group_expr().input_exprs();
    let locus = if aggregate.group_expr().has_grouping_set() && input.locus.is_partitioned() {
        match aggregate.mode() {
            AggregateMode::Final | AggregateMode::FinalPartitioned => input.locus.clone(),
            _ => Locus::Strewn,
        }
    } else {
        input.locus.project(|column| {
            let holds = |e: &Arc<dyn PhysicalExpr>| {
                e.downcast_ref::<Column>().is_some_and(|c| c.index() == column)
            };
            exprs.iter().enumerate().filter(|(_, e)| holds(e)).map(|(at, _)| at).collect()
        })
    };
    let locus = if is_reproducible(aggregate)? { locus } else { locus.once() };
    let are_keys = !gives_states(aggregate) && !aggregate.group_expr().has_grouping_set();
    let schema = plan.schema();
    let estimate = groups.estimate(&exprs, &input.estimate, rows, &schema, are_keys);
    Placed::new(plan, vec![input], locus, estimate)
}
