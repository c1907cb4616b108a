//! One process per data directory.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::error::io_error;

/// The file that is locked; it holds the process id of the last who locked it.
pub(super) const LOCK_FILE: &str = "kestrel.lock";

/// A data directory that is ours until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Locks `dir`, which must exist. 55000 when another process has it.
    pub(super) fn acquire(dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| io_error("open", &path, &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(dir, &mut file)),
            Err(TryLockError::Error(e)) => return Err(io_error("lock", &path, &e)),
        }
        // The content is for people only: the lock is what counts.
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|e| io_error("write", &path, &e))?;
        Ok(Self { _file: file })
    }
}

fn in_use(dir: &Path, file: &mut File) -> ErrorReport {
    let mut owner = String::new();
    // Best effort: the owner may not have written it yet.
    let owner = match file.read_to_string(&mut owner) {
        Ok(_) if !owner.trim().is_empty() => format!("process {}", owner.trim()),
        _ => "another process".to_string(),
    };
    ErrorReport::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("data directory \"{}\" is in use by {owner}", dir.display()),
    )
    .hint("Stop that process, or use another data directory.")
}
