//! COPY's binary format: a header, and rows of values behind their lengths (PostgreSQL's
//! `copyfromparse.c`, "Binary Format" of COPY's documentation).

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{Field, Schema, SchemaRef},
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    CopyBatch, Places,
    binary_column::ColumnBuilder,
    blocks::MAX_RECORD_BYTES,
    place::{at_column, at_line, bad_format, too_long},
};
use crate::{
    catalog::ColumnDef,
    error::report,
    wire_binary::{CopyHeader, read_copy_header},
};

/// A value is shorter than this, as in PostgreSQL.
const MAX_VALUE_BYTES: usize = 0x3fff_ffff;

/// Reads binary data, cut anywhere.
pub struct BinaryReader {
    table: String,
    columns: Vec<ColumnDef>,
    schema: SchemaRef,
    builders: Vec<ColumnBuilder>,
    places: Places,
    /// What has come and is not read yet.
    buffer: Vec<u8>,
    state: State,
    /// Rows that were begun.
    line: u64,
    /// Of the row that is being read; kept for its memory.
    values: Vec<Option<Range<usize>>>,
    max_row_bytes: usize,
}

enum State {
    Header,
    /// So many bytes of the header's extension are left, which says nothing to us.
    Extension(usize),
    Rows,
    /// The end mark has come.
    Ended,
}

impl BinaryReader {
    /// For these columns of a table.
    pub fn new(table: &str, columns: Vec<ColumnDef>) -> Self {
        let fields: Vec<_> =
            columns.iter().map(|c| Field::new(&c.name, c.sql_type.arrow(), true)).collect();
        Self {
            table: table.to_string(),
            schema: Arc::new(Schema::new(fields)),
            builders: columns.iter().map(|c| ColumnBuilder::new(c.sql_type)).collect(),
            columns,
            places: Places::new(table),
            buffer: Vec::new(),
            state: State::Header,
            line: 0,
            values: Vec::new(),
            max_row_bytes: MAX_RECORD_BYTES,
        }
    }

    /// More data.
    ///
    /// # Errors
    /// 22P04: it is not of the format. 54000: a row is too long. Those of the columns' types: it is
    /// none of their values.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.read(false)?;
        // What is left is the beginning of one row.
        match self.buffer.len().checked_sub(self.max_row_bytes) {
            Some(more @ 1..) => Err(too_long(self.max_row_bytes, more).context(self.next_place())),
            _ => Ok(()),
        }
    }

    /// Where the next row is.
    pub fn next_place(&self) -> String {
        at_line(&self.table, self.line + 1, None)
    }

    /// All data has come.
    ///
    /// # Errors
    /// As [`BinaryReader::push`].
    pub fn finish(&mut self) -> Result<()> {
        self.read(true)?;
        match self.state {
            State::Extension(_) => Err(bad_format("invalid COPY file header (wrong length)")),
            // Data without an end mark is accepted, as PostgreSQL does.
            State::Header | State::Rows | State::Ended => Ok(()),
        }
    }

    /// Are there enough rows for a batch?
    pub fn is_full(&self) -> bool {
        self.places.are_enough()
    }

    /// The rows so far, if there are any.
    ///
    /// # Errors
    /// XX000: the columns are of different lengths.
    pub fn take(&mut self) -> Result<Option<CopyBatch>> {
        let rows = self.places.rows();
        if rows == 0 {
            return Ok(None);
        }
        // After an error some columns have a value of the row that met it.
        let arrays = self.builders.iter_mut().map(|builder| {
            let array = builder.finish();
            if array.len() > rows { array.slice(0, rows) } else { array }
        });
        let arrays: Vec<ArrayRef> = arrays.collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays);
        let rows = batch.map_err(|error| report(error.into()))?;
        Ok(Some(CopyBatch { rows, places: self.places.take() }))
    }

    fn read(&mut self, is_whole: bool) -> Result<()> {
        let mut from = 0;
        loop {
            let rest = &self.buffer[from..];
            match self.state {
                State::Header => match read_copy_header(rest).map_err(bad_format)? {
                    CopyHeader::Whole { bytes, extension_bytes } => {
                        from += bytes;
                        self.state = State::Extension(extension_bytes);
                    }
                    CopyHeader::Part(missing) if is_whole => return Err(bad_format(missing)),
                    CopyHeader::Part(_) => break,
                },
                State::Extension(left) => {
                    let skipped = left.min(rest.len());
                    from += skipped;
                    if skipped < left {
                        self.state = State::Extension(left - skipped);
                        break;
                    }
                    self.state = State::Rows;
                }
                State::Rows => match self.row(from, is_whole)? {
                    Some(end) => from = end,
                    None => break,
                },
                State::Ended => {
                    if !rest.is_empty() {
                        let error = bad_format("received copy data after EOF marker");
                        return Err(error.context(at_line(&self.table, self.line, None)));
                    }
                    break;
                }
            }
        }
        self.buffer.drain(..from);
        Ok(())
    }

    /// Reads the row that begins at `from`: where it ends; `None`: it is not all there.
    fn row(&mut self, from: usize, is_whole: bool) -> Result<Option<usize>> {
        // One byte alone, at the end of all, is the end of the rows.
        let Some(count) = self.buffer[from..].first_chunk().copied().map(i16::from_be_bytes) else {
            return Ok(None);
        };
        let line = self.line + 1;
        if count == -1 {
            self.line = line;
            self.state = State::Ended;
            return Ok(Some(from + 2));
        }
        if usize::try_from(count) != Ok(self.columns.len()) {
            let message = format!("row field count is {count}, expected {}", self.columns.len());
            return Err(bad_format(message).context(at_line(&self.table, line, None)));
        }
        let (end, stop) = self.find_values(from + 2);
        let stop = match stop {
            Some(Stop::DataEnds) if !is_whole => return Ok(None),
            stop => stop.map(Stop::error),
        };
        self.line = line;
        let values = self.values.iter().zip(&mut self.builders).zip(&self.columns);
        for ((value, builder), column) in values {
            let bytes = value.as_ref().map(|range| &self.buffer[range.clone()]);
            builder
                .append(bytes)
                .map_err(|error| error.context(at_column(&self.table, line, &column.name, None)))?;
        }
        if let Some(error) = stop {
            let column = self.columns.get(self.values.len()).map_or("", |c| c.name.as_str());
            return Err(error.context(at_column(&self.table, line, column, None)));
        }
        self.places.note(line, end - from);
        Ok(Some(end))
    }

    /// Finds the values of a row from `at` on: where they end, and what stopped it before that.
    fn find_values(&mut self, mut at: usize) -> (usize, Option<Stop>) {
        self.values.clear();
        while self.values.len() < self.columns.len() {
            let Some(size) = int32(&self.buffer[at..]) else {
                return (at, Some(Stop::DataEnds));
            };
            at += 4;
            let size = match usize::try_from(size) {
                Ok(size) if size >= MAX_VALUE_BYTES => return (at, Some(Stop::TooLong(size))),
                Ok(size) => size,
                Err(_) if size == -1 => {
                    self.values.push(None);
                    continue;
                }
                Err(_) => return (at, Some(Stop::InvalidSize)),
            };
            if self.buffer.len() - at < size {
                return (at, Some(Stop::DataEnds));
            }
            self.values.push(Some(at..at + size));
            at += size;
        }
        (at, None)
    }
}

/// Why a row has not all its values.
enum Stop {
    DataEnds,
    InvalidSize,
    TooLong(usize),
}

impl Stop {
    fn error(self) -> ErrorReport {
        match self {
            Self::DataEnds => bad_format("unexpected EOF in COPY data"),
            Self::InvalidSize => bad_format("invalid field size"),
            Self::TooLong(size) => too_long(0, size),
        }
    }
}

fn int32(bytes: &[u8]) -> Option<i32> {
    bytes.first_chunk().copied().map(i32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::SqlType;

    const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

    fn reader() -> BinaryReader {
        let column = |id, name: &str, sql_type| ColumnDef {
            id,
            name: name.into(),
            sql_type,
            not_null: false,
            default: None,
            identity: None,
        };
        let columns =
            vec![column(1, "a", SqlType::Integer), column(2, "b", SqlType::Varchar(Some(3)))];
        BinaryReader::new("t", columns)
    }

    fn read(pieces: &[&[u8]]) -> Result<Option<CopyBatch>> {
        let mut reader = reader();
        for piece in pieces {
            reader.push(piece)?;
        }
        reader.finish()?;
        reader.take()
    }

    #[test]
    fn rows_may_be_cut_anywhere() {
        let rows =
            b"\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x01x\0\x02\xff\xff\xff\xff\0\0\0\x05yyy  \xff\xff";
        let data = [&b"PGCOPY\n\xff\r\n\0\0\0\0\x05\0\0\0\x02.."[..], &rows[..]].concat();
        for cut in 0..=data.len() {
            let batch = read(&[&data[..cut], &data[cut..]]).unwrap().unwrap();
            let expected = [Some(7), None].into_iter().collect::<arrow::array::Int32Array>();
            assert_eq!(batch.rows.column(0).as_ref(), &expected, "cut at {cut}");
            let expected = arrow::array::StringViewArray::from_iter([Some("x"), Some("yyy")]);
            assert_eq!(batch.rows.column(1).as_ref(), &expected, "cut at {cut}");
            assert_eq!(batch.places.context(1), "COPY t, line 2");
        }
        // Neither rows nor an end mark need be there.
        for rows in [&b""[..], b"\0", b"\xff\xff"] {
            assert!(read(&[HEADER, rows]).unwrap().is_none());
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_postgresqls_words() {
        for (data, expected) in [
            (&b"x"[..], "22P04 COPY file signature not recognized"),
            (b"pgcopy\n\xff\r\n\0", "22P04 COPY file signature not recognized"),
            (&HEADER[..11], "22P04 invalid COPY file header (missing flags)"),
            (&HEADER[..15], "22P04 invalid COPY file header (missing length)"),
            (b"PGCOPY\n\xff\r\n\0\0\x01\0\0", "22P04 invalid COPY file header (WITH OIDS)"),
            (
                b"PGCOPY\n\xff\r\n\0\0\x02\0\0",
                "22P04 unrecognized critical flags in COPY file header",
            ),
            (
                b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x04a",
                "22P04 invalid COPY file header (wrong length)",
            ),
        ] {
            check_error(data, expected);
        }
        for (rows, expected) in [
            (&b"\0\x03"[..], "22P04 row field count is 3, expected 2 [COPY t, line 1]"),
            (b"\xff\xffx", "22P04 received copy data after EOF marker [COPY t, line 1]"),
            (b"\0\x02", "22P04 unexpected EOF in COPY data [COPY t, line 1, column a]"),
            (
                b"\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x04ab",
                "22P04 unexpected EOF in COPY data [COPY t, line 1, column b]",
            ),
            (b"\0\x02\xff\xff\xff\xfe", "22P04 invalid field size [COPY t, line 1, column a]"),
            (b"\0\x02\x7f\xff\xff\xff", "54000 out of memory [COPY t, line 1, column a]"),
            (
                b"\0\x02\0\0\0\x05abcde\0\0\0\x09",
                "22P03 incorrect binary data format [COPY t, line 1, column a]",
            ),
            (
                b"\0\x02\0\0\0\x02ab\0\0\0\0",
                "08P01 insufficient data left in message [COPY t, line 1, column a]",
            ),
            (
                b"\0\x02\xff\xff\xff\xff\0\0\0\x04abcd",
                "22001 value too long for type character varying(3) [COPY t, line 1, column b]",
            ),
            (
                b"\0\x02\xff\xff\xff\xff\0\0\0\x01\xff",
                "22021 invalid byte sequence for encoding \"UTF8\": 0xff [COPY t, line 1, column b]",
            ),
        ] {
            check_error(&[HEADER, rows].concat(), expected);
        }
    }

    fn check_error(data: &[u8], expected: &str) {
        let error = read(&[data]).err().unwrap();
        let context = error.context.map_or_else(String::new, |context| format!(" [{context}]"));
        assert_eq!(format!("{} {}{context}", error.sqlstate.as_str(), error.message), expected);
    }

    #[test]
    fn rows_before_an_error_can_be_taken() {
        let mut reader = reader();
        let row: &[u8] = b"\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff";
        let bad: &[u8] = b"\0\x02\0\0\0\x04\0\0\0\x08\0\0\0\x04abcd";
        assert!(reader.push(&[HEADER, row, bad].concat()).is_err());
        assert_eq!(reader.take().unwrap().unwrap().rows.num_rows(), 1);
    }
    #[test]
    fn a_row_that_does_not_end_is_given_up() {
        let mut reader = BinaryReader { max_row_bytes: 100, ..reader() };
        reader.push(&[HEADER, b"\0\x02\xff\xff\xff\xff\0\x01\0\0"].concat()).unwrap();
        reader.push(&[b' '; 90]).unwrap();
        let error = reader.push(b" ").unwrap_err();
        assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("54000", "out of memory"));
        assert_eq!(error.context.as_deref(), Some("COPY t, line 1"));
    }
}
