//! The batches of one execution partition: rows that passed, widened, as many as a batch has.
//!
//! Rows are collected by where they are, and copied once, when there are enough for a batch or their
//! piece is done. Only what is left of pieces of which few rows passed is copied again, to be put
//! together.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    compute::BatchCoalescer,
};
use datafusion::error::{DataFusionError, Result};

use super::{
    codebook::ChunkCodes,
    cursor::Run,
    spec::{Form, ScanSpec},
};
use crate::{error::to_datafusion, shard::columnar::chunk::Chunk};

/// The output of one execution partition.
pub(super) struct Output {
    spec: Arc<ScanSpec>,
    run: Arc<Run>,
    batch_rows: usize,
    pending: Pending,
    /// What is too small for a batch.
    small: BatchCoalescer,
    ready: VecDeque<RecordBatch>,
}

/// The output columns of a piece.
pub(super) struct OutputChunks {
    /// One for each output column.
    columns: Vec<Arc<Chunk>>,
    /// Of those that come out as codes.
    codes: Vec<Option<ChunkCodes>>,
}

/// Rows of the present piece that have passed, by their positions in it. One of both is empty.
#[derive(Default)]
struct Pending {
    /// Without a gap.
    run: Range<usize>,
    /// Ascending.
    positions: Vec<u32>,
}

impl Output {
    pub(super) fn new(spec: Arc<ScanSpec>, run: Arc<Run>, batch_rows: usize) -> Self {
        let small = BatchCoalescer::new(Arc::clone(&spec.schema), batch_rows);
        let ready = VecDeque::new();
        Self { spec, run, batch_rows, pending: Pending::default(), small, ready }
    }

    /// A batch that is done.
    pub(super) fn next_batch(&mut self) -> Option<RecordBatch> {
        self.ready.pop_front()
    }

    /// Takes rows that passed: those of `zone` at `positions`, or all.
    ///
    /// # Errors
    /// 53200 or XX000 when a batch cannot be made.
    pub(super) fn push(
        &mut self,
        chunks: &OutputChunks,
        zone: &Range<usize>,
        positions: Option<&[u32]>,
    ) -> Result<()> {
        // Much is put out; little is listed, and goes with what comes next.
        let Pending { run, positions: listed } = &self.pending;
        let is_continued = match positions {
            None => listed.is_empty() && (run.is_empty() || run.end == zone.start),
            Some(_) => run.is_empty(),
        };
        if !is_continued && self.is_much(self.pending.len()) {
            self.flush(chunks)?;
        }
        let pending = &mut self.pending;
        match positions {
            None if pending.len() == 0 => pending.run = zone.clone(),
            None if pending.run.end == zone.start && pending.positions.is_empty() => {
                pending.run.end = zone.end;
            }
            None => pending.list().extend(positions_of(zone)),
            Some(positions) => {
                let start = zone.start as u32;
                pending.list().extend(positions.iter().map(|position| start + position));
            }
        }
        let enough = self.batch_rows.min(self.run.wanted());
        if self.pending.len() >= enough.max(1) { self.emit(chunks) } else { Ok(()) }
    }

    /// The present piece is done.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn flush(&mut self, chunks: &OutputChunks) -> Result<()> {
        self.emit(chunks)?;
        let rest = std::mem::take(&mut self.pending);
        self.make(chunks, &rest)
    }

    /// All pieces are done.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn finish(&mut self) -> Result<()> {
        self.small.finish_buffered_batch()?;
        self.collect();
        Ok(())
    }

    /// Makes all whole batches that are pending.
    fn emit(&mut self, chunks: &OutputChunks) -> Result<()> {
        while self.pending.len() >= self.batch_rows.min(self.run.wanted()).max(1) {
            let batch = self.pending.take_first(self.batch_rows);
            self.make(chunks, &batch)?;
        }
        Ok(())
    }

    /// Makes a batch of rows, of those that are still wanted.
    fn make(&mut self, chunks: &OutputChunks, rows: &Pending) -> Result<()> {
        let claimed = self.run.claim(rows.len());
        if claimed == 0 {
            return Ok(());
        }
        let batch = match rows.positions.get(..claimed) {
            Some(positions) => self.take(chunks, positions)?,
            None => self.slice(chunks, &(rows.run.start..rows.run.start + claimed))?,
        };
        // Arrow's coalescer counts no rows without columns; a limit does not wait for more.
        let has_columns = !self.spec.output.is_empty();
        if self.is_much(claimed) || !has_columns || self.run.wanted() == 0 {
            self.small.finish_buffered_batch()?;
            self.collect();
            self.ready.push_back(batch);
            return Ok(());
        }
        self.small.push_batch(batch)?;
        self.collect();
        Ok(())
    }

    /// Whether so many rows are a batch rather than copied to make one.
    fn is_much(&self, rows: usize) -> bool {
        rows > 0 && rows >= self.batch_rows / 2
    }

    fn collect(&mut self) {
        while let Some(batch) = self.small.next_completed_batch() {
            self.ready.push_back(batch);
        }
    }

    fn slice(&self, chunks: &OutputChunks, rows: &Range<usize>) -> Result<RecordBatch> {
        self.batch(chunks, rows.len(), |chunk, form, codes| match (form, codes) {
            (Form::Arrow, _) => Ok(chunk.slice(rows.clone())),
            (Form::Integers, _) => {
                Ok(Arc::new(chunk.raw_slice(rows.clone()).ok_or_else(no_integers)?))
            }
            (Form::Codes(_), Some(codes)) => {
                Ok(Arc::new(codes.slice(chunk, rows).map_err(to_datafusion)?))
            }
            (Form::Codes(_), None) => Err(no_codes()),
        })
    }

    fn take(&self, chunks: &OutputChunks, positions: &[u32]) -> Result<RecordBatch> {
        self.batch(chunks, positions.len(), |chunk, form, codes| match (form, codes) {
            (Form::Arrow, _) => Ok(chunk.take(0..chunk.rows(), positions)),
            (Form::Integers, _) => {
                let taken = chunk.raw_take(0..chunk.rows(), positions);
                Ok(Arc::new(taken.ok_or_else(no_integers)?))
            }
            (Form::Codes(_), Some(codes)) => {
                Ok(Arc::new(codes.take(chunk, positions).map_err(to_datafusion)?))
            }
            (Form::Codes(_), None) => Err(no_codes()),
        })
    }

    fn batch(
        &self,
        chunks: &OutputChunks,
        rows: usize,
        column: impl Fn(&Chunk, &Form, Option<&ChunkCodes>) -> Result<ArrayRef>,
    ) -> Result<RecordBatch> {
        let columns = self.spec.output.iter().zip(&chunks.columns).zip(&chunks.codes);
        let columns =
            columns.map(|((output, chunk), codes)| column(chunk, &output.form, codes.as_ref()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.spec.schema);
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

impl OutputChunks {
    /// One for each output column.
    pub(super) fn columns(&self) -> &[Arc<Chunk>] {
        &self.columns
    }

    /// `columns`: one for each output column.
    ///
    /// # Errors
    /// XX000 when strings find no place in their codebook.
    pub(super) fn new(spec: &ScanSpec, columns: Vec<Arc<Chunk>>) -> Result<Self> {
        let codes = spec.output.iter().zip(&columns).map(|(output, chunk)| match &output.form {
            Form::Codes(codebook) => {
                ChunkCodes::new(codebook, chunk).map(Some).map_err(to_datafusion)
            }
            Form::Arrow | Form::Integers => Ok(None),
        });
        let codes = codes.collect::<Result<Vec<_>>>()?;
        Ok(Self { columns, codes })
    }
}

impl Pending {
    fn len(&self) -> usize {
        self.run.len() + self.positions.len()
    }

    /// The positions, to which others are added.
    fn list(&mut self) -> &mut Vec<u32> {
        let run = std::mem::take(&mut self.run);
        self.positions.extend(positions_of(&run));
        &mut self.positions
    }

    /// The first rows, which are then no longer pending.
    fn take_first(&mut self, rows: usize) -> Self {
        let middle = self.run.end.min(self.run.start + rows);
        let run = self.run.start..middle;
        self.run.start = middle;
        let rest = self.positions.split_off(rows.min(self.positions.len()));
        Self { run, positions: std::mem::replace(&mut self.positions, rest) }
    }
}

fn positions_of(rows: &Range<usize>) -> Range<u32> {
    rows.start as u32..rows.end as u32
}

fn no_integers() -> DataFusionError {
    DataFusionError::Internal("a column of integers is not held as such".into())
}

fn no_codes() -> DataFusionError {
    DataFusionError::Internal("a column's codes are not at hand".into())
}
