//! Texts that are JSON (RFC 8259, PostgreSQL's `json_in`): read, or taken apart as they are written.

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::Json;

/// Levels of arrays and objects within each other; reading and printing recurse.
const MAX_DEPTH: usize = 512;

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
}

/// What a text that is JSON consists of, as it is written.
pub(crate) enum Parts<'a> {
    Elements(Vec<&'a str>),
    Members(Vec<(String, &'a str)>),
    Scalar,
}

impl<'a> Parts<'a> {
    /// Takes one level apart.
    ///
    /// Errors: 22P02.
    pub(crate) fn of(text: &'a str) -> Result<Self> {
        let mut reader = Reader { text, at: 0 };
        reader.blanks();
        let (mut elements, mut members) = (Vec::new(), Vec::new());
        let is_object = match reader.peek() {
            Some(b'{') => true,
            Some(b'[') => false,
            _ => return Ok(Self::Scalar),
        };
        let close = if is_object { b'}' } else { b']' };
        reader.at += 1;
        reader.blanks();
        while reader.peek() != Some(close) {
            let key = if is_object { Some(reader.key()?) } else { None };
            reader.blanks();
            let start = reader.at;
            reader.value(1)?;
            let value = text.get(start..reader.at).unwrap_or_default();
            match key {
                Some(key) => members.push((key, value)),
                None => elements.push(value),
            }
            reader.blanks();
            if reader.peek() != Some(close) {
                reader.take(b',')?;
                reader.blanks();
            }
        }
        Ok(if is_object { Self::Members(members) } else { Self::Elements(elements) })
    }

    /// A member by its key; of several with this key the last.
    pub(crate) fn member(&self, key: &str) -> Option<&'a str> {
        match self {
            Self::Members(members) => {
                members.iter().rev().find(|(k, _)| k == key).map(|(_, value)| *value)
            }
            _ => None,
        }
    }

    /// An element by its position from 0, or from the end by a negative one.
    pub(crate) fn element(&self, position: i64) -> Option<&'a str> {
        let Self::Elements(elements) = self else { return None };
        let position = if position < 0 { position + elements.len() as i64 } else { position };
        elements.get(usize::try_from(position).ok()?).copied()
    }

    /// One step of a path: a key of an object, a position of an array.
    pub(crate) fn step(&self, step: &str) -> Option<&'a str> {
        match self {
            Self::Members(_) => self.member(step),
            Self::Elements(_) => self.element(step.trim().parse().ok()?),
            Self::Scalar => None,
        }
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
            let key = self.key()?;
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

    /// A key and its colon.
    fn key(&mut self) -> Result<String> {
        self.blanks();
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let key = self.string()?;
        self.blanks();
        self.take(b':')?;
        Ok(key)
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
    fn parts_are_as_they_are_written() {
        let object = Parts::of(" {\"a\" : [1,  2], \"b\":{ \"c\":null } , \"a\":1.50}").unwrap();
        assert_eq!(object.member("a"), Some("1.50"));
        assert_eq!(object.step("b"), Some("{ \"c\":null }"));
        assert_eq!(object.member("x"), None);
        let array = Parts::of("[1,  [2 ,3],\"x\" ]").unwrap();
        assert_eq!(array.element(1), Some("[2 ,3]"));
        assert_eq!(array.element(-1), Some("\"x\""));
        assert_eq!(array.step("0"), Some("1"));
        assert!(matches!(Parts::of("[]"), Ok(Parts::Elements(elements)) if elements.is_empty()));
        assert!(matches!(Parts::of("12"), Ok(Parts::Scalar)));
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
