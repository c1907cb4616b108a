//! Chunks of rows to record batches: each column on its own.

mod bytes;
mod column;
mod fixed;
mod numeric;
mod pool;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use kestrel_proto::{ErrorReport, Result};

use self::column::Column;
pub use self::pool::DecodePool;
use super::{CopyLayout, RowChunk};

/// Decodes a chunk on this thread.
///
/// # Errors
/// What is wrong with the first column that is not of its type: 22003, 22008, 22021, 22P03, 08P01.
/// XX000: the chunk is of other columns, or has NULL in a field that is not nullable.
pub fn decode_chunk(layout: &CopyLayout, chunk: &RowChunk) -> Result<RecordBatch> {
    let columns = (0..layout.len()).map(|column| decode_column(layout, chunk, column));
    assemble(layout, chunk, columns.collect::<Result<_>>()?)
}

fn decode_column(layout: &CopyLayout, chunk: &RowChunk, column: usize) -> Result<ArrayRef> {
    let wire = layout.columns().get(column);
    let (Some(wire), Some(fields)) = (wire, chunk.columns.get(column)) else {
        return Err(ErrorReport::internal("a chunk of other columns"));
    };
    let data_type = layout.schema().field(column).data_type();
    let values = Column { data: &fields.data, fields: &fields.fields };
    values.decode(wire, data_type).map_err(|error| layout.at_column(column, error))
}

fn assemble(layout: &CopyLayout, chunk: &RowChunk, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    // The count is for rows without columns.
    let options = RecordBatchOptions::new().with_row_count(Some(chunk.rows));
    RecordBatch::try_new_with_options(Arc::clone(layout.schema()), columns, &options)
        .map_err(|error| ErrorReport::internal(error.to_string()))
}

#[cfg(test)]
mod tests;
