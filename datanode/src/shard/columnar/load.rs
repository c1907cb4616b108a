//! From files to chunks.

use std::sync::Arc;

use arrow::array::ArrayRef;
use datafusion::{
    datasource::{listing::PartitionedFile, physical_plan::ParquetFileReaderFactory},
    error::DataFusionError,
    physical_expr::expressions::Column,
    physical_expr_adapter::PhysicalExprAdapterFactory,
    physical_plan::metrics::ExecutionPlanMetricsSet,
};
use futures::TryStreamExt;
use kestrel_proto::{Result, message::SegmentRef};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, async_reader::AsyncFileReader};

use super::{
    adapter::ColumnIdAdapterFactory,
    bounds::ColumnBounds,
    chunk::Chunk,
    reader::{Segment, SegmentReaderFactory},
    store::StoreState,
    table::TableOfScan,
};
use crate::error::report;

/// A row group of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) segment: Arc<SegmentRef>,
    pub(crate) row_group: usize,
    pub(crate) rows: usize,
}

impl StoreState {
    fn reader(
        self: &Arc<Self>,
        table: &TableOfScan,
        segment: &Arc<SegmentRef>,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let readers = SegmentReaderFactory {
            store: Arc::clone(self),
            table_id: table.id,
            table: table.name.to_string(),
        };
        let file = PartitionedFile::new(segment.file.clone(), segment.length)
            .with_extension(Segment(Arc::clone(segment)));
        readers.create_reader(0, file, None, &ExecutionPlanMetricsSet::new()).map_err(report)
    }

    pub(crate) async fn pieces(
        self: &Arc<Self>,
        table: &TableOfScan,
        segments: &[Arc<SegmentRef>],
    ) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        for segment in segments {
            let mut reader = self.reader(table, segment)?;
            let footer = reader.get_metadata(None).await.map_err(|e| report(e.into()))?;
            for (row_group, group) in footer.row_groups().iter().enumerate() {
                let rows = group.num_rows() as usize;
                pieces.push(Piece { segment: Arc::clone(segment), row_group, rows });
            }
        }
        Ok(pieces)
    }

    pub(crate) async fn chunks(
        self: &Arc<Self>,
        table: &TableOfScan,
        piece: &Piece,
        columns: &[usize],
    ) -> Result<Vec<Arc<Chunk>>> {
        let error = |e: DataFusionError| report(e);
        let reader: Box<dyn AsyncFileReader> = self.reader(table, &piece.segment)?;
        let builder = ParquetRecordBatchStreamBuilder::new(reader)
            .await
            .map_err(|e| error(e.into()))?
            .with_row_groups(vec![piece.row_group])
            .with_batch_size(piece.rows.max(1));
        let adapter = ColumnIdAdapterFactory {
            table: table.name.to_string(),
            column_ids: table.column_ids.to_vec(),
            missing_values: table.missing_values.clone(),
        };
        let adapter = adapter
            .create(Arc::clone(&table.schema), Arc::clone(builder.schema()))
            .map_err(error)?;
        let mut stream = builder.build().map_err(|e| error(e.into()))?;
        let batch = stream.try_next().await.map_err(|e| error(e.into()))?;
        let batch =
            batch.ok_or_else(|| self.corrupted(&table.name, &piece.segment.file, "damaged"))?;
        let chunk = |column: &usize| {
            let name = table.schema.field(*column).name();
            let expr = adapter.rewrite(Arc::new(Column::new(name, *column))).map_err(error)?;
            let value = expr.evaluate(&batch).map_err(error)?;
            let array: ArrayRef = value.into_array(batch.num_rows()).map_err(error)?;
            Ok(Arc::new(Chunk::encode(&array)?))
        };
        columns.iter().map(chunk).collect()
    }

    pub(crate) fn piece_bounds(
        &self,
        _: &TableOfScan,
        _: &Piece,
        _: usize,
    ) -> Option<ColumnBounds> {
        None
    }
}
