//! Values of records to batches of a table's columns.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringViewBuilder},
    datatypes::{Field, Schema, SchemaRef},
};
use kestrel_planner::{
    catalog::ColumnDef,
    error::report,
    functions::{SessionFormats, read_text},
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    CopyBatch, Places,
    place::{at_column, at_line, bad_format},
    records::Record,
};

/// What a column's FORCE options say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forced {
    /// FORCE_NOT_NULL: the null text that is not quoted is a text.
    pub not_null: bool,
    /// FORCE_NULL: the null text that is quoted is NULL.
    pub null: bool,
}

/// Collects values and reads them as their columns' types, a batch at a time.
pub struct CopyRows {
    table: String,
    columns: Vec<ColumnDef>,
    forced: Vec<Forced>,
    null: String,
    formats: SessionFormats,
    schema: SchemaRef,
    values: Vec<StringViewBuilder>,
    places: Places,
}

impl CopyRows {
    /// For these columns of a table, each with its FORCE options; `null` is the null text.
    pub fn new(
        table: &str,
        columns: Vec<ColumnDef>,
        forced: Vec<Forced>,
        null: &str,
        formats: SessionFormats,
    ) -> Self {
        let fields: Vec<_> =
            columns.iter().map(|c| Field::new(&c.name, c.sql_type.arrow(), true)).collect();
        let values = columns.iter().map(|_| StringViewBuilder::new()).collect();
        Self {
            table: table.to_string(),
            columns,
            forced,
            null: null.to_string(),
            formats,
            schema: Arc::new(Schema::new(fields)),
            values,
            places: Places::new(table),
        }
    }

    /// Takes one record.
    ///
    /// # Errors
    /// 22P04: too few or too many values.
    pub fn push(&mut self, record: &Record<'_>) -> Result<()> {
        let message = match record.values.len().cmp(&self.columns.len()) {
            std::cmp::Ordering::Less => {
                let missing = &self.columns[record.values.len()].name;
                format!("missing data for column \"{missing}\"")
            }
            std::cmp::Ordering::Greater => "extra data after last expected column".into(),
            std::cmp::Ordering::Equal => {
                let values = self.values.iter_mut().zip(record.values.iter());
                for (at, (builder, value)) in values.enumerate() {
                    let forced = self.forced.get(at).copied().unwrap_or_default();
                    builder.append_option(match value {
                        None if forced.not_null => Some(self.null.as_str()),
                        Some(value) if forced.null && value == self.null => None,
                        value => value,
                    });
                }
                self.places.note(record.line, record.text.len(), Some(record.text));
                return Ok(());
            }
        };
        Err(bad_format(message).context(self.at_line(record)))
    }

    /// Takes the header line, which must have the columns' names (HEADER MATCH).
    ///
    /// # Errors
    /// 22P04: it has not.
    pub fn match_header(&self, record: &Record<'_>) -> Result<()> {
        let (got, expected) = (record.values.len(), self.columns.len());
        let wrong = |message: String| Err(bad_format(message).context(self.at_line(record)));
        if got != expected {
            return wrong(format!(
                "wrong number of fields in header line: got {got}, expected {expected}"
            ));
        }
        for (at, (name, column)) in record.values.iter().zip(&self.columns).enumerate() {
            let got = match name {
                Some(name) if name == column.name => continue,
                Some(name) => format!("\"{name}\""),
                None => format!("null value (\"{}\")", self.null),
            };
            return wrong(format!(
                "column name mismatch in header line field {}: got {got}, expected \"{}\"",
                at + 1,
                column.name
            ));
        }
        Ok(())
    }

    fn at_line(&self, record: &Record<'_>) -> String {
        at_line(&self.table, record.line, Some(record.text))
    }

    /// Are there enough rows for a batch?
    pub fn is_full(&self) -> bool {
        self.places.are_enough()
    }

    /// The rows so far, if there are any.
    ///
    /// # Errors
    /// What is wrong with the first value that cannot be read; its line, column and text are the
    /// context.
    pub fn take(&mut self) -> Result<Option<CopyBatch>> {
        if self.places.rows() == 0 {
            return Ok(None);
        }
        let places = self.places.take();
        let texts: Vec<ArrayRef> =
            self.values.iter_mut().map(|b| Arc::new(b.finish()) as ArrayRef).collect();
        let mut arrays = Vec::with_capacity(texts.len());
        let mut first: Option<(usize, ErrorReport)> = None;
        for (column, text) in self.columns.iter().zip(&texts) {
            match read_text(text, column.sql_type, self.formats) {
                Ok(array) => arrays.push(array),
                Err(error) => {
                    let (row, error) = self.locate(column, text, &places, error);
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
        Ok(Some(CopyBatch { rows: batch.map_err(|e| report(e.into()))?, places }))
    }

    /// The first row of a column that cannot be read.
    fn locate(
        &self,
        column: &ColumnDef,
        texts: &ArrayRef,
        places: &Places,
        error: ErrorReport,
    ) -> (usize, ErrorReport) {
        for row in 0..places.rows() {
            if let Err(error) = read_text(&texts.slice(row, 1), column.sql_type, self.formats) {
                let value = texts.as_string_view().value(row);
                let context = at_column(&self.table, places.line(row), &column.name, Some(value));
                return (row, error.context(context));
            }
        }
        (0, error)
    }
}
