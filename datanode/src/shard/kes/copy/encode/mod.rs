//! Record batches as binary COPY data ("Binary Format" of COPY's documentation).

mod values;

use arrow::{array::RecordBatch, buffer::NullBuffer};
use bytes::Bytes;
use kestrel_planner::wire_binary::COPY_SIGNATURE;
use kestrel_proto::{ErrorReport, Result};

use self::values::Values;
use super::CopyLayout;

/// A payload that has so many bytes is complete.
const PAYLOAD_BYTES: usize = 256 << 10;
/// It is not longer than this; a long row stands in several.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// Writes rows as COPY data.
#[derive(Debug)]
pub struct CopyEncoder {
    layout: CopyLayout,
    /// What is not in a payload yet.
    out: Vec<u8>,
}

impl CopyEncoder {
    /// For rows of these columns.
    pub fn new(layout: CopyLayout) -> Self {
        let mut out = Vec::with_capacity(PAYLOAD_BYTES + PAYLOAD_BYTES / 16);
        out.extend_from_slice(COPY_SIGNATURE);
        // No flags, and no bytes of extension.
        out.extend_from_slice(&[0; 8]);
        Self { layout, out }
    }

    /// Appends the payloads of CopyData messages that a batch completes, 256 KiB to 1 MiB each.
    ///
    /// # Errors
    /// 22003, 22008: a value is none of the column's type on the shard. 54000: it is too long.
    /// XX000: the batch is of other columns.
    pub fn encode(&mut self, batch: &RecordBatch, payloads: &mut Vec<Bytes>) -> Result<()> {
        let Ok(count) = i16::try_from(self.layout.len()) else {
            return Err(ErrorReport::internal("COPY data of too many columns"));
        };
        let columns = columns(&self.layout, batch)?;
        for row in 0..batch.num_rows() {
            self.out.extend_from_slice(&count.to_be_bytes());
            for (at, column) in columns.iter().enumerate() {
                if column.nulls.is_some_and(|nulls| nulls.is_null(row)) {
                    self.out.extend_from_slice(&(-1i32).to_be_bytes());
                    continue;
                }
                column
                    .values
                    .put(row, &mut self.out)
                    .map_err(|error| self.layout.at_column(at, error))?;
            }
            if self.out.len() >= PAYLOAD_BYTES {
                let next = Vec::with_capacity(PAYLOAD_BYTES + PAYLOAD_BYTES / 16);
                cut(std::mem::replace(&mut self.out, next), payloads);
            }
        }
        Ok(())
    }

    /// The end: appends the last payloads.
    pub fn finish(mut self, payloads: &mut Vec<Bytes>) {
        self.out.extend_from_slice(&(-1i16).to_be_bytes());
        cut(self.out, payloads);
    }
}

struct Column<'a> {
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
}

fn columns<'a>(layout: &CopyLayout, batch: &'a RecordBatch) -> Result<Vec<Column<'a>>> {
    if batch.num_columns() != layout.len() {
        let (columns, expected) = (batch.num_columns(), layout.len());
        let message = format!("a batch of {columns} columns for COPY data of {expected}");
        return Err(ErrorReport::internal(message));
    }
    let columns = batch.columns().iter().zip(layout.columns()).enumerate();
    let columns = columns.map(|(at, (array, wire))| {
        let values = Values::new(array, wire).map_err(|error| layout.at_column(at, error))?;
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        Ok(Column { values, nulls })
    });
    columns.collect()
}

fn cut(out: Vec<u8>, payloads: &mut Vec<Bytes>) {
    let mut rest = Bytes::from(out);
    while rest.len() > PAYLOAD_BYTES_MAX {
        payloads.push(rest.split_to(PAYLOAD_BYTES_MAX));
    }
    payloads.push(rest);
}
