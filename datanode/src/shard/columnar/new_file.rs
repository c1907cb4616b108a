//! A file that grows under a temporary name, until it is whole and on disk.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use kestrel_proto::{
    ErrorReport, Result, TableId, TransactionId,
    fail_point::{self, FailPoint},
};

use super::{
    files::{self, FileKind, FileName, TEMPORARY},
    store::StoreState,
    unsynced::{self, Change},
};
use crate::io_error::io_error;

/// Who writes a file, and for which table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    pub(super) transaction: TransactionId,
    pub(super) coordinator_epoch: u64,
    pub(super) table_id: TableId,
}

/// Where a growing file is.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) temporary: PathBuf,
    path: PathBuf,
    kind: FileKind,
}

/// How far a file is.
#[derive(Clone, Copy, Debug)]
enum Step {
    Created,
    Written,
    Synced,
    Renamed,
    Listed,
}

/// A file that knows the checksum and the length of what was written to it.
#[derive(Debug)]
pub(super) struct ChecksumFile {
    file: File,
    pub(super) checksum: u32,
    pub(super) length: u64,
}

impl NewFile {
    /// Creates a file of a name that no other has.
    ///
    /// # Errors
    /// 58030, 53100.
    pub(super) fn create(
        store: &StoreState,
        writer: Writer,
        kind: FileKind,
    ) -> Result<(Self, ChecksumFile)> {
        let dir = store.data.join(files::table_dir(writer.table_id));
        make_directory(&dir).map_err(|e| io_error("create", &dir, &e))?;
        loop {
            let name = FileName {
                epoch: writer.coordinator_epoch,
                transaction: writer.transaction,
                sequence: store.sequence.fetch_add(1, Ordering::Relaxed),
                kind,
            };
            let path = dir.join(name.file_name());
            let temporary = dir.join(name.file_name() + TEMPORARY);
            // Another process wrote for this transaction before: take the next number.
            if path.exists() {
                continue;
            }
            match File::options().write(true).create_new(true).open(&temporary) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(io_error("create", &temporary, &e)),
                Ok(file) => {
                    unsynced::note(|| Change::Created(temporary.clone()));
                    reached(kind, Step::Created);
                    let file = ChecksumFile { file, checksum: 0, length: 0 };
                    return Ok((Self { temporary, path, kind }, file));
                }
            }
        }
    }

    /// Makes it durable under its name, but for its directory's entry: its name for the catalog.
    ///
    /// # Errors
    /// 58030, 53100; the file is gone then.
    pub(super) fn seal(&self, data: &Path, file: &ChecksumFile) -> Result<String> {
        reached(self.kind, Step::Written);
        let renamed = self.sync(&file.file).and_then(|()| self.rename());
        if let Err(error) = renamed {
            self.discard();
            return Err(io_error("write", &self.temporary, &error));
        }
        let relative = self.path.strip_prefix(data).ok().and_then(Path::to_str);
        relative
            .map(str::to_string)
            .ok_or_else(|| ErrorReport::internal("a file is outside of its store"))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()?;
        unsynced::note(|| Change::Synced(self.temporary.clone()));
        reached(self.kind, Step::Synced);
        Ok(())
    }

    fn rename(&self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.path)?;
        unsynced::note(|| Change::Renamed { from: self.temporary.clone(), to: self.path.clone() });
        reached(self.kind, Step::Renamed);
        Ok(())
    }

    /// Removes what has not been sealed.
    pub(super) fn discard(&self) {
        // What cannot be removed here goes with the transaction's files, or at the next start.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Makes the entries of a table's files durable, and its own: these may be its first.
///
/// # Errors
/// 58030.
pub(super) fn sync_entries(data: &Path, table_id: TableId, kind: FileKind) -> Result<()> {
    sync_dir(&data.join(files::table_dir(table_id)))?;
    sync_dir(&data.join(files::SEGMENTS))?;
    reached(kind, Step::Listed);
    Ok(())
}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| io_error("write", dir, &e))?;
    unsynced::note(|| Change::SyncedDirectory(dir.to_path_buf()));
    Ok(())
}

fn make_directory(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // The directory above is not there either.
        Err(e) if e.kind() == io::ErrorKind::NotFound => fs::create_dir_all(dir),
        Err(e) => Err(e),
        Ok(()) => {
            unsynced::note(|| Change::CreatedDirectory(dir.to_path_buf()));
            Ok(())
        }
    }
}

/// A test may end the process here.
fn reached(kind: FileKind, step: Step) {
    fail_point::reached(match (kind, step) {
        (FileKind::Segment, Step::Created) => FailPoint::SegmentCreated,
        (FileKind::Segment, Step::Written) => FailPoint::SegmentWritten,
        (FileKind::Segment, Step::Synced) => FailPoint::SegmentSynced,
        (FileKind::Segment, Step::Renamed) => FailPoint::SegmentRenamed,
        (FileKind::Segment, Step::Listed) => FailPoint::SegmentListed,
        (FileKind::Deletes, Step::Created) => FailPoint::VectorCreated,
        (FileKind::Deletes, Step::Written) => FailPoint::VectorWritten,
        (FileKind::Deletes, Step::Synced) => FailPoint::VectorSynced,
        (FileKind::Deletes, Step::Renamed) => FailPoint::VectorRenamed,
        (FileKind::Deletes, Step::Listed) => FailPoint::VectorListed,
    });
}

impl Write for ChecksumFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.checksum = crc32c::crc32c_append(self.checksum, &bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
