//! Casts that change a value's type and nothing else.

use std::sync::Arc;

use crate::catalog::SqlType;
use arrow::datatypes::DataType;
use datafusion::{
    common::ScalarValue,
    physical_expr::{PhysicalExpr, expressions::Literal},
};

use super::{
    super::types::bare_name,
    Translation,
    operand::{Kind, Sql},
};

/// The operand in a type that has all its values; from an integer to a double, the nearest.
pub(super) fn widened(operand: Sql, to: &DataType) -> Option<Sql> {
    let kind = match (operand.kind, to) {
        (
            kind @ Kind::Integer { lowest, highest },
            DataType::Int16 | DataType::Int32 | DataType::Int64,
        ) => {
            let room = match to {
                DataType::Int16 => i128::from(i16::MAX),
                DataType::Int32 => i128::from(i32::MAX),
                _ => i128::from(i64::MAX),
            };
            (lowest >= -room - 1 && highest <= room).then_some(kind)?
        }
        (Kind::Integer { .. } | Kind::Float, DataType::Float64) => Kind::Float,
        (Kind::Integer { lowest, highest }, &DataType::Decimal128(precision, scale)) => {
            let whole = u32::try_from(i32::from(precision) - i32::from(scale)).ok()?;
            let room = 10_i128.checked_pow(whole)?;
            let fits = scale >= 0 && lowest > -room && highest < room;
            fits.then_some(Kind::Numeric(precision, scale))?
        }
        (Kind::Numeric(p1, s1), &DataType::Decimal128(precision, scale)) => {
            let whole = |p: u8, s: i8| i32::from(p) - i32::from(s);
            let fits = scale >= s1 && whole(precision, scale) >= whole(p1, s1);
            // A numeric has no type of its own for each scale: its value stays as it is.
            return fits.then_some(Sql { kind: Kind::Numeric(precision, scale), ..operand });
        }
        (Kind::Text, DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8) => {
            return Some(operand);
        }
        _ => return None,
    };
    let name = bare_name(SqlType::of_arrow(to)?).ok()?;
    Some(Sql::new(format!("{}::{name}", operand.text), kind))
}

/// `kestrel_cast(text, 'text')`: a text of any kind as a text, which is as it is held.
pub(super) fn relabelled(
    translation: &Translation<'_>,
    arguments: &[Arc<dyn PhysicalExpr>],
) -> Option<Sql> {
    let [value, to] = arguments else { return None };
    let to = to.downcast_ref::<Literal>()?;
    let ScalarValue::Utf8(Some(to)) = to.value() else { return None };
    if !matches!(SqlType::parse(to), Some(SqlType::Text | SqlType::Varchar(None))) {
        return None;
    }
    let value = translation.of(value)?;
    Some(Sql::new(translation.held_text(&value)?, Kind::Text))
}
