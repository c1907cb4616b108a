//! The common type of values that meet in CASE, COALESCE, VALUES, UNION … (`select_common_type` in
//! PostgreSQL's parse_coerce.c), where DataFusion would choose another.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::{
    common::{DFSchema, Result, ScalarValue},
    logical_expr::{Expr, ExprSchemable, expr::Placeholder},
};
use kestrel_proto::{ErrorReport, SqlState};

use super::is_text;
use crate::{
    catalog::SqlType,
    error::to_datafusion,
    functions::{
        arithmetic::types::Class,
        cast::cast_to,
        literal::{is_untyped_text, typed_text},
        sql_name,
    },
};

/// The type of one of the values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Known {
    /// A quoted text or NULL: takes the type of the others.
    Untyped,
    /// Any other.
    Typed(DataType),
}

impl Known {
    pub(super) fn of(expr: &Expr, schema: &DFSchema) -> Result<Self> {
        let data_type = expr.get_type(schema)?;
        if is_untyped_text(expr) || data_type == DataType::Null {
            return Ok(Self::Untyped);
        }
        Ok(Self::Typed(data_type))
    }
}

/// The common type, if DataFusion has to be told; `CASE types integer and text cannot be matched`
/// (42804) if there is none. `context` is the word for where the values meet.
pub(crate) fn common_type(context: &str, values: &[Known]) -> Result<Option<DataType>> {
    let mut common: Option<DataType> = None;
    for value in values {
        let Known::Typed(next) = value else { continue };
        if next.is_nested() || matches!(next, DataType::Dictionary(..)) {
            return Ok(None);
        }
        common = Some(match common {
            None => next.clone(),
            Some(current) => joined(&current, next).ok_or_else(|| {
                to_datafusion(ErrorReport::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "{context} types {} and {} cannot be matched",
                        sql_name(&current),
                        sql_name(next)
                    ),
                ))
            })?,
        });
    }
    Ok(common)
}

/// The one of two types that values of both can have.
fn joined(a: &DataType, b: &DataType) -> Option<DataType> {
    if a == b || is_text(a) && is_text(b) {
        return Some(a.clone());
    }
    let binary =
        |t: &DataType| matches!(t, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    if binary(a) && binary(b) {
        return Some(a.clone());
    }
    let (x, y) = (Class::of(a)?, Class::of(b)?);
    if x.is_number() && y.is_number() {
        return Some(number(x, y).arrow());
    }
    let day = |class| match class {
        Class::Date => Some(0),
        Class::Timestamp => Some(1),
        Class::TimestampTz => Some(2),
        _ => None,
    };
    match (day(x), day(y)) {
        (Some(x_rank), Some(y_rank)) => Some(if x_rank >= y_rank { x.arrow() } else { y.arrow() }),
        _ => (x == y).then(|| x.arrow()),
    }
}

/// smallint, integer, bigint, numeric, real, double precision: each takes those before it.
fn number(a: Class, b: Class) -> Class {
    match (a, b) {
        (Class::Double, _) | (_, Class::Double) => Class::Double,
        (Class::Real, _) | (_, Class::Real) => Class::Real,
        (Class::Integer(a), Class::Integer(b)) => Class::Integer(a.max(b)),
        (a, b) => {
            let digits = |class| match class {
                Class::Numeric(p, s) => (i32::from(p) - i32::from(s), i32::from(s)),
                Class::Integer(2) => (5, 0),
                Class::Integer(4) => (10, 0),
                _ => (19, 0),
            };
            let ((i1, s1), (i2, s2)) = (digits(a), digits(b));
            let scale = s1.max(s2);
            let precision = (i1.max(i2) + scale).clamp(1, 38);
            Class::Numeric(precision as u8, scale.min(38) as i8)
        }
    }
}

/// The value in the common type.
pub(super) fn unified(expr: Expr, common: &DataType, schema: &DFSchema) -> Result<Expr> {
    let own = expr.get_type(schema)?;
    if own == *common {
        return Ok(expr);
    }
    if own == DataType::Null {
        return match expr {
            Expr::Literal(ScalarValue::Null, metadata) => {
                Ok(Expr::Literal(ScalarValue::try_from(common)?, metadata))
            }
            Expr::Placeholder(Placeholder { id, field: None }) => {
                let field = Arc::new(Field::new("", common.clone(), true));
                Ok(Expr::Placeholder(Placeholder::new_with_field(id, Some(field))))
            }
            expr => Ok(expr),
        };
    }
    if is_text(common) {
        return Ok(expr);
    }
    if is_untyped_text(&expr) {
        return typed_text(expr, common).map_err(to_datafusion);
    }
    match SqlType::of_arrow(common) {
        Some(target) => cast_to(expr, &own, target).map_err(to_datafusion),
        None => Ok(expr),
    }
}

/// All values in their common type.
pub(super) fn all_unified(
    context: &str,
    values: Vec<Expr>,
    schema: &DFSchema,
) -> Result<Vec<Expr>> {
    let known = values.iter().map(|v| Known::of(v, schema)).collect::<Result<Vec<_>>>()?;
    match common_type(context, &known)? {
        Some(common) => values.into_iter().map(|v| unified(v, &common, schema)).collect(),
        None => Ok(values),
    }
}
