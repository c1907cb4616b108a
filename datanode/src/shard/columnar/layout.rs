//! How a table's columns stand in a Parquet file.
//!
//! A column is found by its id, which is the Parquet field id: names change, and a dropped column's
//! name may be used again. Types are held as Arrow has them, but for intervals, which Parquet
//! cannot hold with nanoseconds: see [`super::interval`].

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef},
};
use kestrel_proto::{ErrorReport, Result};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::interval;

/// The schema of a table's segment files.
///
/// # Errors
/// XX000 when there is not one id per column.
pub(super) fn file_schema(schema: &Schema, column_ids: &[u32]) -> Result<SchemaRef> {
    if schema.fields().len() != column_ids.len() {
        return Err(ErrorReport::internal(format!(
            "a table of {} columns has {} column ids",
            schema.fields().len(),
            column_ids.len()
        )));
    }
    let fields = schema.fields().iter().zip(column_ids).map(|(field, id)| {
        let mut metadata = field.metadata().clone();
        metadata.insert(PARQUET_FIELD_ID_META_KEY.into(), id.to_string());
        Field::new(field.name(), file_type(field.data_type()), field.is_nullable())
            .with_metadata(metadata)
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// How values of an Arrow type are held in a file.
fn file_type(data_type: &DataType) -> DataType {
    if is_interval(data_type) { interval::FILE_TYPE } else { data_type.clone() }
}

/// The type that Parquet cannot hold as it is.
pub(super) fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(IntervalUnit::MonthDayNano))
}

/// Rows in the form of the file.
///
/// # Errors
/// XX000 when the rows are not of the table's types, or NULL where the table allows none: whoever
/// makes rows checks them.
pub(super) fn to_file(batch: &RecordBatch, file_schema: &SchemaRef) -> Result<RecordBatch> {
    let mismatch = |detail: String| {
        ErrorReport::internal("rows to be written do not fit their table").detail(detail)
    };
    let columns = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            t if is_interval(t) => interval::encode(column),
            _ => Ok(Arc::clone(column)),
        })
        .collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(file_schema), columns)
        .map_err(|error| mismatch(format!("{error}.")))
}

/// The positions of a file's columns, by column id.
pub(super) fn columns_by_id(file_schema: &Schema) -> HashMap<u32, usize> {
    let id = |field: &Field| field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok();
    let fields = file_schema.fields().iter().enumerate();
    fields.filter_map(|(index, field)| Some((id(field)?, index))).collect()
}
