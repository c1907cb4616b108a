//! Literals in PostgreSQL's types.
//!
//! DataFusion's SQL planner makes every integer literal an `Int64` (or `UInt64`), and a quoted text
//! a text. In PostgreSQL an integer literal is integer, bigint or numeric, whichever first holds
//! it, and a quoted text has no type until its surroundings give it one.

use arrow::datatypes::DataType;
use datafusion::{common::ScalarValue, logical_expr::Expr};
use kestrel_proto::ErrorReport;

use super::{cast::cast_to, decimal, sql_name};
use crate::catalog::SqlType;

/// An integer literal in the smallest of integer, bigint, numeric that holds it; any other
/// expression as it is.
pub fn narrow_integer_literal(expr: Expr) -> Expr {
    match &expr {
        Expr::Literal(ScalarValue::Int64(Some(value)), metadata) => match i32::try_from(*value) {
            Ok(value) => Expr::Literal(ScalarValue::Int32(Some(value)), metadata.clone()),
            Err(_) => expr,
        },
        Expr::Literal(ScalarValue::UInt64(Some(value)), metadata) => {
            let value = ScalarValue::Decimal128(Some(i128::from(*value)), 20, 0);
            Expr::Literal(value, metadata.clone())
        }
        _ => expr,
    }
}

/// Narrows an operand that is a literal. What stands deeper is left to
/// [`super::postgresql_plan`]: an expression must stay equal to the same one in GROUP BY.
pub(crate) fn narrow_operand(expr: Expr) -> Expr {
    match expr {
        Expr::Negative(inner) => Expr::Negative(Box::new(narrow_operand(*inner))),
        expr => narrow_integer_literal(expr),
    }
}

/// Is this a quoted literal that has no type yet? A literal of a `char(n)` says so in its metadata.
pub(crate) fn is_untyped_text(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Literal(
            ScalarValue::Utf8(Some(_))
                | ScalarValue::LargeUtf8(Some(_))
                | ScalarValue::Utf8View(Some(_)),
            None
        )
    )
}

/// An untyped text as a value of the type that its surroundings ask for: what PostgreSQL's input
/// function makes of it, or its error.
pub(crate) fn typed_text(expr: Expr, wanted: &DataType) -> Result<Expr, ErrorReport> {
    let text_type = DataType::Utf8View;
    let target = match SqlType::of_arrow(wanted) {
        // A number keeps its own digits: `x = '1.25'` must not round to the scale of x.
        Some(SqlType::Numeric(..)) => natural_numeric(&expr),
        Some(target) => target,
        None => {
            return Err(ErrorReport::unsupported(format!(
                "a quoted literal cannot be read as {}",
                sql_name(wanted)
            )));
        }
    };
    cast_to(expr, &text_type, target)
}

/// The numeric type with just the digits of a literal text.
fn natural_numeric(expr: &Expr) -> SqlType {
    match expr {
        Expr::Literal(value, _) => numeric_of_text(value.try_as_str().flatten().unwrap_or("")),
        _ => numeric_of_text(""),
    }
}

/// The numeric type with just the digits of a text.
pub(crate) fn numeric_of_text(text: &str) -> SqlType {
    let mantissa = text.trim().split(['e', 'E']).next().unwrap_or_default();
    let exponent: i32 =
        text.trim().split(['e', 'E']).nth(1).and_then(|e| e.parse().ok()).unwrap_or(0);
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i32);
    let scale = (fraction - exponent).clamp(0, i32::from(decimal::MAX_PRECISION));
    SqlType::Numeric(decimal::MAX_PRECISION, scale as i8)
}

/// An integer literal as the shortest numeric: `1` is numeric(1,0), so that `1 - discount` needs no
/// more digits than it has.
pub(crate) fn integer_as_numeric(expr: &Expr) -> Option<Expr> {
    let value = match expr {
        Expr::Literal(ScalarValue::Int16(Some(value)), _) => i128::from(*value),
        Expr::Literal(ScalarValue::Int32(Some(value)), _) => i128::from(*value),
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => i128::from(*value),
        _ => return None,
    };
    let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    let precision = u8::try_from(digits).unwrap_or(decimal::MAX_PRECISION);
    Some(Expr::Literal(ScalarValue::Decimal128(Some(value), precision, 0), None))
}
