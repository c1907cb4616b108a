//! A side of a join in parts: by a hash of its keys, in files.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::SchemaRef,
};
use datafusion::{
    common::hash_utils::{RandomState, create_hashes},
    error::Result,
    execution::SpillFile,
    physical_expr::PhysicalExpr,
    physical_expr_common::utils::evaluate_expressions_to_arrays,
    physical_plan::SpillManager,
};
use futures::{Stream, TryStreamExt, stream};

use super::PARTS;

/// What the hashes of each level begin with. They must differ from those by which rows were sent
/// here, and from those of the levels above: else a part's rows would all go to one part again.
const SEED: u64 = 0x6772_6163_6530;

/// Rows of one side that may have partners only among those of the same part of the other.
#[derive(Clone, Default)]
pub(super) struct Part {
    /// They go when nobody refers to them any more.
    pub(super) files: Vec<Arc<dyn SpillFile>>,
    pub(super) rows: usize,
}

/// Writes the rows of a side into the files of their parts.
pub(super) struct Splitter {
    spills: SpillManager,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    state: RandomState,
    hashes: Vec<u64>,
    /// By part.
    writers: Vec<Writer>,
}

#[derive(Default)]
struct Writer {
    /// `None`: no rows yet.
    file: Option<File>,
    rows: usize,
    /// Of the batch that is being split.
    indices: Vec<u32>,
}

/// Appends a batch to a file, or ends it without one. DataFusion's type for it has no name elsewhere.
type File = Box<dyn FnMut(Option<&RecordBatch>) -> Result<Option<Arc<dyn SpillFile>>> + Send>;

impl Splitter {
    /// Over files of `spills`; `level`: how often the rows were split before.
    pub(super) fn new(
        spills: SpillManager,
        keys: Vec<Arc<dyn PhysicalExpr>>,
        level: usize,
    ) -> Self {
        let state = RandomState::with_seed(SEED + level as u64);
        let writers = (0..PARTS).map(|_| Writer::default()).collect();
        Self { spills, keys, state, hashes: Vec::new(), writers }
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// The disk is full, or the limit of what may be spilled is reached (53100); 58030; those of the
    /// keys' expressions.
    pub(super) fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = evaluate_expressions_to_arrays(&self.keys, batch)?;
        self.hashes.clear();
        // NULLs leave it as it is: all rows whose keys are NULL are in one part.
        self.hashes.resize(batch.num_rows(), 0);
        create_hashes(&keys, &self.state, &mut self.hashes)?;
        for (row, hash) in (0_u32..).zip(&self.hashes) {
            // Its lower bits are those that hash tables look at.
            let part = (hash >> 32) as usize % PARTS;
            if let Some(writer) = self.writers.get_mut(part) {
                writer.indices.push(row);
            }
        }
        for writer in self.writers.iter_mut().filter(|writer| !writer.indices.is_empty()) {
            let rows = UInt32Array::from(std::mem::take(&mut writer.indices));
            let rows = take_record_batch(batch, &rows)?;
            let file = match &mut writer.file {
                Some(file) => file,
                none => none.insert(create(&self.spills)?),
            };
            file(Some(&rows))?;
            writer.rows += rows.num_rows();
        }
        Ok(())
    }

    /// The parts.
    ///
    /// # Errors
    /// As those of [`Splitter::append`].
    pub(super) fn finish(self) -> Result<Vec<Part>> {
        let finish = |mut writer: Writer| {
            let file = match &mut writer.file {
                Some(file) => file(None)?,
                None => None,
            };
            Ok(Part { files: file.into_iter().collect(), rows: writer.rows })
        };
        self.writers.into_iter().map(finish).collect()
    }
}

fn create(spills: &SpillManager) -> Result<File> {
    let mut file = spills.create_in_progress_file("a hash join")?;
    Ok(Box::new(move |batch| match batch {
        Some(batch) => file.append_batch(batch).map(|_| None),
        None => file.finish(),
    }))
}

/// Rows of files, in batches of so many rows or somewhat more: those in a file are as small as what one
/// batch of a side had for it. They have buffers of their own, as large as they must be, not parts of
/// what was read.
pub(super) fn in_batches(
    rows: impl Stream<Item = Result<RecordBatch>> + Send + Unpin + 'static,
    schema: SchemaRef,
    batch_rows: usize,
) -> impl Stream<Item = Result<RecordBatch>> + Send {
    stream::try_unfold(rows, move |mut rows| {
        let schema = Arc::clone(&schema);
        async move {
            let (mut batches, mut count) = (Vec::new(), 0);
            while count < batch_rows.max(1)
                && let Some(batch) = rows.try_next().await?
            {
                count += batch.num_rows();
                batches.push(batch);
            }
            if batches.is_empty() {
                return Ok(None);
            }
            let batch = compacted(&concat_batches(&schema, &batches)?)?;
            Ok(Some((batch, rows)))
        }
    })
}

/// The same rows, whose strings are in no other buffers than their own.
fn compacted(batch: &RecordBatch) -> Result<RecordBatch> {
    let compacted = |column: &ArrayRef| -> ArrayRef {
        if let Some(strings) = column.as_string_view_opt() {
            return Arc::new(strings.gc());
        }
        match column.as_binary_view_opt() {
            Some(bytes) => Arc::new(bytes.gc()),
            None => Arc::clone(column),
        }
    };
    let columns = batch.columns().iter().map(compacted).collect();
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}
