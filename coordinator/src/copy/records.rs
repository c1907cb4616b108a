//! Records and values of COPY's text and csv formats (PostgreSQL's
//! `src/backend/commands/copyfromparse.c`).

use kestrel_planner::wire_binary::utf8;
use kestrel_proto::{ErrorReport, Result};

use super::place::{at_line, bad_format, too_long};

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
    /// `None`: the null text, not quoted.
    pub values: Vec<Option<String>>,
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
    /// Of text: `\.` is in what has been searched of the record.
    has_mark: bool,
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
            has_mark: false,
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
        self.buffer.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(end) = self.find_end() {
            let line = self.buffer[start..end].to_vec();
            start = end + 1;
            self.take(&line, &mut record)?;
        }
        self.buffer.drain(..start);
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
    fn find_end(&mut self) -> Option<usize> {
        while self.searched < self.buffer.len() {
            let byte = self.buffer[self.searched];
            if self.format.csv {
                if byte == self.format.escape
                    && self.format.escape != self.format.quote
                    && self.quoted
                {
                    // What is escaped may not have come yet.
                    if self.searched + 1 >= self.buffer.len() {
                        return None;
                    }
                    self.searched += 2;
                    continue;
                }
                if byte == self.format.quote {
                    self.quoted = !self.quoted;
                }
            } else if byte == b'\\' {
                self.has_mark |= *self.buffer.get(self.searched + 1)? == b'.';
                self.searched += 2;
                continue;
            }
            self.searched += 1;
            if byte == b'\n' && !self.quoted {
                return Some(self.searched - 1);
            }
        }
        None
    }

    fn take(
        &mut self,
        line: &[u8],
        record: &mut impl FnMut(Record<'_>) -> Result<()>,
    ) -> Result<()> {
        self.count_lines(line);
        let has_mark = std::mem::take(&mut self.has_mark);
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
        let values = match self.format.csv {
            true => self.csv(text),
            false => self.text(text).map_err(|error| self.here(error, Some(text)))?,
        };
        record(Record { line: self.line, text, values })
    }

    fn text(&self, line: &str) -> Result<Vec<Option<String>>> {
        let mut values = Vec::new();
        let mut rest = line;
        loop {
            let end = text_value_end(rest, self.format.delimiter);
            let raw = &rest[..end];
            let value = if raw == self.format.null { None } else { Some(unescape(raw)?) };
            values.push(value);
            if end == rest.len() {
                return Ok(values);
            }
            rest = &rest[end + 1..];
        }
    }

    fn csv(&self, line: &str) -> Vec<Option<String>> {
        let (quote, escape) = (self.format.quote, self.format.escape);
        let mut values = Vec::new();
        let mut value = Vec::new();
        let (mut quoted, mut was_quoted) = (false, false);
        let bytes = line.as_bytes();
        let mut at = 0;
        let mut close = |value: &mut Vec<u8>, was_quoted: &mut bool| {
            let text = String::from_utf8_lossy(value).into_owned();
            let is_null = !*was_quoted && text == self.format.null;
            values.push((!is_null).then_some(text));
            value.clear();
            *was_quoted = false;
        };
        while at < bytes.len() {
            let byte = bytes[at];
            let next = bytes.get(at + 1).copied();
            if quoted && byte == escape && (next == Some(quote) || next == Some(escape)) {
                value.extend(next);
                at += 1;
            } else if byte == quote {
                quoted = !quoted;
                was_quoted = true;
            } else if byte == self.format.delimiter && !quoted {
                close(&mut value, &mut was_quoted);
            } else {
                value.push(byte);
            }
            at += 1;
        }
        close(&mut value, &mut was_quoted);
        values
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

/// `\t`, `\n`, octal and hexadecimal escapes; any other escaped character stands for itself.
///
/// # Errors
/// 22021: the bytes that it stands for are no text.
fn unescape(raw: &str) -> Result<String> {
    if !raw.contains('\\') {
        return Ok(raw.to_string());
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
    utf8(&out).map(str::to_string)
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
                seen.push((record.line, record.values));
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
