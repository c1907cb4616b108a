//! Comparisons of operands of different types, as PostgreSQL resolves them.
//!
//! They stay DataFusion's comparisons wherever Arrow's kernels compare right, so that the optimizer
//! sees them; literals get the type of the column beside them, so that no column is cast.

use arrow::datatypes::DataType;
use datafusion::{
    common::{DFSchema, Result, ScalarValue},
    logical_expr::{
        BinaryExpr, Expr, ExprSchemable, Operator,
        expr::{Cast, ScalarFunction},
        lit,
    },
    sql::sqlparser::ast::BinaryOperator,
};

use super::{is_text, typed_pair, zoned};
use crate::{
    catalog::SqlType,
    error::to_datafusion,
    functions::{
        arithmetic::{no_operator, types::Class},
        cast::double_of_decimal,
        civil::DAY,
        compare::{CompareNumeric, IntervalLength},
        decimal, function,
    },
};

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comparison(pub(super) Operator);

impl Comparison {
    /// The comparison that a SQL operator is.
    pub(super) fn of(op: &BinaryOperator) -> Option<Self> {
        Some(Self(match op {
            BinaryOperator::Eq => Operator::Eq,
            BinaryOperator::NotEq => Operator::NotEq,
            BinaryOperator::Lt => Operator::Lt,
            BinaryOperator::LtEq => Operator::LtEq,
            BinaryOperator::Gt => Operator::Gt,
            BinaryOperator::GtEq => Operator::GtEq,
            _ => return None,
        }))
    }
}

/// `left op right`.
pub(super) fn plan(
    comparison: Comparison,
    left: Expr,
    right: Expr,
    schema: &DFSchema,
) -> Result<Expr> {
    let (left, right) = char_trimmed(left, right, schema)?;
    let (left, right) = typed_pair(left, right, schema)?;
    let (left_type, right_type) = (left.get_type(schema)?, right.get_type(schema)?);
    check(comparison, &left_type, &right_type)?;
    if let Some(simple) = date_and_timestamp(comparison, &left, &right, (&left_type, &right_type)) {
        return Ok(simple);
    }
    let (left, right) = adapt(left, right, schema)?;
    let (left_type, right_type) = (left.get_type(schema)?, right.get_type(schema)?);
    if let (Some(Class::Numeric(p1, s1)), Some(Class::Numeric(p2, s2))) =
        (Class::of(&left_type), Class::of(&right_type))
        && exceeds_38_digits((p1, s1), (p2, s2))
    {
        let order = function(CompareNumeric::new());
        let order = Expr::ScalarFunction(ScalarFunction::new_udf(order, vec![left, right]));
        return Ok(binary(order, comparison.0, lit(0i32)));
    }
    Ok(binary(left, comparison.0, right))
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// Whether no numeric of 38 digits holds both.
fn exceeds_38_digits((p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> bool {
    let integers = (i32::from(p1) - i32::from(s1)).max(i32::from(p2) - i32::from(s2));
    s1 != s2 && integers + i32::from(s1.max(s2)) > 38
}

/// A literal beside a `char(n)` loses its trailing blanks, which do not count there and which are
/// not held.
fn char_trimmed(left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    let is_char = |expr: &Expr| {
        expr.to_field(schema)
            .is_ok_and(|(_, field)| matches!(SqlType::of_field(&field), Some(SqlType::Char(_))))
    };
    let trimmed = |expr: Expr| match &expr {
        Expr::Literal(value, metadata) => match value.try_as_str().flatten() {
            Some(text) => Expr::Literal(
                ScalarValue::Utf8View(Some(text.trim_end_matches(' ').into())),
                metadata.clone(),
            ),
            None => expr,
        },
        _ => expr,
    };
    Ok(match (is_char(&left), is_char(&right)) {
        (true, false) => (left, trimmed(right)),
        (false, true) => (trimmed(left), right),
        _ => (left, right),
    })
}

/// `operator does not exist` where PostgreSQL has none: DataFusion would compare as texts.
fn check(comparison: Comparison, left: &DataType, right: &DataType) -> Result<()> {
    #[derive(PartialEq)]
    enum Family {
        Number,
        Text,
        Day,
        Other(DataType),
    }
    let family = |data_type: &DataType| match Class::of(data_type) {
        Some(class) if class.is_number() => Family::Number,
        Some(Class::Date | Class::Timestamp | Class::TimestampTz) => Family::Day,
        Some(class) => Family::Other(class.arrow()),
        None if is_text(data_type) => Family::Text,
        None => Family::Other(match data_type {
            DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
            other => other.clone(),
        }),
    };
    let unknown = |t: &DataType| *t == DataType::Null || matches!(t, DataType::Dictionary(..));
    if unknown(left) || unknown(right) || family(left) == family(right) {
        return Ok(());
    }
    Err(to_datafusion(no_operator(&comparison.0.to_string(), left, right)))
}

/// Operands of one comparison, or members of one list, in types that compare as PostgreSQL's.
fn adapt(left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    let (left_type, right_type) = (left.get_type(schema)?, right.get_type(schema)?);
    let (Some(l), Some(r)) = (Class::of(&left_type), Class::of(&right_type)) else {
        return Ok((left, right));
    };
    let integer = |class| matches!(class, Class::Integer(_));
    let float = |class| matches!(class, Class::Real | Class::Double);
    match (l, r) {
        (Class::Real, Class::Real) => Ok((left, right)),
        (l, r) if l.is_number() && r.is_number() && (float(l) || float(r)) => {
            Ok((as_double(left, l), as_double(right, r)))
        }
        (Class::Numeric(..), r) | (r, Class::Numeric(..)) if r.is_number() => {
            let left = literal_as(left, &right_type);
            let right = literal_as(right, &left_type);
            Ok((left, right))
        }
        (l, r) if integer(l) && integer(r) && l != r => {
            Ok((literal_as(left, &right_type), literal_as(right, &left_type)))
        }
        (Class::Interval, Class::Interval) => Ok((interval_length(left), interval_length(right))),
        (Class::TimestampTz, _) | (_, Class::TimestampTz) => Ok((
            zoned(left, &left_type, Class::TimestampTz)?,
            zoned(right, &right_type, Class::TimestampTz)?,
        )),
        _ => Ok((left, right)),
    }
}

fn interval_length(expr: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(function(IntervalLength::new()), vec![expr]))
}

fn as_double(expr: Expr, class: Class) -> Expr {
    if class == Class::Double {
        return expr;
    }
    let value = match &expr {
        Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), _) => {
            Some(double_of_decimal(*value, *scale))
        }
        Expr::Literal(ScalarValue::Int32(Some(value)), _) => Some(f64::from(*value)),
        _ => None,
    };
    match value {
        Some(value) => lit(value),
        None => Expr::Cast(Cast::new(Box::new(expr), DataType::Float64)),
    }
}

/// A numeric or integer literal in another number type, if that has exactly its value.
fn literal_as(expr: Expr, wanted: &DataType) -> Expr {
    let (value, scale) = match &expr {
        Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), _) => (*value, *scale),
        Expr::Literal(ScalarValue::Int16(Some(value)), _) => (i128::from(*value), 0),
        Expr::Literal(ScalarValue::Int32(Some(value)), _) => (i128::from(*value), 0),
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => (i128::from(*value), 0),
        _ => return expr,
    };
    let exact = |to: i8| {
        decimal::rescale(value, scale, to)
            .filter(|v| decimal::compare((*v, to), (value, scale)).is_eq())
    };
    let literal = match wanted {
        DataType::Decimal128(precision, to) => exact(*to)
            .filter(|v| v.unsigned_abs() < decimal::power(u32::from(*precision)).unsigned_abs())
            .map(|v| ScalarValue::Decimal128(Some(v), *precision, *to)),
        DataType::Int16 => exact(0).and_then(|v| i16::try_from(v).ok()).map(ScalarValue::from),
        DataType::Int32 => exact(0).and_then(|v| i32::try_from(v).ok()).map(ScalarValue::from),
        DataType::Int64 => exact(0).and_then(|v| i64::try_from(v).ok()).map(ScalarValue::from),
        _ => None,
    };
    literal.map_or(expr, |value| Expr::Literal(value, None))
}

/// `date_column < TIMESTAMP '…'` (as `date '…' + interval '…'` makes them) as a comparison of
/// dates: no cast of the column, and statistics of its pages can be used.
fn date_and_timestamp(
    comparison: Comparison,
    left: &Expr,
    right: &Expr,
    types: (&DataType, &DataType),
) -> Option<Expr> {
    if *types.0 == DataType::Date32
        && let Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), None), _) = right
    {
        let (op, day) = as_date(comparison.0, *micros)?;
        return Some(binary(left.clone(), op, lit(ScalarValue::Date32(Some(day)))));
    }
    if *types.1 == DataType::Date32
        && let Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), None), _) = left
    {
        let (op, day) = as_date(comparison.0.swap()?, *micros)?;
        return Some(binary(right.clone(), op, lit(ScalarValue::Date32(Some(day)))));
    }
    None
}

/// The comparison with a day that says the same of every date as `op` with a moment does.
pub(super) fn as_date(op: Operator, micros: i64) -> Option<(Operator, i32)> {
    let floor = micros.div_euclid(DAY);
    let midnight = micros.rem_euclid(DAY) == 0;
    let (op, day) = match op {
        Operator::LtEq | Operator::Gt => (op, floor),
        Operator::Lt | Operator::GtEq if midnight => (op, floor),
        Operator::Lt => (Operator::LtEq, floor),
        Operator::GtEq => (Operator::Gt, floor),
        Operator::Eq | Operator::NotEq if midnight => (op, floor),
        _ => return None,
    };
    Some((op, i32::try_from(day).ok()?))
}
