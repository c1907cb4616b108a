//! A temporary file of batches, which can be read in any order.

use std::{fs::File, io::Write, os::unix::fs::FileExt, sync::Arc};

use arrow::{
    array::RecordBatch,
    error::ArrowError,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use datafusion::execution::{DiskManager, SpillFile, SpillWriter};
use kestrel_planner::error::report;
use kestrel_proto::{ErrorReport, Result};

/// The file. Each batch is an Arrow stream of its own.
pub(super) struct SpilledBatches {
    writer: Box<dyn SpillWriter>,
    reader: File,
    bytes: u64,
    /// Removes the file when it is dropped.
    _file: Arc<dyn SpillFile>,
}

/// Where a batch is in the file.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    offset: u64,
    bytes: usize,
}

impl SpilledBatches {
    /// An empty file.
    ///
    /// # Errors
    /// 53200: nothing may go to disk. 58030: the file cannot be made.
    pub(super) fn create(disk: &Arc<DiskManager>) -> Result<Self> {
        let file = disk.create_tmp_file("keeping the rows of a cursor").map_err(report)?;
        let path = file.path().ok_or_else(|| ErrorReport::internal("a file without a path"))?;
        let reader = File::open(path).map_err(|error| report(error.into()))?;
        let writer = file.open_writer().map_err(report)?;
        Ok(Self { writer, reader, bytes: 0, _file: file })
    }

    /// Appends a batch. The caller's thread writes: into the system's cache, a few megabytes at most.
    ///
    /// # Errors
    /// 53100, 58030.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<Extent> {
        let bytes = encoded(batch).map_err(|error| report(error.into()))?;
        self.writer.write_all(&bytes).map_err(|error| report(error.into()))?;
        let extent = Extent { offset: self.bytes, bytes: bytes.len() };
        self.bytes += bytes.len() as u64;
        Ok(extent)
    }

    /// Reads a batch.
    ///
    /// # Errors
    /// 58030.
    pub(super) fn read(&self, extent: Extent) -> Result<RecordBatch> {
        let mut bytes = vec![0; extent.bytes];
        self.reader
            .read_exact_at(&mut bytes, extent.offset)
            .map_err(|error| report(error.into()))?;
        let batch = StreamReader::try_new(bytes.as_slice(), None)
            .and_then(|mut batches| batches.next().transpose())
            .map_err(|error| report(error.into()))?;
        batch.ok_or_else(|| ErrorReport::internal("a spilled batch is gone"))
    }
}

fn encoded(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}
