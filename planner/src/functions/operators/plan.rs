//! PostgreSQL's types through a whole plan.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, Result, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Expr, LogicalPlan, LogicalPlanBuilder, Subquery, Union, expr_rewriter::NamePreserver,
        utils::merge_schema,
    },
};

use super::{
    finish::postgresql_expr,
    recursive_query::recursive_query,
    set_operation,
    unify::{Known, all_unified, common_type, unified},
};
use crate::functions::literal::is_untyped_text;

/// Applies [`postgresql_expr`] to every expression of a plan that DataFusion's SQL planner made,
/// subqueries included, and computes the schemas anew. Column names stay.
pub fn postgresql_plan(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_down_up(finish_recursive_query, finish_node)?.data)
}

/// A recursive query's terms are finished one after the other: it is not gone into.
fn finish_recursive_query(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::RecursiveQuery(query) => {
            let query = recursive_query(query)?;
            Ok(Transformed::new(query, true, TreeNodeRecursion::Jump))
        }
        node => Ok(Transformed::no(node)),
    }
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
        LogicalPlan::Values(values) => {
            LogicalPlanBuilder::values(unified_rows(values.values)?)?.build()
        }
        LogicalPlan::Union(union) => Ok(LogicalPlan::Union(unified_inputs(union)?)),
        LogicalPlan::Join(join) => match set_operation::word(&join) {
            Some(word) => set_operation::set_operation(join, word),
            None => LogicalPlan::Join(join).recompute_schema(),
        },
        node => node.recompute_schema(),
    }
}

/// Rows whose columns have common types.
fn unified_rows(rows: Vec<Vec<Expr>>) -> Result<Vec<Vec<Expr>>> {
    let schema = DFSchema::empty();
    let mut rows = rows;
    for column in 0..rows.first().map_or(0, Vec::len) {
        let values = rows
            .iter_mut()
            .filter_map(|row| row.get_mut(column))
            .map(|value| std::mem::replace(value, Expr::Literal(ScalarValue::Null, None)))
            .collect();
        for (row, value) in rows.iter_mut().zip(all_unified("VALUES", values, &schema)?) {
            row[column] = value;
        }
    }
    Ok(rows)
}

/// Inputs whose columns have common types. DataFusion brings the rest together.
fn unified_inputs(union: Union) -> Result<Union> {
    let mut inputs = union.inputs;
    for column in 0..union.schema.fields().len() {
        let known = inputs.iter().map(|i| known_of(i, column)).collect::<Vec<_>>();
        let Some(common) = common_type("UNION", &known)? else { continue };
        for input in &mut inputs {
            if input.schema().field(column).data_type() != &common {
                *input = Arc::new(with_column(Arc::clone(input), column, &common)?);
            }
        }
    }
    Union::try_new_with_loose_types(inputs)
}

/// The type of an input's column; that of a quoted text is open.
pub(super) fn known_of(input: &LogicalPlan, column: usize) -> Known {
    let data_type = input.schema().field(column).data_type();
    let quoted = match input {
        LogicalPlan::Projection(projection) => {
            projection.expr.get(column).is_some_and(|e| is_untyped_text(&e.clone().unalias()))
        }
        _ => false,
    };
    if quoted || *data_type == DataType::Null {
        Known::Untyped
    } else {
        Known::Typed(data_type.clone())
    }
}

/// The input with one column in another type.
pub(super) fn with_column(
    input: Arc<LogicalPlan>,
    column: usize,
    wanted: &DataType,
) -> Result<LogicalPlan> {
    let schema = Arc::clone(input.schema());
    let exprs = schema.iter().enumerate().map(|(at, (qualifier, field))| {
        let expr = Expr::from((qualifier, field));
        if at != column {
            return Ok(expr);
        }
        let name = field.name();
        let literal = match input.as_ref() {
            LogicalPlan::Projection(projection) => {
                projection.expr.get(at).map(|e| e.clone().unalias()).filter(is_untyped_text)
            }
            _ => None,
        };
        let unified = unified(literal.unwrap_or(expr), wanted, &schema)?;
        Ok(unified.alias_qualified(qualifier.cloned(), name))
    });
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::new_from_arc(Arc::clone(&input)).project(exprs)?.build()
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
