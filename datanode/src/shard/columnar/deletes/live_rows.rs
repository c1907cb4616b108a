//! Which rows of a row group are not deleted, as scans ask for it: like a column, from the cache of
//! columns, under the same bound.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray},
    buffer::BooleanBuffer,
    datatypes::DataType,
};
use kestrel_proto::{ErrorReport, Result, message::DeleteVector};

use super::file::VectorFile;
use crate::shard::columnar::{
    cache::{ChunkKey, LIVE_ROWS},
    chunk::Chunk,
    files,
    load::Piece,
    store::StoreState,
    table::TableOfScan,
};

impl StoreState {
    /// A bit for each row of a piece, set if the row is not deleted. `None`: none is.
    ///
    /// # Errors
    /// XX001 when the delete vector is not what the catalog says; 58030.
    pub(crate) async fn live_rows(
        self: &Arc<Self>,
        table: &TableOfScan,
        piece: &Piece,
    ) -> Result<Option<BooleanBuffer>> {
        let Some(vector) = piece.segment.deletes.clone() else { return Ok(None) };
        let key = ChunkKey {
            segment: Arc::clone(&piece.segment),
            row_group: piece.row_group,
            column_id: LIVE_ROWS,
            data_type: DataType::Boolean,
        };
        let file = VectorFile {
            store: Arc::clone(self),
            // Of a partitioned table: the partition.
            table_id: files::table_of(&piece.segment.file).unwrap_or(table.id),
            table: Arc::clone(&table.name),
            segment: piece.segment.id,
        };
        let piece = piece.clone();
        let load = move |missing: Vec<usize>| {
            missing.into_iter().map(|_| load(&file, &vector, &piece)).collect()
        };
        let chunks = self.chunks.get_or_load(&[key], load).await?;
        let chunk = chunks.first().ok_or_else(|| ErrorReport::internal("no rows were loaded"))?;
        let live = chunk.slice(0..chunk.rows());
        let live = live.as_boolean_opt();
        let live = live.ok_or_else(|| ErrorReport::internal("live rows are no booleans"))?;
        Ok((live.true_count() < live.len()).then(|| live.values().clone()))
    }
}

fn load(file: &VectorFile, vector: &DeleteVector, piece: &Piece) -> Result<Chunk> {
    let deleted = file.read(vector)?;
    let number = |row: usize| {
        u32::try_from(row).map_err(|_| ErrorReport::internal("a segment has too many rows"))
    };
    let range = number(piece.first_row)?..number(piece.first_row + piece.rows)?;
    let live = deleted.others_in(range);
    let live = live.unwrap_or_else(|| BooleanBuffer::new_set(piece.rows));
    let live: ArrayRef = Arc::new(BooleanArray::new(live, None));
    Chunk::encode(&live)
}
