//! The log: one line per event on standard error, as text or as JSON.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::{CommandError, Result};

/// What is logged, in the syntax of `tracing_subscriber::EnvFilter`.
const FILTER_VARIABLE: &str = "KESTREL_LOG";
/// How.
const FORMAT_VARIABLE: &str = "KESTREL_LOG_FORMAT";

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// For programs: one object per line
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logging {
    filter: String,
    format: LogFormat,
}

/// The subscriber is the process's, and so is what it was told.
static STARTED: OnceLock<Logging> = OnceLock::new();

impl Logging {
    /// What the command line says, else the environment (`variable`), else `default_filter` as
    /// text.
    pub(crate) fn choose(
        format: Option<LogFormat>,
        default_filter: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let given = |name| variable(name).filter(|value| !value.is_empty());
        let format = match (format, given(FORMAT_VARIABLE)) {
            (Some(format), _) => format,
            (None, Some(text)) => LogFormat::from_str(&text, false).map_err(|_| {
                CommandError::usage(format!("{FORMAT_VARIABLE} is '{text}', not 'text' or 'json'"))
            })?,
            (None, None) => LogFormat::Text,
        };
        let filter = given(FILTER_VARIABLE).unwrap_or_else(|| default_filter.to_string());
        Ok(Self { filter, format })
    }

    /// Logs from now on.
    pub(crate) fn start(self) -> Result<()> {
        let filter = EnvFilter::try_new(&self.filter).map_err(|error| {
            CommandError::usage(format!("{FILTER_VARIABLE} is '{}': {error}", self.filter))
        })?;
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
        // Refused when this process logs already: then it goes on as it began.
        let _ = match self.format {
            LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
            LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).try_init(),
        };
        let _ = STARTED.set(self);
        Ok(())
    }

    fn variables(&self) -> [(&'static str, String); 2] {
        let format = match self.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        [(FILTER_VARIABLE, self.filter.clone()), (FORMAT_VARIABLE, format.to_string())]
    }
}

/// The environment in which a child process logs as this one does.
pub(crate) fn variables_for_children() -> Vec<(&'static str, String)> {
    STARTED.get().map(|logging| logging.variables().to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(format: Option<LogFormat>, variables: &[(&str, &str)]) -> Result<Logging> {
        let value = |name: &str| Some(variables.iter().find(|(n, _)| *n == name)?.1.to_string());
        Logging::choose(format, "warn", value)
    }

    #[test]
    fn flags_come_before_the_environment() {
        let logging = |filter: &str, format| Logging { filter: filter.into(), format };
        let (text, json) = (LogFormat::Text, LogFormat::Json);
        for (format, variables, expected) in [
            (None, vec![], logging("warn", text)),
            (None, vec![("KESTREL_LOG", ""), ("KESTREL_LOG_FORMAT", "")], logging("warn", text)),
            (None, vec![("KESTREL_LOG_FORMAT", "json")], logging("warn", json)),
            (Some(text), vec![("KESTREL_LOG_FORMAT", "json")], logging("warn", text)),
            (Some(json), vec![("KESTREL_LOG", "info,h2=off")], logging("info,h2=off", json)),
        ] {
            assert_eq!(choose(format, &variables).unwrap(), expected, "{format:?} {variables:?}");
        }
    }

    #[test]
    fn a_child_logs_the_same() {
        let json = choose(Some(LogFormat::Json), &[("KESTREL_LOG", "debug")]).unwrap();
        let variables = json.variables();
        let variables: Vec<_> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(choose(None, &variables).unwrap(), json);
    }

    #[test]
    fn what_is_not_understood_is_a_usage_error() {
        let format = choose(None, &[("KESTREL_LOG_FORMAT", "xml")]).unwrap_err();
        assert_eq!(format.exit_status(), 2);
        assert_eq!(format.to_string(), "KESTREL_LOG_FORMAT is 'xml', not 'text' or 'json'");
        let filter = choose(None, &[("KESTREL_LOG", "kestrel=loud")]).unwrap();
        let error = filter.start().unwrap_err();
        assert_eq!(error.exit_status(), 2);
        assert!(error.to_string().starts_with("KESTREL_LOG is 'kestrel=loud': "), "{error}");
    }
}
