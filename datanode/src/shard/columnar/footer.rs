//! What a segment's footer says about it, beside Parquet's own schema.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::SchemaRef;
use kestrel_planner::operators::SegmentTarget;
use kestrel_proto::TableId;
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    file::metadata::{KeyValue, ParquetMetaData},
};

use super::layout;

/// Grows when older versions could not read what this one writes.
const FORMAT_VERSION: u32 = 1;

const VERSION_KEY: &str = "kestrel.format_version";
const TABLE_ID_KEY: &str = "kestrel.table_id";

/// A footer as readers use it.
#[derive(Debug)]
pub(super) struct Footer {
    /// With the Arrow schema of the file.
    pub(super) reader: ArrowReaderMetadata,
    /// Where the columns are, by column id.
    positions: HashMap<u32, usize>,
}

impl Footer {
    /// The footer that Parquet has read.
    ///
    /// # Errors
    /// What it says is no schema that Arrow knows.
    pub(super) fn new(parquet: ParquetMetaData) -> parquet::errors::Result<Self> {
        let reader = ArrowReaderMetadata::try_new(Arc::new(parquet), ArrowReaderOptions::new())?;
        let positions = layout::columns_by_id(reader.schema());
        Ok(Self { reader, positions })
    }

    /// Parquet's own.
    pub(super) fn parquet(&self) -> &Arc<ParquetMetaData> {
        self.reader.metadata()
    }

    /// The place of a column among the file's columns; `None`: the file is older than the column.
    pub(super) fn position(&self, column_id: u32) -> Option<usize> {
        self.positions.get(&column_id).copied()
    }

    /// Bytes, nearly: without the Arrow schema, which is small beside the rest.
    pub(super) fn memory_size(&self) -> usize {
        self.parquet().memory_size()
    }
}

/// The entries of a segment of `target`: all a lost catalog would need to take it back.
pub(super) fn entries(target: &SegmentTarget, schema: &SchemaRef) -> Vec<KeyValue> {
    let columns: Vec<_> = target
        .column_ids
        .iter()
        .zip(schema.fields())
        .map(|(id, field)| format!("{id} {}", field.name()))
        .collect();
    [
        (VERSION_KEY, FORMAT_VERSION.to_string()),
        (TABLE_ID_KEY, target.table_id.0.to_string()),
        ("kestrel.table", target.table.clone()),
        ("kestrel.columns", columns.join("\n")),
        ("kestrel.transaction", target.transaction.0.to_string()),
        ("kestrel.coordinator_epoch", target.coordinator_epoch.to_string()),
    ]
    .map(|(key, value)| KeyValue::new(key.to_string(), value))
    .into()
}

/// Why a file is not the segment that the catalog means; `None`: it is.
pub(super) fn mismatch(footer: &ParquetMetaData, table: TableId, rows: u64) -> Option<String> {
    let entry = |key: &str| {
        let entries = footer.file_metadata().key_value_metadata()?;
        entries.iter().find(|entry| entry.key == key)?.value.as_deref()?.parse::<u64>().ok()
    };
    match entry(VERSION_KEY) {
        Some(version) if version <= u64::from(FORMAT_VERSION) => {}
        Some(version) => return Some(format!("It has form {version}, of a newer Kestrel.")),
        None => return Some("It does not say that Kestrel wrote it.".into()),
    }
    match entry(TABLE_ID_KEY) {
        Some(id) if id == table.0 => {}
        _ => return Some("It is a segment of another table.".into()),
    }
    let found = footer.file_metadata().num_rows();
    (u64::try_from(found) != Ok(rows)).then(|| format!("It has {found} rows in place of {rows}."))
}
