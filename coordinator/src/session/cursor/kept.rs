//! Rows that a cursor keeps, so that it can go back to them.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::DataType,
};
use datafusion::execution::memory_pool::MemoryReservation;
use futures::stream;
use kestrel_planner::error::report;
use kestrel_proto::{BatchStream, ErrorReport, Result};

/// Rows in the order of the query. Their memory is the coordinator's pool's; nothing goes to disk.
#[derive(Debug)]
pub(super) struct KeptRows {
    batches: Vec<RecordBatch>,
    /// For each batch, how many rows there are up to its end.
    ends: Vec<u64>,
    memory: MemoryReservation,
}

impl KeptRows {
    /// None yet.
    pub(super) fn new(memory: MemoryReservation) -> Self {
        Self { batches: Vec::new(), ends: Vec::new(), memory }
    }

    fn rows(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Keeps more.
    ///
    /// # Errors
    /// 53200: there is no memory for them.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = on_its_own(&batch)?;
        self.memory.try_grow(batch.get_array_memory_size()).map_err(report)?;
        self.ends.push(self.rows() + batch.num_rows() as u64);
        self.batches.push(batch);
        Ok(())
    }

    /// At most `limit` rows from row `from` on, which counts from 0; `None`: there are none yet.
    pub(super) fn ahead(&self, from: u64, limit: u64) -> Option<RecordBatch> {
        let index = self.ends.partition_point(|end| *end <= from);
        let batch = self.batches.get(index)?;
        let offset = (from - self.start(index)) as usize;
        Some(batch.slice(offset, at_most(batch.num_rows() - offset, limit)))
    }

    /// At most `limit` of the rows before row `before`, which counts from 0; the nearest first.
    pub(super) fn behind(&self, before: u64, limit: u64) -> Result<Option<RecordBatch>> {
        if before == 0 {
            return Ok(None);
        }
        let index = self.ends.partition_point(|end| *end < before);
        let Some(batch) = self.batches.get(index) else { return Ok(None) };
        let end = (before - self.start(index)) as usize;
        let start = end - at_most(end, limit);
        taken(batch, (start as u32..end as u32).rev()).map(Some)
    }

    /// All of them, once.
    pub(super) fn into_stream(self) -> BatchStream {
        let Self { batches, memory, .. } = self;
        // The memory is given back with the stream.
        Box::pin(stream::unfold((batches.into_iter(), memory), async |(mut batches, memory)| {
            let batch = batches.next()?;
            Some((Ok::<_, ErrorReport>(batch), (batches, memory)))
        }))
    }

    fn start(&self, index: usize) -> u64 {
        index.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

/// A copy of the rows. A batch is often a slice of a much larger one, which it keeps alive, and whose
/// memory would be counted for each slice again.
fn on_its_own(batch: &RecordBatch) -> Result<RecordBatch> {
    let copy = taken(batch, 0..batch.num_rows() as u32)?;
    if copy.num_columns() == 0 {
        return Ok(copy);
    }
    let columns = copy.columns().iter().map(|column| -> ArrayRef {
        match column.data_type() {
            DataType::Utf8View => Arc::new(column.as_string_view().gc()),
            DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
            _ => Arc::clone(column),
        }
    });
    RecordBatch::try_new(copy.schema(), columns.collect()).map_err(|error| report(error.into()))
}

/// These rows of a batch, in this order.
fn taken(batch: &RecordBatch, rows: impl Iterator<Item = u32>) -> Result<RecordBatch> {
    let indices = UInt32Array::from_iter_values(rows);
    if batch.num_columns() == 0 {
        // Rows without columns are all the same.
        return Ok(batch.slice(0, indices.len()));
    }
    take_record_batch(batch, &indices).map_err(|error| report(error.into()))
}

/// The smaller one.
pub(super) fn at_most(rows: usize, limit: u64) -> usize {
    usize::try_from(limit).map_or(rows, |limit| limit.min(rows))
}
