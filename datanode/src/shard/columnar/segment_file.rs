//! A segment's file: what it holds is checked before anybody believes it, and a file that is not
//! what the catalog says is named in the error.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use kestrel_proto::{ErrorReport, Result, TableId, message::SegmentRef};
use parquet::file::metadata::ParquetMetaDataReader;

use super::{
    files,
    footer::{self, Footer},
    store::StoreState,
};
use crate::io_error::io_error;

/// A segment as somebody means to read it. All of it blocks.
#[derive(Clone, Debug)]
pub(super) struct SegmentFile {
    pub(super) store: Arc<StoreState>,
    /// The table whose segment it is, as its name says.
    pub(super) table_id: TableId,
    /// Its name, for errors.
    pub(super) table: Arc<str>,
    pub(super) segment: Arc<SegmentRef>,
}

impl SegmentFile {
    /// Opens the file; the first time in this process its bytes are compared with their checksum.
    pub(super) fn open(&self) -> Result<File> {
        let store = &self.store;
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

    /// Reads the footer, and keeps it in the cache.
    pub(super) fn read_footer(&self, file: &File) -> Result<Arc<Footer>> {
        let footer = ParquetMetaDataReader::new()
            .parse_and_finish(file)
            .and_then(Footer::new)
            .map_err(|e| self.corrupted("damaged").detail(format!("{e}.")))?;
        let mismatch = footer::mismatch(footer.parquet(), self.table_id, self.segment.rows);
        if let Some(detail) = mismatch {
            return Err(self.corrupted("damaged").detail(detail));
        }
        let footer = Arc::new(footer);
        self.store.footers.put(&self.segment.file, &footer);
        Ok(footer)
    }

    /// The bytes of a range.
    pub(super) fn read(&self, file: &File, range: &Range<u64>) -> Result<Bytes> {
        if range.end > self.segment.length || range.start > range.end {
            return Err(self.corrupted("damaged").detail("Its footer points beyond its end."));
        }
        let mut bytes = vec![0; (range.end - range.start) as usize];
        file.read_exact_at(&mut bytes, range.start).map_err(|e| self.failed(&e))?;
        Ok(bytes.into())
    }

    /// An error that names the file.
    pub(super) fn corrupted(&self, what: &str) -> ErrorReport {
        self.store.corrupted(&self.table, &self.segment.file, what)
    }

    fn failed(&self, error: &io::Error) -> ErrorReport {
        match error.kind() {
            io::ErrorKind::NotFound => self.corrupted("missing"),
            io::ErrorKind::UnexpectedEof => self.corrupted("damaged"),
            _ => io_error("read", self.segment.file.as_ref(), error)
                .on_datanode(self.store.datanode.name()),
        }
    }
}
