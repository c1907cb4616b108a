//! PostgreSQL's types through a whole plan.

use std::sync::Arc;

use datafusion::{
    common::{
        DFSchema, Result,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Expr, LogicalPlan, LogicalPlanBuilder, Subquery, expr_rewriter::NamePreserver,
        utils::merge_schema,
    },
};

use super::finish::postgresql_expr;

/// Applies [`postgresql_expr`] to every expression of a plan that DataFusion's SQL planner made,
/// subqueries included, and computes the schemas anew. Column names stay.
pub fn postgresql_plan(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up(finish_node)?.data)
}

fn finish_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    // The counts of a LIMIT have to stay bigint literals; a scan has no expressions yet.
    if matches!(node, LogicalPlan::Limit(_) | LogicalPlan::TableScan(_)) {
        return Ok(Transformed::no(node));
    }
    let schema = merge_schema(&node.inputs());
    let node = node.map_subqueries(|subquery| match subquery {
        LogicalPlan::Subquery(subquery) => finish_subquery(subquery, &schema),
        other => Ok(Transformed::no(other)),
    })?;
    let preserver = NamePreserver::new(&node.data);
    let node = node.data.map_expressions(|expr| {
        let name = preserver.save(&expr);
        Ok(postgresql_expr(expr, &schema)?.update_data(|expr| name.restore(expr)))
    })?;
    with_new_schema(node.data).map(Transformed::yes)
}

/// VALUES keeps the types that it was made with, so it is made anew.
fn with_new_schema(node: LogicalPlan) -> Result<LogicalPlan> {
    match node {
        LogicalPlan::Values(values) => LogicalPlanBuilder::values(values.values)?.build(),
        node => node.recompute_schema(),
    }
}

/// A subquery carries the types of the outer columns that it refers to; they may have changed.
fn finish_subquery(subquery: Subquery, outer: &DFSchema) -> Result<Transformed<LogicalPlan>> {
    let Subquery { subquery, outer_ref_columns, spans } = subquery;
    let plan = Arc::unwrap_or_clone(subquery).transform_down_with_subqueries(|node| {
        node.map_expressions(|expr| with_outer_types(expr, outer))
    })?;
    let outer_ref_columns = outer_ref_columns
        .into_iter()
        .map(|expr| Ok(with_outer_types(expr, outer)?.data))
        .collect::<Result<Vec<_>>>()?;
    let subquery = Arc::new(postgresql_plan(plan.data)?);
    Ok(Transformed::yes(LogicalPlan::Subquery(Subquery { subquery, outer_ref_columns, spans })))
}

fn with_outer_types(expr: Expr, outer: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform(|expr| match expr {
        Expr::OuterReferenceColumn(field, column) => {
            match outer.qualified_field_from_column(&column) {
                Ok((_, now)) if now.data_type() != field.data_type() => {
                    Ok(Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(now), column)))
                }
                _ => Ok(Transformed::no(Expr::OuterReferenceColumn(field, column))),
            }
        }
        other => Ok(Transformed::no(other)),
    })
}
