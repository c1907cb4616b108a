//! Proposed rows: those of one fate, and in their order again what has become of them.

use std::sync::Arc;

use arrow::{
    array::{BooleanArray, RecordBatch},
    compute::{concat_batches, filter_record_batch, sort_to_indices, take_record_batch},
    datatypes::Schema,
    error::ArrowError,
};
use kestrel_planner::{catalog::TableDef, error::report};
use kestrel_proto::{ErrorReport, Result};

use super::{
    super::returning::{Gathered, numbered},
    Fate,
};

fn arrow(error: ArrowError) -> ErrorReport {
    report(error.into())
}

/// The rows with this fate, with their numbers.
pub(super) fn chosen(rows: &RecordBatch, fates: &[Fate], fate: Fate) -> Result<RecordBatch> {
    let numbered = numbered(rows.schema().fields(), rows.columns())?;
    let is_chosen: BooleanArray = fates.iter().map(|of_row| Some(*of_row == fate)).collect();
    filter_record_batch(&numbered, &is_chosen).map_err(arrow)
}

/// What a change has found, as the table has it, and behind it what the query has besides.
pub(super) fn of_table(gathered: &Gathered, table: &TableDef) -> Result<RecordBatch> {
    let rows = gathered.joined()?;
    let (own, rest) = gathered.split(&rows, table)?;
    let schema = rows.schema();
    let behind = schema.fields().iter().skip(rows.num_columns() - rest.len());
    let own_schema = own.schema();
    let fields: Vec<_> = own_schema.fields().iter().chain(behind).cloned().collect();
    let columns = own.columns().iter().chain(rest).cloned().collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(arrow)
}

/// Rows that were written and rows that were changed, in the order of their numbers, which stand
/// behind their columns.
pub(super) fn in_order(
    table: &TableDef,
    inserted: RecordBatch,
    updated: Option<RecordBatch>,
) -> Result<RecordBatch> {
    let Some(updated) = updated else { return Ok(inserted) };
    let schema = inserted.schema();
    let updated = RecordBatch::try_new(Arc::clone(&schema), updated.columns().to_vec());
    let all = concat_batches(&schema, [&inserted, &updated.map_err(arrow)?]).map_err(arrow)?;
    let order = sort_to_indices(all.column(table.columns.len()), None, None).map_err(arrow)?;
    take_record_batch(&all, &order).map_err(arrow)
}
