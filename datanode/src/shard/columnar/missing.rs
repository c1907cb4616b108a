//! What a table's files have in columns that are newer than they.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use kestrel_planner::{catalog::MISSING_VALUE_METADATA, codec::decode_value};
use kestrel_proto::Result;

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
