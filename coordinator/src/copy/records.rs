//! Records of COPY's text and csv formats (PostgreSQL's `src/backend/commands/copyfromparse.c`).

use kestrel_planner::wire_binary::utf8;
use kestrel_proto::{ErrorReport, Result};
use memchr::{memchr2, memchr3};

use super::{
    place::{at_line, bad_format, too_long},
    values::{ValueCutter, Values},
};

/// The longest record (PostgreSQL's MaxAllocSize).
pub(super) const MAX_RECORD_BYTES: usize = 0x3fff_ffff;

/// How records are written.
#[derive(Clone, Debug)]
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

/// A record: its line, its text, and its values.
pub struct Record<'a> {
    /// Counted from 1; of a record of several lines, the last.
    pub line: u64,
    /// As it came.
    pub text: &'a str,
    /// What it says.
    pub values: Values<'a>,
}

/// Cuts bytes into records.
#[derive(Debug)]
pub struct Records {
    table: String,
    format: RecordFormat,
    buffer: Vec<u8>,
    /// Up to here the buffer has been searched for the end of the record.
    searched: usize,
    quoted: bool,
    /// Of text: a backslash is in what has been searched of the record …
    has_escape: bool,
    /// … and a `\.`
    has_mark: bool,
    values: ValueCutter,
    /// Of the last record: lines are counted from 1.
    line: u64,
    ended: bool,
    max_bytes: usize,
}

impl Records {
    /// For rows of this table; nothing read yet.
    pub fn new(table: &str, format: RecordFormat) -> Self {
        Self {
            table: table.to_string(),
            format,
            buffer: Vec::new(),
            searched: 0,
            quoted: false,
            has_escape: false,
            has_mark: false,
            values: ValueCutter::default(),
            line: 0,
            ended: false,
            max_bytes: MAX_RECORD_BYTES,
        }
    }

    /// More bytes, cut anywhere; `record` gets each complete record.
    ///
    /// # Errors
    /// Those of `record`; 22021 and 22P04 for what is no record; 54000: a record does not end.
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut record: impl FnMut(Record<'_>) -> Result<()>,
    ) -> Result<()> {
        if self.ended {
            // What is behind the end mark is not looked at, so it needs no place.
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(end) = self.find_end(&buffer) {
            let line = &buffer[start..end];
            start = end + 1;
            self.take(line, &mut record)?;
        }
        buffer.drain(..start);
        self.buffer = buffer;
        self.searched -= start;
        if self.buffer.len() > self.max_bytes {
            let error = too_long(self.max_bytes, self.buffer.len() - self.max_bytes);
            return Err(error.context(self.next_place()));
        }
        Ok(())
    }

    /// All bytes have come: what is left is the last record.
    pub fn finish(&mut self, mut record: impl FnMut(Record<'_>) -> Result<()>) -> Result<()> {
        let line = std::mem::take(&mut self.buffer);
        self.searched = 0;
        if self.quoted && !self.ended {
            self.count_lines(&line);
            let error = bad_format("unterminated CSV quoted field");
            return Err(self.here(error, std::str::from_utf8(&line).ok()));
        }
        if line.is_empty() { Ok(()) } else { self.take(&line, &mut record) }
    }

    /// Lines inside of quotes count, except in the first record: PostgreSQL does not know yet how
    /// lines end.
    fn count_lines(&mut self, record: &[u8]) {
        let is_first = self.line == 0;
        self.line += 1;
        if self.format.csv && !is_first {
            self.line += record.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
    }

    /// Where the next record is.
    pub(super) fn next_place(&self) -> String {
        at_line(&self.table, self.line + 1, None)
    }

    fn here(&self, error: ErrorReport, text: Option<&str>) -> ErrorReport {
        error.context(at_line(&self.table, self.line, text))
    }

    /// The position of the newline that ends the next record.
    fn find_end(&mut self, buffer: &[u8]) -> Option<usize> {
        let RecordFormat { csv, quote, escape, .. } = self.format;
        loop {
            let rest = buffer.get(self.searched..).unwrap_or_default();
            let found = match csv {
                true => memchr3(b'\n', quote, escape, rest),
                false => memchr2(b'\n', b'\\', rest),
            };
            let Some(found) = found else {
                self.searched = buffer.len();
                return None;
            };
            self.searched += found;
            let byte = buffer[self.searched];
            if csv {
                if byte == escape && escape != quote && self.quoted {
                    // What is escaped may not have come yet.
                    buffer.get(self.searched + 1)?;
                    self.searched += 2;
                    continue;
                }
                if byte == quote {
                    self.quoted = !self.quoted;
                }
            } else if byte == b'\\' {
                self.has_escape = true;
                self.has_mark |= *buffer.get(self.searched + 1)? == b'.';
                self.searched += 2;
                continue;
            }
            self.searched += 1;
            if byte == b'\n' && !self.quoted {
                return Some(self.searched - 1);
            }
        }
    }

    fn take(
        &mut self,
        line: &[u8],
        record: &mut impl FnMut(Record<'_>) -> Result<()>,
    ) -> Result<()> {
        self.count_lines(line);
        let has_mark = std::mem::take(&mut self.has_mark);
        let has_escape = std::mem::take(&mut self.has_escape);
        let mut line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.ended || line == b"\\." {
            self.ended = true;
            return Ok(());
        }
        if let Some(mark) = has_mark.then(|| end_mark(line)).flatten() {
            if mark + 2 < line.len() {
                return Err(self.here(bad_format("end-of-copy marker corrupt"), None));
            }
            // The row before it counts.
            self.ended = true;
            line = &line[..mark];
        }
        let text = utf8(line).map_err(|error| self.here(error, None))?;
        let values = match (self.format.csv, has_escape) {
            (true, _) => Ok(self.values.csv(text, &self.format)),
            (false, true) => self.values.escaped_text(text, &self.format),
            (false, false) => Ok(self.values.plain_text(text, &self.format)),
        };
        match values {
            Ok(values) => record(Record { line: self.line, text, values }),
            Err(error) => Err(self.here(error, Some(text))),
        }
    }
}

/// Where `\.` stands in a line of text; in `\\.` the backslash is escaped.
fn end_mark(line: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += line.get(at..)?.iter().position(|byte| *byte == b'\\')?;
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

    fn format(csv: bool) -> RecordFormat {
        let delimiter = if csv { b',' } else { b'\t' };
        let null = if csv { "" } else { "\\N" };
        RecordFormat { csv, delimiter, null: null.into(), quote: b'"', escape: b'"' }
    }

    fn check(csv: bool, input: &str, expected: &[(u64, &[Option<&str>])]) {
        // Cut at every place: the records are the same.
        for cut in 0..=input.len() {
            let mut records = Records::new("t", format(csv));
            let mut seen = Vec::new();
            let mut note = |record: Record<'_>| {
                let values = record.values.iter().map(|value| value.map(str::to_string));
                seen.push((record.line, values.collect::<Vec<_>>()));
                Ok(())
            };
            records.push(&input.as_bytes()[..cut], &mut note).unwrap();
            records.push(&input.as_bytes()[cut..], &mut note).unwrap();
            records.finish(&mut note).unwrap();
            let expected: Vec<(u64, Vec<Option<String>>)> = expected
                .iter()
                .map(|(line, r)| (*line, r.iter().map(|v| v.map(str::to_string)).collect()))
                .collect();
            assert_eq!(seen, expected, "{input:?} cut at {cut}");
        }
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
    fn what_is_wrong_is_told_with_its_line() {
        // As PostgreSQL 15 tells it.
        for (csv, input, sqlstate, context) in [
            (true, &b"1,\"a\n"[..], SqlState::BAD_COPY_FILE_FORMAT, "COPY t, line 1: \"1,\"a\n\""),
            (false, b"1\n\xff\n", SqlState::CHARACTER_NOT_IN_REPERTOIRE, "COPY t, line 2"),
            (false, b"\\xff\n", SqlState::CHARACTER_NOT_IN_REPERTOIRE, "COPY t, line 1: \"\\xff\""),
            (false, b"1\nC:\\.git\n", SqlState::BAD_COPY_FILE_FORMAT, "COPY t, line 2"),
        ] {
            let mut records = Records::new("t", format(csv));
            let read = records.push(input, |_| Ok(())).and_then(|()| records.finish(|_| Ok(())));
            let error = read.unwrap_err();
            assert_eq!((error.sqlstate, error.context.as_deref()), (sqlstate, Some(context)));
        }
    }
    #[test]
    fn a_record_that_does_not_end_is_given_up() {
        for (csv, first, piece) in [(false, &b"1\n"[..], b"abc"), (true, b"1\n\"", b"a\nb")] {
            let mut records = Records { max_bytes: 10, ..Records::new("t", format(csv)) };
            records.push(first, |_| Ok(())).unwrap();
            let mut pushed = 0;
            let error = loop {
                pushed += 1;
                if let Err(error) = records.push(piece, |_| Ok(())) {
                    break error;
                }
            };
            let expected = (4, SqlState::PROGRAM_LIMIT_EXCEEDED, Some("COPY t, line 2"));
            assert_eq!((pushed, error.sqlstate, error.context.as_deref()), expected);
        }
        let mut records = Records { max_bytes: 10, ..Records::new("t", format(false)) };
        records.push(b"\\.\n", |_| Ok(())).unwrap();
        assert_eq!(records.push(&[b'x'; 100], |_| Ok(())), Ok(()), "after the end mark");
    }
}
