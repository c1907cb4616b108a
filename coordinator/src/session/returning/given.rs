//! The rows that a statement has changed, as relations that RETURNING reads.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    compute::concat_batches,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use kestrel_planner::{bind::GivenRows, catalog::TableDef, error::report, operators::conform};
use kestrel_proto::Result;

use super::{OtherRelation, ROW_NUMBER, Returning, given_name};

/// Rows that a statement has changed.
pub(in super::super) struct Gathered {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// The position of the table's first column; behind its last one those of the other relations
    /// stand.
    first: usize,
}

impl Gathered {
    /// No rows yet.
    pub(in super::super) fn new(schema: SchemaRef, first: usize) -> Self {
        Self { schema, batches: Vec::new(), first }
    }

    /// Adds some.
    pub(in super::super) fn push(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.batches.push(batch);
        }
    }

    /// All, in one batch.
    pub(in super::super) fn joined(&self) -> Result<RecordBatch> {
        let schema = self.batches.first().map_or_else(|| Arc::clone(&self.schema), |b| b.schema());
        concat_batches(&schema, &self.batches).map_err(|error| report(error.into()))
    }

    /// Of all rows the table's columns, as it has them, and what stands behind them.
    pub(in super::super) fn split<'a>(
        &self,
        rows: &'a RecordBatch,
        table: &TableDef,
    ) -> Result<(RecordBatch, &'a [ArrayRef])> {
        let columns = rows.columns().get(self.first..).unwrap_or_default();
        let (own, rest) = columns.split_at(table.columns.len().min(columns.len()));
        Ok((of_table(own, table)?, rest))
    }
}

impl Returning {
    /// The rows of each relation that it can name.
    pub(super) fn given(&self, gathered: &Gathered) -> Result<Vec<GivenRows>> {
        let rows = gathered.joined()?;
        let (own, mut rest) = gathered.split(&rows, &self.table)?;
        let is_alone = self.others.is_empty();
        let own = if is_alone { own } else { numbered(own.schema().fields(), own.columns())? };
        let mut given = vec![GivenRows { name: given_name(0), rows: own }];
        for (at, other) in self.others.iter().enumerate() {
            let (columns, behind) = rest.split_at(other.fields.len().min(rest.len()));
            rest = behind;
            let rows = numbered(&of_other(other, columns), columns)?;
            given.push(GivenRows { name: given_name(at + 1), rows });
        }
        Ok(given)
    }
}

/// As the table has them.
fn of_table(columns: &[ArrayRef], table: &TableDef) -> Result<RecordBatch> {
    let fields = columns.iter().zip(&table.columns);
    let fields: Vec<_> =
        fields.map(|(column, of)| Field::new(&of.name, column.data_type().clone(), true)).collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.to_vec());
    conform(&rows.map_err(|error| report(error.into()))?, &table.arrow_schema(), &table.name)
}

/// What the binder knew of the columns, with the values' own types: how many digits a numeric has is
/// known only now.
fn of_other(other: &OtherRelation, columns: &[ArrayRef]) -> Vec<Arc<Field>> {
    let field = |(field, column): (&Arc<Field>, &ArrayRef)| {
        let field = field.as_ref().clone().with_data_type(column.data_type().clone());
        Arc::new(field.with_nullable(true))
    };
    other.fields.iter().zip(columns).map(field).collect()
}

/// The same columns, and behind them the rows' numbers.
pub(in super::super) fn numbered(
    fields: &[Arc<Field>],
    columns: &[ArrayRef],
) -> Result<RecordBatch> {
    let rows = columns.first().map_or(0, |column| column.len());
    let mut fields = fields.to_vec();
    fields.push(Arc::new(Field::new(ROW_NUMBER, DataType::Int64, false)));
    let mut columns = columns.to_vec();
    columns.push(Arc::new(Int64Array::from_iter_values((0_i64..).take(rows))));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    rows.map_err(|error| report(error.into()))
}
