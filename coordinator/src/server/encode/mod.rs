//! Record batches as DataRow and CopyData messages, in text and binary format.
//!
//! Each column is looked at once per batch: cast if its Arrow type is not the one its SQL type is
//! held in, then downcast into [`Values`]. Per cell only a match on that enum is left.

mod binary;
mod copy_rows;
mod datetime;
mod float;
mod integer;
mod interval;
mod numeric;
mod text;
mod values;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use bytes::{BufMut, BytesMut};
use kestrel_planner::{catalog::SqlType, functions::SessionFormats};
use kestrel_proto::{ErrorReport, Result, SqlState};

pub use self::copy_rows::CopyEncoder;
use self::values::Values;
use crate::session::OutputField;

/// Microseconds from 1970-01-01, Arrow's day zero, to 2000-01-01, PostgreSQL's.
pub(crate) const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Messages with a row.
const DATA_ROW: u8 = b'D';
/// Days from 1970-01-01 to 2000-01-01.
pub(crate) const POSTGRES_EPOCH_DAYS: i32 = 10_957;

/// How a value is written on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As PostgreSQL's output functions write it.
    Text,
    /// As PostgreSQL's send functions write it.
    Binary,
}

impl Format {
    /// The code on the wire.
    pub(super) fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }

    /// From the code on the wire.
    pub(super) fn from_code(code: i16) -> Result<Self> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            other => Err(ErrorReport::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {other}"),
            )),
        }
    }
}

/// Writes the rows of one result.
pub struct RowEncoder {
    columns: Vec<(OutputField, Format)>,
    style: SessionFormats,
}

/// A batch, ready to be written.
pub struct EncodableRows {
    columns: Vec<ArrayRef>,
    rows: usize,
}

impl EncodableRows {
    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

struct Column<'a> {
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
    format: Format,
}

impl Column<'_> {
    fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }
}

impl RowEncoder {
    /// For results of these columns, each in its format.
    pub fn new(fields: &[OutputField], formats: &[Format], style: SessionFormats) -> Self {
        let columns = fields.iter().cloned().zip(formats.iter().copied()).collect();
        Self { columns, style }
    }

    /// Brings a batch into the form of the columns' types.
    ///
    /// # Errors
    /// XX000: the batch is not of these columns. 22003: a value does not fit its column.
    pub fn prepare(&self, batch: &RecordBatch) -> Result<EncodableRows> {
        if batch.num_columns() != self.columns.len() {
            return Err(ErrorReport::internal(format!(
                "a batch of {} columns for a result of {}",
                batch.num_columns(),
                self.columns.len()
            )));
        }
        let columns = batch.columns().iter().zip(&self.columns);
        let columns = columns.map(|(array, (field, _))| as_held(array, field));
        Ok(EncodableRows { columns: columns.collect::<Result<_>>()?, rows: batch.num_rows() })
    }

    /// Appends DataRow messages from row `from` on, at most `count`, and stops when `out` has
    /// grown to `until_bytes`. Returns how many rows it wrote, at least one.
    ///
    /// # Errors
    /// 54000: a row is longer than a message can be.
    pub fn encode(
        &self,
        rows: &EncodableRows,
        from: usize,
        count: usize,
        out: &mut BytesMut,
        until_bytes: usize,
    ) -> Result<usize> {
        let columns = self.downcast(rows)?;
        let end_row = rows.rows.min(from.saturating_add(count));
        for row in from..end_row {
            let message = begin(DATA_ROW, out);
            put_fields(&columns, row, &self.style, out);
            end(message, out)?;
            if out.len() >= until_bytes {
                return Ok(row + 1 - from);
            }
        }
        Ok(end_row - from)
    }

    fn downcast<'a>(&self, rows: &'a EncodableRows) -> Result<Vec<Column<'a>>> {
        let columns = rows.columns.iter().zip(&self.columns);
        let column = |(array, (field, format)): (&'a ArrayRef, &(OutputField, Format))| {
            let values = Values::new(array, field.sql_type)?;
            let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
            Ok(Column { values, nulls, format: *format })
        };
        columns.map(column).collect()
    }
}

/// Appends the head of a message, whose length [`end`] fills in; where the message begins.
fn begin(kind: u8, out: &mut BytesMut) -> usize {
    let start = out.len();
    out.put_u8(kind);
    out.put_i32(0);
    start
}

/// Ends the message that begins at `start`.
///
/// # Errors
/// 54000: it is longer than a message can be; it is not in `out` then.
fn end(start: usize, out: &mut BytesMut) -> Result<()> {
    let length = out.len() - start - 1;
    if length > i32::MAX as usize {
        out.truncate(start);
        return Err(ErrorReport::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("a row of {length} bytes is longer than a message can be"),
        ));
    }
    set_length(out, start + 1, length);
    Ok(())
}

/// Appends a row's values, each behind its length: the body of DataRow, and a row of binary COPY.
fn put_fields(columns: &[Column<'_>], row: usize, style: &SessionFormats, out: &mut BytesMut) {
    out.put_i16(columns.len() as i16);
    for column in columns {
        match column.format {
            _ if column.is_null(row) => out.put_i32(-1),
            Format::Binary => binary::put(&column.values, row, out),
            Format::Text => {
                let cell = out.len();
                out.put_i32(0);
                text::put(&column.values, row, style, out);
                set_length(out, cell, out.len() - cell - 4);
            }
        }
    }
}

fn set_length(out: &mut BytesMut, at: usize, length: usize) {
    out[at..at + 4].copy_from_slice(&(length as i32).to_be_bytes());
}

/// Casts a column to the form its SQL type is held in, if it has another.
fn as_held(array: &ArrayRef, field: &OutputField) -> Result<ArrayRef> {
    let held = match (field.sql_type, array.data_type()) {
        // The zone is only a label: the value is UTC whatever it says.
        (SqlType::TimestampTz, DataType::Timestamp(unit, Some(zone))) => {
            let held = SqlType::TimestampTz.arrow();
            match held {
                DataType::Timestamp(ref u, _) if u == unit => {
                    DataType::Timestamp(*unit, Some(std::sync::Arc::clone(zone)))
                }
                held => held,
            }
        }
        // The scale decides what is shown, the precision nothing.
        (SqlType::Numeric(_, scale), DataType::Decimal128(precision, s)) if *s == scale => {
            DataType::Decimal128(*precision, scale)
        }
        (sql_type, _) => sql_type.arrow(),
    };
    if *array.data_type() == held {
        return Ok(ArrayRef::clone(array));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, &held, &options).map_err(|error| {
        ErrorReport::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("column \"{}\" cannot be shown as {}", field.name, field.sql_type),
        )
        .detail(error.to_string())
    })
}

#[cfg(test)]
mod tests;
