//! A record's values, in COPY's text and csv formats (PostgreSQL's `CopyReadAttributesText` and
//! `CopyReadAttributesCSV`, `src/backend/commands/copyfromparse.c`).
//!
//! No value has memory of its own: all stand in one text, which is the record's own where nothing in
//! it is escaped or quoted.

use kestrel_planner::wire_binary::utf8;
use kestrel_proto::Result;
use memchr::{memchr_iter, memchr3};

use super::records::RecordFormat;

/// Where a value begins and ends in its text; `None`: the null text, not quoted.
type Span = Option<(usize, usize)>;

/// The values of a record.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    text: &'a str,
    spans: &'a [Span],
}

impl<'a> Values<'a> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// `None`: the null text, not quoted.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&'a str>> {
        let text = self.text;
        self.spans.iter().map(move |span| span.map(|(start, end)| &text[start..end]))
    }
}

/// Cuts one record after the other into values.
#[derive(Debug, Default)]
pub(super) struct ValueCutter {
    spans: Vec<Span>,
    /// The values without escapes and quotes, one behind the other.
    unescaped: String,
    /// A csv value that is being read.
    value: Vec<u8>,
}

impl ValueCutter {
    /// Of a line of text without a backslash.
    pub(super) fn plain_text<'a>(&'a mut self, line: &'a str, format: &RecordFormat) -> Values<'a> {
        self.spans.clear();
        let mut start = 0;
        for end in memchr_iter(format.delimiter, line.as_bytes()).chain([line.len()]) {
            let is_null = line[start..end] == format.null;
            self.spans.push((!is_null).then_some((start, end)));
            start = end + 1;
        }
        Values { text: line, spans: &self.spans }
    }

    /// Of any line of text.
    ///
    /// # Errors
    /// 22021: what escapes stand for is no text.
    pub(super) fn escaped_text(&mut self, line: &str, format: &RecordFormat) -> Result<Values<'_>> {
        self.clear();
        let mut rest = line;
        loop {
            let end = text_value_end(rest, format.delimiter);
            let raw = &rest[..end];
            if raw == format.null {
                self.spans.push(None);
            } else {
                let start = self.unescaped.len();
                unescape(raw, &mut self.unescaped)?;
                self.spans.push(Some((start, self.unescaped.len())));
            }
            if end == rest.len() {
                return Ok(Values { text: &self.unescaped, spans: &self.spans });
            }
            rest = &rest[end + 1..];
        }
    }

    /// Of a csv record.
    pub(super) fn csv(&mut self, record: &str, format: &RecordFormat) -> Values<'_> {
        self.clear();
        let RecordFormat { delimiter, quote, escape, .. } = *format;
        let (mut is_quoted, mut was_quoted) = (false, false);
        let bytes = record.as_bytes();
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let plain = memchr3(delimiter, quote, escape, rest).unwrap_or(rest.len());
            self.value.extend_from_slice(&rest[..plain]);
            at += plain;
            let Some(byte) = bytes.get(at).copied() else { break };
            let next = bytes.get(at + 1).copied();
            at += 1;
            if is_quoted && byte == escape && (next == Some(quote) || next == Some(escape)) {
                self.value.extend(next);
                at += 1;
            } else if byte == quote {
                is_quoted = !is_quoted;
                was_quoted = true;
            } else if byte == delimiter && !is_quoted {
                self.close_csv(was_quoted, &format.null);
                was_quoted = false;
            } else {
                self.value.push(byte);
            }
        }
        self.close_csv(was_quoted, &format.null);
        Values { text: &self.unescaped, spans: &self.spans }
    }

    fn close_csv(&mut self, was_quoted: bool, null: &str) {
        let start = self.unescaped.len();
        self.unescaped.push_str(&String::from_utf8_lossy(&self.value));
        self.value.clear();
        let is_null = !was_quoted && self.unescaped[start..] == *null;
        self.spans.push((!is_null).then_some((start, self.unescaped.len())));
    }

    fn clear(&mut self) {
        self.spans.clear();
        self.unescaped.clear();
    }
}

fn text_value_end(text: &str, delimiter: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == delimiter => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Appends a value: `\t`, `\n`, octal and hexadecimal escapes; any other escaped character stands
/// for itself.
///
/// # Errors
/// 22021: the bytes that it stands for are no text.
fn unescape(raw: &str, value: &mut String) -> Result<()> {
    if !raw.contains('\\') {
        value.push_str(raw);
        return Ok(());
    }
    let bytes = raw.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' || at + 1 == bytes.len() {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        at += 1;
        let escaped = bytes[at];
        let (digits, radix, from) = match escaped {
            b'0'..=b'7' => (3, 8, at),
            b'x' => (2, 16, at + 1),
            _ => (0, 0, at),
        };
        let run = bytes[from.min(bytes.len())..].iter().take(digits);
        let run: String =
            run.map(|b| *b as char).take_while(|c| c.is_digit(radix.max(2))).collect();
        match (digits > 0).then(|| u32::from_str_radix(&run, radix)) {
            Some(Ok(code)) => {
                out.push(code as u8);
                at = from + run.len();
            }
            _ => {
                out.push(match escaped {
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 11,
                    other => other,
                });
                at += 1;
            }
        }
    }
    value.push_str(utf8(&out)?);
    Ok(())
}
