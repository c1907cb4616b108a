//! Rows in comparisons, and calls that are short for other ones.
//!
//! | SQL | read as |
//! |---|---|
//! | `(a, b) = (c, d)`, `<>` | `a = c AND b = d`, its opposite |
//! | `(a, b) < (c, d)` | `a < c OR a = c AND b < d` |
//! | `(a, b) IN ((1, 2), (3, 4))` | `a = 1 AND b = 2 OR a = 3 AND b = 4` |
//! | `(a, b) OVERLAPS (c, d)` | `kestrel_overlaps(a, b, c, d)` |
//! | `date(x)`, `int4(x)`, … | `CAST(x AS date)`, … |
//! | `age(x)` | `age(current_date, x)` |
//! | `make_interval(days => 10)` | `kestrel_make_interval(0, 0, 0, 10, 0, 0, 0)` |
//! | `gen_random_uuid()` | `CAST(uuid() AS uuid)` |
//! | `f(…) WITHIN GROUP (…)` | see `within_group.rs` |
//! | `to_number(x, '99.99')` | `kestrel_to_number(x, '99.99', 0.00)`: the last argument has the scale |
//! | `timeofday()` | `to_char(clock_timestamp(), 'Dy Mon DD HH24:MI:SS.US YYYY TZ')` |
//! | `regr_count(y, x)` | `CAST(regr_count(y, x) AS bigint)` |

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, TimezoneInfo, Value,
};

use super::syntax::{call, number};
use crate::{functions::math::fraction_digits, parse::fold_ident};

/// The parameters of `make_interval`.
const INTERVAL_PARTS: &[&str] = &["years", "months", "weeks", "days", "hours", "mins", "secs"];

/// Types whose names, called with one value, cast it (`func_get_detail`, parse_func.c).
const CASTS: &[(&str, DataType)] = &[
    ("bool", DataType::Boolean),
    ("date", DataType::Date),
    ("float4", DataType::Real),
    ("float8", DataType::DoublePrecision),
    ("int2", DataType::SmallInt(None)),
    ("int4", DataType::Int(None)),
    ("int8", DataType::BigInt(None)),
    ("text", DataType::Text),
    ("timestamptz", DataType::Timestamp(None, TimezoneInfo::WithTimeZone)),
];

/// The expression as one that the SQL planner reads; `None`: it is none of these.
pub(super) fn rewritten(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (row(left)?, row(right)?);
            match op {
                BinaryOperator::Overlaps if left.len() == 2 && right.len() == 2 => {
                    Some(call("kestrel_overlaps", [left, right].concat()))
                }
                _ => compared(left, op, right),
            }
        }
        Expr::InList { expr, list, negated } => {
            let left = row(expr)?;
            let equal = |member: &Expr| compared(left, &BinaryOperator::Eq, row(member)?);
            let members = list.iter().map(equal).collect::<Option<Vec<_>>>()?;
            let any = members.into_iter().reduce(|a, b| binary(a, BinaryOperator::Or, b))?;
            Some(if *negated { not(any) } else { nested(any) })
        }
        Expr::Function(function) => of_function(function),
        _ => None,
    }
}

/// The values of `(a, b)` and `ROW(a, b)`.
fn row(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Tuple(values) if values.len() > 1 => Some(values),
        _ => None,
    }
}

pub(super) fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn not(expr: Expr) -> Expr {
    use datafusion::sql::sqlparser::ast::UnaryOperator;
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expr)) }
}

pub(super) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn compared(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Option<Expr> {
    if left.len() != right.len() {
        return None;
    }
    let all_equal = || {
        let pairs = left.iter().zip(right);
        let equal = pairs.map(|(a, b)| binary(a.clone(), BinaryOperator::Eq, b.clone()));
        equal.reduce(|a, b| binary(a, BinaryOperator::And, b))
    };
    // The last values decide for themselves whether equal ones count.
    let strict = match op {
        BinaryOperator::Eq => return all_equal().map(nested),
        BinaryOperator::NotEq => return all_equal().map(not),
        BinaryOperator::Lt | BinaryOperator::LtEq => BinaryOperator::Lt,
        BinaryOperator::Gt | BinaryOperator::GtEq => BinaryOperator::Gt,
        _ => return None,
    };
    let mut pairs = left.iter().zip(right).rev();
    let (last_left, last_right) = pairs.next()?;
    let last = binary(last_left.clone(), op.clone(), last_right.clone());
    Some(nested(pairs.fold(last, |rest, (a, b)| {
        let decided = binary(a.clone(), strict.clone(), b.clone());
        let equal = binary(a.clone(), BinaryOperator::Eq, b.clone());
        nested(binary(decided, BinaryOperator::Or, binary(equal, BinaryOperator::And, rest)))
    })))
}

pub(super) fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn of_function(function: &Function) -> Option<Expr> {
    let [name] = function.name.0.as_slice() else { return None };
    let name = fold_ident(name.as_ident()?);
    let FunctionArguments::List(list) = &function.args else { return None };
    if function.over.is_some() {
        return None;
    }
    if !function.within_group.is_empty() {
        return super::within_group::rewritten(&name, function, list);
    }
    let casts = CASTS.iter().find(|(known, _)| *known == name);
    if let (Some((_, to)), [FunctionArg::Unnamed(FunctionArgExpr::Expr(of))]) =
        (casts, list.args.as_slice())
    {
        return Some(cast(of.clone(), to.clone()));
    }
    match (name.as_str(), list.args.as_slice()) {
        ("age", [FunctionArg::Unnamed(FunctionArgExpr::Expr(of))]) => {
            Some(call("age", vec![call("current_date", vec![]), of.clone()]))
        }
        ("gen_random_uuid", []) => Some(cast(call("uuid", vec![]), DataType::Uuid)),
        ("make_interval", arguments) => make_interval(arguments),
        (
            "to_number",
            [
                FunctionArg::Unnamed(FunctionArgExpr::Expr(text)),
                FunctionArg::Unnamed(FunctionArgExpr::Expr(template)),
            ],
        ) => {
            let zero = match scale_of(template) {
                0 => number("0"),
                scale => number(&format!("0.{}", "0".repeat(scale))),
            };
            Some(call("kestrel_to_number", vec![text.clone(), template.clone(), zero]))
        }
        ("timeofday", []) => {
            let template = Value::SingleQuotedString("Dy Mon DD HH24:MI:SS.US YYYY TZ".into());
            let now = call("clock_timestamp", vec![]);
            Some(call("to_char", vec![now, Expr::Value(template.into())]))
        }
        ("regr_count", [_, _]) => {
            Some(cast(Expr::Function(function.clone()), DataType::BigInt(None)))
        }
        _ => None,
    }
}

/// Fractional digits of a template's numbers; where it is not constant, those of any numeric.
fn scale_of(template: &Expr) -> usize {
    match template {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => fraction_digits(text).unwrap_or(0).min(38),
            _ => 10,
        },
        _ => 10,
    }
}

/// Parts by their positions or names; those that are missing are 0.
fn make_interval(arguments: &[FunctionArg]) -> Option<Expr> {
    let mut parts = vec![number("0"); INTERVAL_PARTS.len()];
    for (position, argument) in arguments.iter().enumerate() {
        let (at, value) = match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => (position, value),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                let name = fold_ident(name);
                (INTERVAL_PARTS.iter().position(|part| *part == name)?, value)
            }
            _ => return None,
        };
        *parts.get_mut(at)? = value.clone();
    }
    Some(call("kestrel_make_interval", parts))
}
