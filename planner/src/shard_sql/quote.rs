//! Names and strings in SQL text.

use kestrel_proto::{ErrorReport, Result, SqlState};

/// The longest identifier of PostgreSQL, in bytes (`NAMEDATALEN - 1`). It cuts what is longer.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// A name, always in double quotes: `"Naïve ""name"""`.
///
/// # Errors
/// 42622: it is longer than 63 bytes, and the database would take it for the name of which that is
/// the beginning. 42601: it is empty. 22021: it has a NUL.
pub fn identifier(name: &str) -> Result<String> {
    check_no_nul(name)?;
    if name.is_empty() {
        return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, "zero-length delimited identifier"));
    }
    if name.len() > IDENTIFIER_BYTES_MAX {
        let message = format!("identifier \"{name}\" is too long");
        let detail = format!("It has {} bytes; {IDENTIFIER_BYTES_MAX} are possible.", name.len());
        return Err(ErrorReport::new(SqlState::NAME_TOO_LONG, message).detail(detail));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// Names, quoted, with commas between them.
pub(super) fn identifiers<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let names: Vec<_> = names.into_iter().map(identifier).collect::<Result<_>>()?;
    Ok(names.join(", "))
}

/// A string constant: `'it''s'`. It is a standard string, in which a backslash is a backslash: the
/// session has `standard_conforming_strings = on`.
///
/// # Errors
/// 22021: it has a NUL, which no text of PostgreSQL's can have.
pub fn string(text: &str) -> Result<String> {
    check_no_nul(text)?;
    Ok(format!("'{}'", text.replace('\'', "''")))
}

fn check_no_nul(text: &str) -> Result<()> {
    if !text.contains('\0') {
        return Ok(());
    }
    let message = "invalid byte sequence for encoding \"UTF8\": 0x00";
    Err(ErrorReport::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_quotes() {
        for (name, expected) in [
            ("a", "\"a\""),
            ("Order", "\"Order\""),
            ("a\"b", "\"a\"\"b\""),
            ("\"; DROP TABLE t; --", "\"\"\"; DROP TABLE t; --\""),
            ("a'b\\", "\"a'b\\\""),
            ("été 🦅", "\"été 🦅\""),
        ] {
            assert_eq!(identifier(name).unwrap(), expected);
        }
    }

    #[test]
    fn strings_cannot_end_their_quotes() {
        for (text, expected) in [
            ("", "''"),
            ("it's", "'it''s'"),
            ("''", "''''''"),
            ("\\'; DROP TABLE t; --", "'\\''; DROP TABLE t; --'"),
            ("a\nb\t🦅", "'a\nb\t🦅'"),
        ] {
            assert_eq!(string(text).unwrap(), expected);
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let long = "é".repeat(32);
        for (name, sqlstate) in [
            ("a\0b", SqlState::CHARACTER_NOT_IN_REPERTOIRE),
            ("", SqlState::SYNTAX_ERROR),
            (long.as_str(), SqlState::NAME_TOO_LONG),
        ] {
            assert_eq!(identifier(name).unwrap_err().sqlstate, sqlstate, "{name:?}");
        }
        assert!(identifier(&"x".repeat(63)).is_ok());
        let error = string("a\0").unwrap_err();
        assert_eq!(error.sqlstate, SqlState::CHARACTER_NOT_IN_REPERTOIRE);
    }
}
