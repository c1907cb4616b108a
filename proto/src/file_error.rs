//! The system's errors of files that a statement names, in PostgreSQL's words.

use std::io;

use crate::{ErrorReport, SqlState};

/// `could not open file "…" for reading: …`: 58P01, 42501 or 58030 (PostgreSQL's
/// `errcode_for_file_access`, elog.c).
pub fn could_not_open(path: &str, error: &io::Error) -> ErrorReport {
    let sqlstate = match error.kind() {
        io::ErrorKind::NotFound => SqlState::UNDEFINED_FILE,
        io::ErrorKind::PermissionDenied => SqlState::INSUFFICIENT_PRIVILEGE,
        _ => SqlState::IO_ERROR,
    };
    let reason = error.to_string();
    let reason = reason.split(" (os error").next().unwrap_or_default();
    ErrorReport::new(sqlstate, format!("could not open file \"{path}\" for reading: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_postgresqls_words() {
        let error = could_not_open("/a", &io::Error::from_raw_os_error(2));
        assert_eq!(error.sqlstate, SqlState::UNDEFINED_FILE);
        let expected = "could not open file \"/a\" for reading: No such file or directory";
        assert_eq!(error.message, expected);
        let error = could_not_open("/a", &io::Error::from_raw_os_error(13));
        assert_eq!(error.sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
    }
}
