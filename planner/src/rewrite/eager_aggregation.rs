//! Rows are aggregated before they are joined, where that leaves the join few of them.
//!
//! ```text
//!   Final by n_name                            Final by n_name
//!     Partial by n_name                          PartialReduce by n_name
//!       Join (c_nationkey = n_nationkey)   =>      Join (c_nationkey = n_nationkey)
//!         customer                                   Partial by c_nationkey
//!         nation                                       customer
//!                                                    nation
//! ```
//!
//! "Eager group-by" of W. P. Yan, P.-Å. Larson, "Eager Aggregation and Lazy Aggregation", VLDB 1995.
//! What passes the join are states of aggregates, which are merged above: a state that finds several
//! partners is merged several times, as its rows would have been counted. All rows of a state have the
//! same join keys, and so the same partners.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::{DataType, Schema};
use datafusion::{
    common::{
        JoinType,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    error::Result,
    physical_expr::{PhysicalExpr, aggregate::AggregateFunctionExpr, expressions::Column},
    physical_expr_common::physical_expr::is_volatile,
    physical_plan::{
        ExecutionPlan,
        aggregates::{AggregateExec, AggregateMode, AggregateOutputMode, PhysicalGroupBy},
        joins::HashJoinExec,
        projection::{ProjectionExec, ProjectionExpr},
    },
};

use super::{
    PlanRef,
    columns::{can_fail, column_of, is_plain, side_of},
    cost::Weigher,
    over,
};
use crate::functions::PlainAggregate;

/// So much of a plan's cost the rewritten one may have: a join may leave fewer rows than it is thought to.
const WORTH_IT: f64 = 0.7;

/// So few of a side's rows there must be states at most, that anything else is looked at.
const STATES_PART: f64 = 0.5;

/// Numbers of so many digits can be summed without overflow, however many rows a table has: rows that
/// find no partner must not be an error.
const SUMMED_DIGITS: u8 = 26;

type ExprRef = Arc<dyn PhysicalExpr>;

/// The rule.
pub(super) struct EagerAggregation<'a> {
    weigher: &'a Weigher<'a>,
}

impl<'a> EagerAggregation<'a> {
    pub(super) fn new(weigher: &'a Weigher<'a>) -> Self {
        Self { weigher }
    }

    /// A plan with aggregates below joins wherever that pays.
    pub(super) fn of(&self, plan: &PlanRef) -> Result<PlanRef> {
        let inputs = plan.children().into_iter().map(|input| self.of(input));
        let plan = over(plan, inputs.collect::<Result<_>>()?)?;
        let offers = self.offers(&plan)?;
        let best = self.weigher.best(&plan, offers, WORTH_IT)?;
        Ok(best.unwrap_or(plan))
    }

    /// The plan with the rows of either side aggregated before, where it is a Final aggregate over joined
    /// rows.
    fn offers(&self, plan: &PlanRef) -> Result<Vec<PlanRef>> {
        let Some(last) = plan.downcast_ref::<AggregateExec>() else { return Ok(Vec::new()) };
        let partial = last.input().downcast_ref::<AggregateExec>();
        let is_last = last.mode().output_mode() == AggregateOutputMode::Final;
        let partial = partial.filter(|below| is_last && *below.mode() == AggregateMode::Partial);
        let Some(partial) = partial.filter(|partial| is_mergeable(partial)) else {
            return Ok(Vec::new());
        };
        let mut computed = Computed::of(partial);
        let mut rows = partial.input();
        while let Some(projection) = rows.downcast_ref::<ProjectionExec>() {
            if projection.expr().iter().any(|output| is_volatile(&output.expr)) {
                return Ok(Vec::new());
            }
            let output =
                |at: usize| projection.expr().get(at).map(|output| Arc::clone(&output.expr));
            computed = computed.over(&output)?;
            rows = projection.input();
        }
        let Some(join) = rows.downcast_ref::<HashJoinExec>() else { return Ok(Vec::new()) };
        if let Some(kept) = join.projection.as_deref() {
            let schema = join_schema(join)?;
            computed = computed.over(&|at| column(&schema, *kept.get(at)?))?;
        }
        // Rows that find no partner are aggregated, too.
        if computed.of_rows().any(can_fail) {
            return Ok(Vec::new());
        }
        let mut offers = Vec::new();
        for side in sides(join) {
            if let Some(reduced) = self.below_join(partial, join, *side, &computed)? {
                offers.push(over(plan, vec![reduced])?);
            }
        }
        Ok(offers)
    }

    /// A PartialReduce over the join of states and rows, in the place of a Partial; `None`: the aggregates
    /// read the other side, too, or there would be nearly as many states as rows.
    fn below_join(
        &self,
        partial: &AggregateExec,
        join: &HashJoinExec,
        side: usize,
        computed: &Computed,
    ) -> Result<Option<PlanRef>> {
        let (join_type, width) = (*join.join_type(), join.left().schema().fields().len());
        let of_side = |at: usize| {
            side_of(join_type, width, at).filter(|(of, _)| *of == side).map(|(_, at)| at)
        };
        if computed.of_rows().flat_map(columns).any(|at| of_side(at).is_none()) {
            return Ok(None);
        }
        let rows = if side == 0 { join.left() } else { join.right() };
        let key = |on: &(ExprRef, ExprRef)| column_of(if side == 0 { &on.0 } else { &on.1 });
        let Some(on) = join.on().iter().map(key).collect::<Option<BTreeSet<usize>>>() else {
            return Ok(None);
        };
        let schema = rows.schema();
        if !on.iter().all(|at| is_plain(schema.field(*at).data_type())) {
            return Ok(None);
        }
        // A group may be two values for what is computed of it: 0.0 and -0.0 have different texts.
        let is_whole = |group: &ExprRef| {
            let mut read = columns(group).into_iter().filter_map(of_side);
            group.is::<Column>() || read.all(|at| is_plain(schema.field(at).data_type()))
        };
        if !computed.groups.iter().all(is_whole) {
            return Ok(None);
        }
        let of_groups = computed.groups.iter().flat_map(columns).filter_map(of_side);
        let keys: Vec<usize> = of_groups.chain(on).collect::<BTreeSet<_>>().into_iter().collect();
        let states =
            states(partial, rows, &keys, &computed.over(&|at| column(&schema, of_side(at)?))?)?;
        let Some(states) = states else { return Ok(None) };
        if !self.weigher.shrinks(rows, &states, STATES_PART)? {
            return Ok(None);
        }

        let joined = joined(join, side, &states, &keys)?;
        let schema = joined.schema();
        // Where the columns of the old join are in the new one.
        let states_at = match join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right if side == 1 => width,
            _ => 0,
        };
        let place = |at: usize| match of_side(at) {
            Some(at) => Some(states_at + keys.iter().position(|key| *key == at)?),
            None if side == 0 => Some(at - width + states.schema().fields().len()),
            None => Some(at),
        };
        let moved =
            computed.groups.iter().map(|expr| replaced(expr, &|at| column(&schema, place(at)?)));
        let names = partial.group_expr().expr().iter().map(|(_, name)| name.clone());
        let groups =
            moved.zip(names).map(|(expr, alias)| Ok(ProjectionExpr { expr: expr?, alias }));
        let mut outputs = groups.collect::<Result<Vec<_>>>()?;
        for (at, field) in states.schema().fields().iter().enumerate().skip(keys.len()) {
            let expr = Arc::new(Column::new(field.name(), states_at + at));
            outputs.push(ProjectionExpr { expr, alias: field.name().clone() });
        }
        let merged = AggregateExec::try_new(
            AggregateMode::PartialReduce,
            partial.group_expr().as_final(),
            partial.aggr_expr().to_vec(),
            vec![None; partial.aggr_expr().len()],
            Arc::new(ProjectionExec::try_new(outputs, joined)?),
            partial.input_schema(),
        )?;
        Ok(Some(Arc::new(merged)))
    }
}

/// What aggregates compute, over the rows of a join.
struct Computed {
    groups: Vec<ExprRef>,
    /// Of each aggregate.
    arguments: Vec<Vec<ExprRef>>,
    filters: Vec<Option<ExprRef>>,
}

/// Have all its aggregates states that can be merged in any order, to exactly the same result?
fn is_mergeable(partial: &AggregateExec) -> bool {
    let by = partial.group_expr();
    let input = partial.input_schema();
    let is_exact = |expr: &ExprRef| {
        let data_type = expr.data_type(&input);
        !is_volatile(expr)
            && !matches!(data_type, Ok(DataType::Float32 | DataType::Float64) | Err(_))
    };
    let is_short = |expr: &ExprRef| match expr.data_type(&input) {
        Ok(DataType::Decimal128(precision, _)) => precision <= SUMMED_DIGITS,
        _ => true,
    };
    let is_mergeable = |aggregate: &Arc<AggregateFunctionExpr>| {
        use PlainAggregate::*;
        let arguments = aggregate.expressions();
        let is_known = match PlainAggregate::of(aggregate.fun()) {
            Some(Sum | Avg) => arguments.iter().all(is_short),
            Some(Count | Min | Max) => true,
            None => false,
        };
        is_known
            && !aggregate.is_distinct()
            && aggregate.order_bys().is_empty()
            && arguments.iter().all(is_exact)
    };
    let filters = partial.filter_expr().iter().flatten();
    let mut fixed = by.expr().iter().map(|(expr, _)| expr).chain(filters);
    !by.is_empty()
        && !by.has_grouping_set()
        && partial.limit_options().is_none()
        && partial.aggr_expr().iter().all(is_mergeable)
        && !fixed.any(is_volatile)
}

/// The sides whose rows may be aggregated: those that are not made NULL, of a join without further
/// conditions.
fn sides(join: &HashJoinExec) -> &'static [usize] {
    if join.filter().is_some() || join.null_aware {
        return &[];
    }
    match join.join_type() {
        JoinType::Inner => &[0, 1],
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => &[0],
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => &[1],
        JoinType::Full | JoinType::LeftMark | JoinType::RightMark => &[],
    }
}

/// The joined row, before the projection that a join may have in itself.
fn join_schema(join: &HashJoinExec) -> Result<Arc<Schema>> {
    let bare = join.builder().with_projection(None).recompute_properties().build()?;
    Ok(bare.schema())
}

fn column(schema: &Schema, at: usize) -> Option<ExprRef> {
    let field = schema.fields().get(at)?;
    Some(Arc::new(Column::new(field.name(), at)))
}

impl Computed {
    fn of(partial: &AggregateExec) -> Self {
        let groups = partial.group_expr().expr().iter().map(|(expr, _)| Arc::clone(expr));
        Self {
            groups: groups.collect(),
            arguments: partial.aggr_expr().iter().map(|a| a.expressions()).collect(),
            filters: partial.filter_expr().to_vec(),
        }
    }

    /// With other expressions in the places of columns.
    fn over(&self, output: &dyn Fn(usize) -> Option<ExprRef>) -> Result<Self> {
        let all = |exprs: &Vec<ExprRef>| exprs.iter().map(|e| replaced(e, output)).collect();
        let filters = self
            .filters
            .iter()
            .map(|filter| filter.as_ref().map(|filter| replaced(filter, output)).transpose());
        Ok(Self {
            groups: all(&self.groups)?,
            arguments: self.arguments.iter().map(all).collect::<Result<_>>()?,
            filters: filters.collect::<Result<_>>()?,
        })
    }

    /// What is computed of each row, but for the groups.
    fn of_rows(&self) -> impl Iterator<Item = &ExprRef> {
        self.arguments.iter().flatten().chain(self.filters.iter().flatten())
    }
}

fn replaced(expr: &ExprRef, output: &dyn Fn(usize) -> Option<ExprRef>) -> Result<ExprRef> {
    let replaced = Arc::clone(expr).transform_down(|expr| {
        match column_of(&expr).and_then(output) {
            // What stands there now are columns of the input.
            Some(new) => Ok(Transformed::new(new, true, TreeNodeRecursion::Jump)),
            None => Ok(Transformed::no(expr)),
        }
    });
    replaced.data()
}

fn columns(expr: &ExprRef) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let walked = expr.apply(|expr| {
        found.extend(column_of(expr));
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok(), "nothing fails");
    found
}

/// One side's rows aggregated by these of its columns; `computed` is over that side.
fn states(
    partial: &AggregateExec,
    rows: &PlanRef,
    keys: &[usize],
    computed: &Computed,
) -> Result<Option<PlanRef>> {
    let schema = rows.schema();
    let keys =
        keys.iter().map(|at| Some((column(&schema, *at)?, schema.field(*at).name().clone())));
    let Some(keys) = keys.collect::<Option<Vec<_>>>() else { return Ok(None) };
    let aggregates = partial.aggr_expr().iter().zip(&computed.arguments);
    let aggregates = aggregates.map(|(aggregate, arguments)| {
        aggregate.with_new_expressions(arguments.clone(), Vec::new()).map(Arc::new)
    });
    let Some(aggregates) = aggregates.collect::<Option<Vec<_>>>() else { return Ok(None) };
    let states = AggregateExec::try_new(
        AggregateMode::Partial,
        PhysicalGroupBy::new_single(keys),
        aggregates,
        computed.filters.clone(),
        Arc::clone(rows),
        schema,
    )?;
    Ok(Some(Arc::new(states)))
}

/// The join with states for one side's rows; `keys`: which of its columns come first there.
fn joined(join: &HashJoinExec, side: usize, states: &PlanRef, keys: &[usize]) -> Result<PlanRef> {
    let schema = states.schema();
    let moved = |expr: &ExprRef| {
        replaced(expr, &|at| column(&schema, keys.iter().position(|key| *key == at)?))
    };
    let on = join.on().iter().map(|(left, right)| match side {
        0 => Ok((moved(left)?, Arc::clone(right))),
        _ => Ok((Arc::clone(left), moved(right)?)),
    });
    let other = if side == 0 { join.right() } else { join.left() };
    let (left, right) = if side == 0 { (states, other) } else { (other, states) };
    let joined = HashJoinExec::try_new(
        Arc::clone(left),
        Arc::clone(right),
        on.collect::<Result<_>>()?,
        None,
        join.join_type(),
        None,
        *join.partition_mode(),
        join.null_equality(),
        false,
    )?;
    Ok(Arc::new(joined))
}
