//! IN and EXISTS where a join cannot answer them.
//!
//! DataFusion plans them as joins: right for a condition that a row passes when it is true. A value
//! (in a SELECT list, in CASE, under NOT and OR) may be NULL as well, so there they become counts:
//!
//! | SQL | read as |
//! |---|---|
//! | `EXISTS (q)` | `(SELECT count(*) FROM (q)) > 0` |
//! | `x IN (q)` | true where members equal `x`; else NULL where `x` or a member is NULL; else false |
//! | `x < ANY (q)` | true where it holds for rows; else NULL where it is NULL for rows; else false |
//!
//! So do those conditions of which DataFusion makes no joins; `unnest` joins with the counts then.
//! Comparisons with ANY and ALL rows of uncorrelated subqueries are left to DataFusion.

use std::sync::Arc;

use datafusion::{
    common::{
        Column, DFSchema, JoinType, Result, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    functions_aggregate::count::count_all,
    logical_expr::{
        Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, binary_expr,
        expr::{BinaryExpr, Exists, InSubquery, SetComparison, SetQuantifier},
        expr_rewriter::NamePreserver,
        lit,
        utils::{conjunction, merge_schema, split_conjunction_owned},
        when,
    },
};

use super::unnest::{exists_by_join, free_references, member_by_join};
use crate::functions::{sql_held, sql_nullable};

/// Rewrites a plan and the subqueries within.
pub(super) fn subquery_values(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Filter(Filter { predicate, input, .. }) => {
            filter(predicate, input).map(Transformed::yes)
        }
        LogicalPlan::Join(join) => in_join(join),
        node => {
            let schema = merge_schema(&node.inputs());
            let preserver = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = preserver.save(&expr);
                Ok(value(expr, &schema)?.update_data(|expr| name.restore(expr)))
            })
        }
    })?;
    Ok(plan.data)
}

fn filter(predicate: Expr, input: Arc<LogicalPlan>) -> Result<LogicalPlan> {
    let predicate = condition_on_subqueries(predicate, input.schema())?;
    Ok(LogicalPlan::Filter(Filter::try_new(predicate, input)?))
}

/// A condition of WHERE, with those EXISTS and IN as counts that no join can answer.
pub(super) fn condition_on_subqueries(predicate: Expr, schema: &DFSchema) -> Result<Expr> {
    let predicate = condition(predicate, schema, true)?;
    let held = |conjunct| held(conjunct, schema);
    let predicate = conjunction(split_conjunction_owned(predicate).into_iter().map(held));
    Ok(predicate.unwrap_or_else(|| lit(true)))
}

/// A join's condition takes no subquery: that of an inner join is as good above it.
fn in_join(mut join: Join) -> Result<Transformed<LogicalPlan>> {
    let asks = |expr: &Expr| {
        let is_subquery = |expr: &Expr| {
            matches!(expr, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_))
        };
        expr.exists(|expr| Ok(is_subquery(expr))).unwrap_or(false)
    };
    let Some(condition) = join.filter.take_if(|condition| asks(condition)) else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    if join.join_type != JoinType::Inner {
        let schema = merge_schema(&[&join.left, &join.right]);
        join.filter = Some(value(condition, &schema)?.data);
        return Ok(Transformed::yes(LogicalPlan::Join(join)));
    }
    let (above, within): (Vec<_>, Vec<_>) =
        split_conjunction_owned(condition).into_iter().partition(asks);
    join.filter = conjunction(within);
    let above = conjunction(above).unwrap_or_else(|| lit(true));
    filter(above, Arc::new(LogicalPlan::Join(join))).map(Transformed::yes)
}

/// A condition on subqueries alone is no condition on columns: DataFusion would push it below an
/// aggregate, which gives a row even if none comes. One that needs all columns stays.
fn held(conjunct: Expr, schema: &DFSchema) -> Expr {
    let asks = |expr: &Expr| Ok(matches!(expr, Expr::ScalarSubquery(_)));
    if conjunct.column_refs().is_empty() && conjunct.exists(asks).unwrap_or(false) {
        return sql_held(conjunct, schema.columns().into_iter().map(Expr::Column).collect());
    }
    conjunct
}

/// A condition; `is_conjunct`: all above it is AND, so that an anti join can do NOT IN.
fn condition(expr: Expr, schema: &DFSchema, is_conjunct: bool) -> Result<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let is_conjunct = is_conjunct && op == Operator::And;
            let left = condition(*left, schema, is_conjunct)?;
            Ok(binary_expr(left, op, condition(*right, schema, is_conjunct)?))
        }
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                let inner = Expr::InSubquery(InSubquery::new(expr, subquery, !negated));
                condition(inner, schema, is_conjunct)
            }
            Expr::Exists(Exists { subquery, negated }) => {
                let inner = Expr::Exists(Exists::new(subquery, !negated));
                condition(inner, schema, is_conjunct)
            }
            inner => Ok(Expr::Not(Box::new(value(inner, schema)?.data))),
        },
        Expr::Exists(ref exists) if exists_by_join(&exists.subquery.subquery, schema)? => Ok(expr),
        Expr::InSubquery(ref member) if is_member_by_join(member, schema, is_conjunct)? => Ok(expr),
        other => Ok(value(other, schema)?.data),
    }
}

fn is_member_by_join(member: &InSubquery, schema: &DFSchema, is_conjunct: bool) -> Result<bool> {
    match member.negated {
        true => Ok(is_conjunct && joins_can(member)),
        false => member_by_join(&member.subquery.subquery, schema),
    }
}

/// A null-aware anti join has one key: the member.
fn joins_can(not_in: &InSubquery) -> bool {
    let reads_nothing = free_references(&not_in.subquery.subquery).is_ok_and(|r| r.is_empty());
    reads_nothing && !not_in.expr.column_refs().is_empty()
}

/// The IN and EXISTS within an expression as counts.
fn value(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        let (value, negated) = match expr {
            Expr::ScalarSubquery(subquery) => return nullable(subquery),
            Expr::Exists(Exists { subquery, negated }) => (some(count(&subquery, None)?), negated),
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                (member_value(*expr, &subquery, schema)?, negated)
            }
            Expr::SetComparison(comparison)
                if !free_references(&comparison.subquery.subquery)?.is_empty() =>
            {
                (compared(comparison, schema)?, false)
            }
            other => return Ok(Transformed::no(other)),
        };
        Ok(Transformed::yes(if negated { Expr::Not(Box::new(value)) } else { value }))
    })
}

/// Without rows the value is NULL; DataFusion takes the word of the subquery's column for it.
fn nullable(subquery: Subquery) -> Result<Transformed<Expr>> {
    let (qualifier, field) = subquery.subquery.schema().qualified_field(0);
    if field.is_nullable()
        || !subquery.outer_ref_columns.is_empty()
        || subquery.subquery.schema().fields().len() > 1
    {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    }
    let column = Expr::from((qualifier, field));
    let value = sql_nullable(column).alias_qualified(qualifier.cloned(), field.name());
    let plan = LogicalPlanBuilder::new_from_arc(Arc::clone(&subquery.subquery));
    let plan = Arc::new(plan.project(vec![value])?.build()?);
    Ok(Transformed::yes(Expr::ScalarSubquery(Subquery { subquery: plan, ..subquery })))
}

fn member_value(expr: Expr, subquery: &Subquery, schema: &DFSchema) -> Result<Expr> {
    let member = Expr::Column(Column::from(subquery.subquery.schema().qualified_field(0)));
    let outer = outer_references(expr.clone(), schema)?;
    let null = lit(ScalarValue::Boolean(None));
    let equal = some(count(subquery, Some(binary_expr(member.clone(), Operator::Eq, outer)))?);
    let members = some(count(subquery, None)?);
    let nulls = some(count(subquery, Some(member.is_null()))?);
    when(equal, lit(true))
        .when(expr.is_null().and(members), null.clone())
        .when(nulls, null)
        .otherwise(lit(false))
}

/// A comparison with ANY or ALL rows: decided by one row, NULL where one is not known, or by there
/// being no such row.
fn compared(comparison: SetComparison, schema: &DFSchema) -> Result<Expr> {
    let SetComparison { expr, subquery, op, quantifier } = comparison;
    let member = Expr::Column(Column::from(subquery.subquery.schema().qualified_field(0)));
    let holds = binary_expr(outer_references(*expr, schema)?, op, member);
    let (decides, decided) = match quantifier {
        SetQuantifier::Any => (holds.clone(), true),
        SetQuantifier::All => (Expr::Not(Box::new(holds.clone())), false),
    };
    when(some(count(&subquery, Some(decides))?), lit(decided))
        .when(some(count(&subquery, Some(holds.is_null()))?), lit(ScalarValue::Boolean(None)))
        .otherwise(lit(!decided))
}

fn some(count: Expr) -> Expr {
    binary_expr(count, Operator::Gt, lit(0_i64))
}

/// How many rows of the subquery pass.
fn count(subquery: &Subquery, passes: Option<Expr>) -> Result<Expr> {
    let mut rows = LogicalPlanBuilder::new_from_arc(Arc::clone(&subquery.subquery));
    if let Some(passes) = passes {
        rows = rows.filter(passes)?;
    }
    let counted = rows.aggregate(Vec::<Expr>::new(), vec![count_all()])?.build()?;
    let outer_ref_columns = counted.all_out_ref_exprs();
    let spans = subquery.spans.clone();
    let subquery = Subquery { subquery: Arc::new(counted), outer_ref_columns, spans };
    Ok(Expr::ScalarSubquery(subquery))
}

/// The expression as a subquery of its query sees it.
fn outer_references(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let expr = expr.transform(|expr| match expr {
        Expr::Column(column) => {
            let field = schema.qualified_field_from_column(&column)?.1;
            Ok(Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(field), column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(expr.data)
}
