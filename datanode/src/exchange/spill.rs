//! Files of batches that had to go on when there was no memory for them.
//!
//! A file belongs to one stream: one sender appends frames, one receiver reads them in the same
//! order. How long a frame is, and its checksum, is kept in memory: a file is of no use to another
//! process, and goes when nobody refers to it any more.

use std::{
    fmt,
    fs::File,
    io::{self, BufWriter, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arrow::{array::RecordBatch, buffer::Buffer, datatypes::Schema};
use datafusion::{
    error::DataFusionError,
    execution::{self, SpillWriter},
};
use kestrel_proto::{
    ErrorReport, Result, SqlState,
    rpc::{BatchDecoder, BatchEncoder, Compression},
};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    task::{JoinError, JoinHandle, spawn_blocking},
};

use super::{hub::Shared, state::Queued};
use crate::{error::report, io_error::io_error};

/// Small buffers are written together.
const WRITE_BYTES: usize = 64 << 10;

/// A file; its fields are dropped in their order.
pub(super) struct SpillFile {
    /// `None`: it has become long.
    writer: Mutex<Option<Writer>>,
    reader: Mutex<Reader>,
    path: PathBuf,
    shared: Arc<Shared>,
    /// Removes the file when it is dropped.
    _file: Arc<dyn execution::SpillFile>,
}

struct Writer {
    encoder: BatchEncoder,
    file: BufWriter<Box<dyn SpillWriter>>,
    bytes: u64,
}

#[derive(Default)]
struct Reader {
    decoder: BatchDecoder,
    /// Opened at the first read: many files may wait.
    file: Option<File>,
}

/// The next frame of a file.
#[derive(Debug)]
pub(super) struct SpilledFrame {
    file: Arc<SpillFile>,
    bytes: usize,
    crc32c: u32,
}

/// Appends a batch to `file`, or to a new one when there is none or it has become long.
///
/// # Errors
/// 53100 when the disk, or the limit of what may be spilled, is reached; 58030.
pub(super) async fn write(
    shared: Arc<Shared>,
    file: Option<Arc<SpillFile>>,
    batch: RecordBatch,
) -> Result<Vec<SpilledFrame>> {
    let write = move || {
        let file = match file.filter(|file| file.writer.lock().is_some()) {
            Some(file) => file,
            None => Arc::new(SpillFile::create(shared, &batch.schema())?),
        };
        file.append(&batch)
    };
    spawn_blocking(write).await.unwrap_or_else(|e| Err(died(&e)))
}

/// Begins to read a frame. The frames of a file are read in their order, each once.
pub(super) fn read(frame: SpilledFrame) -> Reading {
    Reading(spawn_blocking(move || frame.read()))
}

/// Drops what was queued; files where it may take its time.
pub(super) fn discard(queued: Vec<Queued>) {
    let has_files = queued.iter().any(|queued| matches!(queued, Queued::Spilled(_)));
    match Handle::try_current() {
        Ok(runtime) if has_files => drop(runtime.spawn_blocking(|| drop(queued))),
        _ => drop(queued),
    }
}

/// A frame that is being read.
#[derive(Debug)]
pub(super) struct Reading(JoinHandle<Result<RecordBatch>>);

impl Future for Reading {
    type Output = Result<RecordBatch>;

    /// # Errors
    /// XX001 when the file is not what was written; 58030.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let read = Pin::new(&mut self.0).poll(context);
        read.map(|read| read.unwrap_or_else(|e| Err(died(&e))))
    }
}

impl SpillFile {
    fn create(shared: Arc<Shared>, schema: &Schema) -> Result<Self> {
        let file = shared.resources.disk_manager.create_tmp_file("exchange").map_err(report)?;
        let Some(path) = file.path().map(Path::to_path_buf) else {
            return Err(ErrorReport::internal("a file of the exchange is not on a disk"));
        };
        let writer = Writer {
            encoder: BatchEncoder::new(schema, Compression::None)?,
            file: BufWriter::with_capacity(WRITE_BYTES, file.open_writer().map_err(report)?),
            bytes: 0,
        };
        let writer = Mutex::new(Some(writer));
        Ok(Self { writer, reader: Mutex::default(), path, shared, _file: file })
    }

    fn append(self: &Arc<Self>, batch: &RecordBatch) -> Result<Vec<SpilledFrame>> {
        let mut guard = self.writer.lock();
        let Some(writer) = guard.as_mut() else {
            return Err(ErrorReport::internal("a spill file that is full was written to"));
        };
        let mut frames = Vec::new();
        for buffers in writer.encoder.encode(batch)? {
            let (bytes, crc32c) = writer.append(&buffers).map_err(|e| self.write_error(&e))?;
            let file = Arc::clone(self);
            frames.push(SpilledFrame { file, bytes, crc32c });
        }
        writer.file.flush().map_err(|e| self.write_error(&e))?;
        self.shared.spilled.count(frames.iter().map(SpilledFrame::bytes).sum());
        if writer.bytes >= self.shared.settings.spill_file_bytes {
            *guard = None;
        }
        Ok(frames)
    }

    /// DataFusion's writer wraps the errors of the file system, and has others only for its limit.
    fn write_error(&self, error: &io::Error) -> ErrorReport {
        let limit_bytes = self.shared.resources.disk_manager.max_temp_directory_size();
        let inner = error.get_ref().map(|inner| inner.downcast_ref::<DataFusionError>());
        match inner {
            Some(Some(DataFusionError::IoError(cause))) => io_error("write", &self.path, cause),
            Some(None) => ErrorReport::new(
                SqlState::DISK_FULL,
                "queries have spilled as much as they may to disk",
            )
            .detail(format!("The limit is {limit_bytes} bytes."))
            .hint("Run fewer statements at a time, or ones that move fewer rows."),
            Some(Some(_)) | None => io_error("write", &self.path, error),
        }
    }
}

impl Writer {
    /// How many bytes were written, and their checksum.
    fn append(&mut self, buffers: &[Buffer]) -> io::Result<(usize, u32)> {
        let (mut bytes, mut checksum) = (0, 0);
        for buffer in buffers {
            self.file.write_all(buffer)?;
            checksum = crc32c::crc32c_append(checksum, buffer);
            bytes += buffer.len();
        }
        self.bytes += bytes as u64;
        Ok((bytes, checksum))
    }
}

impl Reader {
    fn fill(&mut self, path: &Path, bytes: &mut [u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.read_exact(bytes),
            none => none.insert(File::open(path)?).read_exact(bytes),
        }
    }
}

impl SpilledFrame {
    /// The file it is in.
    pub(super) fn file(&self) -> &Arc<SpillFile> {
        &self.file
    }

    fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    fn read(&self) -> Result<RecordBatch> {
        let mut reader = self.file.reader.lock();
        let mut bytes = vec![0; self.bytes];
        reader.fill(&self.file.path, &mut bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => self.corrupted("It is too short."),
            _ => io_error("read", &self.file.path, &error),
        })?;
        if crc32c::crc32c(&bytes) != self.crc32c {
            return Err(self.corrupted("Its checksum is wrong."));
        }
        reader.decoder.decode(bytes)
    }

    fn corrupted(&self, detail: &str) -> ErrorReport {
        let path = self.file.path.display();
        ErrorReport::new(SqlState::DATA_CORRUPTED, format!("\"{path}\" is not what was spilled"))
            .detail(detail)
    }
}

impl fmt::Debug for SpillFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillFile").field("path", &self.path).finish_non_exhaustive()
    }
}

fn died(error: &JoinError) -> ErrorReport {
    ErrorReport::internal(format!("a spill file's task has died: {error}"))
}
