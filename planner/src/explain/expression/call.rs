//! Calls of functions: those of ours that stand for an operator or another form of SQL, in that form.

use std::sync::Arc;

use datafusion::physical_expr::{
    PhysicalExpr, ScalarFunctionExpr,
    expressions::{Column, Literal},
};

use super::{Printer, as_type};

/// What the names of ours begin with that nobody may write.
const OURS: &str = "kestrel_";

/// Functions that stand for an operator between two operands.
const OPERATORS: &[(&str, &str)] = &[
    ("kestrel_add", "+"),
    ("kestrel_array_contains", "@>"),
    ("kestrel_array_overlaps", "&&"),
    ("kestrel_bytea_concat", "||"),
    ("kestrel_divide", "/"),
    ("kestrel_json_get", "->"),
    ("kestrel_json_get_text", "->>"),
    ("kestrel_json_path", "#>"),
    ("kestrel_json_path_text", "#>>"),
    ("kestrel_jsonb_concat", "||"),
    ("kestrel_jsonb_contains", "@>"),
    ("kestrel_jsonb_delete", "-"),
    ("kestrel_jsonb_delete_path", "#-"),
    ("kestrel_jsonb_exists", "?"),
    ("kestrel_jsonb_exists_all", "?&"),
    ("kestrel_jsonb_exists_any", "?|"),
    ("kestrel_jsonb_get", "->"),
    ("kestrel_jsonb_get_text", "->>"),
    ("kestrel_jsonb_path", "#>"),
    ("kestrel_jsonb_path_text", "#>>"),
    ("kestrel_modulo", "%"),
    ("kestrel_multiply", "*"),
    ("kestrel_subtract", "-"),
];

/// Functions whose names are key words.
const KEY_WORDS: &[&str] = &["coalesce", "greatest", "least", "nullif"];

pub(super) fn call(printer: &Printer<'_>, expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
    Some(match (operator(call.name()), call.args()) {
        (Some(symbol), [left, right]) => {
            format!("({} {symbol} {})", printer.text(left), printer.text(right))
        }
        _ => syntax(printer, call).unwrap_or_else(|| {
            format!("{}({})", function_name(call.name()), printer.list(call.args()))
        }),
    })
}

fn operator(function: &str) -> Option<&'static str> {
    OPERATORS.iter().find(|(name, _)| *name == function).map(|(_, symbol)| *symbol)
}

/// As PostgreSQL calls it. Our `Sum` has its capital letter for DataFusion only.
pub(super) fn function_name(name: &str) -> String {
    match KEY_WORDS.contains(&name) {
        true => name.to_uppercase(),
        false => name.strip_prefix(OURS).unwrap_or(name).to_lowercase(),
    }
}

/// Of a function that stands for a form of SQL of its own.
fn syntax(printer: &Printer<'_>, call: &ScalarFunctionExpr) -> Option<String> {
    let print = |expr| printer.text(expr);
    Some(match (call.name(), call.args()) {
        ("kestrel_negate", [operand]) => format!("(- {})", print(operand)),
        ("kestrel_cast" | "kestrel_assign", [operand, to]) => {
            as_type(&print(operand), constant_text(to)?)
        }
        ("kestrel_numeric", [operand]) => as_type(&print(operand), "numeric"),
        // What they add is nobody's but the planner's.
        ("kestrel_nullable" | "kestrel_single_row", [value, ..]) => print(value),
        ("kestrel_extract", [field, from]) => {
            format!("EXTRACT({} FROM {})", constant_text(field)?, print(from))
        }
        ("kestrel_any", [operand, array, op]) => {
            format!("({} {} ANY ({}))", print(operand), constant_text(op)?, print(array))
        }
        ("kestrel_all", [operand, array, op]) => {
            format!("({} {} ALL ({}))", print(operand), constant_text(op)?, print(array))
        }
        ("kestrel_regex_match", [operand, pattern, flags]) => {
            let op = if constant_text(flags)?.is_empty() { "~" } else { "~*" };
            format!("({} {op} {})", print(operand), print(pattern))
        }
        ("make_array", elements) => format!("ARRAY[{}]", printer.list(elements)),
        ("kestrel_array_element", [array, at]) => {
            format!("{}[{}]", container(printer, array), print(at))
        }
        ("kestrel_array_slice", [array, from, to]) => {
            format!("{}[{}:{}]", container(printer, array), print(from), print(to))
        }
        _ => return None,
    })
}

/// What has a subscript: only a column stands without parentheses.
fn container(printer: &Printer<'_>, array: &Arc<dyn PhysicalExpr>) -> String {
    let text = printer.text(array);
    if array.is::<Column>() { text } else { format!("({text})") }
}

fn constant_text(expr: &Arc<dyn PhysicalExpr>) -> Option<&str> {
    expr.downcast_ref::<Literal>()?.value().try_as_str()?
}
