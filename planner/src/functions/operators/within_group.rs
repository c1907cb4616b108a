//! `f(arguments) WITHIN GROUP (ORDER BY …)`: ordered-set and hypothetical-set aggregates, as functions
//! of the sorted values and as counts.
//!
//! | SQL | read as |
//! |---|---|
//! | `mode() WITHIN GROUP (ORDER BY x)` | `kestrel_mode(array_agg(x ORDER BY x) FILTER (WHERE x IS NOT NULL))` |
//! | `percentile_cont(f) WITHIN GROUP …`, `percentile_disc` | likewise |
//! | `rank(v) WITHIN GROUP (ORDER BY x)` | `count(*) FILTER (WHERE x sorts before v) + 1` |
//! | `dense_rank(v) …` | `count(DISTINCT x) FILTER (…) + 1`, NULL being a value, too |
//! | `percent_rank(v) …` | `count(*) FILTER (…) / count(*)`, of no rows 0 |
//! | `cume_dist(v) …` | `(count(*) FILTER (WHERE not after v) + 1) / (count(*) + 1)` |

use datafusion::sql::sqlparser::ast::{
    BinaryOperator as Op, DataType, DuplicateTreatment, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, OrderByExpr,
};

use super::{
    row_syntax::{binary, cast, nested},
    syntax::{call, number},
};

/// The call as one that the SQL planner reads; `None`: it is none of these.
pub(super) fn rewritten(
    name: &str,
    function: &Function,
    list: &FunctionArgumentList,
) -> Option<Expr> {
    let arguments = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    let arguments = arguments.collect::<Option<Vec<_>>>()?;
    let keys = function.within_group.as_slice();
    match (name, keys) {
        ("mode" | "percentile_cont" | "percentile_disc", [order]) => {
            ordered_set(name, function, arguments, order)
        }
        _ if keys.len() == arguments.len() => hypothetical_set(name, function, arguments),
        _ => None,
    }
}

/// An ordered-set aggregate as a function of its values in order.
fn ordered_set(
    name: &str,
    function: &Function,
    arguments: Vec<Expr>,
    order: &OrderByExpr,
) -> Option<Expr> {
    let fractions = matches!(arguments.first(), Some(Expr::Function(f)) if f.name.to_string() == "make_array")
        || matches!(arguments.first(), Some(Expr::Cast { data_type: DataType::Array(_), .. }));
    let becomes = match (name, arguments.len()) {
        ("mode", 0) => "kestrel_mode",
        ("percentile_cont", 1) => "kestrel_percentile_cont",
        ("percentile_disc", 1) if fractions => "kestrel_percentiles_disc",
        ("percentile_disc", 1) => "kestrel_percentile_disc",
        _ => return None,
    };
    let value = order.expr.clone();
    let is_known = Expr::IsNotNull(Box::new(nested(value.clone())));
    let list = FunctionArgumentList {
        duplicate_treatment: None,
        args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value))],
        clauses: vec![FunctionArgumentClause::OrderBy(vec![order.clone()])],
    };
    let sorted = aggregate(function, "array_agg", list, Some(is_known));
    Some(call(becomes, arguments.into_iter().chain([sorted]).collect()))
}

/// Another aggregate over the rows of this one that pass.
fn aggregate(of: &Function, name: &str, list: FunctionArgumentList, passes: Option<Expr>) -> Expr {
    let filter = match (of.filter.as_deref(), passes) {
        (Some(filter), Some(passes)) => {
            Some(binary(nested(filter.clone()), Op::And, nested(passes)))
        }
        (filter, passes) => passes.or(filter.cloned()),
    };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        args: FunctionArguments::List(list),
        filter: filter.map(Box::new),
        within_group: vec![],
        ..of.clone()
    })
}

fn count(of: &Function, passes: Option<Expr>) -> Expr {
    let args = vec![FunctionArg::Unnamed(FunctionArgExpr::Wildcard)];
    let list = FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] };
    aggregate(of, "count", list, passes)
}

/// Where the arguments would stand among the rows (`hypothetical_rank_common`, orderedsetaggs.c).
fn hypothetical_set(name: &str, function: &Function, arguments: Vec<Expr>) -> Option<Expr> {
    let keys = function.within_group.as_slice();
    let (before, equal) = placed(keys, &arguments)?;
    let one_more = |count: Expr| nested(binary(count, Op::Plus, number("1")));
    let double = |expr: Expr| cast(nested(expr), DataType::DoublePrecision);
    match (name, keys) {
        ("rank", _) => Some(one_more(count(function, Some(before)))),
        ("dense_rank", [key]) => {
            let list = FunctionArgumentList {
                duplicate_treatment: Some(DuplicateTreatment::Distinct),
                args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(key.expr.clone()))],
                clauses: vec![],
            };
            let values = aggregate(function, "count", list, Some(before.clone()));
            let is_null = Expr::IsNull(Box::new(nested(key.expr.clone())));
            let nulls = count(function, Some(binary(nested(before), Op::And, is_null)));
            let null = call("least", vec![nulls, number("1")]);
            Some(one_more(binary(values, Op::Plus, null)))
        }
        ("percent_rank", _) => {
            let (rows, before) = (count(function, None), count(function, Some(before)));
            let rows =
                call("nullif", vec![double(rows), cast(number("0"), DataType::DoublePrecision)]);
            let share = binary(double(before), Op::Divide, rows);
            Some(call("coalesce", vec![share, cast(number("0"), DataType::DoublePrecision)]))
        }
        ("cume_dist", _) => {
            let not_after = binary(nested(before), Op::Or, nested(equal));
            let (rows, not_after) = (count(function, None), count(function, Some(not_after)));
            let share = binary(double(one_more(not_after)), Op::Divide, double(one_more(rows)));
            Some(nested(share))
        }
        _ => None,
    }
}

/// Whether a row stands before the arguments, and whether it is equal to them; neither is NULL.
fn placed(keys: &[OrderByExpr], arguments: &[Expr]) -> Option<(Expr, Expr)> {
    let mut placed: Option<(Expr, Expr)> = None;
    for (key, argument) in keys.iter().zip(arguments).rev() {
        let (value, argument) = (nested(key.expr.clone()), nested(argument.clone()));
        let descends = key.options.asc == Some(false);
        let nulls_first = key.options.nulls_first.unwrap_or(descends);
        let op = if descends { Op::Gt } else { Op::Lt };
        let is_null = |expr: &Expr| Expr::IsNull(Box::new(expr.clone()));
        let is_not_null = |expr: &Expr| Expr::IsNotNull(Box::new(expr.clone()));
        let by_null = match nulls_first {
            true => binary(is_null(&value), Op::And, is_not_null(&argument)),
            false => binary(is_not_null(&value), Op::And, is_null(&argument)),
        };
        let compared = binary(value.clone(), op, argument.clone());
        let is_true = Expr::IsTrue(Box::new(nested(compared)));
        let before = nested(binary(is_true, Op::Or, nested(by_null)));
        let equal = nested(Expr::IsNotDistinctFrom(Box::new(value), Box::new(argument)));
        placed = Some(match placed {
            None => (before, equal),
            Some((rest_before, rest_equal)) => (
                nested(binary(before, Op::Or, nested(binary(equal.clone(), Op::And, rest_before)))),
                nested(binary(equal, Op::And, rest_equal)),
            ),
        });
    }
    placed
}
