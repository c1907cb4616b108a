//! Where in the client's data something is, as the CONTEXT of an error tells it.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;
use kestrel_proto::{ErrorReport, SqlState};

/// Text of the client is shown up to here, in bytes.
const SHOWN_BYTES: usize = 100;
/// Rows of a batch, at most; the last piece of data may bring more.
const BATCH_ROWS: usize = 8192;
/// So much of the client's data is a batch, however few rows it is.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Where the rows of a batch come from.
#[derive(Debug, Default)]
pub struct Places {
    table: String,
    lines: Vec<u64>,
    /// What the lines' texts stand in; binary data has none.
    block: Bytes,
    /// Where in it each line's text is.
    ranges: Vec<Range<u32>>,
    /// Of the client's data that the rows came from.
    bytes: usize,
}

impl Places {
    /// Of no rows yet.
    pub(super) fn new(table: &str) -> Self {
        Self { table: table.to_string(), ..Self::default() }
    }

    /// Of rows of this table of which nothing else is known.
    pub fn unknown(table: &str) -> Self {
        Self::new(table)
    }

    /// Of no rows of a block yet.
    pub(super) fn of_block(table: &str, block: Bytes) -> Self {
        Self { block, ..Self::new(table) }
    }

    /// Takes the next row, which came in so many bytes.
    pub(super) fn note(&mut self, line: u64, bytes: usize) {
        self.lines.push(line);
        self.bytes += bytes;
    }

    /// Takes the next row of the block, which is here in it.
    pub(super) fn note_text(&mut self, line: u64, text: &Range<usize>) {
        self.note(line, text.len());
        self.ranges.push(text.start as u32..text.end as u32);
    }

    /// Takes the rows behind so many away.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.lines.truncate(rows);
        self.ranges.truncate(rows);
    }

    /// Takes rows away.
    pub(super) fn retain(&mut self, is_kept: impl Fn(usize) -> bool) {
        let mut row = 0..self.lines.len();
        self.lines.retain(|_| row.next().is_some_and(&is_kept));
        let mut row = 0..self.ranges.len();
        self.ranges.retain(|_| row.next().is_some_and(&is_kept));
    }

    /// The text of a row; what is no text is shown as �.
    pub(super) fn text(&self, row: usize) -> Cow<'_, str> {
        let range = self.ranges.get(row).cloned().unwrap_or_default();
        let bytes = self.block.get(range.start as usize..range.end as usize);
        String::from_utf8_lossy(bytes.unwrap_or_default())
    }

    /// The places up to here; no row is noted any more.
    pub(super) fn take(&mut self) -> Self {
        let empty = Self::new(&self.table);
        std::mem::replace(self, empty)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Are they enough for a batch? Long rows make one sooner, or one batch could take any memory.
    pub(super) fn are_enough(&self) -> bool {
        self.rows() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// The line of a row.
    pub(super) fn line(&self, row: usize) -> u64 {
        self.lines.get(row).copied().unwrap_or_default()
    }

    /// The CONTEXT of an error in this row.
    pub fn context(&self, row: usize) -> String {
        let text = self.ranges.get(row).and_then(|range| {
            let bytes = self.block.get(range.start as usize..range.end as usize)?;
            std::str::from_utf8(bytes).ok()
        });
        match self.lines.get(row) {
            Some(line) => at_line(&self.table, *line, text),
            None => format!("COPY {}", self.table),
        }
    }
}

/// `COPY t, line 3: "its text"`
pub(super) fn at_line(table: &str, line: u64, text: Option<&str>) -> String {
    match text {
        Some(text) => format!("COPY {table}, line {line}: \"{}\"", shown(text)),
        None => format!("COPY {table}, line {line}"),
    }
}

/// `COPY t, line 3, column c: "its value"`
pub(super) fn at_column(table: &str, line: u64, column: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => {
            format!("COPY {table}, line {line}, column {column}: \"{}\"", shown(value))
        }
        None => format!("COPY {table}, line {line}, column {column}"),
    }
}

/// As much of a text as an error shows.
fn shown(text: &str) -> String {
    if text.len() <= SHOWN_BYTES {
        return text.to_string();
    }
    format!("{}...", &text[..text.floor_char_boundary(SHOWN_BYTES)])
}

/// 54000: a row does not fit the memory that one may take. In PostgreSQL's words
/// (`enlargeStringInfo`, stringinfo.c).
pub(super) fn too_long(present: usize, more: usize) -> ErrorReport {
    ErrorReport::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "out of memory").detail(format!(
        "Cannot enlarge string buffer containing {present} bytes by {more} more bytes."
    ))
}

/// 22P04
pub(super) fn bad_format(message: impl Into<String>) -> ErrorReport {
    ErrorReport::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_in_postgresqls_words() {
        let mut places = Places::of_block("t", Bytes::from_static(b"1\ta\nx\n"));
        places.note_text(1, &(0..3));
        places.note_text(4, &(4..5));
        assert_eq!(places.context(0), "COPY t, line 1: \"1\ta\"");
        assert_eq!(places.context(1), "COPY t, line 4: \"x\"");
        assert_eq!(places.take().rows(), 2);
        places.note(5, 8);
        assert_eq!(places.context(0), "COPY t, line 5");
        assert_eq!(Places::unknown("t").context(0), "COPY t");
        let long = "é".repeat(60);
        let expected = format!("COPY t, line 1, column c: \"{}...\"", "é".repeat(50));
        assert_eq!(at_column("t", 1, "c", Some(&long)), expected);
    }

    #[test]
    fn long_rows_are_a_batch_sooner() {
        let mut places = Places::new("t");
        places.note(1, BATCH_BYTES - 1);
        assert!(!places.are_enough());
        places.note(2, 1);
        assert!(places.are_enough());
        places.take();
        assert!(!places.are_enough());
        (0..BATCH_ROWS).for_each(|_| places.note(3, 0));
        assert!(places.are_enough());
    }
}
