//! CASE, COALESCE, GREATEST, LEAST and NULLIF: values of different types meet.

use arrow::datatypes::DataType;
use datafusion::{
    common::{DFSchema, Result},
    logical_expr::{Case, Expr, ExprSchemable, Operator, expr::ScalarFunction},
};

use kestrel_proto::{ErrorReport, SqlState};

use super::{
    boolean,
    comparison::{self, Comparison},
    is_text, row_call,
    unify::{Known, all_unified, common_type, unified},
};
use crate::{
    catalog::SqlType,
    error::to_datafusion,
    functions::{
        arithmetic::types::Class,
        cast::cast_to,
        literal::{is_untyped_text, typed_text},
        row, sql_name,
    },
};

/// Results in their common type, and quoted texts in WHEN in the type of what is compared.
pub(super) fn case(case: Case, schema: &DFSchema) -> Result<Expr> {
    let Case { expr, when_then_expr, else_expr } = searched(case, schema)?;
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
    let results = else_expr.iter().chain(when_then_expr.iter().map(|(_, then)| then));
    let length = special_text(results.map(Box::as_ref), schema);
    padded(Expr::Case(Case::new(expr, when_then_expr, else_expr)), length, schema)
}

/// `CASE x WHEN y` as `CASE WHEN x = y` where the types of x and y differ.
fn searched(case: Case, schema: &DFSchema) -> Result<Case> {
    let Some(compared) = &case.expr else {
        let conditions = case.when_then_expr.into_iter().map(|(condition, then)| {
            let own = condition.get_type(schema)?;
            Ok((Box::new(boolean(*condition, &own, "CASE/WHEN")?), then))
        });
        let conditions = conditions.collect::<Result<Vec<_>>>()?;
        return Ok(Case::new(None, conditions, case.else_expr));
    };
    let own = compared.get_type(schema)?;
    let fits = |expr: &Expr| {
        is_untyped_text(expr)
            || expr.get_type(schema).is_ok_and(|t| t == own || t == DataType::Null)
    };
    if case.when_then_expr.iter().all(|(value, _)| fits(value)) {
        return Ok(case);
    }
    let conditions = case.when_then_expr.into_iter().map(|(value, then)| {
        let equal =
            comparison::plan(Comparison(Operator::Eq), compared.as_ref().clone(), *value, schema)?;
        Ok((Box::new(equal), then))
    });
    Ok(Case::new(None, conditions.collect::<Result<Vec<_>>>()?, case.else_expr))
}

/// The arguments of the functions that give back one of them, in their common type.
pub(super) fn call(call: ScalarFunction, schema: &DFSchema) -> Result<Expr> {
    if let Some(function) = row::named(call.func.name()) {
        return row_call::typed(function, call, schema);
    }
    if call.func.name() == "substr"
        && let [_, pattern] = call.args.as_slice()
        && is_text(&pattern.get_type(schema)?)
        && let Some(function) = row::named("kestrel_regex_substring")
    {
        return row_call::typed(function, call, schema);
    }
    if let Some(first) = call.args.first()
        && let Some((_, becomes)) = BYTEA_FUNCTIONS.iter().find(|(of, _)| *of == call.func.name())
        && matches!(first.get_type(schema)?, DataType::Binary | DataType::BinaryView)
        && let Some(function) = row::named(becomes)
    {
        return row_call::typed(function, call, schema);
    }
    if call.func.name() == "to_char"
        && let [of, _] = call.args.as_slice()
        && Class::of(&of.get_type(schema)?).is_some_and(Class::is_number)
        && let Some(function) = row::named("kestrel_to_char_number")
    {
        return row_call::typed(function, call, schema);
    }
    let context = match call.func.name() {
        "coalesce" => "COALESCE",
        "greatest" => "GREATEST",
        "least" => "LEAST",
        "nullif" => "NULLIF",
        "make_array" => "ARRAY",
        name => {
            if TEXT_FUNCTIONS.contains(&name) {
                check_text(&call, schema)?;
            }
            return Ok(Expr::ScalarFunction(call));
        }
    };
    let args = all_unified(context, call.args, schema)?;
    if context == "ARRAY" {
        return Ok(Expr::ScalarFunction(ScalarFunction::new_udf(call.func, args)));
    }
    let length = special_text(args.iter(), schema);
    padded(Expr::ScalarFunction(ScalarFunction::new_udf(call.func, args)), length, schema)
}

/// What functions of a text are of a bytea.
const BYTEA_FUNCTIONS: &[(&str, &str)] = &[
    ("character_length", "kestrel_bytea_length"),
    ("strpos", "kestrel_bytea_position"),
    ("substr", "kestrel_bytea_substring"),
];

/// Functions of a text, of which DataFusion takes other types for texts.
const TEXT_FUNCTIONS: &[&str] = &[
    "ascii",
    "btrim",
    "character_length",
    "initcap",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "md5",
    "repeat",
    "replace",
    "reverse",
    "right",
    "rpad",
    "rtrim",
    "split_part",
    "starts_with",
    "strpos",
    "translate",
    "upper",
];

fn check_text(call: &ScalarFunction, schema: &DFSchema) -> Result<()> {
    let types = call.args.iter().map(|a| a.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let binary =
        |t: &DataType| matches!(t, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    match types.first() {
        Some(first) if !is_text(first) && *first != DataType::Null && !binary(first) => {
            let types: Vec<_> = types.iter().map(sql_name).collect();
            let name = match call.func.name() {
                "character_length" => "length",
                name => name,
            };
            let message = format!("function {name}({}) does not exist", types.join(", "));
            let report = ErrorReport::new(SqlState::UNDEFINED_FUNCTION, message).hint(
                "No function matches the given name and argument types. You might need to add \
                 explicit type casts.",
            );
            Err(to_datafusion(report))
        }
        _ => Ok(()),
    }
}

/// The type that a CASE or COALESCE will have when it is finished, if its Arrow type does not tell.
pub(super) fn special_type(expr: &Expr, schema: &DFSchema) -> Option<SqlType> {
    match expr {
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then);
            special_text(results.chain(&case.else_expr).map(Box::as_ref), schema)
        }
        Expr::ScalarFunction(call) if matches!(call.func.name(), "coalesce" | "nullif") => {
            special_text(call.args.iter(), schema)
        }
        _ => None,
    }
}

/// The type that all values have, if it is a `char(n)`, json, jsonb or vector, which are more than
/// their Arrow type tells; NULL and quoted text have any.
fn special_text<'a>(values: impl Iterator<Item = &'a Expr>, schema: &DFSchema) -> Option<SqlType> {
    let mut common = None;
    for value in values {
        if is_untyped_text(value) || value.get_type(schema).ok()? == DataType::Null {
            continue;
        }
        let sql_type = SqlType::of_field(&value.to_field(schema).ok()?.1)?;
        let is_special = matches!(sql_type, SqlType::Char(_) | SqlType::Json | SqlType::Jsonb)
            || sql_type.is_vector();
        if !is_special || common.is_some_and(|c| c != sql_type) {
            return None;
        }
        common = Some(sql_type);
    }
    common
}

/// DataFusion takes such a result for a text.
fn padded(expr: Expr, special: Option<SqlType>, schema: &DFSchema) -> Result<Expr> {
    match special {
        Some(special) => {
            let own = expr.get_type(schema)?;
            cast_to(expr, &own, special).map_err(to_datafusion)
        }
        None => Ok(expr),
    }
}
