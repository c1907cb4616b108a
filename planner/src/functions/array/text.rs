//! Arrays as texts: `{1,NULL,"a b"}` (`array_in` and `array_out` in PostgreSQL's arrayfuncs.c).

use kestrel_proto::{ErrorReport, Result, SqlState};

/// The texts of the elements of an array of one dimension; `None`: NULL.
///
/// Errors: 22P02; 0A000 for arrays of arrays.
pub(crate) fn elements(text: &str) -> Result<Vec<Option<String>>> {
    let malformed = |detail: &str| {
        Err(ErrorReport::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("malformed array literal: \"{text}\""),
        )
        .detail(detail))
    };
    let trimmed = text.trim_ascii();
    // `[1:3]={1,2,3}`: arrays begin at 1.
    let body = match trimmed.strip_prefix("[1:").and_then(|t| t.split_once("]=")) {
        Some((_, body)) => body,
        None => trimmed,
    };
    let Some(body) = body.strip_prefix('{') else {
        return malformed("Array value must start with \"{\" or dimension information.");
    };
    let mut chars = body.chars().peekable();
    let mut found = Vec::new();
    loop {
        while chars.peek().is_some_and(char::is_ascii_whitespace) {
            chars.next();
        }
        let (mut element, mut quoted) = (String::new(), false);
        // The blanks at the end of an element without quotes do not count; escaped ones do.
        let mut kept = 0;
        let end = loop {
            match chars.next() {
                None => return malformed("Unexpected end of input."),
                Some('{') => {
                    return Err(ErrorReport::unsupported(
                        "arrays of more than one dimension are not supported",
                    ));
                }
                Some(c @ (',' | '}')) => break c,
                Some('"') if quoted || !element.trim_ascii().is_empty() => {
                    return malformed("Incorrectly quoted array element.");
                }
                Some('"') => {
                    quoted = true;
                    loop {
                        match chars.next() {
                            None => return malformed("Unexpected end of input."),
                            Some('"') => break,
                            Some('\\') => element.extend(chars.next()),
                            Some(c) => element.push(c),
                        }
                    }
                    kept = element.len();
                }
                Some('\\') => {
                    element.extend(chars.next());
                    kept = element.len();
                }
                Some(c) if c.is_ascii_whitespace() => {
                    if !quoted {
                        element.push(c);
                    }
                }
                Some(_) if quoted => return malformed("Incorrectly quoted array element."),
                Some(c) => {
                    element.push(c);
                    kept = element.len();
                }
            }
        };
        element.truncate(kept);
        let is_empty = element.is_empty() && !quoted;
        match (is_empty, end) {
            (true, '}') if found.is_empty() => {}
            (true, c) => return malformed(&format!("Unexpected \"{c}\" character.")),
            (false, _) if !quoted && element.eq_ignore_ascii_case("null") => found.push(None),
            (false, _) => found.push(Some(element)),
        }
        if end == '}' {
            break;
        }
    }
    match chars.all(|c| c.is_ascii_whitespace()) {
        true => Ok(found),
        false => malformed("Junk after closing right brace."),
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
