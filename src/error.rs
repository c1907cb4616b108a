//! Why a command ended early, and the exit status that says so.

use kestrel_proto::ErrorReport;

/// Why a command ended early. Its text is one line.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command line asks for something that cannot be meant: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// It could not be done: exit status 1.
    #[error("{0}")]
    Failure(String),
    /// SIGTERM or Ctrl-C came before the work was done: exit status 1.
    #[error("stopped by a signal before it was done")]
    Stopped,
}

/// The `Result` of everything a command does.
pub type Result<T, E = CommandError> = std::result::Result<T, E>;

impl CommandError {
    /// A usage error.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// A failure. Line breaks in the text become `; `.
    pub(crate) fn failure(text: impl AsRef<str>) -> Self {
        Self::Failure(one_line(text.as_ref()))
    }

    /// The exit status of the command.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failure(_) | Self::Stopped => 1,
        }
    }
}

impl From<ErrorReport> for CommandError {
    fn from(report: ErrorReport) -> Self {
        let mut text = report.message;
        for more in [report.detail, report.hint].into_iter().flatten() {
            text.push('\n');
            text.push_str(&more);
        }
        Self::failure(text)
    }
}

/// The text on one line.
pub(crate) fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use kestrel_proto::SqlState;

    use super::*;

    #[test]
    fn an_error_is_one_line() {
        let report =
            ErrorReport::new(SqlState::INTERNAL_ERROR, "it broke").detail("a\nb").hint("c");
        let error = CommandError::from(report);
        assert_eq!(error.to_string(), "it broke; a; b; c");
        assert_eq!(error.exit_status(), 1);
        assert_eq!(CommandError::usage("no").exit_status(), 2);
    }
}
