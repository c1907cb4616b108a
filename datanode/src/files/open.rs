//! Opens files as the coordinator has found them.

use std::{
    fs,
    fs::File,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::Path,
};

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
    // A pipe that has taken the file's place would be waited for.
    let flags = libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    // The coordinator has followed all links, and has looked where they end. One that is only here
    // could lead anywhere, and a path may become one at any time: what was opened counts.
    let opened = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if opened != path || !metadata.is_file() || metadata.len() != part.length {
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
        fs::create_dir(base.join("directory")).unwrap();
        let directory_length = fs::metadata(base.join("directory")).unwrap().len();
        let made = std::process::Command::new("mkfifo").arg(base.join("pipe")).status();
        assert!(made.unwrap().success());
        let sqlstate = |name: &str, length| {
            let path = base.join(name).to_string_lossy().into_owned();
            let part = FilePart { path, start: 0, end: length, length };
            open(&part).map(drop).map_err(|error| error.sqlstate)
        };
        assert_eq!(sqlstate("a", 5), Ok(()));
        assert_eq!(sqlstate("a", 4), Err(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE));
        assert_eq!(sqlstate("link", 5), Err(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE));
        for (name, length) in [("directory", directory_length), ("pipe", 0)] {
            let expected = Err(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
            assert_eq!(sqlstate(name, length), expected, "{name}");
        }
        assert_eq!(sqlstate("b", 5), Err(SqlState::UNDEFINED_FILE));
    }
}
