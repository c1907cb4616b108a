//! Opens files as the coordinator has found them.

use std::{fs, fs::File, path::Path};

use kestrel_planner::copy::FilePart;
use kestrel_proto::{ErrorReport, Result, SqlState, could_not_open};

/// Opens the file of a part.
///
/// # Errors
/// 58P01, 42501, 58030: it cannot be opened. 55000: it is not the file that the coordinator has
/// found: the machines differ, or it has changed since.
pub(super) fn open(part: &FilePart) -> Result<File> {
    let path = Path::new(&part.path);
    let failed = |error| could_not_open(&part.path, &error);
    // The coordinator has followed all links, and has looked where they end. One that is only here
    // could lead anywhere.
    if fs::canonicalize(path).map_err(failed)? != path {
        return Err(differs(part));
    }
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() != part.length {
        return Err(differs(part));
    }
    Ok(file)
}

/// 55000
pub(super) fn differs(part: &FilePart) -> ErrorReport {
    let message = format!("file \"{}\" is not the one that the coordinator has found", part.path);
    ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).hint(
        "All machines of the cluster must have the same files under this path, and they must not \
         change while they are read.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_file_itself_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(directory.path()).unwrap();
        fs::write(base.join("a"), "12345").unwrap();
        std::os::unix::fs::symlink(base.join("a"), base.join("link")).unwrap();
        let sqlstate = |name: &str, length| {
            let path = base.join(name).to_string_lossy().into_owned();
            let part = FilePart { path, start: 0, end: length, length };
            open(&part).map(drop).map_err(|error| error.sqlstate)
        };
        assert_eq!(sqlstate("a", 5), Ok(()));
        assert_eq!(sqlstate("a", 4), Err(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE));
        assert_eq!(sqlstate("link", 5), Err(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE));
        assert_eq!(sqlstate("b", 5), Err(SqlState::UNDEFINED_FILE));
    }
}
