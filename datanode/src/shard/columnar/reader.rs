//! Reads segment files for DataFusion's Parquet source: footers come from the cache, and a file
//! that is not what the catalog says is named in the error.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use datafusion::{
    datasource::{
        listing::PartitionedFile,
        physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory},
    },
    error::DataFusionError,
    physical_plan::metrics::ExecutionPlanMetricsSet,
};
use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use kestrel_proto::{ErrorReport, Result, TableId, message::SegmentRef};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::ParquetError,
    file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
};

use super::{
    files, footer,
    store::{StoreState, died},
};
use crate::io_error::io_error;

/// Makes readers for the segments of one table.
#[derive(Clone, Debug)]
pub(super) struct SegmentReaderFactory {
    pub(super) store: Arc<StoreState>,
    pub(super) table_id: TableId,
    pub(super) table: String,
}

/// Which segment a `PartitionedFile` is; rides on it as an extension.
#[derive(Clone, Debug)]
pub(super) struct Segment(pub(super) Arc<SegmentRef>);

impl ParquetFileReaderFactory for SegmentReaderFactory {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        _: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::error::Result<Box<dyn AsyncFileReader + Send>> {
        let Some(Segment(segment)) = file.extension::<Segment>() else {
            return Err(DataFusionError::Internal("a file that is no segment is scanned".into()));
        };
        let metrics = ParquetFileMetrics::new(partition, &segment.file, metrics);
        let target = Target { factory: self.clone(), segment: Arc::clone(segment) };
        Ok(Box::new(SegmentReader { target: Arc::new(target), file: None, metrics }))
    }
}

/// Reads one segment for one execution partition.
struct SegmentReader {
    target: Arc<Target>,
    /// Opened and checked at the first read.
    file: Option<Arc<File>>,
    metrics: ParquetFileMetrics,
}

/// What is read.
struct Target {
    factory: SegmentReaderFactory,
    segment: Arc<SegmentRef>,
}

impl SegmentReader {
    /// Runs `read` on the open file, off the runtime's threads.
    async fn blocking<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&Target, &File) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (target, open) = (Arc::clone(&self.target), self.file.as_ref().map(Arc::clone));
        let done = tokio::task::spawn_blocking(move || {
            let file = open.map_or_else(|| target.open().map(Arc::new), Ok)?;
            Ok((read(&target, &file)?, file))
        });
        let (value, file) = done.await.unwrap_or_else(|e| Err(died(&e)))?;
        self.file = Some(file);
        Ok(value)
    }

    async fn footer(&mut self) -> Result<Arc<ParquetMetaData>> {
        let cached = self.target.factory.store.footers.get(&self.target.segment.file);
        if let Some(footer) = cached {
            return Ok(footer);
        }
        self.blocking(Target::read_footer).await
    }
}

impl AsyncFileReader for SegmentReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let read = async move {
            self.metrics.bytes_scanned.add((range.end - range.start) as usize);
            self.blocking(move |target, file| target.read(file, &range)).await
        };
        read.map_err(to_parquet).boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        let read = async move {
            let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            self.metrics.bytes_scanned.add(bytes as usize);
            self.blocking(move |target, file| {
                ranges.iter().map(|range| target.read(file, range)).collect()
            })
            .await
        };
        read.map_err(to_parquet).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        self.footer().map_err(to_parquet).boxed()
    }
}

impl Target {
    fn corrupted(&self, what: &str) -> ErrorReport {
        self.factory.store.corrupted(&self.factory.table, &self.segment.file, what)
    }

    fn failed(&self, error: &io::Error) -> ErrorReport {
        match error.kind() {
            io::ErrorKind::NotFound => self.corrupted("missing"),
            io::ErrorKind::UnexpectedEof => self.corrupted("damaged"),
            _ => io_error("read", self.segment.file.as_ref(), error)
                .on_datanode(self.factory.store.datanode.name()),
        }
    }

    /// Opens the file; the first time in this process its bytes are compared with their checksum.
    fn open(&self) -> Result<File> {
        let store = &self.factory.store;
        let path = files::path_of(&store.data, &self.segment.file)?;
        let file = File::open(&path).map_err(|e| self.failed(&e))?;
        let length = file.metadata().map_err(|e| self.failed(&e))?.len();
        if length != self.segment.length {
            let expected = self.segment.length;
            return Err(self
                .corrupted("damaged")
                .detail(format!("It has {length} bytes in place of {expected}.")));
        }
        if store.settings.verify_checksums && !store.footers.is_whole(&self.segment.file) {
            self.verify(&file)?;
            store.footers.set_whole(&self.segment.file);
        }
        Ok(file)
    }

    fn verify(&self, file: &File) -> Result<()> {
        let mut buffer = vec![0; 1 << 20];
        let (mut checksum, mut offset) = (0, 0);
        while offset < self.segment.length {
            let piece = buffer.len().min((self.segment.length - offset) as usize);
            file.read_exact_at(&mut buffer[..piece], offset).map_err(|e| self.failed(&e))?;
            checksum = crc32c::crc32c_append(checksum, &buffer[..piece]);
            offset += piece as u64;
        }
        if checksum == self.segment.checksum {
            return Ok(());
        }
        Err(self.corrupted("damaged").detail("Its bytes do not have their checksum."))
    }

    fn read_footer(&self, file: &File) -> Result<Arc<ParquetMetaData>> {
        // With the page index: it is small beside the footer, and is then cached with it.
        let footer = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(file)
            .map_err(|e| self.corrupted("damaged").detail(format!("{e}.")))?;
        let mismatch = footer::mismatch(&footer, self.factory.table_id, self.segment.rows);
        if let Some(detail) = mismatch {
            return Err(self.corrupted("damaged").detail(detail));
        }
        let footer = Arc::new(footer);
        self.factory.store.footers.put(&self.segment.file, &footer);
        Ok(footer)
    }

    fn read(&self, file: &File, range: &Range<u64>) -> Result<Bytes> {
        if range.end > self.segment.length || range.start > range.end {
            return Err(self.corrupted("damaged").detail("Its footer points beyond its end."));
        }
        let mut bytes = vec![0; (range.end - range.start) as usize];
        file.read_exact_at(&mut bytes, range.start).map_err(|e| self.failed(&e))?;
        Ok(bytes.into())
    }
}

fn to_parquet(report: ErrorReport) -> ParquetError {
    ParquetError::External(Box::new(report))
}
