//! The equalities of joins: which columns they are of, and how these hash.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::physical_expr::{
    PhysicalExpr,
    expressions::{CastExpr, Column},
};

use super::JoinKey;
use crate::catalog::{HashClass, SqlType};

/// What an equality's sides are, and how they hash.
pub(crate) fn join_key(
    on: &(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>),
    left: &Schema,
    right: &Schema,
) -> JoinKey {
    let bare_left = without_casts(&on.0, left);
    let bare_right = without_casts(&on.1, right);
    let column = |e: &Arc<dyn PhysicalExpr>| e.downcast_ref::<Column>().map(Column::index);
    let classes = (hash_class(&bare_left, left), hash_class(&bare_right, right));
    let as_they_stand = (hash_class(&on.0, left), hash_class(&on.1, right));
    JoinKey {
        left: column(&bare_left),
        right: column(&bare_right),
        column_class: classes.0.filter(|class| Some(*class) == classes.1),
        class: as_they_stand.0.filter(|class| Some(*class) == as_they_stand.1),
    }
}

/// How the values of an expression hash. char(n) is held without trailing blanks, so that it
/// hashes like text.
pub(super) fn hash_class(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<HashClass> {
    let field = expr.return_field(schema).ok()?;
    let sql_type = SqlType::of_field(&field)?;
    if !sql_type.arrow().equals_datatype(field.data_type()) {
        return None;
    }
    match sql_type.hash_class()? {
        HashClass::Char => Some(HashClass::Text),
        other => Some(other),
    }
}

/// The expression under casts that do not change the placement hash: to a wider integer, another
/// scale, another form of text.
pub(crate) fn without_casts(
    expr: &Arc<dyn PhysicalExpr>,
    schema: &Schema,
) -> Arc<dyn PhysicalExpr> {
    let Some(cast) = expr.downcast_ref::<CastExpr>() else { return Arc::clone(expr) };
    let Ok(from) = cast.expr().data_type(schema) else { return Arc::clone(expr) };
    if keeps_hash(&from, cast.cast_type()) {
        without_casts(cast.expr(), schema)
    } else {
        Arc::clone(expr)
    }
}

fn keeps_hash(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        (Int16, Int32 | Int64) | (Int32, Int64) | (Float32, Float64) => true,
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => true,
        (Decimal128(_, from), Decimal128(_, to)) => from <= to,
        _ => from == to,
    }
}
