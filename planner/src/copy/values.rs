//! The values of records, in COPY's text and csv formats (PostgreSQL's `CopyReadAttributesText` and
//! `CopyReadAttributesCSV`, `src/backend/commands/copyfromparse.c`).
//!
//! No value has memory of its own: it stands in the text that its record came in or, where something
//! in it is escaped or quoted, in another that all records of a block share.

use kestrel_proto::Result;
use memchr::{memchr_iter, memchr3};

use super::RecordFormat;
use crate::wire_binary::utf8;

/// Where a value begins and ends, in bytes.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// [`UNESCAPED`] is added for one that stands there.
    start: u32,
    end: u32,
}

/// Added to the places of values that are not as they came. Blocks are shorter.
const UNESCAPED: u32 = 1 << 31;
/// The null text, not quoted.
const NULL: Span = Span { start: u32::MAX, end: u32::MAX };

/// The values of a block's records, row by row.
#[derive(Debug)]
pub(super) struct Values<'a> {
    format: &'a RecordFormat,
    /// The block's beginning, as far as it is text.
    text: &'a str,
    unescaped: String,
    spans: Vec<Span>,
}

/// The text of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordText<'a> {
    pub(super) text: &'a str,
    /// Where it begins in [`Values`]' text; `None`: it is not in there.
    pub(super) at: Option<usize>,
}

impl<'a> Values<'a> {
    /// None yet, of a block that begins with this text.
    pub(super) fn new(format: &'a RecordFormat, text: &'a str) -> Self {
        Self { format, text, unescaped: String::new(), spans: Vec::new() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Takes those behind so many away.
    pub(super) fn truncate(&mut self, len: usize) {
        self.spans.truncate(len);
    }

    /// Takes rows of so many values away.
    pub(super) fn retain_rows(&mut self, columns: usize, is_kept: impl Fn(usize) -> bool) {
        let rows = self.spans.chunks(columns.max(1)).enumerate();
        let kept = rows.filter(|(row, _)| is_kept(*row)).flat_map(|(_, spans)| spans);
        self.spans = kept.copied().collect();
    }

    /// `None`: the null text, not quoted.
    pub(super) fn get(&self, at: usize) -> Option<&str> {
        let Span { start, end } = *self.spans.get(at)?;
        match start {
            u32::MAX => None,
            start if start >= UNESCAPED => {
                self.unescaped.get((start - UNESCAPED) as usize..end as usize)
            }
            start => self.text.get(start as usize..end as usize),
        }
    }

    /// Takes those of a line without backslashes, quotes and escapes.
    pub(super) fn push_plain(&mut self, record: RecordText<'_>) {
        let Some(at) = record.at else { return self.push_copied(record.text) };
        let mut start = 0;
        let bytes = record.text.as_bytes();
        for end in memchr_iter(self.format.delimiter, bytes).chain([bytes.len()]) {
            let is_null = bytes[start..end] == *self.format.null.as_bytes();
            let span = Span { start: (at + start) as u32, end: (at + end) as u32 };
            self.spans.push(if is_null { NULL } else { span });
            start = end + 1;
        }
    }

    fn push_copied(&mut self, record: &str) {
        for value in record.split(char::from(self.format.delimiter)) {
            let start = self.unescaped.len();
            self.unescaped.push_str(value);
            self.close(start, value == self.format.null);
        }
    }

    /// Takes those of any line of text.
    ///
    /// # Errors
    /// 22021: what escapes stand for is no text.
    pub(super) fn push_escaped(&mut self, record: &str) -> Result<()> {
        let mut rest = record;
        loop {
            let end = text_value_end(rest, self.format.delimiter);
            let (raw, start) = (&rest[..end], self.unescaped.len());
            let is_null = raw == self.format.null;
            if !is_null {
                unescape(raw, &mut self.unescaped)?;
            }
            self.close(start, is_null);
            if end == rest.len() {
                return Ok(());
            }
            rest = &rest[end + 1..];
        }
    }

    /// Takes those of a csv record.
    pub(super) fn push_csv(&mut self, record: &str) {
        let RecordFormat { delimiter, quote, escape, .. } = *self.format;
        let (mut is_quoted, mut was_quoted) = (false, false);
        let bytes = record.as_bytes();
        let (mut at, mut start) = (0, self.unescaped.len());
        while at < bytes.len() {
            let plain = memchr3(delimiter, quote, escape, &bytes[at..]);
            let plain = at + plain.unwrap_or(bytes.len() - at);
            self.unescaped.push_str(&record[at..plain]);
            let Some(byte) = bytes.get(plain).copied() else { break };
            let next = bytes.get(plain + 1).copied();
            at = plain + 1;
            if is_quoted && byte == escape && (next == Some(quote) || next == Some(escape)) {
                self.unescaped.push_str(&record[at..=at]);
                at += 1;
            } else if byte == quote {
                is_quoted = !is_quoted;
                was_quoted = true;
            } else if byte == delimiter && !is_quoted {
                self.close_csv(start, was_quoted);
                start = self.unescaped.len();
                was_quoted = false;
            } else {
                self.unescaped.push_str(&record[plain..at]);
            }
        }
        self.close_csv(start, was_quoted);
    }

    fn close_csv(&mut self, start: usize, was_quoted: bool) {
        let is_null = !was_quoted && self.unescaped[start..] == *self.format.null;
        self.close(start, is_null);
    }

    /// The value that begins at `start` is whole.
    fn close(&mut self, start: usize, is_null: bool) {
        let span = Span { start: start as u32 + UNESCAPED, end: self.unescaped.len() as u32 };
        self.spans.push(if is_null { NULL } else { span });
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
