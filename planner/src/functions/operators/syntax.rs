//! Syntax that DataFusion's SQL planner reads wrongly or not at all, as syntax that it reads.
//!
//! | SQL | read as |
//! |---|---|
//! | `INTERVAL '90' DAY`, `INTERVAL '1 day 2:00'` | `CAST('90 DAY' AS INTERVAL)` |
//! | `x AT TIME ZONE z` | `timezone(z, x)` |
//! | `CAST(x AS numeric)`, without precision | `kestrel_numeric(x)` |
//! | `~ x` | `-1 - x` |
//! | `\|/ x`, `@ x` | `sqrt(x)`, `abs(x)` |

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, Interval, ObjectName,
    TypedString, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut,
};

/// Rewrites the expressions of a statement, query or expression, subqueries included.
pub fn postgresql_syntax(node: &mut impl VisitMut) {
    let _ = node.visit(&mut Syntax);
}

struct Syntax;

impl VisitorMut for Syntax {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(rewritten) = rewritten(expr) {
            *expr = rewritten;
        }
        ControlFlow::Continue(())
    }
}

fn rewritten(expr: &Expr) -> Option<Expr> {
    match expr {
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
        _ => None,
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

fn number(digits: &str) -> Expr {
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
    Some(Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::Value(literal)),
        data_type: DataType::Interval { fields: None, precision: None },
        array: false,
        format: None,
    })
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
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
