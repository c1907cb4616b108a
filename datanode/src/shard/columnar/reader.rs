//! Reads segment files for DataFusion's Parquet source; footers come from the cache.

use std::{fs::File, ops::Range, sync::Arc};

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
    file::metadata::ParquetMetaData,
};

use super::{
    segment_file::SegmentFile,
    store::{StoreState, died},
};

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
        let target = SegmentFile {
            store: Arc::clone(&self.store),
            table_id: self.table_id,
            table: self.table.as_str().into(),
            segment: Arc::clone(segment),
        };
        Ok(Box::new(SegmentReader { target: Arc::new(target), file: None, metrics }))
    }
}

/// Reads one segment for one execution partition.
struct SegmentReader {
    target: Arc<SegmentFile>,
    /// Opened and checked at the first read.
    file: Option<Arc<File>>,
    metrics: ParquetFileMetrics,
}

impl SegmentReader {
    /// Runs `read` on the open file, off the runtime's threads.
    async fn blocking<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&SegmentFile, &File) -> Result<T> + Send + 'static,
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
        let cached = self.target.store.footers.get(&self.target.segment.file);
        let footer = match cached {
            Some(footer) => footer,
            None => self.blocking(SegmentFile::read_footer).await?,
        };
        Ok(Arc::clone(footer.parquet()))
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

fn to_parquet(report: ErrorReport) -> ParquetError {
    ParquetError::External(Box::new(report))
}
