//! The records of a block of COPY's text or csv (PostgreSQL's
//! `src/backend/commands/copyfromparse.c`).

use std::ops::Range;

use kestrel_proto::{ErrorReport, Result};
use memchr::memchr;

use super::{
    Block,
    blocks::LineCounting,
    ends::{RecordEnd, RecordEnds},
    place::{at_line, bad_format},
    values::{RecordText, Values},
};
use crate::wire_binary::utf8;

/// How records are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordFormat {
    /// csv, else text.
    pub csv: bool,
    /// Between two values.
    pub delimiter: u8,
    /// The text of a null value.
    pub null: String,
    /// Of csv.
    pub quote: u8,
    /// Of csv: before a quote inside of a quoted value.
    pub escape: u8,
}

/// A record.
#[derive(Debug)]
pub(super) struct Record<'a> {
    /// Counted from 1; of a record of several lines, the last.
    pub(super) line: u64,
    /// As it came, if that is text.
    pub(super) text: Option<&'a str>,
    /// Where in the block.
    pub(super) range: Range<usize>,
    /// Where in the values of the block its own are; or what is wrong with it: 22021 and 22P04.
    pub(super) values: Result<Range<usize>>,
}

/// Takes a block apart.
#[derive(Debug)]
pub(super) struct Records<'a> {
    table: &'a str,
    csv: bool,
    bytes: &'a [u8],
    /// The block's beginning, as far as it is text.
    text: &'a str,
    ends: RecordEnds,
    counting: LineCounting,
    start: usize,
    line: u64,
    has_ended: bool,
}

/// As much of these bytes as is text.
pub(super) fn text_of(bytes: &[u8]) -> &str {
    let bytes = &bytes[..memchr(0, bytes).unwrap_or(bytes.len())];
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

impl<'a> Records<'a> {
    /// `text`: [`text_of`] the block.
    pub(super) fn new(
        table: &'a str,
        format: &RecordFormat,
        block: &'a Block,
        text: &'a str,
    ) -> Self {
        Self {
            table,
            csv: format.csv,
            bytes: &block.bytes,
            text,
            ends: RecordEnds::new(format),
            counting: LineCounting { csv: format.csv, is_first: block.is_first },
            start: 0,
            line: block.line,
            has_ended: false,
        }
    }

    /// Has the end mark come? Nothing behind it counts.
    pub(super) fn have_ended(&self) -> bool {
        self.has_ended
    }

    /// The next record, whose values are put behind the others.
    pub(super) fn next(&mut self, values: &mut Values<'_>) -> Option<Record<'a>> {
        if self.has_ended || self.start >= self.bytes.len() {
            return None;
        }
        let end = match self.ends.next(self.bytes) {
            Some(end) => end,
            None => self.ends.rest(self.bytes),
        };
        let start = std::mem::replace(&mut self.start, end.at + 1);
        let mut line = &self.bytes[start..end.at];
        self.line += self.counting.lines_of(line, end);
        if end.is_open {
            let text = std::str::from_utf8(line).ok();
            let error = self.here(bad_format("unterminated CSV quoted field"), text);
            return Some(self.record(start, line, text, Err(error)));
        }
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if line == b"\\." {
            self.has_ended = true;
            return None;
        }
        if let Some(mark) = end.has_mark.then(|| end_mark(line)).flatten() {
            if mark + 2 < line.len() {
                let error = self.here(bad_format("end-of-copy marker corrupt"), None);
                return Some(self.record(start, line, None, Err(error)));
            }
            // The row before it counts.
            self.has_ended = true;
            line = &line[..mark];
        }
        Some(self.with_values(start, line, end, values))
    }

    fn with_values(
        &self,
        start: usize,
        line: &'a [u8],
        end: RecordEnd,
        values: &mut Values<'_>,
    ) -> Record<'a> {
        let known = self.text.get(start..start + line.len());
        let text = match known.map_or_else(|| utf8(line), Ok) {
            Ok(text) => text,
            Err(error) => {
                let error = self.here(error, None);
                return self.record(start, line, None, Err(error));
            }
        };
        let first = values.len();
        let pushed = match (end.is_plain, self.csv) {
            (true, _) => {
                values.push_plain(RecordText { text, at: known.map(|_| start) });
                Ok(())
            }
            (false, true) => {
                values.push_csv(text);
                Ok(())
            }
            (false, false) => values.push_escaped(text),
        };
        let range = pushed.map(|()| first..values.len());
        let range = range.map_err(|error| self.here(error, Some(text)));
        self.record(start, line, Some(text), range)
    }

    fn record(
        &self,
        start: usize,
        line: &[u8],
        text: Option<&'a str>,
        values: Result<Range<usize>>,
    ) -> Record<'a> {
        Record { line: self.line, text, range: start..start + line.len(), values }
    }

    fn here(&self, error: ErrorReport, text: Option<&str>) -> ErrorReport {
        error.context(at_line(self.table, self.line, text))
    }
}

/// Where `\.` stands in a line of text; in `\\.` the backslash is escaped.
fn end_mark(line: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr(b'\\', line.get(at..)?)?;
        if *line.get(at + 1)? == b'.' {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use kestrel_proto::SqlState;

    use super::*;
    use crate::copy::Blocks;

    fn format(csv: bool) -> RecordFormat {
        let delimiter = if csv { b',' } else { b'\t' };
        let null = if csv { "" } else { "\\N" };
        RecordFormat { csv, delimiter, null: null.into(), quote: b'"', escape: b'"' }
    }

    /// Lines and values; the first error ends them.
    type Read = (Vec<(u64, Vec<Option<String>>)>, Option<ErrorReport>);

    fn read(csv: bool, input: &[u8]) -> Read {
        let format = format(csv);
        let mut blocks = Blocks::new("t", &format);
        assert!(blocks.push(input).is_empty());
        let block = blocks.finish();
        let text = text_of(&block.bytes);
        let (mut records, mut values) =
            (Records::new("t", &format, &block, text), Values::new(&format, text));
        let mut seen = Vec::new();
        while let Some(record) = records.next(&mut values) {
            match record.values {
                Ok(range) => {
                    let values = range.map(|at| values.get(at).map(str::to_string));
                    seen.push((record.line, values.collect()));
                }
                Err(error) => return (seen, Some(error)),
            }
        }
        (seen, None)
    }

    fn check(csv: bool, input: &str, expected: &[(u64, &[Option<&str>])]) {
        let values =
            |values: &[Option<&str>]| values.iter().map(|v| v.map(str::to_string)).collect();
        let expected = expected.iter().map(|(line, row)| (*line, values(row))).collect();
        assert_eq!(read(csv, input.as_bytes()), (expected, None), "{input:?}");
    }

    #[test]
    fn text_records() {
        check(false, "1\ta\n2\t\\N\n", &[(1, &[Some("1"), Some("a")]), (2, &[Some("2"), None])]);
        check(false, "a\\tb\\\\\\x41\\101\n\\.\nrest\n", &[(1, &[Some("a\tb\\AA")])]);
        check(false, "x\\\ny\r\n", &[(1, &[Some("x\ny")])]);
        check(
            false,
            "\t\t\n\\N\té\t\\é\n\n",
            &[
                (1, &[Some(""), Some(""), Some("")]),
                (2, &[None, Some("é"), Some("é")]),
                (3, &[Some("")]),
            ],
        );
        // What is before an end mark counts, and a backslash that is escaped makes none.
        check(false, "1\\\\.\na\\.\nrest\n", &[(1, &[Some("1\\.")]), (2, &[Some("a")])]);
    }

    #[test]
    fn csv_records() {
        check(
            true,
            "1,\"a,\"\"b\"\"\nc\"\n,\"\"\n",
            &[(1, &[Some("1"), Some("a,\"b\"\nc")]), (2, &[None, Some("")])],
        );
        check(
            true,
            "a\n\"b\nc\"\nd\n",
            &[(1, &[Some("a")]), (3, &[Some("b\nc")]), (4, &[Some("d")])],
        );
        check(true, "é\"\"a,a\",\"b\"\"\n", &[(1, &[Some("éa"), Some("a,b")])]);
    }

    #[test]
    fn what_is_no_text_is_only_where_it_is() {
        let (seen, error) = read(false, b"a\t\\\\\nb\t\xff\n");
        assert_eq!(seen, vec![(1, vec![Some("a".to_string()), Some("\\".to_string())])]);
        assert_eq!(error.and_then(|error| error.context), Some("COPY t, line 2".into()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        // As PostgreSQL 15 tells it.
        for (csv, input, sqlstate, context) in [
            (true, &b"1,\"a\n"[..], SqlState::BAD_COPY_FILE_FORMAT, "COPY t, line 1: \"1,\"a\n\""),
            (false, b"1\n\xff\n", SqlState::CHARACTER_NOT_IN_REPERTOIRE, "COPY t, line 2"),
            (false, b"\\xff\n", SqlState::CHARACTER_NOT_IN_REPERTOIRE, "COPY t, line 1: \"\\xff\""),
            (false, b"1\nC:\\.git\n", SqlState::BAD_COPY_FILE_FORMAT, "COPY t, line 2"),
        ] {
            let error = read(csv, input).1.unwrap();
            assert_eq!((error.sqlstate, error.context.as_deref()), (sqlstate, Some(context)));
        }
    }
}
