//! Writes rows into new segments.

use std::{fs, io, path::Path, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    execution::memory_pool::{MemoryConsumer, MemoryReservation},
    physical_plan::SendableRecordBatchStream,
};
use futures::StreamExt;
use kestrel_planner::operators::SegmentTarget;
use kestrel_proto::{
    ErrorReport, Result, batch_bytes,
    message::{SegmentKind, SegmentRef},
};
use parquet::{arrow::ArrowWriter, errors::ParquetError};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    cluster_order::OrderWriter,
    encoding,
    files::FileKind,
    layout,
    new_file::{ChecksumFile, NewFile, Writer, sync_entries},
    sort_buffer::{SortBuffer, positions},
    store::{StoreState, died},
    summary::SummaryWriter,
};
use crate::{error::report, io_error::io_error};

/// Batches on their way to the thread that encodes them.
const QUEUED_BATCHES: usize = 2;

enum Input {
    Rows(RecordBatch),
    /// Without this, the writer was given up and its files go.
    End,
}

/// Writes all rows; the segments are durable when this returns. An error, or dropping the future,
/// leaves no file.
pub(super) async fn write(
    store: &Arc<StoreState>,
    target: &SegmentTarget,
    mut rows: SendableRecordBatchStream,
) -> Result<Vec<SegmentRef>> {
    let (sender, receiver) = mpsc::channel(QUEUED_BATCHES);
    let mut writer = SegmentWriter::new(Arc::clone(store), target.clone())?;
    let writing = tokio::task::spawn_blocking(move || {
        writer
            .run(receiver)
            .map(|segments| Unclaimed { store: Arc::clone(&writer.store), segments })
    });
    let mut failed = None;
    loop {
        let input = match rows.next().await {
            Some(Ok(batch)) if batch.num_rows() == 0 => continue,
            Some(Ok(batch)) => Input::Rows(batch),
            Some(Err(error)) => {
                failed = Some(report(error));
                break;
            }
            None => Input::End,
        };
        let end = matches!(input, Input::End);
        // Nobody receives: the writer has failed, and says why.
        if sender.send(input).await.is_err() || end {
            break;
        }
    }
    drop(sender);
    let written = writing.await.unwrap_or_else(|e| Err(died(&e)));
    failed.map_or(written.map(Unclaimed::claim), Err)
}

/// Segments that are durable, but that nobody has been told of. When nobody waits for them any
/// more, they go: the order to drop their transaction's files may have come before them.
struct Unclaimed {
    store: Arc<StoreState>,
    segments: Vec<SegmentRef>,
}

impl Unclaimed {
    fn claim(mut self) -> Vec<SegmentRef> {
        std::mem::take(&mut self.segments)
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        remove_all(&self.store, &self.segments);
    }
}

fn remove_all(store: &StoreState, segments: &[SegmentRef]) {
    for segment in segments {
        store.footers.remove(&segment.file);
        let _ = fs::remove_file(store.data.join(&segment.file));
    }
}

/// Writes one statement's rows into one table's segments. Blocks.
struct SegmentWriter {
    store: Arc<StoreState>,
    target: SegmentTarget,
    file_schema: SchemaRef,
    current: Option<OpenSegment>,
    /// Of a table with clustering columns, if the rows do not come in order.
    buffer: Option<SortBuffer>,
    /// For the row group that grows.
    memory: MemoryReservation,
    /// Renamed, but their directory not yet fsynced.
    done: Vec<SegmentRef>,
    complete: bool,
}

/// A segment that grows.
struct OpenSegment {
    writer: ArrowWriter<ChecksumFile>,
    file: NewFile,
    rows: usize,
    bytes: u64,
    summary: SummaryWriter,
    order: Option<OrderWriter>,
}

impl SegmentWriter {
    fn new(store: Arc<StoreState>, target: SegmentTarget) -> Result<Self> {
        let file_schema = layout::file_schema(&target.schema, &target.column_ids)?;
        let memory = MemoryConsumer::new("SegmentWriter").register(store.memory.pool());
        let columns = positions(&target.cluster_by, &target.column_ids)?;
        let is_to_be_sorted = !columns.is_empty() && !target.is_sorted;
        let buffer = is_to_be_sorted.then(|| SortBuffer::new(columns, store.memory.pool()));
        let (current, done, complete) = (None, Vec::new(), false);
        Ok(Self { store, target, file_schema, current, buffer, memory, done, complete })
    }

    fn run(&mut self, mut input: mpsc::Receiver<Input>) -> Result<Vec<SegmentRef>> {
        while let Some(input) = input.blocking_recv() {
            match input {
                Input::Rows(batch) => self.append(&batch)?,
                Input::End => return self.finish(),
            }
        }
        Err(ErrorReport::internal("a write was given up"))
    }

    fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(mut buffer) = self.buffer.take() else { return self.put(batch) };
        let limit = self.store.settings.segment_rows.max(1);
        let mut from = 0;
        while from < batch.num_rows() {
            // As many as the segment has room for, which are sorted together.
            let written = self.current.as_ref().map_or(0, |open| open.rows);
            let room = limit.saturating_sub(written + buffer.rows()).max(1);
            let rows = room.min(batch.num_rows() - from);
            let has_memory = buffer.push(batch.slice(from, rows));
            if rows == room || !has_memory {
                buffer.drain(|sorted| self.put(sorted))?;
            }
            from += rows;
        }
        self.buffer = Some(buffer);
        Ok(())
    }

    /// Writes rows, which are in order if they have to be.
    fn put(&mut self, batch: &RecordBatch) -> Result<()> {
        let limit = self.store.settings.segment_rows.max(1);
        let mut from = 0;
        while from < batch.num_rows() {
            let mut open = match self.current.take() {
                Some(open) => open,
                None => self.open()?,
            };
            let rows = (batch.num_rows() - from).min(limit - open.rows);
            let appended = open.append(&batch.slice(from, rows), &self.file_schema);
            let full = open.rows == limit;
            self.memory.resize(open.writer.memory_size());
            self.current = Some(open);
            appended?;
            if full {
                self.seal()?;
            }
            from += rows;
        }
        Ok(())
    }

    fn open(&self) -> Result<OpenSegment> {
        let SegmentTarget { schema, column_ids, cluster_by, .. } = &self.target;
        let summary = SummaryWriter::new(schema, column_ids);
        let order = OrderWriter::new(cluster_by, schema, column_ids)?;
        let writer = Writer {
            transaction: self.target.transaction,
            coordinator_epoch: self.target.coordinator_epoch,
            table_id: self.target.table_id,
        };
        let (file, created) = NewFile::create(&self.store, writer, FileKind::Segment)?;
        let writer = ArrowWriter::try_new(
            created,
            Arc::clone(&self.file_schema),
            Some(encoding::properties(&self.store.settings, &self.target)),
        )
        .map_err(|e| write_error(&file.temporary, e))?;
        Ok(OpenSegment { writer, file, rows: 0, bytes: 0, summary, order })
    }

    /// Makes the growing file a segment.
    fn seal(&mut self) -> Result<()> {
        let Some(open) = self.current.take() else { return Ok(()) };
        let segment = open.seal(&self.store.data)?;
        self.memory.free();
        self.store.footers.set_whole(&segment.file);
        self.done.push(segment);
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<SegmentRef>> {
        if let Some(mut buffer) = self.buffer.take() {
            buffer.drain(|sorted| self.put(sorted))?;
        }
        self.seal()?;
        if !self.done.is_empty() {
            sync_entries(&self.store.data, self.target.table_id, FileKind::Segment)?;
        }
        self.complete = true;
        Ok(std::mem::take(&mut self.done))
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        // Nobody will refer to these; the coordinator's order to drop the transaction's files, or
        // all but the known ones, gets what cannot be removed here.
        if let Some(open) = self.current.take() {
            open.file.discard();
        }
        remove_all(&self.store, &self.done);
    }
}

impl OpenSegment {
    fn append(&mut self, batch: &RecordBatch, file_schema: &SchemaRef) -> Result<()> {
        let rows = layout::to_file(batch, file_schema)?;
        self.writer.write(&rows).map_err(|e| write_error(&self.file.temporary, e))?;
        self.rows += batch.num_rows();
        self.bytes += batch_bytes(batch);
        self.summary.note(batch);
        self.order.as_mut().map_or(Ok(()), |order| order.note(batch))
    }

    fn seal(self, data: &Path) -> Result<SegmentRef> {
        let Self { writer, file, rows, bytes, summary, order } = self;
        let written = writer.into_inner().map_err(|e| {
            file.discard();
            write_error(&file.temporary, e)
        })?;
        let name = file.seal(data, &written)?;
        let ChecksumFile { checksum, length, .. } = written;
        Ok(SegmentRef {
            id: file_id(),
            kind: SegmentKind::Parquet.into(),
            file: name,
            offset: 0,
            length,
            rows: rows as u64,
            bytes,
            zone_summary: summary.finish(order.map(|order| order.finish())),
            checksum,
            deletes: None,
        })
    }
}

/// Random, and never again; the catalog holds it as a signed number.
pub(super) fn file_id() -> u64 {
    Uuid::new_v4().as_u64_pair().0 >> 1
}

fn write_error(path: &Path, error: ParquetError) -> ErrorReport {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => io_error("write", path, &error),
            Err(error) => ErrorReport::internal(format!("cannot encode a segment: {error}")),
        },
        error => ErrorReport::internal(format!("cannot encode a segment: {error}")),
    }
}
