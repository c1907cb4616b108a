//! PostgreSQL's types in a plan that DataFusion's SQL planner made.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::{
    common::{
        DFSchema,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, expr_rewriter::NamePreserver,
        planner::TypePlanner, utils::merge_schema,
    },
    sql::sqlparser::ast,
};

use crate::{catalog::SqlType, error::to_datafusion, functions, parse};

/// Type names as PostgreSQL reads them.
#[derive(Debug)]
pub(super) struct PostgresqlTypes;

impl TypePlanner for PostgresqlTypes {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        match parse::sql_type(sql_type) {
            Ok(sql_type) => Ok(Some(Arc::new(sql_type.field("", true)))),
            // Arrays and the like: DataFusion may know them.
            Err(_) => Ok(None),
        }
    }
}

/// Casts become PostgreSQL's, and integer literals get the smallest of int4, int8 that holds them.
pub(super) fn postgresql_types(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        if matches!(node, LogicalPlan::Limit(_)) {
            return Ok(Transformed::no(node));
        }
        let preserver = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = preserver.save(&expr);
            let rewritten = rewrite(expr, &schema)?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })?;
        node.map_data(with_new_schema)
    })?;
    Ok(rewritten.data)
}

/// VALUES keeps the types it was made with, so it is made anew.
fn with_new_schema(node: LogicalPlan) -> Result<LogicalPlan> {
    match node {
        LogicalPlan::Values(values) => LogicalPlanBuilder::values(values.values)?.build(),
        node => node.recompute_schema(),
    }
}

/// The same for one expression.
pub(super) fn expression(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    Ok(rewrite(expr, schema)?.data)
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| match expr {
        Expr::Cast(cast) => {
            let from = cast.expr.get_type(schema)?;
            let Some(to) = SqlType::of_field(&cast.field) else {
                return Ok(Transformed::no(Expr::Cast(cast)));
            };
            let converted = functions::cast_to(*cast.expr, &from, to).map_err(to_datafusion)?;
            Ok(Transformed::yes(converted))
        }
        Expr::Literal(..) => {
            let before = expr.clone();
            let narrowed = functions::narrow_integer_literal(expr);
            let changed = narrowed != before;
            Ok(Transformed::new_transformed(narrowed, changed))
        }
        other => Ok(Transformed::no(other)),
    })
}
