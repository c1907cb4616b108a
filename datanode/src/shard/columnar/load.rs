//! From files to chunks.
//!
//! All columns of a row group that a query misses are read together, off the runtime's threads.

use std::{collections::HashMap, fs::File, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, RecordBatchReader},
    compute::{CastOptions, cast_with_options, concat_batches},
    datatypes::Field,
};
use bytes::{Buf, Bytes, buf};
use datafusion::execution::memory_pool::MemoryConsumer;
use futures::future::try_join_all;
use kestrel_proto::{
    ErrorReport, Result,
    message::{SegmentKind, SegmentRef},
};
use parquet::{
    arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    errors::ParquetError,
    file::{
        metadata::RowGroupMetaData,
        reader::{ChunkReader, Length},
    },
};

use super::{
    bounds::{self, ColumnBounds},
    chunk::Chunk,
    footer::Footer,
    interval, layout,
    segment_file::SegmentFile,
    store::{StoreState, died},
    table::TableOfScan,
};
use crate::error::report;

/// A row group of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) segment: Arc<SegmentRef>,
    pub(crate) row_group: usize,
    /// The number of its first row in the segment.
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
}

impl StoreState {
    /// The pieces of these segments, in order, as their footers say.
    ///
    /// # Errors
    /// XX001 when a file is not what the catalog says; 58030; XX000 for a segment of another kind.
    pub(crate) async fn pieces(
        self: &Arc<Self>,
        table: &TableOfScan,
        segments: &[Arc<SegmentRef>],
    ) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        // The first time, all bytes of the files are read: not of all at once.
        for some in segments.chunks(self.settings.target_partitions.max(1)) {
            let footers = some.iter().map(|segment| self.footer(table, segment));
            for (segment, footer) in some.iter().zip(try_join_all(footers).await?) {
                pieces.extend(pieces_of(segment, &footer));
            }
        }
        Ok(pieces)
    }

    /// Columns, by their positions in the table's schema, of one row group.
    ///
    /// # Errors
    /// XX001 when the file is not what the catalog says; 58030; what keeps a value from its type.
    pub(crate) async fn chunks(
        self: &Arc<Self>,
        table: &TableOfScan,
        piece: &Piece,
        columns: &[usize],
    ) -> Result<Vec<Arc<Chunk>>> {
        let keys = columns.iter().map(|column| table.key(piece, *column));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let load = Load {
            file: table.file(self, &piece.segment),
            table: table.clone(),
            piece: piece.clone(),
            columns: columns.to_vec(),
        };
        match table.is_read_once {
            true => self.chunks.get_or_load_once(&keys, move |missing| load.load(&missing)).await,
            false => self.chunks.get_or_load(&keys, move |missing| load.load(&missing)).await,
        }
    }

    /// Least and greatest value of a column of a piece, from the file's footer, which was read for
    /// the piece. `None`: unknown.
    pub(crate) fn piece_bounds(
        &self,
        table: &TableOfScan,
        piece: &Piece,
        column: usize,
    ) -> Option<ColumnBounds> {
        let footer = self.footers.peek(&piece.segment.file)?;
        let (field, id) = table.column(column).ok()?;
        match footer.position(id) {
            Some(position) => bounds::of_row_group(&footer, piece.row_group, position, field),
            None => {
                let value = table.missing_value(column).ok()?;
                let nulls = if value.is_null() { piece.rows as u64 } else { 0 };
                Some(ColumnBounds { min: value.clone(), max: value, nulls: Some(nulls) })
            }
        }
    }

    async fn footer(
        self: &Arc<Self>,
        table: &TableOfScan,
        segment: &Arc<SegmentRef>,
    ) -> Result<Arc<Footer>> {
        if segment.kind() != SegmentKind::Parquet || segment.offset != 0 {
            return Err(ErrorReport::internal(format!(
                "segment \"{}\" is of kind {} at offset {}",
                segment.file, segment.kind, segment.offset
            )));
        }
        if let Some(footer) = self.footers.get(&segment.file) {
            return Ok(footer);
        }
        let file = table.file(self, segment);
        let read = tokio::task::spawn_blocking(move || file.read_footer(&file.open()?)).await;
        read.unwrap_or_else(|e| Err(died(&e)))
    }
}

fn pieces_of(segment: &Arc<SegmentRef>, footer: &Footer) -> Vec<Piece> {
    let groups = footer.parquet().row_groups().iter().enumerate();
    let mut first_row = 0;
    let piece = |(row_group, group): (usize, &RowGroupMetaData)| {
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let piece = Piece { segment: Arc::clone(segment), row_group, first_row, rows };
        first_row += rows;
        piece
    };
    groups.map(piece).collect()
}

/// What a query misses. All of it blocks.
struct Load {
    file: SegmentFile,
    table: TableOfScan,
    piece: Piece,
    /// That the query asked for.
    columns: Vec<usize>,
}

impl Load {
    /// The chunks of the columns at these positions in `columns`.
    fn load(&self, missing: &[usize]) -> Result<Vec<Chunk>> {
        let file = self.file.open()?;
        let footer = match self.file.store.footers.peek(&self.piece.segment.file) {
            Some(footer) => footer,
            None => self.file.read_footer(&file)?,
        };
        let mut columns = Vec::with_capacity(missing.len());
        for column in missing.iter().filter_map(|at| self.columns.get(*at)) {
            let (_, id) = self.table.column(*column)?;
            columns.push((*column, footer.position(id)));
        }
        let mut positions: Vec<_> = columns.iter().filter_map(|(_, at)| *at).collect();
        positions.sort_unstable();
        positions.dedup();
        // It is taken in any case; others learn that there is less.
        let memory = MemoryConsumer::new("ColumnLoad").register(self.file.store.memory.pool());
        memory.grow(self.load_bytes(&footer, &positions));
        let decoded = self.decoded(&file, &footer, &positions)?;
        let chunk = |(column, position): (usize, Option<usize>)| {
            let (field, _) = self.table.column(column)?;
            let array = match position.and_then(|at| decoded.get(&at)) {
                Some(array) => in_table(array, field)?,
                None => {
                    let value = self.table.missing_value(column)?;
                    value.to_array_of_size(self.piece.rows).map_err(report)?
                }
            };
            Chunk::encode(&array)
        };
        columns.into_iter().map(chunk).collect()
    }

    /// What columns take until they are chunks, about: as they are in the file, and as Arrow has them.
    fn load_bytes(&self, footer: &Footer, positions: &[usize]) -> usize {
        let group = footer.parquet().row_groups().get(self.piece.row_group);
        let bytes = positions.iter().filter_map(|position| {
            let column = group?.columns().get(*position)?;
            let values = column.uncompressed_size().max(0) as usize;
            let file = column.compressed_size().max(0) as usize;
            Some(file.saturating_add(values.max(self.piece.rows * size_of::<u128>())))
        });
        bytes.fold(0, usize::saturating_add)
    }

    /// The file's columns at these positions, which ascend.
    fn decoded(
        &self,
        file: &File,
        footer: &Footer,
        positions: &[usize],
    ) -> Result<HashMap<usize, ArrayRef>> {
        if positions.is_empty() {
            return Ok(HashMap::new());
        }
        let damaged = |detail: String| self.file.corrupted("damaged").detail(detail);
        let group = footer.parquet().row_groups().get(self.piece.row_group);
        let mut ranges = Vec::with_capacity(positions.len());
        for position in positions {
            let column = group.and_then(|group| group.columns().get(*position));
            let lacks = || damaged(format!("Row group {} is not whole.", self.piece.row_group));
            let (start, length) = column.ok_or_else(lacks)?.byte_range();
            ranges.push((start, self.file.read(file, &(start..start.saturating_add(length)))?));
        }
        let ranges = FileRanges { length: self.piece.segment.length, ranges };
        let columns = read(ranges, footer, &self.piece, positions);
        let columns = columns.map_err(|error| damaged(format!("{error}.")))?;
        match columns.iter().find(|column| column.len() != self.piece.rows) {
            Some(column) => {
                let (found, rows) = (column.len(), self.piece.rows);
                Err(damaged(format!("A row group has {found} rows in place of {rows}.")))
            }
            None => Ok(positions.iter().copied().zip(columns).collect()),
        }
    }
}

fn read(
    ranges: FileRanges,
    footer: &Footer,
    piece: &Piece,
    positions: &[usize],
) -> parquet::errors::Result<Vec<ArrayRef>> {
    let columns = ProjectionMask::roots(footer.reader.parquet_schema(), positions.iter().copied());
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(ranges, footer.reader.clone())
        .with_row_groups(vec![piece.row_group])
        .with_projection(columns)
        .with_batch_size(piece.rows.max(1))
        .build()?;
    let schema = reader.schema();
    let batches = reader.collect::<std::result::Result<Vec<_>, _>>()?;
    // One, as a rule: then this copies nothing.
    Ok(match batches.as_slice() {
        [batch] => batch.columns().to_vec(),
        batches => concat_batches(&schema, batches)?.columns().to_vec(),
    })
}

/// A file's column as the table has it now.
fn in_table(array: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    if array.data_type() == field.data_type() {
        return Ok(Arc::clone(array));
    }
    if layout::is_interval(field.data_type()) {
        return interval::decoded(array);
    }
    // The table's type has become a wider one.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, field.data_type(), &options).map_err(|error| report(error.into()))
}

/// The parts of a file that are in memory.
struct FileRanges {
    /// The file's bytes.
    length: u64,
    /// With the places where they start.
    ranges: Vec<(u64, Bytes)>,
}

impl FileRanges {
    /// From `start` to the end of its range.
    fn from(&self, start: u64) -> parquet::errors::Result<Bytes> {
        let part = self.ranges.iter().find_map(|(from, bytes)| {
            let skipped = usize::try_from(start.checked_sub(*from)?).ok()?;
            (skipped < bytes.len()).then(|| bytes.slice(skipped..))
        });
        part.ok_or_else(|| ParquetError::EOF("a page is outside of its column".into()))
    }
}

impl Length for FileRanges {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for FileRanges {
    type T = buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF("a page ends outside of its column".into()));
        }
        Ok(bytes.slice(..length))
    }
}
