//! Values of records to batches of a table's columns.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringViewBuilder},
    datatypes::{Field, Schema, SchemaRef},
};
use kestrel_planner::{
    catalog::{ColumnDef, SqlType},
    error::report,
    functions::read_text,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// Collects values and reads them as their columns' types, a batch at a time.
pub struct CopyRows {
    table: String,
    columns: Vec<ColumnDef>,
    schema: SchemaRef,
    values: Vec<StringViewBuilder>,
    lines: Vec<u64>,
}

impl CopyRows {
    /// For these columns of a table.
    pub fn new(table: &str, columns: Vec<ColumnDef>) -> Self {
        let fields: Vec<_> =
            columns.iter().map(|c| Field::new(&c.name, c.sql_type.arrow(), true)).collect();
        let values = columns.iter().map(|_| StringViewBuilder::new()).collect();
        Self {
            table: table.to_string(),
            columns,
            schema: Arc::new(Schema::new(fields)),
            values,
            lines: Vec::new(),
        }
    }

    /// Takes one record.
    ///
    /// # Errors
    /// 22P04: too few or too many values.
    pub fn push(&mut self, line: u64, values: &[Option<String>]) -> Result<()> {
        let message = match values.len().cmp(&self.columns.len()) {
            std::cmp::Ordering::Less => {
                let missing = &self.columns[values.len()].name;
                format!("missing data for column \"{missing}\"")
            }
            std::cmp::Ordering::Greater => "extra data after last expected column".into(),
            std::cmp::Ordering::Equal => {
                for (builder, value) in self.values.iter_mut().zip(values) {
                    builder.append_option(value.as_deref());
                }
                self.lines.push(line);
                return Ok(());
            }
        };
        let error = ErrorReport::new(SqlState::BAD_COPY_FILE_FORMAT, message);
        Err(error.detail(format!("COPY {}, line {line}", self.table)))
    }

    /// Are there enough rows for a batch?
    pub fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_ROWS
    }

    /// The rows so far, if there are any.
    ///
    /// # Errors
    /// What is wrong with the first value that cannot be read; its line, column and text are the
    /// detail.
    pub fn take(&mut self) -> Result<Option<(RecordBatch, Vec<u64>)>> {
        if self.lines.is_empty() {
            return Ok(None);
        }
        let lines = std::mem::take(&mut self.lines);
        let texts: Vec<ArrayRef> =
            self.values.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect();
        let mut arrays = Vec::with_capacity(texts.len());
        let mut first: Option<(usize, ErrorReport)> = None;
        for (column, text) in self.columns.iter().zip(&texts) {
            match read(text, column.sql_type) {
                Ok(array) => arrays.push(array),
                Err(error) => {
                    let (row, error) = self.locate(column, text, &lines, error);
                    if first.as_ref().is_none_or(|(other, _)| row < *other) {
                        first = Some((row, error));
                    }
                }
            }
        }
        if let Some((_, error)) = first {
            return Err(error);
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays);
        Ok(Some((batch.map_err(|e| report(e.into()))?, lines)))
    }

    /// The first row of a column that cannot be read.
    fn locate(
        &self,
        column: &ColumnDef,
        texts: &ArrayRef,
        lines: &[u64],
        error: ErrorReport,
    ) -> (usize, ErrorReport) {
        for (row, line) in lines.iter().enumerate() {
            if let Err(error) = read(&texts.slice(row, 1), column.sql_type) {
                let value = texts.as_string_view().value(row);
                return (row, self.at(*line, column, value, error));
            }
        }
        (0, error)
    }

    fn at(&self, line: u64, column: &ColumnDef, value: &str, error: ErrorReport) -> ErrorReport {
        let (table, column) = (&self.table, &column.name);
        error.detail(format!("COPY {table}, line {line}, column {column}: \"{value}\""))
    }
}

fn read(texts: &ArrayRef, sql_type: SqlType) -> Result<ArrayRef> {
    read_text(texts, sql_type, "UTC")
}
