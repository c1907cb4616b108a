//! PostgreSQL's types through a whole plan.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::{
    common::{
        DFSchema, Result, ScalarValue,
        metadata::FieldMetadata,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Subquery, Union,
        expr::Placeholder, expr_rewriter::NamePreserver, utils::merge_schema,
    },
};

use super::{
    finish::postgresql_expr,
    recursive_query::recursive_query,
    set_operation,
    unify::{Known, all_unified, common_type, unified},
};
use crate::{catalog::SqlType, functions::literal::is_untyped_text};

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
        let values = equally_labelled(all_unified("VALUES", values, &schema)?, &schema)?;
        for (row, value) in rows.iter_mut().zip(values) {
            row[column] = value;
        }
    }
    Ok(rows)
}

/// DataFusion wants the values of a column to say alike what they are beyond their Arrow type.
/// Where some literals and casts say it and others do not, none does; where others do, all do.
fn equally_labelled(values: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    let differ = |values: &[Expr]| -> Result<Option<FieldMetadata>> {
        let labels = values.iter().map(|value| value.metadata(schema));
        let labels = labels.collect::<Result<Vec<_>>>()?;
        let differ = labels.windows(2).any(|pair| pair[0] != pair[1]);
        Ok(labels.into_iter().find(|label| !label.is_empty()).filter(|_| differ))
    };
    if differ(&values)?.is_none() {
        return Ok(values);
    }
    let values: Vec<_> = values.into_iter().map(bare).collect();
    let Some(label) = differ(&values)? else { return Ok(values) };
    let labelled = |value: Expr| {
        let field = Field::new("", value.get_type(schema)?, true);
        let field = Arc::new(label.add_to_field(field));
        Ok(Expr::Cast(Cast::new_from_field(Box::new(value), field)))
    };
    values.into_iter().map(labelled).collect()
}

/// A literal or cast without what it says beyond its Arrow type.
fn bare(value: Expr) -> Expr {
    match value {
        Expr::Literal(value, _) => Expr::Literal(value, None),
        Expr::Cast(Cast { expr, field }) => {
            Expr::Cast(Cast::new(Box::new(bare(*expr)), field.data_type().clone()))
        }
        other => other,
    }
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
    labelled(Union::try_new_with_loose_types(inputs)?)
}

/// The union with the types of its columns where inputs are texts of different types.
fn labelled(union: Union) -> Result<Union> {
    let fields = union.schema.iter().enumerate().map(|(at, (qualifier, field))| {
        let typed = union.inputs.iter().filter(|input| known_of(input, at) != Known::Untyped);
        let types = typed.map(|input| SqlType::of_field(input.schema().field(at)));
        let types = types.collect::<Option<Vec<_>>>().unwrap_or_default();
        let field = match common_text(&types) {
            Some(text) => {
                let label = text.field("", true).metadata().clone();
                Arc::new(field.as_ref().clone().with_metadata(label))
            }
            None => Arc::clone(field),
        };
        (qualifier.cloned(), field)
    });
    let metadata = union.schema.metadata().clone();
    let schema = Arc::new(DFSchema::new_with_metadata(fields.collect(), metadata)?);
    Ok(Union { inputs: union.inputs, schema })
}

/// What values of these types are together, if all are texts and not all alike: what the first ones
/// are (`select_common_type`), without a length.
fn common_text(types: &[SqlType]) -> Option<SqlType> {
    use SqlType::{Char, Name, Text, Varchar};
    let first = types.first()?;
    let is_text = |t: &SqlType| matches!(t, Text | Varchar(_) | Char(_) | Name);
    if types.iter().all(|t| t == first) || !types.iter().all(is_text) {
        return None;
    }
    Some(match first {
        Varchar(_) => Varchar(None),
        Name => Name,
        _ => Text,
    })
}

/// The type of an input's column; that of a quoted text or parameter is open.
pub(super) fn known_of(input: &LogicalPlan, column: usize) -> Known {
    let data_type = input.schema().field(column).data_type();
    if open_value(input, column).is_some() || *data_type == DataType::Null {
        Known::Untyped
    } else {
        Known::Typed(data_type.clone())
    }
}

/// What an input's column is, if that is a quoted text or a parameter whose type is open.
pub(super) fn open_value(input: &LogicalPlan, column: usize) -> Option<Expr> {
    let is_open = |expr: &Expr| {
        is_untyped_text(expr) || matches!(expr, Expr::Placeholder(Placeholder { field: None, .. }))
    };
    match input {
        LogicalPlan::Projection(projection) => {
            projection.expr.get(column).map(|expr| expr.clone().unalias()).filter(is_open)
        }
        LogicalPlan::SubqueryAlias(alias) => open_value(&alias.input, column),
        _ => None,
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
        let unified = unified(open_value(&input, at).unwrap_or(expr), wanted, &schema)?;
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
