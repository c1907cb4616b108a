//! COPY's text and csv, which come cut anywhere, to blocks that can be read each by itself: they end
//! where a record does.

use bytes::Bytes;
use kestrel_proto::ErrorReport;
use memchr::memchr_iter;

use super::{
    RecordFormat,
    ends::{RecordEnd, RecordEnds},
    place::{at_line, too_long},
};

/// The longest record (PostgreSQL's MaxAllocSize).
pub(super) const MAX_RECORD_BYTES: usize = 0x3fff_ffff;
/// So much of the data is a block, or more, if a record is longer.
pub const BLOCK_BYTES: usize = 1 << 20;

/// Whole records.
#[derive(Clone, Debug)]
pub struct Block {
    /// As they came.
    pub(super) bytes: Bytes,
    /// Lines of the data before it.
    pub(super) line: u64,
    /// Its first record is the first of all.
    pub(super) is_first: bool,
    /// Why nothing comes behind it.
    pub(super) failure: Option<ErrorReport>,
}

impl Block {
    /// How many bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The same, with so many lines more before it.
    #[must_use]
    pub fn after_lines(self, lines: u64) -> Self {
        Self { line: self.line + lines, ..self }
    }
}

/// Makes blocks.
#[derive(Debug)]
pub struct Blocks {
    table: String,
    ends: RecordEnds,
    buffer: Vec<u8>,
    /// Up to here the buffer has whole records …
    whole: usize,
    /// … with so many lines.
    whole_lines: u64,
    /// Lines before the buffer.
    line: u64,
    is_first: bool,
    counting: LineCounting,
    block_bytes: usize,
    max_record_bytes: usize,
    has_failed: bool,
}

impl Blocks {
    /// For rows of this table; nothing has come yet.
    pub fn new(table: &str, format: &RecordFormat) -> Self {
        Self {
            table: table.to_string(),
            ends: RecordEnds::new(format),
            buffer: Vec::new(),
            whole: 0,
            whole_lines: 0,
            line: 0,
            is_first: true,
            counting: LineCounting { csv: format.csv, is_first: true },
            block_bytes: BLOCK_BYTES,
            max_record_bytes: MAX_RECORD_BYTES,
            has_failed: false,
        }
    }

    /// For what stands in the middle of the data, behind a newline that ends a record.
    #[must_use]
    pub fn in_the_middle(self) -> Self {
        let counting = LineCounting { is_first: false, ..self.counting };
        Self { is_first: false, counting, ..self }
    }

    /// More bytes, cut anywhere: the blocks that are whole now. A record that does not end makes an
    /// empty one, which says so when it is read.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Block> {
        let mut blocks = Vec::new();
        for piece in bytes.chunks(self.block_bytes) {
            if self.has_failed {
                break;
            }
            self.buffer.extend_from_slice(piece);
            if self.buffer.len() >= self.block_bytes {
                self.search();
                blocks.extend(self.cut());
            }
            if let Some(more @ 1..) = self.buffer.len().checked_sub(self.max_record_bytes) {
                blocks.push(self.fail(more));
            }
        }
        blocks
    }

    /// More bytes, of which only those count that end a record which has begun; the last block, if
    /// there is none that has begun and not ended.
    pub fn end_with(&mut self, bytes: &[u8]) -> Option<Block> {
        self.search();
        if self.whole < self.buffer.len() {
            self.buffer.extend_from_slice(bytes);
            let Some(end) = self.ends.next(&self.buffer) else {
                let more = self.buffer.len().checked_sub(self.max_record_bytes)?;
                return (more > 0).then(|| self.fail(more));
            };
            self.buffer.truncate(end.at + 1);
        }
        Some(self.block(self.buffer.len()))
    }

    /// All bytes have come: the last block.
    pub fn finish(mut self) -> Block {
        self.block(self.buffer.len())
    }

    /// Where the next row is, as the CONTEXT of an error.
    pub fn next_place(&mut self) -> String {
        self.search();
        at_line(&self.table, self.line + self.whole_lines + 1, None)
    }

    /// How many lines there were.
    pub fn lines(&mut self) -> u64 {
        self.search();
        self.line + self.whole_lines
    }

    fn search(&mut self) {
        while let Some(end) = self.ends.next(&self.buffer) {
            self.whole_lines += self.counting.lines_of(&self.buffer[self.whole..end.at], end);
            self.whole = end.at + 1;
        }
    }

    fn cut(&mut self) -> Option<Block> {
        let block = (self.whole > 0).then(|| self.block(self.whole))?;
        self.line += std::mem::take(&mut self.whole_lines);
        self.ends.drained(std::mem::take(&mut self.whole));
        self.is_first = false;
        Some(block)
    }

    /// So much of the buffer.
    fn block(&mut self, size: usize) -> Block {
        let rest = self.buffer.get(size..).unwrap_or_default();
        let mut buffer = Vec::with_capacity(if rest.is_empty() { 0 } else { self.block_bytes });
        buffer.extend_from_slice(rest);
        let mut bytes = std::mem::replace(&mut self.buffer, buffer);
        bytes.truncate(size);
        Block { bytes: bytes.into(), line: self.line, is_first: self.is_first, failure: None }
    }

    fn fail(&mut self, more: usize) -> Block {
        self.has_failed = true;
        self.buffer = Vec::new();
        let place = at_line(&self.table, self.line + 1, None);
        let failure = Some(too_long(self.max_record_bytes, more).context(place));
        Block { bytes: Bytes::new(), line: self.line, is_first: self.is_first, failure }
    }
}

/// How many lines records are.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineCounting {
    pub(super) csv: bool,
    /// The next record is the first of all.
    pub(super) is_first: bool,
}

impl LineCounting {
    /// Lines inside of quotes count, except in the first record: PostgreSQL does not know yet how
    /// lines end.
    pub(super) fn lines_of(&mut self, record: &[u8], end: RecordEnd) -> u64 {
        let is_first = std::mem::replace(&mut self.is_first, false);
        if !self.csv || is_first || end.is_plain {
            return 1;
        }
        1 + memchr_iter(b'\n', record).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(csv: bool, escape: u8) -> RecordFormat {
        let (delimiter, null) = if csv { (b',', "") } else { (b'\t', "\\N") };
        RecordFormat { csv, delimiter, null: null.into(), quote: b'"', escape }
    }

    /// The blocks of so many bytes that become of data in pieces, each with the lines before it.
    fn blocks(format: &RecordFormat, size: usize, pieces: &[&[u8]]) -> Vec<(u64, String)> {
        let mut splitter = Blocks { block_bytes: size, ..Blocks::new("t", format) };
        let mut blocks: Vec<_> = pieces.iter().flat_map(|piece| splitter.push(piece)).collect();
        blocks.push(splitter.finish());
        assert!(blocks.iter().enumerate().all(|(at, block)| block.is_first == (at == 0)));
        let text = |block: &Block| String::from_utf8_lossy(&block.bytes).into_owned();
        blocks.iter().map(|block| (block.line, text(block))).collect()
    }

    #[test]
    fn blocks_end_where_records_do() {
        let (csv, text) = (format(true, b'"'), format(false, b'"'));
        for (format, data, expected) in [
            (
                &text,
                "1\ta\n2\tb\n3\tc\n",
                &[(0, "1\ta\n"), (1, "2\tb\n"), (2, "3\tc\n"), (3, "")][..],
            ),
            // A newline behind a backslash is a value's, and its line does not count.
            (&text, "1\\\n2\n3\n", &[(0, "1\\\n2\n3\n"), (2, "")]),
            (&text, "1\r\n2\r\n", &[(0, "1\r\n"), (1, "2\r\n")]),
            // One in quotes is a value's, and its line counts, but in the first record.
            (&csv, "\"a\nb\"\n\"c\nd\"\ne\n", &[(0, "\"a\nb\"\n"), (1, "\"c\nd\"\n"), (3, "e\n")]),
            (&csv, "1\n\"a\"\"\n\"\n2\n", &[(0, "1\n"), (1, "\"a\"\"\n\"\n2\n"), (4, "")]),
            (&format(true, b'\\'), "\"a\\\"\nb\"\nc\n", &[(0, "\"a\\\"\nb\"\n"), (1, "c\n")]),
            (&csv, "\"a\r\nb\"\r\nc", &[(0, "\"a\r\nb\"\r\n"), (1, "c")]),
            (&csv, "\"a\nb", &[(0, "\"a\nb")]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|(line, text)| (*line, text.to_string())).collect();
            assert_eq!(blocks(format, 4, &[data.as_bytes()]), expected, "{data:?}");
        }
    }

    #[test]
    fn blocks_are_the_data_wherever_it_is_cut() {
        let data = "1,a\n\"2\n\"\"\",b\n,\r\n\"\n\n\",\"\"\n3,\\\n";
        for format in [format(true, b'"'), format(true, b'\\'), format(false, b'"')] {
            for size in 1..data.len() {
                for cut in 0..=data.len() {
                    let (left, right) = data.as_bytes().split_at(cut);
                    let blocks = blocks(&format, size, &[left, right]);
                    let together: String = blocks.into_iter().map(|(_, text)| text).collect();
                    assert_eq!(together, data, "{format:?}, {size}, {cut}");
                }
            }
        }
    }

    #[test]
    fn a_record_that_does_not_end_is_given_up() {
        let new = || Blocks::new("t", &format(true, b'"'));
        let mut blocks = Blocks { max_record_bytes: 10, block_bytes: 2, ..new() };
        assert_eq!(blocks.push(b"1\n\"").len(), 1);
        let failures: Vec<_> = (0..5).flat_map(|_| blocks.push(b"a\nb")).collect();
        let [Block { failure: Some(failure), .. }] = failures.as_slice() else {
            panic!("{failures:?}");
        };
        assert_eq!(failure.context.as_deref(), Some("COPY t, line 2"));
        assert!(blocks.finish().bytes.is_empty());
    }

    #[test]
    fn data_may_end_in_a_record_that_goes_on() {
        let (csv, text) = (format(true, b'"'), format(false, b'"'));
        for (format, data, rest, expected) in [
            (&text, "1\n", "2\n", "1\n"),
            (&text, "1\n2", "3\n4\n", "1\n23\n"),
            (&text, "1\n2\\", "\n3\n4\n", "1\n2\\\n3\n"),
            (&csv, "1\n\"2\n", "3\n\"\n4\n", "1\n\"2\n3\n\"\n"),
        ] {
            let mut blocks = Blocks::new("t", format);
            assert!(blocks.push(data.as_bytes()).is_empty());
            let mut last = blocks.end_with(&[]);
            for byte in rest.bytes() {
                last = last.or_else(|| blocks.end_with(&[byte]));
            }
            assert_eq!(last.unwrap().bytes, expected.as_bytes(), "{data:?} {rest:?}");
        }
    }

    #[test]
    fn the_next_place_is_behind_all_lines_that_have_come() {
        let mut blocks = Blocks::new("t", &format(true, b'"'));
        blocks.push(b"1\n\"2\n\"\n3");
        assert_eq!(blocks.next_place(), "COPY t, line 4");
    }
}
