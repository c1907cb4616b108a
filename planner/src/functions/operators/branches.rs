//! CASE, COALESCE, GREATEST, LEAST and NULLIF: values of different types meet.

use datafusion::{
    common::{DFSchema, Result},
    logical_expr::{Case, Expr, ExprSchemable, expr::ScalarFunction},
};

use super::{
    is_text,
    unify::{Known, all_unified, common_type, unified},
};
use crate::{
    error::to_datafusion,
    functions::literal::{is_untyped_text, typed_text},
};

/// Results in their common type, and quoted texts in WHEN in the type of what is compared.
pub(super) fn case(case: Case, schema: &DFSchema) -> Result<Expr> {
    let Case { expr, when_then_expr, else_expr } = case;
    let compared = match &expr {
        Some(expr) => Some(expr.get_type(schema)?),
        None => None,
    };
    let results = else_expr
        .iter()
        .chain(when_then_expr.iter().map(|(_, then)| then))
        .map(|result| Known::of(result, schema))
        .collect::<Result<Vec<_>>>()?;
    let common = common_type("CASE", &results)?;
    let when = |expr: Box<Expr>| match &compared {
        Some(wanted) if is_untyped_text(&expr) && !is_text(wanted) && !wanted.is_nested() => {
            typed_text(*expr, wanted).map(Box::new).map_err(to_datafusion)
        }
        _ => Ok(expr),
    };
    let then = |expr: Box<Expr>| match &common {
        Some(common) => unified(*expr, common, schema).map(Box::new),
        None => Ok(expr),
    };
    let when_then_expr = when_then_expr
        .into_iter()
        .map(|(condition, result)| Ok((when(condition)?, then(result)?)))
        .collect::<Result<Vec<_>>>()?;
    let else_expr = else_expr.map(then).transpose()?;
    Ok(Expr::Case(Case::new(expr, when_then_expr, else_expr)))
}

/// The arguments of the functions that give back one of them, in their common type.
pub(super) fn call(call: ScalarFunction, schema: &DFSchema) -> Result<ScalarFunction> {
    let context = match call.func.name() {
        "coalesce" => "COALESCE",
        "greatest" => "GREATEST",
        "least" => "LEAST",
        "nullif" => "NULLIF",
        _ => return Ok(call),
    };
    let args = all_unified(context, call.args, schema)?;
    Ok(ScalarFunction::new_udf(call.func, args))
}
