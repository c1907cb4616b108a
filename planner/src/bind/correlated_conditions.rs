//! Conditions of a subquery on its outer query, taken to above the subquery's aliases and joins.
//!
//! DataFusion joins a correlated subquery to its outer query, and takes the condition that refers to
//! that from above projections, filters and aggregates. An alias or a join keeps the columns that it
//! had, and the condition's is not among them: so it gets that column as well.
//!
//! ```text
//!   SubqueryAlias: t                      Projection: t.id
//!     Projection: a.id                      Filter: t.key = outer(o.id)
//!       Filter: a.boss = outer(o.id)  =>      SubqueryAlias: t
//!         a                                     Projection: a.id, key
//!                                                 Projection: a.*, a.boss AS key
//!                                                   a
//! ```

use std::sync::Arc;

use datafusion::{
    common::{Column, DFSchema, JoinType, Result, tree_node::Transformed},
    logical_expr::{
        Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Operator, Projection,
        expr::BinaryExpr,
        utils::{conjunction, split_conjunction_owned},
    },
};

/// Rewrites the aliases and joins that have conditions `own = outer` below. Others stay.
pub(super) fn conditions_above_aliases(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let is_closed = matches!(node, LogicalPlan::SubqueryAlias(_) | LogicalPlan::Join(_));
        if !is_closed || !refers_outside(&node) {
            return Ok(Transformed::no(node));
        }
        match with_conditions_above(&node)? {
            Some(plan) => Ok(Transformed::yes(plan)),
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(plan.data)
}

fn with_conditions_above(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let mut keys = Vec::new();
    let Some(carrying) = lifted(plan, &mut keys)? else { return Ok(None) };
    if keys.is_empty() || refers_outside(&carrying) {
        return Ok(None);
    }
    restored(carrying, keys, plan.schema()).map(Some)
}

/// Whether an expression refers to an outer query. What a lateral subquery refers to is within.
pub(super) fn refers_outside(plan: &LogicalPlan) -> bool {
    !matches!(plan, LogicalPlan::Subquery(_))
        && (plan.contains_outer_reference() || plan.inputs().into_iter().any(refers_outside))
}

/// A plan that carries the keys, as it was without them: under their conditions, with the columns of
/// `schema`.
pub(super) fn restored(
    plan: LogicalPlan,
    keys: Vec<Expr>,
    schema: &DFSchema,
) -> Result<LogicalPlan> {
    let conditions = keys.into_iter().enumerate().map(|(at, outer)| key(at).eq(outer));
    let columns = schema.iter().map(Expr::from).collect::<Vec<_>>();
    let mut plan = LogicalPlanBuilder::from(plan);
    if let Some(condition) = conjunction(conditions) {
        plan = plan.filter(condition)?;
    }
    plan.project(columns)?.build()
}

/// What the names of keys begin with. Nothing that a user names is called so.
const KEY_NAME: &str = "kestrel\u{1f}key";

/// The column of a key.
fn key(at: usize) -> Expr {
    Expr::Column(Column::new_unqualified(format!("{KEY_NAME}{at}")))
}

/// The plan without conditions `own = outer`; its own sides are further columns, the outer ones are
/// put into `keys`. `None`: an operator or a condition is of another form.
pub(super) fn lifted(plan: &LogicalPlan, keys: &mut Vec<Expr>) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Filter(filter) => lift(filter, keys),
        _ if plan.contains_outer_reference() => Ok(None),
        LogicalPlan::Projection(projection) => {
            let first = keys.len();
            let Some(input) = lifted(&projection.input, keys)? else { return Ok(None) };
            with_keys(projection, input, first..keys.len()).map(Some)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(input) = lifted(&alias.input, keys)? else { return Ok(None) };
            plan.with_new_exprs(vec![], vec![input]).map(Some)
        }
        LogicalPlan::Join(join) => joined(join, keys),
        _ => Ok(None),
    }
}

fn lift(filter: &Filter, keys: &mut Vec<Expr>) -> Result<Option<LogicalPlan>> {
    let first = keys.len();
    let Some(input) = lifted_input(&filter.input, keys)? else { return Ok(None) };
    let conjuncts = split_conjunction_owned(filter.predicate.clone());
    let (outer, own): (Vec<_>, Vec<_>) =
        conjuncts.into_iter().partition(|conjunct| conjunct.contains_outer());
    // Keys whose conditions are in this filter are needed no more.
    let columns = filter.input.schema().iter().filter(|(_, field)| !is_key(field.name()));
    let mut columns: Vec<Expr> = columns.map(Expr::from).collect();
    columns.extend((first..keys.len()).map(key));
    for condition in outer {
        let Some((own, outer)) = sides(condition) else { return Ok(None) };
        columns.push(own.alias(format!("{KEY_NAME}{}", keys.len())));
        keys.push(outer);
    }
    let mut plan = LogicalPlanBuilder::new_from_arc(input);
    if let Some(condition) = conjunction(own) {
        plan = plan.filter(condition)?;
    }
    plan.project(columns)?.build().map(Some)
}

fn is_key(name: &str) -> bool {
    name.starts_with(KEY_NAME)
}

fn lifted_input(
    input: &Arc<LogicalPlan>,
    keys: &mut Vec<Expr>,
) -> Result<Option<Arc<LogicalPlan>>> {
    if !refers_outside(input) {
        return Ok(Some(Arc::clone(input)));
    }
    Ok(lifted(input, keys)?.map(Arc::new))
}

/// Of a side whose rows an outer join adds, a condition has to stay below.
fn joined(join: &Join, keys: &mut Vec<Expr>) -> Result<Option<LogicalPlan>> {
    let is_lifted = match join.join_type {
        JoinType::Inner => true,
        JoinType::Left => !refers_outside(&join.right),
        JoinType::Right => !refers_outside(&join.left),
        _ => false,
    };
    if !is_lifted {
        return Ok(None);
    }
    let Some(left) = lifted_input(&join.left, keys)? else { return Ok(None) };
    let Some(right) = lifted_input(&join.right, keys)? else { return Ok(None) };
    LogicalPlan::Join(Join { left, right, ..join.clone() }).recompute_schema().map(Some)
}

/// The own and the outer side of an equality.
fn sides(condition: Expr) -> Option<(Expr, Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else {
        return None;
    };
    let is_outer = |expr: &Expr| expr.contains_outer() && expr.column_refs().is_empty();
    match (left.contains_outer(), right.contains_outer()) {
        (false, true) if is_outer(&right) => Some((*left, *right)),
        (true, false) if is_outer(&left) => Some((*right, *left)),
        _ => None,
    }
}

/// The projection over an input with keys, and these.
pub(super) fn with_keys(
    projection: &Projection,
    input: LogicalPlan,
    keys: std::ops::Range<usize>,
) -> Result<LogicalPlan> {
    let exprs = projection.expr.iter().cloned().chain(keys.map(key));
    LogicalPlanBuilder::from(input).project(exprs.collect::<Vec<_>>())?.build()
}
