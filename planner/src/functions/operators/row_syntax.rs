//! Rows in comparisons, and calls that are short for other ones.
//!
//! | SQL | read as |
//! |---|---|
//! | `(a, b) = (c, d)`, `<>` | `a = c AND b = d`, its opposite |
//! | `(a, b) < (c, d)` | `a < c OR a = c AND b < d` |
//! | `(a, b) IN ((1, 2), (3, 4))` | `a = 1 AND b = 2 OR a = 3 AND b = 4` |
//! | `(a, b) OVERLAPS (c, d)` | `kestrel_overlaps(a, b, c, d)` |
//! | `age(x)` | `age(current_date, x)` |
//! | `make_interval(days => 10)` | `kestrel_make_interval(0, 0, 0, 10, 0, 0, 0)` |
//! | `gen_random_uuid()` | `CAST(uuid() AS uuid)` |
//! | `mode() WITHIN GROUP (ORDER BY x)` | `kestrel_mode(array_agg(x ORDER BY x) FILTER (WHERE x IS NOT NULL))` |
//! | `percentile_cont(f) WITHIN GROUP …`, `percentile_disc` | likewise |
//! | `regr_count(y, x)` | `CAST(regr_count(y, x) AS bigint)` |

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    OrderByExpr,
};

use super::syntax::{call, number};
use crate::parse::fold_ident;

/// The parameters of `make_interval`.
const INTERVAL_PARTS: &[&str] = &["years", "months", "weeks", "days", "hours", "mins", "secs"];

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

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn not(expr: Expr) -> Expr {
    use datafusion::sql::sqlparser::ast::UnaryOperator;
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expr)) }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
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

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn of_function(function: &Function) -> Option<Expr> {
    let [name] = function.name.0.as_slice() else { return None };
    let name = fold_ident(name.as_ident()?);
    let FunctionArguments::List(list) = &function.args else { return None };
    if function.over.is_some() {
        return None;
    }
    if let [order] = function.within_group.as_slice() {
        return ordered_set(&name, function, list, order);
    }
    match (name.as_str(), list.args.as_slice()) {
        ("age", [FunctionArg::Unnamed(FunctionArgExpr::Expr(of))]) => {
            Some(call("age", vec![call("current_date", vec![]), of.clone()]))
        }
        ("gen_random_uuid", []) => Some(cast(call("uuid", vec![]), DataType::Uuid)),
        ("make_interval", arguments) => make_interval(arguments),
        ("regr_count", [_, _]) => {
            Some(cast(Expr::Function(function.clone()), DataType::BigInt(None)))
        }
        _ => None,
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

/// An ordered-set aggregate as a function of its values in order.
fn ordered_set(
    name: &str,
    function: &Function,
    list: &FunctionArgumentList,
    order: &OrderByExpr,
) -> Option<Expr> {
    let argument = match list.args.as_slice() {
        [] => None,
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => Some(expr.clone()),
        _ => return None,
    };
    let fractions = matches!(&argument, Some(Expr::Function(f)) if f.name.to_string() == "make_array")
        || matches!(&argument, Some(Expr::Cast { data_type: DataType::Array(_), .. }));
    let (becomes, value) = match (name, &argument) {
        ("mode", None) => ("kestrel_mode", order.expr.clone()),
        ("percentile_cont", Some(_)) => {
            ("kestrel_percentile_cont", cast(order.expr.clone(), DataType::DoublePrecision))
        }
        ("percentile_disc", Some(_)) if fractions => {
            ("kestrel_percentiles_disc", order.expr.clone())
        }
        ("percentile_disc", Some(_)) => ("kestrel_percentile_disc", order.expr.clone()),
        _ => return None,
    };
    let order = OrderByExpr { expr: value.clone(), ..order.clone() };
    let is_known = Expr::IsNotNull(Box::new(value.clone()));
    let filter = match &function.filter {
        Some(filter) => binary(nested(filter.as_ref().clone()), BinaryOperator::And, is_known),
        None => is_known,
    };
    let sorted = Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("array_agg")]),
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value))],
            clauses: vec![FunctionArgumentClause::OrderBy(vec![order])],
        }),
        filter: Some(Box::new(filter)),
        within_group: vec![],
        ..function.clone()
    });
    Some(call(becomes, argument.into_iter().chain([sorted]).collect()))
}
