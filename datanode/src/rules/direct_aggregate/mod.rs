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
    let Some(below) = below(aggregate.input(), scans) else { return Ok(None) };
    let Below { projections, leaf, scan, is_cooperative } = below;
    let shape = Shape { aggregate, projections, scan, ranges: ranges(leaf, &[], scans) };
    let Some(spec) = shape.spec()? else { return Ok(None) };
    let (mut raw, codebooks) = scan.with_raw(&spec.raw)?;
    if is_cooperative {
        raw = Arc::new(CooperativeExec::new(raw));
    }
    let ordinary = Arc::new(aggregate.clone());
    let direct = DirectAggregateExec::new(Arc::new(spec), raw, codebooks.into(), ordinary);
    Ok(Some(Arc::new(direct)))
}

/// What is below an aggregate.
struct Below<'a> {
    /// From the top down.
    projections: Vec<&'a [ProjectionExpr]>,
    leaf: &'a Arc<dyn ExecutionPlan>,
    /// The leaf.
    scan: &'a dyn RawScan,
    /// Whether its rows come through an operator that lets others run.
    is_cooperative: bool,
}

/// `None`: something else than projections over a scan.
fn below(input: &Arc<dyn ExecutionPlan>, scans: FindScan) -> Option<Below<'_>> {
    let (mut projections, mut is_cooperative) = (Vec::new(), false);
    let mut leaf = input;
    loop {
        if let Some(scan) = scans(leaf) {
            return Some(Below { projections, leaf, scan, is_cooperative });
        }
        if let Some(cooperative) = leaf.downcast_ref::<CooperativeExec>() {
            is_cooperative = true;
            leaf = cooperative.input();
            continue;
        }
        let projection = leaf.downcast_ref::<ProjectionExec>()?;
        if projections.len() == MAX_PROJECTIONS {
            return None;
        }
        projections.push(projection.expr());
        leaf = projection.input();
    }
}
