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
//!
//! Where there are many groups, but of one integer whose values lie close together, each value has a
//! place of its own: [`dense`].

mod accumulation;
mod columns;
mod dense;
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

use self::{
    dense::Finish,
    exec::DirectAggregateExec,
    spec::{Form, Shape},
};
use super::{
    ranges::ranges,
    raw_scan::{FindScan, RawScan},
};

/// Projections between an aggregate and its scan that are looked through.
const MAX_PROJECTIONS: usize = 3;

/// Replaces the aggregates of few groups.
pub(super) fn apply(
    plan: Arc<dyn ExecutionPlan>,
    scans: FindScan,
) -> Result<Arc<dyn ExecutionPlan>> {
    apply_form(plan, Form::Few, scans)
}

/// Replaces the aggregates by one integer whose values lie close together.
pub(super) fn apply_dense(
    plan: Arc<dyn ExecutionPlan>,
    scans: FindScan,
) -> Result<Arc<dyn ExecutionPlan>> {
    apply_form(plan, Form::Dense, scans)
}

fn apply_form(
    plan: Arc<dyn ExecutionPlan>,
    form: Form,
    scans: FindScan,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| {
        Ok(match replaced(&plan, form, scans)? {
            Some(direct) => Transformed::yes(direct),
            None => Transformed::no(plan),
        })
    })
    .data()
}

fn replaced(
    plan: &Arc<dyn ExecutionPlan>,
    form: Form,
    scans: FindScan,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(aggregate) = plan.downcast_ref::<AggregateExec>() else { return Ok(None) };
    match aggregate.mode() {
        AggregateMode::Partial => {
            Ok(direct(aggregate, form, scans)?.map(|direct| Arc::new(direct) as _))
        }
        AggregateMode::Single => in_one_phase(aggregate, form, scans),
        // Of one execution partition there is nothing to split.
        AggregateMode::SinglePartitioned if has_one_partition(aggregate.input()) => {
            in_one_phase(aggregate, form, scans)
        }
        AggregateMode::SinglePartitioned
        | AggregateMode::Final
        | AggregateMode::FinalPartitioned
        | AggregateMode::PartialReduce => Ok(None),
    }
}

fn has_one_partition(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.properties().output_partitioning().partition_count() == 1
}

/// The direct aggregate of few groups gives states, and one group several times: they are merged. The
/// dense one has each group once, and finishes them itself.
fn in_one_phase(
    aggregate: &AggregateExec,
    form: Form,
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
    let Some(direct) = direct(&partial, form, scans)? else { return Ok(None) };
    if direct.is_dense()
        && has_one_partition(aggregate.input())
        && let Some(finish) = Finish::of(&partial, aggregate)
    {
        return Ok(Some(Arc::new(direct.finishing(aggregate, finish))));
    }
    let merged = phase(AggregateMode::Final, groups.as_final(), Arc::new(direct))?;
    let is_same = merged.schema() == aggregate.schema();
    Ok(is_same.then(|| Arc::new(merged) as _))
}

fn direct(
    aggregate: &AggregateExec,
    form: Form,
    scans: FindScan,
) -> Result<Option<DirectAggregateExec>> {
    if *aggregate.input_order_mode() != InputOrderMode::Linear {
        return Ok(None);
    }
    let Some(below) = below(aggregate.input(), scans) else { return Ok(None) };
    let Below { projections, leaf, scan, is_cooperative } = below;
    let shape = Shape { aggregate, projections, scan, ranges: ranges(leaf, &[], scans), form };
    let Some(spec) = shape.spec()? else { return Ok(None) };
    let (mut raw, codebooks) = scan.with_raw(&spec.raw)?;
    if is_cooperative {
        raw = Arc::new(CooperativeExec::new(raw));
    }
    let ordinary = Arc::new(aggregate.clone());
    Ok(Some(DirectAggregateExec::new(Arc::new(spec), raw, codebooks.into(), ordinary)))
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
