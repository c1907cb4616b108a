//! Which subqueries DataFusion's own rules turn into joins, rightly.
//!
//! They pull the conditions that read the outer query up into a join. That is right, and cheaper
//! than what is done here for all others, where only projections are on their way, and at most one
//! aggregate without GROUP BY over equalities, by whose columns it can be grouped. DataFusion takes
//! more than that; what it makes of HAVING and of windows is wrong.

use datafusion::{
    common::{DFSchema, JoinType, Result, tree_node::TreeNode},
    logical_expr::{
        Aggregate, BinaryExpr, Distinct, Expr, FetchType, Join, LogicalPlan, Operator, SkipType,
        SubqueryAlias, utils::split_conjunction,
    },
};

use super::references::{free_in, free_references, subquery_of};

/// A scalar subquery over rows with this schema.
pub(super) fn scalar_by_join(subquery: &LogicalPlan, outer: &DFSchema) -> Result<bool> {
    Ok(reads_only(subquery, outer)? && is_found_aggregate(subquery)?)
}

/// The subquery of an EXISTS over rows with this schema, or an uncorrelated one.
pub(in crate::bind) fn exists_by_join(subquery: &LogicalPlan, outer: &DFSchema) -> Result<bool> {
    member_by_join(without_limit(subquery), outer)
}

/// The subquery of an IN over rows with this schema, or an uncorrelated one.
pub(in crate::bind) fn member_by_join(subquery: &LogicalPlan, outer: &DFSchema) -> Result<bool> {
    // A semi join does not count.
    let members = match subquery {
        LogicalPlan::Distinct(Distinct::All(input)) => input.as_ref(),
        other => other,
    };
    Ok(reads_only(subquery, outer)? && is_found(members, &|_: &Expr| true)?)
}

/// The right side of a join with what it reads of the left one.
pub(super) fn lateral_by_join(join: &Join) -> Result<bool> {
    let subquery = match join.right.as_ref() {
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => input.as_ref(),
        other => other,
    };
    let LogicalPlan::Subquery(subquery) = subquery else { return Ok(false) };
    let subquery = subquery.subquery.as_ref();
    if !reads_only(subquery, join.left.schema())? {
        return Ok(false);
    }
    let is_bare = join.on.is_empty() && join.filter.is_none();
    match join.join_type {
        JoinType::Inner => {
            Ok(is_found(subquery, &|_: &Expr| true)? || is_bare && is_found_aggregate(subquery)?)
        }
        JoinType::Left => is_found(subquery, &|_: &Expr| true),
        _ => Ok(false),
    }
}

fn reads_only(subquery: &LogicalPlan, outer: &DFSchema) -> Result<bool> {
    Ok(free_references(subquery)?.iter().all(|column| outer.has_column(column)))
}

fn is_found_aggregate(plan: &LogicalPlan) -> Result<bool> {
    match plan {
        LogicalPlan::Projection(projection) => {
            Ok(read_nothing(&projection.expr, plan)? && is_found_aggregate(&projection.input)?)
        }
        LogicalPlan::Aggregate(Aggregate { input, group_expr, aggr_expr, .. }) => Ok(group_expr
            .is_empty()
            && read_nothing(aggr_expr, plan)?
            && is_found(input, &is_equality)?),
        _ => Ok(false),
    }
}

/// Whether only conditions for which `may` holds read the outer query.
fn is_found(plan: &LogicalPlan, may: &dyn Fn(&Expr) -> bool) -> Result<bool> {
    if free_references(plan)?.is_empty() {
        return Ok(true);
    }
    match plan {
        LogicalPlan::Projection(projection) => {
            Ok(read_nothing(&projection.expr, plan)? && is_found(&projection.input, may)?)
        }
        LogicalPlan::Filter(filter) => {
            for conjunct in split_conjunction(&filter.predicate) {
                let reads = !free_in(conjunct, &plan.inputs())?.is_empty();
                if reads && (has_subquery(conjunct) || !may(conjunct)) {
                    return Ok(false);
                }
            }
            is_found(&filter.input, may)
        }
        _ => Ok(false),
    }
}

fn read_nothing(exprs: &[Expr], plan: &LogicalPlan) -> Result<bool> {
    for expr in exprs {
        if !free_in(expr, &plan.inputs())?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An EXISTS does not mind a LIMIT that leaves a row.
fn without_limit(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Limit(limit)
            if matches!(limit.get_skip_type(), Ok(SkipType::Literal(0)))
                && matches!(limit.get_fetch_type(), Ok(FetchType::Literal(Some(1..)))) =>
        {
            &limit.input
        }
        other => other,
    }
}

/// `column = what the outer query knows`: what DataFusion can group by.
fn is_equality(condition: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else {
        return false;
    };
    let is_column = |expr: &Expr| match expr {
        Expr::Cast(cast) => matches!(*cast.expr, Expr::Column(_)),
        other => matches!(other, Expr::Column(_)),
    };
    is_column(left) && right.column_refs().is_empty()
        || is_column(right) && left.column_refs().is_empty()
}

fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(subquery_of(expr).is_some())).unwrap_or(true)
}
