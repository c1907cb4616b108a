//! Arrays as texts: `{1,NULL,"a b"}` (`array_in` and `array_out` in PostgreSQL's arrayfuncs.c).

use std::str::Chars;

use kestrel_proto::{ErrorReport, Result, SqlState};

/// The texts of the elements of an array of one dimension; `None`: NULL.
///
/// Errors: 22P02; 0A000 for arrays of arrays.
pub(crate) fn elements(text: &str) -> Result<Vec<Option<String>>> {
    let trimmed = text.trim_ascii();
    // `[1:3]={1,2,3}`: arrays begin at 1.
    let body = match trimmed.strip_prefix("[1:").and_then(|t| t.split_once("]=")) {
        Some((_, body)) => body,
        None => trimmed,
    };
    let Some(body) = body.strip_prefix('{') else {
        let detail = "Array value must start with \"{\" or dimension information.";
        return Err(malformed(text, detail));
    };
    let mut chars = body.chars();
    let mut found = Vec::new();
    loop {
        let Element { value, quoted, end } = element(&mut chars, text)?;
        match (value.is_empty() && !quoted, end) {
            (true, '}') if found.is_empty() => {}
            (true, c) => return Err(malformed(text, &format!("Unexpected \"{c}\" character."))),
            (false, _) if !quoted && value.eq_ignore_ascii_case("null") => found.push(None),
            (false, _) => found.push(Some(value)),
        }
        if end == '}' {
            break;
        }
    }
    match chars.all(|c| c.is_ascii_whitespace()) {
        true => Ok(found),
        false => Err(malformed(text, "Junk after closing right brace.")),
    }
}

fn malformed(text: &str, detail: &str) -> ErrorReport {
    let message = format!("malformed array literal: \"{text}\"");
    ErrorReport::new(SqlState::INVALID_TEXT_REPRESENTATION, message).detail(detail)
}

/// An element as it is read.
struct Element {
    value: String,
    quoted: bool,
    /// What stands behind it.
    end: char,
}

/// The next element. Blanks around it do not count, unless they are quoted or escaped.
fn element(chars: &mut Chars<'_>, text: &str) -> Result<Element> {
    let unfinished = || malformed(text, "Unexpected end of input.");
    let misquoted = || malformed(text, "Incorrectly quoted array element.");
    let (mut value, mut quoted, mut kept) = (String::new(), false, 0);
    loop {
        match chars.next().ok_or_else(unfinished)? {
            '{' => {
                return Err(ErrorReport::unsupported(
                    "arrays of more than one dimension are not supported",
                ));
            }
            end @ (',' | '}') => {
                value.truncate(kept);
                return Ok(Element { value, quoted, end });
            }
            '"' if quoted || kept > 0 => return Err(misquoted()),
            '"' => {
                (value, quoted) = (quoted_text(chars).ok_or_else(unfinished)?, true);
                kept = value.len();
            }
            c if c.is_ascii_whitespace() => {
                if !quoted && kept > 0 {
                    value.push(c);
                }
            }
            _ if quoted => return Err(misquoted()),
            '\\' => {
                value.push(chars.next().ok_or_else(unfinished)?);
                kept = value.len();
            }
            c => {
                value.push(c);
                kept = value.len();
            }
        }
    }
}

/// What stands before the next quote; `None`: there is none.
fn quoted_text(chars: &mut Chars<'_>) -> Option<String> {
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
}

/// Appends an element, in quotes where it would not be read back without.
pub(crate) fn put_element(text: &str, out: &mut String) {
    let special = |c: char| {
        matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_ascii_whitespace() || c == '\u{b}'
    };
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && !text.contains(special) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_texts_are_read_and_written_as_postgresql_does() {
        let some = |texts: &[&str]| texts.iter().map(|t| Some(t.to_string())).collect::<Vec<_>>();
        assert_eq!(elements("{}").unwrap(), []);
        assert_eq!(elements(" { 1 , 2 } ").unwrap(), some(&["1", "2"]));
        assert_eq!(elements("[1:2]={1,2}").unwrap(), some(&["1", "2"]));
        assert_eq!(
            elements(r#"{"a b",null,"null",c\,d ,"","x\"y", e f }"#).unwrap(),
            [some(&["a b"]), vec![None], some(&["null", "c,d", "", "x\"y", "e f"])].concat()
        );
        for text in ["", "1", "{1", "{,}", "{1,}", "{1}x", "{\"a\"b}", "{a\"b\"}"] {
            let error = elements(text).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::INVALID_TEXT_REPRESENTATION, "{text}");
        }
        assert_eq!(elements("{{1}}").unwrap_err().sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
        let mut out = String::new();
        for text in ["a", "", "NULL", "a b", "a,b", "q\"\\"] {
            put_element(text, &mut out);
            out.push(';');
        }
        assert_eq!(out, r#"a;"";"NULL";"a b";"a,b";"q\"\\";"#);
    }
}
