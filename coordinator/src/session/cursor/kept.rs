//! Rows that a cursor keeps, so that it can go back to them.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::DataType,
};
use datafusion::execution::{DiskManager, memory_pool::MemoryReservation};
use futures::stream;
use kestrel_planner::error::report;
use kestrel_proto::{BatchStream, ErrorReport, Result};

use super::spill::{Extent, SpilledBatches};

/// A cursor keeps so much in memory, the rest on disk.
const MEMORY_BYTES_MAX: usize = 16 << 20;

/// Where rows are kept.
pub(super) struct Room {
    /// Of the coordinator's pool.
    pub(super) memory: MemoryReservation,
    /// Takes what finds no memory.
    pub(super) disk: Arc<DiskManager>,
}

/// Rows in the order of the query.
pub(super) struct KeptRows {
    batches: Vec<Kept>,
    /// For each batch, how many rows there are up to its end.
    ends: Vec<u64>,
    room: Room,
    /// `None`: all are in memory.
    spilled: Option<SpilledBatches>,
    /// The batch that was read from there last, and which it is: a FETCH may want a row of it only.
    last_read: Option<(usize, RecordBatch)>,
}

enum Kept {
    InMemory(RecordBatch),
    OnDisk(Extent),
}

impl KeptRows {
    /// None yet.
    pub(super) fn new(room: Room) -> Self {
        Self { batches: Vec::new(), ends: Vec::new(), room, spilled: None, last_read: None }
    }

    fn rows(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Keeps more.
    ///
    /// # Errors
    /// 53100, 58030: there is neither memory nor a disk for them.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = on_its_own(&batch)?;
        let (rows, bytes) = (batch.num_rows() as u64, batch.get_array_memory_size());
        let memory = &self.room.memory;
        let fits = memory.size() + bytes <= MEMORY_BYTES_MAX && memory.try_grow(bytes).is_ok();
        let kept = match (fits, &mut self.spilled) {
            (true, _) => Kept::InMemory(batch),
            (false, Some(spilled)) => Kept::OnDisk(spilled.write(&batch)?),
            (false, none) => {
                let spilled = none.insert(SpilledBatches::create(&self.room.disk)?);
                Kept::OnDisk(spilled.write(&batch)?)
            }
        };
        self.ends.push(self.rows() + rows);
        self.batches.push(kept);
        Ok(())
    }

    /// At most `limit` rows from row `from` on, which counts from 0; `None`: there are none yet.
    pub(super) fn ahead(&mut self, from: u64, limit: u64) -> Result<Option<RecordBatch>> {
        let index = self.ends.partition_point(|end| *end <= from);
        let Some(batch) = self.batch(index)? else { return Ok(None) };
        let offset = (from - self.start(index)) as usize;
        Ok(Some(batch.slice(offset, at_most(batch.num_rows() - offset, limit))))
    }

    /// At most `limit` of the rows before row `before`, which counts from 0; the nearest first.
    pub(super) fn behind(&mut self, before: u64, limit: u64) -> Result<Option<RecordBatch>> {
        if before == 0 {
            return Ok(None);
        }
        let index = self.ends.partition_point(|end| *end < before);
        let Some(batch) = self.batch(index)? else { return Ok(None) };
        let end = (before - self.start(index)) as usize;
        let start = end - at_most(end, limit);
        taken(&batch, (start as u32..end as u32).rev()).map(Some)
    }

    /// All of them, once.
    pub(super) fn into_stream(self) -> BatchStream {
        // Memory and file are given back with the stream.
        Box::pin(stream::unfold((self, 0), async |(mut kept, index)| {
            let batch = kept.batch(index).transpose()?;
            Some((batch, (kept, index + 1)))
        }))
    }

    fn batch(&mut self, index: usize) -> Result<Option<RecordBatch>> {
        let extent = match self.batches.get(index) {
            None => return Ok(None),
            Some(Kept::InMemory(batch)) => return Ok(Some(batch.clone())),
            Some(Kept::OnDisk(extent)) => *extent,
        };
        if let Some((_, batch)) = self.last_read.as_ref().filter(|(last, _)| *last == index) {
            return Ok(Some(batch.clone()));
        }
        let spilled = self.spilled.as_ref();
        let spilled = spilled.ok_or_else(|| ErrorReport::internal("a cursor's file is gone"))?;
        let batch = spilled.read(extent)?;
        self.last_read = Some((index, batch.clone()));
        Ok(Some(batch))
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
