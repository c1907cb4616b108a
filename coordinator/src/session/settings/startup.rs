//! The settings that a client asks for when it connects: parameters of the startup packet, and the
//! words of `options` (PostgreSQL's `process_postgres_switches`).

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::Settings;
use crate::server::StartupInfo;

impl Settings {
    /// Sets what the client asks for, if `may_set` lets it; RESET goes back to that.
    ///
    /// # Errors
    /// Those of SET and of `may_set`. 42601: `options` has other words than `-c name=value` and `--name=value`.
    pub(in super::super) fn start(
        &self,
        startup: &StartupInfo,
        may_set: &dyn Fn((&str, &str)) -> Result<()>,
    ) -> Result<()> {
        let one = |name: &str, value: &str| {
            may_set((name, value))?;
            self.set(name, &[value.to_string()])
        };
        for (name, value) in &startup.parameters {
            if name == "options" {
                for (name, value) in assignments(value)? {
                    one(&name, &value)?;
                }
            }
        }
        if !startup.application_name.is_empty() {
            one("application_name", &startup.application_name)?;
        }
        for (name, value) in &startup.parameters {
            if name != "options" && !name.starts_with("_pq_") {
                one(name, value)?;
            }
        }
        self.keep_as_defaults();
        Ok(())
    }
}

/// Names and values of `-c name=value`, `-cname=value` and `--name=value`.
pub(super) fn assignments(options: &str) -> Result<Vec<(String, String)>> {
    let mut assignments = Vec::new();
    let mut words = split(options).into_iter();
    while let Some(word) = words.next() {
        let assignment = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(long), _) => Some(long.to_string()),
            (None, Some("")) => words.next(),
            (None, Some(short)) => Some(short.to_string()),
            (None, None) => None,
        };
        let invalid = || {
            let message = format!("invalid command-line argument for server process: {word}");
            ErrorReport::new(SqlState::SYNTAX_ERROR, message)
        };
        let assignment = assignment.ok_or_else(invalid)?;
        let (name, value) = assignment.split_once('=').ok_or_else(|| {
            let message = format!("-c {assignment} requires a value");
            ErrorReport::new(SqlState::SYNTAX_ERROR, message)
        })?;
        // A dash in a name stands for an underscore.
        assignments.push((name.replace('-', "_"), value.to_string()));
    }
    Ok(assignments)
}

/// Words between blanks; a backslash makes the next character part of a word (`pg_split_opts`).
fn split(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => word.get_or_insert_default().extend(characters.next()),
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
