//! Errors of the file system, for clients.

use std::{io, path::Path};

use kestrel_proto::{ErrorReport, SqlState};

/// `cannot <what> "<path>": …`: 53100 when the disk is full, else 58030.
pub(crate) fn io_error(what: &str, path: &Path, error: &io::Error) -> ErrorReport {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    );
    let sqlstate = if full { SqlState::DISK_FULL } else { SqlState::IO_ERROR };
    let report =
        ErrorReport::new(sqlstate, format!("cannot {what} \"{}\": {error}", path.display()));
    if full {
        report.hint("Free space on that disk, then run the statement again.")
    } else {
        report
    }
}
