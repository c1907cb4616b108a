//! A delete vector's file.

use std::{
    fs,
    io::{self, Write},
    sync::Arc,
};

use kestrel_planner::row_set::RowSet;
use kestrel_proto::{
    ErrorReport, Result, TableId,
    message::{DeleteVector, DeleteVectorFooter},
};
use prost::Message;

use crate::{
    io_error::io_error,
    shard::columnar::{
        files::{self, FileKind},
        new_file::{NewFile, Writer},
        store::StoreState,
        write::file_id,
    },
};

/// Ends every such file.
const MAGIC: &[u8; 4] = b"KSDV";

/// Grows when older versions could not read what this one writes.
const FORMAT_VERSION: u32 = 1;

/// Whose deleted rows a file has.
#[derive(Clone, Debug)]
pub(super) struct VectorFile {
    pub(super) store: Arc<StoreState>,
    pub(super) table_id: TableId,
    /// Its name, for errors.
    pub(super) table: Arc<str>,
    /// The segment's id.
    pub(super) segment: u64,
}

impl VectorFile {
    /// Writes these rows; durable but for the directory's entry. Blocks.
    ///
    /// # Errors
    /// 58030, 53100; no file is left then.
    pub(super) fn write(&self, writer: Writer, rows: RowSet) -> Result<DeleteVector> {
        let footer = DeleteVectorFooter {
            format_version: FORMAT_VERSION,
            table_id: self.table_id.0,
            segment_id: self.segment,
            transaction_id: writer.transaction.0,
            coordinator_epoch: writer.coordinator_epoch,
            rows: rows.len(),
        };
        let count = rows.len();
        let (name, mut created) = NewFile::create(&self.store, writer, FileKind::Deletes)?;
        let mut bytes = rows.encode();
        let rows_end = bytes.len();
        bytes.extend(footer.encode_to_vec());
        let length = u32::try_from(bytes.len() - rows_end).unwrap_or(u32::MAX);
        bytes.extend(length.to_le_bytes());
        bytes.extend(MAGIC);
        if let Err(error) = created.write_all(&bytes) {
            name.discard();
            return Err(io_error("write", &name.temporary, &error));
        }
        let file = name.seal(&self.store.data, &created)?;
        let (length, checksum) = (created.length, created.checksum);
        Ok(DeleteVector { id: file_id(), file, length, rows: count, checksum })
    }

    /// Reads the rows. Blocks.
    ///
    /// # Errors
    /// XX001 when the file is not what the catalog says; 58030.
    pub(super) fn read(&self, vector: &DeleteVector) -> Result<RowSet> {
        let path = files::path_of(&self.store.data, &vector.file)?;
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.corrupted(vector, "missing"),
            _ => io_error("read", vector.file.as_ref(), &error)
                .on_datanode(self.store.datanode.name()),
        })?;
        let damaged = |detail: String| self.corrupted(vector, "damaged").detail(detail);
        if bytes.len() as u64 != vector.length {
            let (found, expected) = (bytes.len(), vector.length);
            return Err(damaged(format!("It has {found} bytes in place of {expected}.")));
        }
        if crc32c::crc32c(&bytes) != vector.checksum {
            return Err(damaged("Its bytes do not have their checksum.".into()));
        }
        let unreadable = || damaged("Its form is not that of a delete vector.".into());
        let (rows, footer) = parts(&bytes).ok_or_else(unreadable)?;
        let footer = DeleteVectorFooter::decode(footer).map_err(|_| unreadable())?;
        if footer.format_version > FORMAT_VERSION {
            let version = footer.format_version;
            return Err(damaged(format!("It has form {version}, of a newer Kestrel.")));
        }
        if (footer.table_id, footer.segment_id) != (self.table_id.0, self.segment) {
            return Err(damaged("It is of another segment.".into()));
        }
        let rows = RowSet::decode(rows).ok_or_else(unreadable)?;
        if rows.len() != vector.rows {
            let (found, expected) = (rows.len(), vector.rows);
            return Err(damaged(format!("It has {found} rows in place of {expected}.")));
        }
        Ok(rows)
    }

    fn corrupted(&self, vector: &DeleteVector, what: &str) -> ErrorReport {
        self.store.corrupted(&self.table, &vector.file, what)
    }
}

/// The rows and the footer.
fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, length) = bytes.strip_suffix(MAGIC)?.split_last_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    rest.split_at_checked(rest.len().checked_sub(length)?)
}
