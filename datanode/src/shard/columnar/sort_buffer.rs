//! Rows of a table with clustering columns on their way into a segment: as many as it takes are in
//! memory, and go on in order.
//!
//! Where there is no memory for a whole segment, it gets its rows in several runs, each in order. The
//! segment says so (`ClusterOrder`), and VACUUM sorts it anew.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::{SortColumn, SortOptions, concat, interleave_record_batch, lexsort_to_indices},
    datatypes::Schema,
};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use kestrel_proto::{ErrorReport, Result, batch_bytes};

use crate::error::report;

/// Ascending, NULLs last: PostgreSQL's order.
pub(crate) const ORDER: SortOptions = SortOptions { descending: false, nulls_first: false };

/// Bytes of rows that wait for others, at most.
const BYTES_MAX: u64 = 256 << 20;
/// Rows that go on together.
const BATCH_ROWS: usize = 8192;

/// Rows that wait for those of the same segment.
#[derive(Debug)]
pub(super) struct SortBuffer {
    /// Positions of the clustering columns.
    columns: Vec<usize>,
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: u64,
    memory: MemoryReservation,
}

/// Positions of the columns of these ids.
///
/// # Errors
/// XX000 if one of them is none of the table's.
pub(crate) fn positions(cluster_by: &[u32], column_ids: &[u32]) -> Result<Vec<usize>> {
    let position = |id: &u32| column_ids.iter().position(|column| column == id);
    let missing = || ErrorReport::internal("a clustering column is not in its table");
    cluster_by.iter().map(|id| position(id).ok_or_else(missing)).collect()
}

/// The types of columns, as [`kestrel_proto::message::ClusterOrder`] has them.
pub(super) fn types(columns: &[usize], schema: &Schema) -> Vec<String> {
    let fields = columns.iter().filter_map(|at| schema.fields().get(*at));
    fields.map(|field| field.data_type().to_string()).collect()
}

impl SortBuffer {
    /// With nothing in it; `columns`: positions of the clustering columns.
    pub(super) fn new(columns: Vec<usize>, pool: &Arc<dyn MemoryPool>) -> Self {
        let memory = MemoryConsumer::new("SegmentSort").register(pool);
        Self { columns, batches: Vec::new(), rows: 0, bytes: 0, memory }
    }

    /// Rows that wait.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes rows; whether there is room for more.
    pub(super) fn push(&mut self, batch: RecordBatch) -> bool {
        let bytes = batch_bytes(&batch);
        // They are here in any case: others learn that there is less.
        let has_room = self.memory.try_grow(bytes as usize).is_ok();
        if !has_room {
            self.memory.grow(bytes as usize);
        }
        self.rows += batch.num_rows();
        self.bytes += bytes;
        self.batches.push(batch);
        has_room && self.bytes < BYTES_MAX
    }

    /// Gives all rows on, in order.
    ///
    /// # Errors
    /// Those of `put`; XX000.
    pub(super) fn drain(&mut self, mut put: impl FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
        let batches = std::mem::take(&mut self.batches);
        if batches.is_empty() {
            return Ok(());
        }
        let keys = self.sort_columns(&batches)?;
        // The longer values of strings are shared.
        let bytes = keys.len() * size_of::<u128>() + size_of::<u32>();
        self.memory.grow(self.rows * bytes);
        let order = lexsort_to_indices(&keys, None).map_err(|error| report(error.into()))?;
        drop(keys);
        let mut first_rows = Vec::with_capacity(batches.len());
        let mut rows = 0;
        for batch in &batches {
            first_rows.push(rows);
            rows += batch.num_rows();
        }
        let place = |row: &u32| {
            let row = *row as usize;
            let batch = first_rows.partition_point(|first| *first <= row).saturating_sub(1);
            (batch, row - first_rows.get(batch).copied().unwrap_or(0))
        };
        let sources: Vec<&RecordBatch> = batches.iter().collect();
        for some in order.values().chunks(BATCH_ROWS) {
            let places: Vec<_> = some.iter().map(place).collect();
            let sorted = interleave_record_batch(&sources, &places);
            put(&sorted.map_err(|error| report(error.into()))?)?;
        }
        (self.rows, self.bytes) = (0, 0);
        self.memory.free();
        Ok(())
    }

    fn sort_columns(&self, batches: &[RecordBatch]) -> Result<Vec<SortColumn>> {
        let column = |at: &usize| -> Result<SortColumn> {
            let parts: Option<Vec<&ArrayRef>> =
                batches.iter().map(|batch| batch.columns().get(*at)).collect();
            let parts = parts.ok_or_else(|| ErrorReport::internal("a batch lacks a column"))?;
            let parts: Vec<_> = parts.into_iter().map(AsRef::as_ref).collect();
            let values = concat(&parts).map_err(|error| report(error.into()))?;
            Ok(SortColumn { values, options: Some(ORDER) })
        };
        self.columns.iter().map(column).collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Array, AsArray, Int32Array, StringViewArray},
        datatypes::{DataType, Field, Int32Type},
    };
    use datafusion::execution::memory_pool::{GreedyMemoryPool, UnboundedMemoryPool};

    use super::*;

    fn batch(rows: &[(Option<i32>, &str)]) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("a", DataType::Int32, true),
            Field::new("b", DataType::Utf8View, false),
        ]);
        let a: Int32Array = rows.iter().map(|(a, _)| *a).collect();
        let b: StringViewArray = rows.iter().map(|(_, b)| Some(*b)).collect();
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(a), Arc::new(b)]).unwrap()
    }

    fn drained(buffer: &mut SortBuffer) -> Vec<(Option<i32>, String)> {
        let mut rows = Vec::new();
        let put = |batch: &RecordBatch| {
            let a = batch.column(0).as_primitive::<Int32Type>();
            let b = batch.column(1).as_string_view();
            for row in 0..batch.num_rows() {
                rows.push((a.is_valid(row).then(|| a.value(row)), b.value(row).to_string()));
            }
            Ok(())
        };
        buffer.drain(put).unwrap();
        rows
    }

    #[test]
    fn rows_come_in_order() {
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let mut buffer = SortBuffer::new(vec![0, 1], &pool);
        assert!(buffer.push(batch(&[(Some(3), "x"), (None, "a"), (Some(1), "y")])));
        assert!(buffer.push(batch(&[(Some(1), "b"), (Some(-7), "z")])));
        assert_eq!(buffer.rows(), 5);
        let rows = drained(&mut buffer);
        let expected =
            [(Some(-7), "z"), (Some(1), "b"), (Some(1), "y"), (Some(3), "x"), (None, "a")];
        assert_eq!(rows, expected.map(|(a, b)| (a, b.to_string())));
        assert_eq!((buffer.rows(), pool.reserved()), (0, 0));
        // Many, which go on in several batches.
        let rows: Vec<_> = (0..20_000).rev().map(|a| (Some(a), "")).collect();
        for rows in rows.chunks(3000) {
            assert!(buffer.push(batch(rows)));
        }
        let sorted = drained(&mut buffer);
        assert!(sorted.iter().map(|(a, _)| a.unwrap()).eq(0..20_000));
    }

    #[test]
    fn without_memory_there_is_no_room() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(10));
        let mut buffer = SortBuffer::new(vec![0], &pool);
        assert!(!buffer.push(batch(&[(Some(2), "x"), (Some(1), "y")])));
        assert_eq!(drained(&mut buffer).len(), 2);
        assert_eq!(pool.reserved(), 0);
    }
}
