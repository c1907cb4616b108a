//! Aggregates straight over a scan: few groups, plain functions, arithmetic that fits into 64 bits.
//!
//! ```text
//!   AggregateExec: Partial          DirectAggregateExec
//!     ProjectionExec          ->      scan, some columns as they are in memory
//!       scan
//! ```
//!
//! [`spec`] says what is computed, [`columns`] reads a batch, [`groups`] finds each row's group by
//! its keys' codes, a [`super::narrow::Machine`] does the arithmetic, [`tables`] keep sums, least
//! and greatest values by group. [`states`] makes of that what the aggregate above merges. When there
//! are too many groups, the groups so far are given out, and the ordinary aggregate goes on ([`rest`]).

mod accumulation;
mod columns;
mod exec;
mod groups;
mod rest;
mod spec;
mod states;
mod stream;
mod tables;

use std::sync::Arc;

use datafusion::{
    common::tree_node::{Transformed, TransformedResult, TreeNode},
    error::Result,
    physical_plan::{
        ExecutionPlan, InputOrderMode,
        aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy},
        coop::CooperativeExec,
        projection::{ProjectionExec, ProjectionExpr},
    },
};

use self::{exec::DirectAggregateExec, spec::Shape};
use super::{
    ranges::ranges,
    raw_scan::{FindScan, RawScan},
};

/// Projections between an aggregate and its scan that are looked through.
const MAX_PROJECTIONS: usize = 3;

/// Replaces the aggregates that can be.
pub(super) fn apply(
    plan: Arc<dyn ExecutionPlan>,
    scans: FindScan,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| {
        Ok(match replaced(&plan, scans)? {
            Some(direct) => Transformed::yes(direct),
            None => Transformed::no(plan),
        })
    })
    .data()
}

fn replaced(
    plan: &Arc<dyn ExecutionPlan>,
    scans: FindScan,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else { return Ok(None) };
    match aggregate.mode() {
        AggregateMode::Partial => direct(aggregate, scans),
        AggregateMode::Single => in_two_phases(aggregate, scans),
        AggregateMode::SinglePartitioned
        | AggregateMode::Final
        | AggregateMode::FinalPartitioned
        | AggregateMode::PartialReduce => Ok(None),
    }
}

/// The direct aggregate gives states, and one group several times: they are merged.
fn in_two_phases(
    aggregate: &AggregateExec,
    scans: FindScan,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let phase = |mode, groups: PhysicalGroupBy, input| {
        AggregateExec::try_new(
            mode,
            groups,
            aggregate.aggr_expr().to_vec(),
            aggregate.filter_expr().to_vec(),
            input,
            aggregate.input_schema(),
        )
    };
    let groups = aggregate.group_expr();
    let input = Arc::clone(aggregate.input());
    let partial = phase(AggregateMode::Partial, groups.clone(), input)?;
    let Some(direct) = direct(&partial, scans)? else { return Ok(None) };
    let merged = phase(AggregateMode::Final, groups.as_final(), direct)?;
    let is_same = merged.schema() == aggregate.schema();
    Ok(is_same.then(|| Arc::new(merged) as _))
}

fn direct(aggregate: &AggregateExec, scans: FindScan) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if *aggregate.input_order_mode() != InputOrderMode::Linear {
        return Ok(None);
    }
    let Some((projections, leaf, scan)) = chain(aggregate.input(), scans) else { return Ok(None) };
    let shape = Shape { aggregate, projections, scan, ranges: ranges(leaf, &[], scans) };
    let Some(spec) = shape.spec()? else { return Ok(None) };
    let (raw, codebooks) = scan.with_raw(&spec.raw)?;
    let ordinary = Arc::new(aggregate.clone());
    let direct = DirectAggregateExec::new(Arc::new(spec), raw, codebooks.into(), ordinary);
    Ok(Some(Arc::new(direct)))
}

/// The projections below an aggregate, and the scan below them.
type Chain<'a> = (Vec<&'a [ProjectionExpr]>, &'a Arc<dyn ExecutionPlan>, &'a dyn RawScan);

fn chain(input: &Arc<dyn ExecutionPlan>, scans: FindScan) -> Option<Chain<'_>> {
    let mut projections = Vec::new();
    let mut plan = input;
    loop {
        if let Some(scan) = scans(plan) {
            return Some((projections, plan, scan));
        }
        if let Some(cooperative) = plan.downcast_ref::<CooperativeExec>() {
            plan = cooperative.input();
            continue;
        }
        let projection = plan.downcast_ref::<ProjectionExec>()?;
        if projections.len() == MAX_PROJECTIONS {
            return None;
        }
        projections.push(projection.expr());
        plan = projection.input();
    }
}
