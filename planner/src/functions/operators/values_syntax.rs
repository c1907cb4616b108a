//! VALUES whose column has values of different types, as casts to their common type.
//!
//! DataFusion decides the type of such a column when it reads the list, by rules of its own: a
//! quoted text beside a date is an error, a double beside a numeric a numeric. So what the syntax
//! tells is decided before: `(VALUES ('2024-01-01'), (date '2024-01-02'))` is read as
//! `(VALUES (CAST('2024-01-01' AS date)), (date '2024-01-02'))`.

use arrow::datatypes::DataType as Arrow;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, TimezoneInfo, TypedString, UnaryOperator, Value, Values,
};

use super::{
    syntax::cast,
    unify::{Known, common_type},
};
use crate::{catalog::SqlType, parse::sql_type};

/// The type of a value as it is written; `None`: a quoted text or NULL has none.
type Written = Option<SqlType>;

/// Decides which type a column gets, if its values must be told.
type Decide = fn(&[Written]) -> Option<(SqlType, DataType)>;

/// Casts the values of each column whose types are written and differ.
pub(super) fn with_common_types(values: &mut Values) {
    cast_columns(values, |written| {
        let known = written.iter().map(|written| match written {
            Some(sql_type) => Known::Typed(sql_type.arrow()),
            None => Known::Untyped,
        });
        // Types that do not match are an error when the plan is finished.
        let common = common_type("VALUES", &known.collect::<Vec<_>>()).ok()??;
        castable(&common)
    });
}

/// The same for types that are held as text: DataFusion takes the values of a column only if all
/// or none say more than that.
pub(super) fn with_common_texts(values: &mut Values) {
    cast_columns(values, |written| {
        let mut typed = written.iter().flatten();
        let first = *typed.next()?;
        let all = |wanted: SqlType| written.iter().flatten().all(|t| *t == wanted);
        let is_text = written.iter().flatten().all(|t| t.arrow() == Arrow::Utf8View);
        let is_json = |t: &SqlType| matches!(t, SqlType::Json | SqlType::Jsonb);
        if !is_text || all(SqlType::Text) || written.iter().all(|w| *w == Some(first)) {
            return None;
        }
        match first {
            SqlType::Json if all(first) => Some((first, DataType::JSON)),
            SqlType::Jsonb if all(first) => Some((first, DataType::JSONB)),
            _ if written.iter().flatten().any(is_json) => None,
            _ => Some((SqlType::Varchar(None), DataType::Varchar(None))),
        }
    });
}

fn cast_columns(values: &mut Values, decide: Decide) {
    let width = values.rows.first().map_or(0, |row| row.len());
    for at in 0..width {
        let cells = values.rows.iter().filter_map(|row| row.get(at));
        let Some(written) = cells.map(written_type).collect::<Option<Vec<_>>>() else { continue };
        let Some((common, target)) = decide(&written) else { continue };
        let cells = values.rows.iter_mut().filter_map(|row| row.get_mut(at));
        for (cell, written) in cells.zip(written) {
            if written != Some(common) {
                *cell = cast(cell.clone(), target.clone());
            }
        }
    }
}

/// The type of a value; `None`: its syntax does not tell.
fn written_type(expr: &Expr) -> Option<Written> {
    match expr {
        Expr::Nested(inner) => written_type(inner),
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, data_type, .. }
        | Expr::TypedString(TypedString { data_type, .. }) => sql_type(data_type).ok().map(Some),
        Expr::Interval(_) => Some(Some(SqlType::Interval)),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => {
            written_type(expr).filter(Option::is_some)
        }
        Expr::Value(value) => match &value.value {
            Value::Null | Value::SingleQuotedString(_) | Value::EscapedStringLiteral(_) => {
                Some(None)
            }
            Value::Boolean(_) => Some(Some(SqlType::Boolean)),
            Value::Number(digits, false) => Some(Some(number(digits))),
            _ => None,
        },
        _ => None,
    }
}

fn number(digits: &str) -> SqlType {
    if digits.parse::<i32>().is_ok() {
        SqlType::Integer
    } else if digits.parse::<i64>().is_ok() {
        SqlType::BigInt
    } else {
        SqlType::Numeric(38, 10)
    }
}

/// A type that values are cast to, and its name. Texts, integers and numerics meet well without.
fn castable(data_type: &Arrow) -> Option<(SqlType, DataType)> {
    let sql_type = SqlType::of_arrow(data_type)?;
    let name = match sql_type {
        SqlType::Real => DataType::Real,
        SqlType::Double => DataType::DoublePrecision,
        SqlType::Boolean => DataType::Boolean,
        SqlType::Date => DataType::Date,
        SqlType::Time => DataType::Time(None, TimezoneInfo::None),
        SqlType::Timestamp => DataType::Timestamp(None, TimezoneInfo::None),
        SqlType::TimestampTz => DataType::Timestamp(None, TimezoneInfo::WithTimeZone),
        SqlType::Interval => DataType::Interval { fields: None, precision: None },
        SqlType::Uuid => DataType::Uuid,
        SqlType::Bytea => DataType::Bytea,
        _ => return None,
    };
    Some((sql_type, name))
}
