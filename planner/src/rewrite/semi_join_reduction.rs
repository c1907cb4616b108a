//! Rows of an aggregate's input that no join above it wants are left out before they are aggregated:
//! semi-join reduction with keys passed sideways.
//!
//! ```text
//!   Join (p_partkey = l_partkey)               Join (p_partkey = l_partkey)
//!     part, filtered                             part, filtered
//!     Aggregate by l_partkey            =>       Aggregate by l_partkey
//!       lineitem                                   Semi Join (l_partkey = p_partkey)
//!                                                    lineitem
//!                                                    p_partkey of part, filtered
//! ```
//!
//! After P. Seshadri et al., "Cost-Based Optimization for Magic: Algebra and Implementation", SIGMOD
//! 1996. The filtering side is computed once more, so it is small: a scan, or a few joined ones. A
//! group goes as a whole or stays as a whole, because its key decides.

use std::sync::Arc;

use datafusion::{
    common::{JoinType, NullEquality},
    error::Result,
    physical_expr::expressions::Column,
    physical_expr_common::physical_expr::is_volatile,
    physical_plan::{
        aggregates::{AggregateExec, AggregateOutputMode},
        filter::FilterExec,
        joins::{HashJoinExec, PartitionMode},
        projection::{ProjectionExec, ProjectionExpr},
    },
};

use super::{
    PlanRef,
    columns::{below, column_of, is_plain, may_lose_rows},
    cost::Weigher,
    over,
};
use crate::operators::ShardScanExec;

/// What is computed once more reads so many tables at most.
const SCANS_MAX: usize = 3;
/// Of so many sources the effect is weighed.
const SOURCES_MAX: usize = 4;
/// So much of a plan's cost the reduced one may have: estimates are not exact.
const WORTH_IT: f64 = 0.9;

/// Values that a column of a plan has, and perhaps more.
#[derive(Clone)]
struct Source {
    plan: PlanRef,
    column: usize,
}

/// Rows whose value in this column is not among the source's, or NULL, are not wanted.
#[derive(Clone)]
struct Bound {
    column: usize,
    source: Source,
}

/// The rule.
pub(super) struct Reduction<'a> {
    weigher: &'a Weigher<'a>,
}

impl<'a> Reduction<'a> {
    pub(super) fn new(weigher: &'a Weigher<'a>) -> Self {
        Self { weigher }
    }

    /// A plan with all aggregates reduced for which it pays.
    pub(super) fn of(&self, plan: &PlanRef) -> Result<PlanRef> {
        self.visit(plan, &[])
    }

    fn visit(&self, plan: &PlanRef, bounds: &[Bound]) -> Result<PlanRef> {
        if !has_aggregate(plan) {
            return Ok(Arc::clone(plan));
        }
        let mut passed: Vec<Vec<Bound>> = plan.children().iter().map(|_| Vec::new()).collect();
        for Bound { column, source } in bounds {
            if let Some((input, column)) = passage(plan, *column) {
                passed[input].push(Bound { column, source: source.clone() });
            }
        }
        if let (Some(join), [left, right]) =
            (plan.downcast_ref::<HashJoinExec>(), passed.as_mut_slice())
        {
            across(join, left, right);
        }
        let inputs = plan.children().into_iter().zip(&passed);
        let inputs = inputs.map(|(input, bounds)| self.visit(input, bounds));
        let plan = over(plan, inputs.collect::<Result<_>>()?)?;
        match plan.downcast_ref::<AggregateExec>() {
            Some(aggregate) if aggregate.mode().output_mode() == AggregateOutputMode::Final => {
                self.reduced(&plan, bounds)
            }
            _ => Ok(plan),
        }
    }

    /// An aggregate over fewer rows, or as it is.
    fn reduced(&self, aggregate: &PlanRef, bounds: &[Bound]) -> Result<PlanRef> {
        let schema = aggregate.schema();
        let fits = |bound: &&Bound| {
            let source = bound.source.plan.schema();
            let of_source = source.field(bound.source.column).data_type();
            passage(aggregate, bound.column).is_some()
                && is_plain(of_source)
                && schema.field(bound.column).data_type() == of_source
        };
        let mut sources = Vec::new();
        for bound in bounds.iter().filter(fits) {
            sources.push((self.weigher.rows(&bound.source.plan)?, bound));
        }
        sources.sort_by(|a, b| a.0.total_cmp(&b.0));
        let offers = sources.into_iter().take(SOURCES_MAX);
        let offers = offers.map(|(_, bound)| semi_joined(aggregate, bound.column, &bound.source));
        let offers = offers.collect::<Result<Vec<_>>>()?;
        let best = self.weigher.best(aggregate, offers, WORTH_IT)?;
        Ok(best.unwrap_or_else(|| Arc::clone(aggregate)))
    }
}

/// Where a bound on a column goes on.
fn passage(plan: &PlanRef, column: usize) -> Option<(usize, usize)> {
    below(plan, column).filter(|(input, _)| may_lose_rows(plan, *input))
}

/// What a join's equalities say of each side's rows, by the other side's; both have the bounds that
/// come from above.
fn across(join: &HashJoinExec, left: &mut Vec<Bound>, right: &mut Vec<Bound>) {
    if join.null_equality() != NullEquality::NullEqualsNothing || join.null_aware {
        return;
    }
    // Rows that find no partner count for nothing.
    let (of_left, of_right) = match join.join_type() {
        JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi => (true, true),
        JoinType::Left | JoinType::LeftAnti => (false, true),
        JoinType::Right | JoinType::RightAnti => (true, false),
        JoinType::Full | JoinType::LeftMark | JoinType::RightMark => (false, false),
    };
    let (above_left, above_right) = (left.clone(), right.clone());
    for (l, r) in join.on() {
        let (Some(l), Some(r)) = (column_of(l), column_of(r)) else { continue };
        if of_right && has_aggregate(join.right()) {
            translate(&above_left, join.left(), l, r, right);
        }
        if of_left && has_aggregate(join.left()) {
            translate(&above_right, join.right(), r, l, left);
        }
    }
}

/// Bounds of one side's column for the other side's column that equals it.
fn translate(above: &[Bound], side: &PlanRef, from: usize, column: usize, found: &mut Vec<Bound>) {
    let mut sources = Vec::new();
    find_sources(side, from, &mut sources);
    let known = above.iter().filter(|bound| bound.column == from).map(|bound| &bound.source);
    let sources = sources.iter().chain(known);
    found.extend(sources.map(|source| Bound { column, source: source.clone() }));
}

/// Plans that are cheap to compute again and have all values of a column.
fn find_sources(plan: &PlanRef, column: usize, found: &mut Vec<Source>) {
    let scans = scans(plan);
    if scans.is_some_and(|scans| scans <= SCANS_MAX) {
        found.push(Source { plan: Arc::clone(plan), column });
    }
    // Below there would be the same without its filters.
    if scans == Some(1) {
        return;
    }
    let Some((side, at)) = below(plan, column) else { return };
    let inputs = plan.children();
    find_sources(inputs[side], at, found);
    let Some(join) = plan.downcast_ref::<HashJoinExec>() else { return };
    let is_both =
        matches!(join.join_type(), JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi);
    if is_both && join.null_equality() == NullEquality::NullEqualsNothing {
        for (l, r) in join.on() {
            let (Some(l), Some(r)) = (column_of(l), column_of(r)) else { continue };
            let (here, other) = if side == 0 { (l, r) } else { (r, l) };
            if here == at {
                find_sources(inputs[1 - side], other, found);
            }
        }
    }
}

/// How many tables a plan reads that gives the same rows each time; `None`: it may not, or it does
/// more than filter and join.
fn scans(plan: &PlanRef) -> Option<usize> {
    if let Some(scan) = plan.downcast_ref::<ShardScanExec>() {
        return (!scan.is_limited()).then_some(1);
    }
    let is_fixed = if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        !is_volatile(filter.predicate())
    } else if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        !projection.expr().iter().any(|output| is_volatile(&output.expr))
    } else if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        let known = [JoinType::Inner, JoinType::LeftSemi, JoinType::RightSemi];
        known.contains(join.join_type())
            && join.filter().is_none_or(|filter| !is_volatile(filter.expression()))
    } else {
        false
    };
    let inputs = plan.children().into_iter().map(scans).sum::<Option<usize>>();
    inputs.filter(|_| is_fixed)
}

/// Without the rows that a bound leaves out, as far down as its column comes from.
fn semi_joined(plan: &PlanRef, column: usize, source: &Source) -> Result<PlanRef> {
    let Some((input, at)) = passage(plan, column) else {
        return semi_join(plan, column, source);
    };
    let mut inputs: Vec<_> = plan.children().into_iter().cloned().collect();
    inputs[input] = semi_joined(&inputs[input], at, source)?;
    over(plan, inputs)
}

fn semi_join(rows: &PlanRef, column: usize, source: &Source) -> Result<PlanRef> {
    let keys = keys(&source.plan, source.column)?;
    let key = Column::new(keys.schema().field(0).name(), 0);
    let wanted = Column::new(rows.schema().field(column).name(), column);
    let join = HashJoinExec::try_new(
        keys,
        Arc::clone(rows),
        vec![(Arc::new(key), Arc::new(wanted))],
        None,
        &JoinType::RightSemi,
        None,
        PartitionMode::Auto,
        NullEquality::NullEqualsNothing,
        false,
    )?;
    Ok(Arc::new(join))
}

/// One column of a plan, and no more read for it than must be.
fn keys(plan: &PlanRef, column: usize) -> Result<PlanRef> {
    if let Some(scan) = plan.downcast_ref::<ShardScanExec>() {
        return Ok(Arc::new(scan.of_columns(&[column])?));
    }
    if let (Some(projection), Some((_, at))) =
        (plan.downcast_ref::<ProjectionExec>(), below(plan, column))
    {
        return keys(projection.input(), at);
    }
    let alias = plan.schema().field(column).name().clone();
    let expr = Arc::new(Column::new(&alias, column));
    let only = [ProjectionExpr { expr, alias }];
    Ok(Arc::new(ProjectionExec::try_new(only, Arc::clone(plan))?))
}

fn has_aggregate(plan: &PlanRef) -> bool {
    plan.is::<AggregateExec>() || plan.children().into_iter().any(has_aggregate)
}
