//! Literals (`get_const_expr`, utils/adt/ruleutils.c).

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use crate::functions::{SessionFormats, sql_name, text_of};

/// `'it''s'::text`, `0.05`, `'-1'::integer`, `true`, `NULL::date`. Its text is that of a session with
/// PostgreSQL's default formats.
pub(super) fn literal(value: &ScalarValue) -> String {
    let data_type = value.data_type();
    let name = sql_name(&data_type);
    if data_type == DataType::Null {
        return "NULL".into();
    }
    if value.is_null() {
        return format!("NULL::{name}");
    }
    let Some(text) = text(value) else { return value.to_string() };
    let is_number = data_type.is_integer() || data_type.is_decimal();
    match data_type == DataType::Boolean || is_number && !text.starts_with('-') {
        true => text,
        false => format!("'{}'::{name}", text.replace('\'', "''")),
    }
}

/// `None`: SQL has no such value.
fn text(value: &ScalarValue) -> Option<String> {
    let array = value.to_array().ok()?;
    let texts = text_of(&array, &SessionFormats::default()).ok()?;
    texts.iter().next().flatten().map(Into::into)
}
