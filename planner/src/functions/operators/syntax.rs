//! Syntax that DataFusion's SQL planner reads wrongly or not at all, as syntax that it reads.
//!
//! | SQL | read as |
//! |---|---|
//! | `INTERVAL '90' DAY`, `INTERVAL '1 day 2:00'` | `CAST('90 DAY' AS INTERVAL)` |
//! | `x AT TIME ZONE z` | `timezone(z, x)` |
//! | `CAST(x AS numeric)`, without precision | `kestrel_numeric(x)` |
//! | `~ x` | `-1 - x` |
//! | `\|/ x`, `@ x` | `sqrt(x)`, `abs(x)` |
//! | `1e200` | `CAST('1e200' AS double precision)`: no numeric holds it |
//! | `f(1)`, `FROM (VALUES (1))` | `f(CAST(1 AS int))`, `FROM (VALUES (CAST(1 AS int)))` |
//! | `FETCH FIRST 3 ROWS ONLY` | `LIMIT 3` |
//!
//! Columns of VALUES get their types in `values_syntax`, arrays are read in `array_syntax`, rows in
//! `row_syntax`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, Fetch, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, Interval, LimitClause,
    ObjectName, Query, SetExpr, TypedString, UnaryOperator, Value, ValueWithSpan, VisitorMut,
};

use super::values_syntax::{with_common_texts, with_common_types};
use crate::parse::{Walk, fold_ident};

/// Rewrites the expressions of a statement, query or expression, subqueries included.
/// `wants_typed_literals`: must integers be integers when a function of this name is called?
pub fn postgresql_syntax(node: &mut impl Walk, wants_typed_literals: &dyn Fn(&str) -> bool) {
    let _ = node.walk_mut(&mut Syntax { depth: 0, wants_typed_literals });
}

struct Syntax<'a> {
    /// Of queries within queries.
    depth: usize,
    wants_typed_literals: &'a dyn Fn(&str) -> bool,
}

impl VisitorMut for Syntax<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        fetch_as_limit(query);
        if let SetExpr::Values(values) = query.body.as_mut() {
            with_common_texts(values);
            // The values of an INSERT take their types from the table.
            if self.depth > 1 {
                with_common_types(values);
                values.rows.iter_mut().flat_map(|row| row.iter_mut()).for_each(type_integer);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && function.over.is_none()
            && let Some(name) = function.name.0.last().and_then(|part| part.as_ident())
            && (self.wants_typed_literals)(&fold_ident(name))
            && let FunctionArguments::List(list) = &mut function.args
        {
            for argument in &mut list.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument {
                    type_integer(expr);
                }
            }
        }
        if let Some(rewritten) = rewritten(expr) {
            *expr = rewritten;
        }
        ControlFlow::Continue(())
    }
}

/// WITH TIES and PERCENT stay, and are refused.
fn fetch_as_limit(query: &mut Query) {
    let Some(Fetch { with_ties: false, percent: false, quantity }) = &query.fetch else { return };
    let rows = quantity.clone().unwrap_or_else(|| number("1"));
    let offset = match &mut query.limit_clause {
        None => None,
        Some(LimitClause::LimitOffset { limit: None, offset, .. }) => offset.take(),
        Some(_) => return,
    };
    let limit = Some(rows);
    query.limit_clause = Some(LimitClause::LimitOffset { limit, offset, limit_by: vec![] });
    query.fetch = None;
}

/// An integer literal as one.
fn type_integer(expr: &mut Expr) {
    match expr {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => type_integer(expr),
        Expr::Value(ValueWithSpan { value: Value::Number(digits, false), .. })
            if digits.parse::<i32>().is_ok() =>
        {
            *expr = cast(expr.clone(), DataType::Int(None));
        }
        _ => {}
    }
}

/// A number that no decimal of 38 digits holds, and whose text says that it need not be exact.
fn is_double(digits: &str) -> bool {
    match digits.split_once(['e', 'E']) {
        Some((_, exponent)) => exponent.parse::<i32>().is_ok_and(|e| e.abs() > 37),
        None => false,
    }
}

pub(super) fn cast(expr: Expr, data_type: DataType) -> Expr {
    let (kind, expr) = (CastKind::Cast, Box::new(expr));
    Expr::Cast { kind, expr, data_type, array: false, format: None }
}

fn rewritten(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), span })
            if is_double(digits) =>
        {
            let value = Value::SingleQuotedString(digits.clone());
            let text = Expr::Value(ValueWithSpan { value, span: *span });
            Some(cast(text, DataType::DoublePrecision))
        }
        Expr::Interval(interval) => interval_cast(interval),
        Expr::AtTimeZone { timestamp, time_zone } => {
            Some(call("timezone", vec![(**time_zone).clone(), (**timestamp).clone()]))
        }
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. }
            if is_bare_numeric(data_type) =>
        {
            Some(call("kestrel_numeric", vec![(**expr).clone()]))
        }
        Expr::TypedString(TypedString { data_type, value, .. }) if is_bare_numeric(data_type) => {
            Some(call("kestrel_numeric", vec![Expr::Value(value.clone())]))
        }
        Expr::UnaryOp { op, expr } => match op {
            UnaryOperator::BitwiseNot => Some(Expr::Nested(Box::new(Expr::BinaryOp {
                left: Box::new(number("-1")),
                op: BinaryOperator::Minus,
                right: expr.clone(),
            }))),
            UnaryOperator::PGSquareRoot => Some(call("sqrt", vec![(**expr).clone()])),
            UnaryOperator::PGCubeRoot => Some(call("cbrt", vec![(**expr).clone()])),
            UnaryOperator::PGAbs => Some(call("abs", vec![(**expr).clone()])),
            _ => None,
        },
        other => {
            super::array_syntax::rewritten(other).or_else(|| super::row_syntax::rewritten(other))
        }
    }
}

fn is_bare_numeric(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Numeric(ExactNumberInfo::None)
            | DataType::Decimal(ExactNumberInfo::None)
            | DataType::Dec(ExactNumberInfo::None)
    )
}

pub(super) fn number(digits: &str) -> Expr {
    let value = Value::Number(digits.trim_start_matches('-').into(), false);
    let literal = Expr::Value(value.into());
    if digits.starts_with('-') {
        return Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(literal) };
    }
    literal
}

/// A literal interval as a cast: the casts know PostgreSQL's forms.
fn interval_cast(interval: &Interval) -> Option<Expr> {
    let Expr::Value(ValueWithSpan { value, span }) = interval.value.as_ref() else { return None };
    let text = match value {
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => text.clone(),
        Value::Number(digits, _) => digits.to_string(),
        _ => return None,
    };
    // The field is the unit of a number without one: `INTERVAL '90' DAY`.
    let bare = text.trim().parse::<f64>().is_ok();
    let text = match &interval.leading_field {
        Some(field) if bare => format!("{} {field}", text.trim()),
        _ => text,
    };
    let literal = ValueWithSpan { value: Value::SingleQuotedString(text), span: *span };
    Some(cast(Expr::Value(literal), DataType::Interval { fields: None, precision: None }))
}

/// `name(args)`
pub(crate) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args =
        args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}
