//! What a scan knows of its table.

use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};
use datafusion::common::ScalarValue;
use kestrel_planner::operators::ShardScan;
use kestrel_proto::{ErrorReport, Result, TableId, message::SegmentRef};

use super::{
    cache::ChunkKey, files, layout, load::Piece, missing, segment_file::SegmentFile,
    store::StoreState,
};

/// A table as a query sees it. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct TableOfScan {
    pub(crate) id: TableId,
    /// For errors.
    pub(crate) name: Arc<str>,
    /// Without the metadata of missing values.
    pub(crate) schema: SchemaRef,
    /// In the order of the columns.
    pub(crate) column_ids: Arc<[u32]>,
    /// What files have in columns that they lack, in the same order; not there, or `None`: NULL.
    pub(crate) missing_values: Arc<[Option<ScalarValue>]>,
    /// What is read will not be read again: it takes no place in the cache of columns.
    pub(crate) is_read_once: bool,
}

impl TableOfScan {
    /// The table that `scan` reads.
    ///
    /// # Errors
    /// XX000 when there is not one id per column, or a missing value cannot be read.
    pub(crate) fn of(scan: &ShardScan) -> Result<Self> {
        let (schema, missing_values) = missing::taken_from(&scan.schema)?;
        // Checks that there is one id per column.
        layout::file_schema(&schema, &scan.column_ids)?;
        Ok(Self {
            id: scan.table_id,
            name: scan.table.as_str().into(),
            schema,
            column_ids: scan.column_ids.as_slice().into(),
            missing_values: missing_values.into(),
            is_read_once: false,
        })
    }

    /// A column's field and id.
    ///
    /// # Errors
    /// XX000: there is none.
    pub(super) fn column(&self, column: usize) -> Result<(&Field, u32)> {
        let field = self.schema.fields().get(column);
        let id = self.column_ids.get(column);
        field.zip(id).map(|(field, id)| (field.as_ref(), *id)).ok_or_else(|| {
            ErrorReport::internal(format!("table \"{}\" has no column {column}", self.name))
        })
    }

    /// What is in a column of the files that are older than it.
    ///
    /// # Errors
    /// XX001 when that is NULL, and may not be.
    pub(super) fn missing_value(&self, column: usize) -> Result<ScalarValue> {
        let (field, _) = self.column(column)?;
        let value = self.missing_values.get(column).and_then(Option::as_ref);
        missing::value(&self.name, field, value)
    }

    /// One of its files. Those of a partitioned table are its partitions'.
    pub(super) fn file(&self, store: &Arc<StoreState>, segment: &Arc<SegmentRef>) -> SegmentFile {
        SegmentFile {
            store: Arc::clone(store),
            table_id: files::table_of(&segment.file).unwrap_or(self.id),
            table: Arc::clone(&self.name),
            segment: Arc::clone(segment),
        }
    }

    /// What the cache knows a column of a row group by.
    pub(super) fn key(&self, piece: &Piece, column: usize) -> Result<ChunkKey> {
        let (field, column_id) = self.column(column)?;
        Ok(ChunkKey {
            segment: Arc::clone(&piece.segment),
            row_group: piece.row_group,
            column_id,
            data_type: field.data_type().clone(),
        })
    }
}
