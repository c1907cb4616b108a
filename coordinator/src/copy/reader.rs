//! The client's COPY data to batches, whatever their format is.

use arrow::array::RecordBatch;
use kestrel_proto::Result;

use super::{CopyRows, Places, Records, binary::BinaryReader, records::Record};

/// Takes COPY data, cut anywhere.
pub struct CopyReader(Reader);

/// Rows, and where they came from.
pub struct CopyBatch {
    /// Of the columns that the client sends.
    pub rows: RecordBatch,
    /// For errors in a row.
    pub places: Places,
}

enum Reader {
    Records { records: Box<Records>, rows: Box<CopyRows>, header: Header },
    Binary(Box<BinaryReader>),
}

/// What the first line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// A row.
    None,
    /// Not looked at.
    Skip,
    /// The columns' names.
    Match,
}

impl CopyReader {
    /// Of text or csv.
    pub fn records(records: Records, rows: CopyRows, header: Header) -> Self {
        Self(Reader::Records { records: Box::new(records), rows: Box::new(rows), header })
    }

    /// Of binary data.
    pub fn binary(reader: BinaryReader) -> Self {
        Self(Reader::Binary(Box::new(reader)))
    }

    /// Is it binary data?
    pub fn is_binary(&self) -> bool {
        matches!(self.0, Reader::Binary(_))
    }

    /// More data.
    ///
    /// # Errors
    /// What is wrong with it. Rows before it may still be taken.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.0 {
            Reader::Records { records, rows, header } => {
                records.push(bytes, |record| take(rows, header, &record))
            }
            Reader::Binary(reader) => reader.push(bytes),
        }
    }

    /// All data has come.
    ///
    /// # Errors
    /// As [`CopyReader::push`].
    pub fn finish(&mut self) -> Result<()> {
        match &mut self.0 {
            Reader::Records { records, rows, header } => {
                records.finish(|record| take(rows, header, &record))
            }
            Reader::Binary(reader) => reader.finish(),
        }
    }

    /// Where the next row is, as the CONTEXT of an error.
    pub fn next_place(&self) -> String {
        match &self.0 {
            Reader::Records { records, .. } => records.next_place(),
            Reader::Binary(reader) => reader.next_place(),
        }
    }

    /// Are there enough rows for a batch?
    pub fn is_full(&self) -> bool {
        match &self.0 {
            Reader::Records { rows, .. } => rows.is_full(),
            Reader::Binary(reader) => reader.is_full(),
        }
    }

    /// The rows so far, if there are any.
    ///
    /// # Errors
    /// What is wrong with the first value that is no value of its column.
    pub fn take(&mut self) -> Result<Option<CopyBatch>> {
        match &mut self.0 {
            Reader::Records { rows, .. } => rows.take(),
            Reader::Binary(reader) => reader.take(),
        }
    }
}

fn take(rows: &mut CopyRows, header: &mut Header, record: &Record<'_>) -> Result<()> {
    match std::mem::replace(header, Header::None) {
        Header::None => rows.push(record),
        Header::Skip => Ok(()),
        Header::Match => rows.match_header(record),
    }
}
