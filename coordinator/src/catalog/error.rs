//! SQLite's and the file system's errors, as a client should see them.

use std::path::Path;

use kestrel_proto::{ErrorReport, SqlState};
use rusqlite::ErrorCode;

/// What failed, and how it looks to a client.
pub(super) fn sqlite_error(what: &str, error: rusqlite::Error) -> ErrorReport {
    let sqlstate = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => SqlState::DISK_FULL,
        Some(ErrorCode::OutOfMemory) => SqlState::OUT_OF_MEMORY,
        Some(ErrorCode::DatabaseCorrupt) => SqlState::DATA_CORRUPTED,
        Some(ErrorCode::NotADatabase) => SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
        }
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed,
        ) => SqlState::IO_ERROR,
        _ => SqlState::INTERNAL_ERROR,
    };
    ErrorReport::new(sqlstate, format!("could not {what} the catalog: {error}"))
}

/// A failed operation on a file or directory (58030; 53100 when the disk is full).
pub(super) fn io_error(what: &str, path: &Path, error: &std::io::Error) -> ErrorReport {
    let sqlstate = match error.kind() {
        std::io::ErrorKind::StorageFull => SqlState::DISK_FULL,
        _ => SqlState::IO_ERROR,
    };
    ErrorReport::new(sqlstate, format!("could not {what} \"{}\": {error}", path.display()))
}

/// The catalog holds something that this program never wrote.
pub(super) fn corrupted(what: &str, why: impl std::fmt::Display) -> ErrorReport {
    ErrorReport::new(SqlState::DATA_CORRUPTED, format!("the catalog's {what} is damaged: {why}"))
        .hint("Restore the data directory from a backup.")
}
