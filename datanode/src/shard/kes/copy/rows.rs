//! Where the rows of binary COPY data and their fields are ("Binary Format" of COPY's
//! documentation).
//!
//! Data come cut anywhere. Fields are collected by column until there are rows enough for a chunk:
//! that is how a chunk is decoded, and a column's bytes side by side are read much faster than
//! between those of the others.

use kestrel_planner::wire_binary::{CopyHeader, read_copy_header};
use kestrel_proto::{ErrorReport, Result, SqlState};

/// A row is not longer than this (PostgreSQL's MaxAllocSize).
const ROW_BYTES_MAX: usize = 0x3fff_ffff;
/// Of data after a row that was cut so many bytes at most are taken at a time: they are read again soon,
/// from the processor's cache.
const PIECE_BYTES: usize = 64 << 10;

/// How much a chunk has: the first limit ends it.
#[derive(Clone, Copy, Debug)]
pub struct ChunkLimits {
    /// Rows.
    pub rows: usize,
    /// Bytes; the row that reaches them is the last. At most 2 GiB.
    pub bytes: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self { rows: 8_192, bytes: 16 << 20 }
    }
}

/// Rows, and where their fields are.
#[derive(Debug)]
pub struct RowChunk {
    pub(super) columns: Vec<Fields>,
    pub(super) rows: usize,
    bytes: usize,
}

/// The fields of one column.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// All their bytes.
    pub(super) data: Vec<u8>,
    /// Where they are, one for each row.
    pub(super) fields: Vec<Field>,
}

impl RowChunk {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many bytes its rows have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Where a field is in its column's data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// Where it begins.
    pub(super) start: u32,
    /// Its bytes; negative: it is NULL.
    pub(super) len: i32,
}

/// Collects COPY data and finds the rows in it.
#[derive(Debug)]
pub struct RowFinder {
    limits: ChunkLimits,
    state: State,
    /// What has come and is not in a column.
    kept: Vec<u8>,
    columns: Vec<Fields>,
    /// So many rows are whole.
    rows: usize,
    /// Their bytes.
    bytes: usize,
    /// The bytes of the row that is looked at, as far as it is in columns.
    row_bytes: usize,
    /// So many of its fields are found; `None`: it has not begun.
    found: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    /// So many bytes of the header's extension are left.
    Extension(usize),
    Rows,
    /// The end mark has come.
    Ended,
}

impl RowFinder {
    /// For rows of so many columns.
    pub fn new(columns: usize, limits: ChunkLimits) -> Self {
        Self {
            limits,
            state: State::Header,
            kept: Vec::new(),
            columns: (0..columns).map(|_| Fields::default()).collect(),
            rows: 0,
            bytes: 0,
            row_bytes: 0,
            found: None,
        }
    }

    /// Takes more data, and appends the chunks that it completes.
    ///
    /// # Errors
    /// 08P01: it is not of the format, or a row has not as many fields as there are columns. 54000:
    /// a row is too long.
    pub fn push(&mut self, bytes: &[u8], chunks: &mut Vec<RowChunk>) -> Result<()> {
        let mut kept = std::mem::take(&mut self.kept);
        let pushed = self.push_after(&mut kept, bytes, chunks);
        self.kept = kept;
        pushed
    }

    fn push_after(
        &mut self,
        kept: &mut Vec<u8>,
        mut bytes: &[u8],
        chunks: &mut Vec<RowChunk>,
    ) -> Result<()> {
        // Rows that come whole, as a server sends them, are taken from where they are.
        if kept.is_empty() {
            let looked_at = self.look(bytes, chunks)?;
            kept.extend_from_slice(bytes.get(looked_at..).unwrap_or_default());
            return Ok(());
        }
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES));
            kept.extend_from_slice(piece);
            bytes = rest;
            let looked_at = self.look(kept, chunks)?;
            kept.drain(..looked_at);
        }
        Ok(())
    }

    /// All data has come: the rows that are no chunk yet, if there are any.
    ///
    /// # Errors
    /// 08P01: it does not end with an end mark.
    pub fn finish(&mut self) -> Result<Option<RowChunk>> {
        match self.state {
            State::Ended => Ok((self.rows > 0).then(|| self.cut())),
            State::Header | State::Extension(_) | State::Rows => {
                Err(malformed("unexpected end of COPY data"))
            }
        }
    }

    /// Takes what it can from the beginning of `data`: so many bytes.
    fn look(&mut self, data: &[u8], chunks: &mut Vec<RowChunk>) -> Result<usize> {
        let mut at = 0;
        loop {
            let rest = data.get(at..).unwrap_or_default();
            match self.state {
                State::Header => match read_copy_header(rest).map_err(malformed)? {
                    CopyHeader::Whole { bytes, extension_bytes } => {
                        at += bytes;
                        self.state = State::Extension(extension_bytes);
                    }
                    CopyHeader::Part(_) => return Ok(at),
                },
                State::Extension(left) => {
                    let skipped = left.min(rest.len());
                    at += skipped;
                    if skipped < left {
                        self.state = State::Extension(left - skipped);
                        return Ok(at);
                    }
                    self.state = State::Rows;
                }
                State::Rows => {
                    let (found, bytes) = self.find_row(rest)?;
                    at += bytes;
                    match found {
                        Found::Row => {
                            if self.rows >= self.limits.rows || self.bytes >= self.limits.bytes {
                                chunks.push(self.cut());
                            }
                        }
                        Found::Part => return Ok(at),
                        Found::EndMark => self.state = State::Ended,
                    }
                }
                State::Ended if rest.is_empty() => return Ok(at),
                State::Ended => return Err(malformed("received COPY data after the end mark")),
            }
        }
    }

    /// Goes on with a row until its end, or the end of the data; how many bytes of it are taken.
    fn find_row(&mut self, data: &[u8]) -> Result<(Found, usize)> {
        let mut at = 0;
        let found = match self.found {
            Some(found) => found,
            None => {
                let Some((count, _)) = data.split_first_chunk() else {
                    return Ok((Found::Part, at));
                };
                let count = i16::from_be_bytes(*count);
                at += 2;
                if count == -1 {
                    return Ok((Found::EndMark, at));
                }
                if usize::try_from(count) != Ok(self.columns.len()) {
                    let columns = self.columns.len();
                    return Err(malformed(format!(
                        "row field count is {count}, expected {columns}"
                    )));
                }
                0
            }
        };
        for (number, column) in self.columns.iter_mut().enumerate().skip(found) {
            let rest = data.get(at..).unwrap_or_default();
            let Some((len, rest)) = rest.split_first_chunk() else {
                self.found = Some(number);
                return Ok((Found::Part, at));
            };
            let len = i32::from_be_bytes(*len);
            let bytes = match usize::try_from(len) {
                Ok(bytes) => bytes,
                Err(_) if len == -1 => 0,
                Err(_) => return Err(malformed(format!("invalid field size {len}"))),
            };
            let Some(bytes) = rest.get(..bytes) else {
                self.found = Some(number);
                check_length(self.row_bytes + bytes)?;
                return Ok((Found::Part, at));
            };
            column.fields.push(Field { start: column.data.len() as u32, len });
            column.data.extend_from_slice(bytes);
            self.row_bytes += bytes.len();
            at += 4 + bytes.len();
        }
        self.found = None;
        self.rows += 1;
        self.bytes += std::mem::take(&mut self.row_bytes);
        Ok((Found::Row, at))
    }

    /// Makes a chunk of the whole rows. No row must have begun.
    fn cut(&mut self) -> RowChunk {
        // The next chunk will need as much.
        let next = self.columns.iter().map(|column| Fields {
            data: Vec::with_capacity(column.data.len() + column.data.len() / 16),
            fields: Vec::with_capacity(self.rows),
        });
        let next = next.collect();
        RowChunk {
            columns: std::mem::replace(&mut self.columns, next),
            rows: std::mem::take(&mut self.rows),
            bytes: std::mem::take(&mut self.bytes),
        }
    }
}

enum Found {
    /// The end of a row.
    Row,
    /// The end of the data, but of no row.
    Part,
    /// The mark behind the last row.
    EndMark,
}

/// A row may be so long, and the rest of it has yet to come.
fn check_length(bytes: usize) -> Result<()> {
    match bytes <= ROW_BYTES_MAX {
        true => Ok(()),
        false => Err(ErrorReport::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("a row of {bytes} bytes is too long"),
        )),
    }
}

/// 08P01
fn malformed(message: impl Into<String>) -> ErrorReport {
    ErrorReport::new(SqlState::PROTOCOL_VIOLATION, message)
        .detail("A shard's database sent malformed binary COPY data.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

    /// The rows of all chunks, each the bytes of its fields.
    fn find(pieces: &[&[u8]], limits: ChunkLimits) -> Result<Vec<Vec<Option<Vec<u8>>>>> {
        let (mut finder, mut chunks) = (RowFinder::new(2, limits), Vec::new());
        for piece in pieces {
            finder.push(piece, &mut chunks)?;
        }
        chunks.extend(finder.finish()?);
        let mut rows = Vec::new();
        for chunk in chunks {
            for row in 0..chunk.rows {
                let bytes = |column: &Fields| {
                    let start = column.fields[row].start as usize;
                    let len = usize::try_from(column.fields[row].len).ok()?;
                    Some(column.data[start..start + len].to_vec())
                };
                rows.push(chunk.columns.iter().map(bytes).collect());
            }
        }
        Ok(rows)
    }

    #[test]
    fn rows_may_be_cut_anywhere() {
        let rows: &[u8] = b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff\0\x02\0\0\0\0\0\0\0\x03cde\xff\xff";
        let data = [&b"PGCOPY\n\xff\r\n\0\0\0\0\x05\0\0\0\x02.."[..], rows].concat();
        let expected =
            vec![vec![Some(b"ab".to_vec()), None], vec![Some(b"".to_vec()), Some(b"cde".to_vec())]];
        for rows in [1, 2, 10] {
            for bytes in [1, 20, 1000] {
                for cut in 0..=data.len() {
                    let limits = ChunkLimits { rows, bytes };
                    let found = find(&[&data[..cut], &data[cut..]], limits).unwrap();
                    assert_eq!(found, expected, "cut at {cut}, {limits:?}");
                }
                let single: Vec<&[u8]> = data.chunks(1).collect();
                assert_eq!(find(&single, ChunkLimits { rows, bytes }).unwrap(), expected);
            }
        }
    }

    #[test]
    fn what_is_no_copy_data_is_refused() {
        for (rows, expected) in [
            (&b""[..], "08P01 unexpected end of COPY data"),
            (b"\0", "08P01 unexpected end of COPY data"),
            (b"\0\x02\xff\xff\xff\xff", "08P01 unexpected end of COPY data"),
            (b"\0\x02\0\0\0\x05abc", "08P01 unexpected end of COPY data"),
            (b"\0\x03", "08P01 row field count is 3, expected 2"),
            (b"\xff\xfe", "08P01 row field count is -2, expected 2"),
            (b"\0\x02\xff\xff\xff\xfe", "08P01 invalid field size -2"),
            (b"\0\x02\x7f\xff\xff\xff", "54000 a row of 2147483647 bytes is too long"),
            (b"\xff\xff\0", "08P01 received COPY data after the end mark"),
        ] {
            let data = [HEADER, rows].concat();
            let error = find(&[&data], ChunkLimits::default()).unwrap_err();
            assert_eq!(format!("{} {}", error.sqlstate.as_str(), error.message), expected);
        }
        let error = find(&[b"pgcopy\n\xff\r\n\0"], ChunkLimits::default()).unwrap_err();
        assert_eq!(error.message, "COPY file signature not recognized");
    }
}
