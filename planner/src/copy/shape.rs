//! COPY's rows as the table's: all its columns, with values that it takes.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{Schema, SchemaRef},
};
use datafusion::scalar::ScalarValue;
use kestrel_proto::{ErrorReport, Result};

use super::{Block, BlockEnd, CopyLayout, ReadBlock};
use crate::{error::report, operators::conform};

/// Where the values of a table's column are from.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnSource {
    /// The data's column at this position.
    Data(usize),
    /// The same for all rows; NULL also stands where others fill the column.
    Value(ScalarValue),
}

/// The table that rows are for.
#[derive(Clone, Debug)]
pub struct TableShape {
    /// Its name, for errors.
    pub table: String,
    /// Its schema's.
    pub schema_name: String,
    /// All its columns.
    pub schema: SchemaRef,
    /// For each of them.
    pub sources: Vec<ColumnSource>,
}

impl TableShape {
    /// The data's rows with all columns of the table, any of which may be NULL.
    ///
    /// # Errors
    /// XX000: the data has other columns.
    pub fn widen(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.sources.iter().map(|source| match source {
            ColumnSource::Data(at) if *at < rows.num_columns() => Ok(Arc::clone(rows.column(*at))),
            ColumnSource::Data(_) => Err(ErrorReport::internal("rows of COPY lack a column")),
            ColumnSource::Value(value) => value.to_array_of_size(rows.num_rows()).map_err(report),
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        RecordBatch::try_new(self.nullable_schema(), columns).map_err(|e| report(e.into()))
    }

    /// All columns, any of which may be NULL.
    pub fn nullable_schema(&self) -> SchemaRef {
        let fields = self.schema.fields().iter();
        let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The rows as the table takes them; `context`: where a row is.
    ///
    /// # Errors
    /// 23502, 22001: what is wrong with the first row that the table does not take, and where it is.
    pub fn conform(
        &self,
        rows: &RecordBatch,
        context: impl Fn(usize) -> String,
    ) -> Result<RecordBatch> {
        let taken = |rows: &RecordBatch| conform(rows, &self.schema, &self.table);
        taken(rows).map_err(|error| {
            let wrong =
                (0..rows.num_rows()).find_map(|row| Some((row, taken(&rows.slice(row, 1)).err()?)));
            let error = match wrong {
                Some((row, error)) => error.context(context(row)),
                None => error,
            };
            error.in_schema(&self.schema_name)
        })
    }
}

/// Makes rows of a table from blocks of text or csv.
#[derive(Clone, Debug)]
pub struct CopyParser {
    /// What the data says.
    pub layout: CopyLayout,
    /// What is made of it.
    pub shape: TableShape,
    /// Nothing fills columns after this, and no row is left out: the rows are given as the table takes
    /// them.
    pub is_last: bool,
}

impl CopyParser {
    /// Reads a block; the rows have all the table's columns.
    ///
    /// # Errors
    /// XX000: columns are of different lengths.
    pub fn parse(&self, block: &Block) -> Result<ReadBlock> {
        let mut read = self.layout.read(block)?;
        let Some(batch) = &mut read.batch else { return Ok(read) };
        batch.rows = self.shape.widen(&batch.rows)?;
        if self.is_last {
            match self.shape.conform(&batch.rows, |row| batch.places.context(row)) {
                Ok(rows) => batch.rows = rows,
                // It is in a row before what else may be wrong.
                Err(error) => {
                    return Ok(ReadBlock { batch: None, end: BlockEnd::Failed(error), ..read });
                }
            }
        }
        Ok(read)
    }
}
