//! INTERSECT and EXCEPT: common types, and with ALL the right number of each row.
//!
//! DataFusion plans both as joins that know whether a row has an equal on the other side, but not
//! how many. With ALL the equal rows of each side are numbered, and rows of the same number meet.

use std::sync::Arc;

use datafusion::{
    common::{Column, DFSchema, JoinType, NullEquality, Result},
    logical_expr::{
        Distinct, Expr, ExprFunctionExt, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder,
        expr::WindowFunction,
    },
};

use super::{
    plan::{known_of, open_value},
    unify::{common_type, unified},
};
use crate::functions::row_number;

/// The word for a join that is a set operation: no other one takes NULLs for equal.
pub(super) fn word(join: &Join) -> Option<&'static str> {
    if join.null_equality != NullEquality::NullEqualsNull || join.filter.is_some() {
        return None;
    }
    match join.join_type {
        JoinType::LeftSemi => Some("INTERSECT"),
        JoinType::LeftAnti => Some("EXCEPT"),
        _ => None,
    }
}

/// The set operation of this word, made anew.
pub(super) fn set_operation(join: Join, word: &str) -> Result<LogicalPlan> {
    let (left, is_distinct) = match join.left.as_ref() {
        LogicalPlan::Distinct(Distinct::All(input)) => (Arc::clone(input), true),
        _ => (Arc::clone(&join.left), false),
    };
    let names: Vec<_> = left.schema().iter().map(|(q, f)| (q.cloned(), f.name().clone())).collect();
    let (left, right) = unified_sides(left, join.right, word)?;
    let left = if is_distinct { left.distinct()? } else { numbered(left)? };
    let right = if is_distinct { right } else { numbered(right)? };
    let right = right.build()?;
    let keys = |schema: &DFSchema| schema.columns();
    let keys = (keys(left.schema()), keys(right.schema()));
    let joined =
        left.join_detailed(right, join.join_type, keys, None, NullEquality::NullEqualsNull)?;
    let outputs = names.into_iter().enumerate().map(|(at, (qualifier, name))| {
        Expr::Column(Column::from_name(column_name("l", at))).alias_qualified(qualifier, name)
    });
    joined.project(outputs.collect::<Vec<_>>())?.build()
}

/// Both sides with their columns named `kestrel_l0`, … and `kestrel_r0`, …, in common types.
fn unified_sides(
    left: Arc<LogicalPlan>,
    right: Arc<LogicalPlan>,
    word: &str,
) -> Result<(LogicalPlanBuilder, LogicalPlanBuilder)> {
    let (mut lefts, mut rights) = (Vec::new(), Vec::new());
    for at in 0..left.schema().fields().len() {
        let column = |plan: &LogicalPlan| Expr::from(plan.schema().qualified_field(at));
        let common = common_type(word, &[known_of(&left, at), known_of(&right, at)])?;
        let cast = |plan: &LogicalPlan| match (&common, column(plan)) {
            (Some(common), expr) if expr.get_type(plan.schema())? != *common => {
                let expr = open_value(plan, at).unwrap_or(expr);
                unified(expr, common, plan.schema())
            }
            (_, expr) => Ok(expr),
        };
        lefts.push(cast(&left)?.alias(column_name("l", at)));
        rights.push(cast(&right)?.alias(column_name("r", at)));
    }
    let project = |plan, exprs: Vec<Expr>| LogicalPlanBuilder::new_from_arc(plan).project(exprs);
    Ok((project(left, lefts)?, project(right, rights)?))
}

fn column_name(side: &str, at: usize) -> String {
    format!("kestrel_{side}{at}")
}

/// With the number of each row among its equals.
fn numbered(rows: LogicalPlanBuilder) -> Result<LogicalPlanBuilder> {
    let columns: Vec<_> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    let call = WindowFunction::new(row_number()?, Vec::new());
    let number = Expr::from(call).partition_by(columns).build()?;
    rows.window(vec![number])
}
