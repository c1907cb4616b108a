//! What a table's files have in columns that are newer than they.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use kestrel_planner::{catalog::MISSING_VALUE_METADATA, codec::decode_value};
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::error::report;

/// What every row of a file has in a column of `table` that is newer; `missing`: what the column
/// was added with.
///
/// # Errors
/// XX001 when that would be NULL where none is allowed.
pub(super) fn value(
    table: &str,
    field: &Field,
    missing: Option<&ScalarValue>,
) -> Result<ScalarValue> {
    if let Some(value) = missing {
        // The column's type may have become a wider one.
        return value.cast_to(field.data_type()).map_err(report);
    }
    if !field.is_nullable() {
        let message = format!("a segment of table \"{table}\" lacks column \"{}\"", field.name());
        return Err(ErrorReport::new(SqlState::DATA_CORRUPTED, message));
    }
    ScalarValue::try_from(field.data_type()).map_err(report)
}

/// The values that the fields of a scan's schema carry, and the schema without them.
pub(super) fn taken_from(schema: &SchemaRef) -> Result<(SchemaRef, Vec<Option<ScalarValue>>)> {
    let fields = schema.fields();
    if fields.iter().all(|field| !field.metadata().contains_key(MISSING_VALUE_METADATA)) {
        return Ok((Arc::clone(schema), Vec::new()));
    }
    let mut values = Vec::with_capacity(fields.len());
    let mut plain = Vec::with_capacity(fields.len());
    for field in fields {
        let mut metadata = field.metadata().clone();
        let value = metadata.remove(MISSING_VALUE_METADATA);
        values.push(value.map(|value| decode_value(&value)).transpose()?);
        plain.push(field.as_ref().clone().with_metadata(metadata));
    }
    Ok((Arc::new(Schema::new(plain)), values))
}
