//! `parse_ident(text [, strict])`: the parts of a qualified name (PostgreSQL's
//! `src/backend/utils/adt/misc.c`).

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::functions::row::{
    Call, Datum, Function,
    Type::{Boolean, Text, TextArray},
    strict,
};

pub(crate) const IDENTIFIER_FUNCTIONS: &[Function] = &[Function {
    name: "parse_ident",
    overloads: &[
        strict(&[Text], TextArray, parse_ident),
        strict(&[Text, Boolean], TextArray, parse_ident),
    ],
}];

fn invalid(text: &str) -> ErrorReport {
    let message = format!("string is not a valid identifier: \"{text}\"");
    ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn parse_ident(_: &Call, arguments: &[Datum]) -> Result<Datum> {
    let text = arguments[0].text();
    let is_strict = arguments.get(1) != Some(&Datum::Bool(false));
    let mut parts = Vec::new();
    let mut rest = without_blanks(text);
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => self::quoted(quoted, text)?,
            None => plain(rest),
        };
        if part.is_empty() {
            return Err(match (rest.starts_with('.'), parts.is_empty()) {
                (true, _) => invalid(text).detail("No valid identifier before \".\"."),
                (false, false) => invalid(text).detail("No valid identifier after \".\"."),
                (false, true) => invalid(text),
            });
        }
        parts.push(Datum::Text(part));
        rest = without_blanks(after);
        match rest.strip_prefix('.') {
            Some(after) => rest = without_blanks(after),
            None if rest.is_empty() || !is_strict => return Ok(Datum::List(parts)),
            None => return Err(invalid(text)),
        }
    }
}

fn without_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}'])
}

/// What stands before the closing quote, and what behind it.
fn quoted<'a>(mut rest: &'a str, text: &str) -> Result<(String, &'a str)> {
    let mut part = String::new();
    loop {
        let Some((before, after)) = rest.split_once('"') else {
            return Err(invalid(text).detail("String has unclosed double quotes."));
        };
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                part.push('"');
                rest = after;
            }
            None if part.is_empty() => {
                return Err(invalid(text).detail("Quoted identifier must not be empty."));
            }
            None => return Ok((part, after)),
        }
    }
}

/// The name without quotes at the front, in lower case, and the rest.
fn plain(text: &str) -> (String, &str) {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let goes_on = |c: char| begins(c) || c.is_ascii_digit() || c == '$';
    let end = match text.starts_with(begins) {
        true => text.find(|c: char| !goes_on(c)).unwrap_or(text.len()),
        false => 0,
    };
    let (name, rest) = text.split_at(end);
    (name.to_ascii_lowercase(), rest)
}
