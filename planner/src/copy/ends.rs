//! Where records of text and csv end (PostgreSQL's `CopyReadLineText`,
//! `src/backend/commands/copyfromparse.c`).

use memchr::{memchr2, memchr3};

use super::RecordFormat;

/// Looks for the ends of records in bytes that come piece by piece.
#[derive(Clone, Debug)]
pub(super) struct RecordEnds {
    csv: bool,
    quote: u8,
    escape: u8,
    /// Up to here the bytes have been searched.
    searched: usize,
    quoted: bool,
    is_plain: bool,
    has_mark: bool,
}

/// The end of a record, and what has been seen of it on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordEnd {
    /// Of its newline, or of all bytes.
    pub(super) at: usize,
    /// No quote, no escape and no backslash is in it.
    pub(super) is_plain: bool,
    /// Of text: a `\.` is in it.
    pub(super) has_mark: bool,
    /// Of csv: a quote is open, which only the last record can have.
    pub(super) is_open: bool,
}

impl RecordEnds {
    /// From the beginning of a record on.
    pub(super) fn new(format: &RecordFormat) -> Self {
        Self {
            csv: format.csv,
            quote: format.quote,
            escape: format.escape,
            searched: 0,
            quoted: false,
            is_plain: true,
            has_mark: false,
        }
    }

    /// From inside of a quoted value on.
    pub(super) fn quoted(self) -> Self {
        Self { quoted: true, is_plain: false, ..self }
    }

    /// Up to here the bytes have been searched.
    pub(super) fn searched(&self) -> usize {
        self.searched
    }

    /// The next record's end; `None`: it has not come yet.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Option<RecordEnd> {
        loop {
            let rest = bytes.get(self.searched..).unwrap_or_default();
            let found = match self.csv {
                true => memchr3(b'\n', self.quote, self.escape, rest),
                false => memchr2(b'\n', b'\\', rest),
            };
            let Some(found) = found else {
                self.searched = bytes.len();
                return None;
            };
            self.searched += found;
            let byte = bytes[self.searched];
            if byte == b'\n' && !self.quoted {
                self.searched += 1;
                return Some(self.end(self.searched - 1));
            }
            if byte != b'\n' {
                self.is_plain = false;
            }
            let is_escape = self.csv && byte == self.escape && self.escape != self.quote;
            if !self.csv || is_escape && self.quoted {
                // What is escaped may not have come yet.
                let escaped = *bytes.get(self.searched + 1)?;
                self.has_mark |= !self.csv && escaped == b'.';
                self.searched += 2;
                continue;
            }
            if byte == self.quote && byte != b'\n' {
                self.quoted = !self.quoted;
            }
            self.searched += 1;
        }
    }

    /// All bytes have come: the end of what is behind the last newline.
    pub(super) fn rest(&mut self, bytes: &[u8]) -> RecordEnd {
        self.searched = bytes.len();
        let is_open = std::mem::take(&mut self.quoted);
        RecordEnd { is_open, ..self.end(bytes.len()) }
    }

    /// So many bytes, all searched, are not there any more.
    pub(super) fn drained(&mut self, bytes: usize) {
        self.searched = self.searched.saturating_sub(bytes);
    }

    fn end(&mut self, at: usize) -> RecordEnd {
        let is_plain = std::mem::replace(&mut self.is_plain, true);
        let has_mark = std::mem::take(&mut self.has_mark);
        RecordEnd { at, is_plain, has_mark, is_open: false }
    }
}
