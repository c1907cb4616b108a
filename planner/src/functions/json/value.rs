//! JSON values: reading (RFC 8259, PostgreSQL's `json_in`) and printing (`jsonb_out`, jsonb.c).

use std::fmt::Write;

use kestrel_proto::{ErrorReport, Result, SqlState};

/// Levels of arrays and objects within each other; reading and printing recurse.
const MAX_DEPTH: usize = 512;

/// A value. Numbers keep their digits; members keep their order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As it is printed.
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a text as type json does: members stay as they are written.
    ///
    /// Errors: 22P02, 54001 for too many levels.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.blanks();
        if reader.at < text.len() { Err(reader.unexpected()) } else { Ok(value) }
    }

    /// The value as type jsonb holds it: of members with the same key the last, shorter keys
    /// first, numbers without exponent.
    pub(crate) fn canonical(self) -> Self {
        match self {
            Self::Number(digits) => Self::Number(plain_number(&digits)),
            Self::Array(elements) => {
                Self::Array(elements.into_iter().map(Self::canonical).collect())
            }
            Self::Object(members) => {
                let mut unique: Vec<(String, Self)> = Vec::with_capacity(members.len());
                for (key, value) in members {
                    unique.push((key, value.canonical()));
                }
                // The sort is stable, so that the last of equal keys stays last.
                unique.sort_by(|(a, _), (b, _)| key_order(a).cmp(&key_order(b)));
                let mut kept: Vec<(String, Self)> = Vec::with_capacity(unique.len());
                for member in unique {
                    match kept.last_mut() {
                        Some(last) if last.0 == member.0 => *last = member,
                        _ => kept.push(member),
                    }
                }
                Self::Object(kept)
            }
            other => other,
        }
    }

    /// `{"a": 1, "b": [2, 3]}`, as jsonb is printed.
    pub(crate) fn spaced(&self) -> String {
        let mut out = String::new();
        self.print(&mut out, ", ", ": ");
        out
    }

    /// `{"a":1,"b":[2,3]}`, as json functions print what they take apart.
    pub(crate) fn compact(&self) -> String {
        let mut out = String::new();
        self.print(&mut out, ",", ":");
        out
    }

    fn print(&self, out: &mut String, comma: &str, colon: &str) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::String(text) => quote(text, out),
            Self::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    out.push_str(if at > 0 { comma } else { "" });
                    element.print(out, comma, colon);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { comma } else { "" });
                    quote(key, out);
                    out.push_str(colon);
                    value.print(out, comma, colon);
                }
                out.push('}');
            }
        }
    }

    /// `jsonb_pretty`: four blanks per level.
    pub(crate) fn pretty(&self) -> String {
        let mut out = String::new();
        self.print_pretty(&mut out, 0);
        out
    }

    fn print_pretty(&self, out: &mut String, level: usize) {
        let line = |out: &mut String, level: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n("    ", level));
        };
        match self {
            Self::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    line(out, level + 1);
                    element.print_pretty(out, level + 1);
                }
                line(out, level);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    line(out, level + 1);
                    quote(key, out);
                    out.push_str(": ");
                    value.print_pretty(out, level + 1);
                }
                line(out, level);
                out.push('}');
            }
            scalar => scalar.print(out, ", ", ": "),
        }
    }

    /// What `->>` gives: a string without quotes, nothing for null.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::String(text) => Some(text.clone()),
            other => Some(other.spaced()),
        }
    }

    /// The word of `jsonb_typeof`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// A member by its key; of several with this key the last.
    pub(crate) fn member(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// An element by its position from 0, or from the end by a negative one.
    pub(crate) fn element(&self, position: i64) -> Option<&Self> {
        let Self::Array(elements) = self else { return None };
        let position = if position < 0 { position + elements.len() as i64 } else { position };
        elements.get(usize::try_from(position).ok()?)
    }

    /// One step of a path: a key of an object, a position of an array.
    pub(crate) fn step(&self, step: &str) -> Option<&Self> {
        match self {
            Self::Object(_) => self.member(step),
            Self::Array(_) => self.element(step.trim().parse().ok()?),
            _ => None,
        }
    }
}

/// Members of jsonb: shorter keys first, then by their bytes (`lengthCompareJsonbStringValue`).
fn key_order(key: &str) -> (usize, &str) {
    (key.len(), key)
}

/// A string with quotes around it (`escape_json`).
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The digits of a numeric: `1e3` is 1000, `1.50` stays.
fn plain_number(digits: &str) -> String {
    let Some((mantissa, exponent)) = digits.split_once(['e', 'E']) else {
        return if digits == "-0" { "0".into() } else { digits.into() };
    };
    let exponent: i64 = exponent.parse::<i64>().unwrap_or(0).clamp(-20_000, 150_000);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all: String = format!("{whole}{fraction}");
    let point = whole.len() as i64 + exponent;
    let (whole, fraction) = if point <= 0 {
        ("0".to_string(), format!("{}{all}", "0".repeat(point.unsigned_abs() as usize)))
    } else if point as usize >= all.len() {
        (format!("{all}{}", "0".repeat(point as usize - all.len())), String::new())
    } else {
        (all[..point as usize].to_string(), all[point as usize..].to_string())
    };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let is_zero = whole == "0" && fraction.bytes().all(|b| b == b'0');
    let sign = if is_zero { "" } else { sign };
    match fraction.is_empty() {
        true => format!("{sign}{whole}"),
        false => format!("{sign}{whole}.{fraction}"),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn unexpected(&self) -> ErrorReport {
        let report = ErrorReport::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type json",
        );
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == '.';
        let end = rest.find(|c| !is_word(c)).filter(|end| *end > 0);
        let token = match (rest.chars().next(), end) {
            (None, _) => return report.detail("The input string ended unexpectedly."),
            (Some(_), Some(end)) => &rest[..end],
            (Some(c), None) if !is_word(c) => &rest[..c.len_utf8()],
            (Some(_), None) => rest,
        };
        report.detail(format!("Token \"{token}\" is invalid."))
    }

    fn take(&mut self, byte: u8) -> Result<()> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.unexpected())
    }

    fn value(&mut self, depth: usize) -> Result<Json> {
        if depth > MAX_DEPTH {
            let message = "stack depth limit exceeded";
            return Err(ErrorReport::new(SqlState::STATEMENT_TOO_COMPLEX, message));
        }
        self.blanks();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Json> {
        let words =
            [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))];
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        for (word, value) in words {
            if &rest[..end] == word {
                self.at += end;
                return Ok(value);
            }
        }
        Err(self.unexpected())
    }

    fn number(&mut self) -> Result<Json> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |from: usize| {
            bytes.get(from..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count()
        };
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        let whole = digits(at);
        let leading_zero = whole > 1 && bytes.get(at) == Some(&b'0');
        at += whole;
        let mut valid = whole > 0 && !leading_zero;
        if bytes.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            valid &= fraction > 0;
            at += 1 + fraction;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let signed = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at + 1 + signed);
            valid &= exponent > 0;
            at += 1 + signed + exponent;
        }
        valid &= !bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        if !valid {
            return Err(self.unexpected());
        }
        self.at = at;
        Ok(Json::Number(self.text[start..at].to_string()))
    }

    fn array(&mut self, depth: usize) -> Result<Json> {
        self.take(b'[')?;
        let mut elements = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => {
                    self.take(b']')?;
                    return Ok(Json::Array(elements));
                }
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json> {
        self.take(b'{')?;
        let mut members = Vec::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let key = self.string()?;
            self.blanks();
            self.take(b':')?;
            members.push((key, self.value(depth + 1)?));
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => {
                    self.take(b'}')?;
                    return Ok(Json::Object(members));
                }
            }
        }
    }

    fn string(&mut self) -> Result<String> {
        self.take(b'"')?;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let stop = rest.find(|c: char| c == '"' || c == '\\' || u32::from(c) < 0x20);
            let Some(stop) = stop else {
                self.at = self.text.len();
                return Err(self.unexpected());
            };
            out.push_str(&rest[..stop]);
            self.at += stop;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let simple = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(simple)
    }

    /// `\uXXXX`, two of them for characters beyond the first plane.
    fn unicode(&mut self) -> Result<char> {
        let first = self.hex()?;
        let code = match first {
            0xd800..=0xdbff if self.text.get(self.at..).is_some_and(|r| r.starts_with("\\u")) => {
                self.at += 2;
                let second = self.hex()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(self.unexpected());
                }
                0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        if code == 0 {
            return Err(ErrorReport::new(
                SqlState::UNTRANSLATABLE_CHARACTER,
                "unsupported Unicode escape sequence",
            )
            .detail("\\u0000 cannot be converted to text."));
        }
        char::from_u32(code).ok_or_else(|| self.unexpected())
    }

    fn hex(&mut self) -> Result<u32> {
        let digits = self.text.get(self.at..self.at + 4);
        let all_hex = |d: &&str| d.bytes().all(|b| b.is_ascii_hexdigit());
        let code = digits.filter(all_hex).and_then(|d| u32::from_str_radix(d, 16).ok());
        match code {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => Err(self.unexpected()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jsonb_is_printed_as_postgresql_prints_it() {
        // select x::jsonb
        let cases = [
            (r#"{"bb":1, "a" : [1,2, {"x":null}],"a":2}"#, r#"{"a": 2, "bb": 1}"#),
            ("[1e3, 1.50, -0, 1E-3, 12.5e1, -1.5e0]", "[1000, 1.50, 0, 0.001, 125, -1.5]"),
            (r#""a\u00e9\n\ud83d\ude00""#, "\"aé\\n😀\""),
            (" true ", "true"),
            ("{}", "{}"),
            ("[]", "[]"),
        ];
        for (text, expected) in cases {
            assert_eq!(Json::parse(text).unwrap().canonical().spaced(), expected);
        }
    }

    #[test]
    fn what_is_no_json_is_22p02() {
        for text in ["", "{", "[1,", "{\"a\"}", "01", "1.", "nul", "tru e", "\"a", "[1] 2", "{a:1}"]
        {
            let error = Json::parse(text).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::INVALID_TEXT_REPRESENTATION, "{text}");
        }
        assert!(Json::parse(&"[".repeat(100_000)).is_err());
    }
}
