//! A part of a file with text or csv to blocks. Blocks the thread.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
};

use kestrel_planner::copy::{
    BLOCK_BYTES, Block, Blocks, CopyLayout, FilePart, RecordFormat, RecordSearch,
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio_util::sync::CancellationToken;

use super::{
    Take,
    open::{differs, open},
};
use crate::io_error::io_error;

/// So many bytes are read at a time to look back for backslashes.
const LOOK_BACK_BYTES: u64 = 64;

/// A block of a file.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// The file's part, by its position among those that are read here.
    pub(super) part: usize,
    pub(super) block: Block,
    /// Where the first record of the part begins in the file.
    pub(super) start: u64,
}

/// Gives the blocks of a part; `false`: nobody wants more.
///
/// # Errors
/// Those of [`open`]; 58030: the file cannot be read; 57014: `stop` says so.
pub(super) fn cut(
    layout: &CopyLayout,
    (at, part): (usize, &FilePart),
    stop: &CancellationToken,
    take: Take<'_, Cut>,
) -> Result<bool> {
    let mut file = Reading::open(part, stop)?;
    let start = file.first_record(&layout.format)?;
    let mut blocks = Blocks::new(&layout.table, &layout.format);
    if start > 0 {
        blocks = blocks.in_the_middle();
    }
    file.seek(start)?;
    let mut give = |block| take(Cut { part: at, block, start });
    while file.place < part.end {
        let bytes = file.next(part.end)?;
        if bytes.is_empty() {
            return Err(differs(part));
        }
        for block in blocks.push(bytes) {
            if !give(block) {
                return Ok(false);
            }
        }
    }
    if start >= part.end {
        // A record of another part is all that is here.
        return Ok(true);
    }
    // The last record may go on behind the part, and is read here then.
    let mut last = blocks.end_with(&[]);
    while last.is_none() {
        let bytes = file.next(part.length)?;
        if bytes.is_empty() {
            return Ok(give(blocks.finish()));
        }
        last = blocks.end_with(bytes);
    }
    Ok(last.is_none_or(give))
}

/// How many lines are before a place where a record begins.
///
/// # Errors
/// As [`cut`].
pub(super) fn lines_before(
    layout: &CopyLayout,
    part: &FilePart,
    place: u64,
    stop: &CancellationToken,
) -> Result<u64> {
    let mut file = Reading::open(part, stop)?;
    let mut blocks = Blocks::new(&layout.table, &layout.format);
    while file.place < place {
        let bytes = file.next(place)?;
        if bytes.is_empty() {
            return Err(differs(part));
        }
        blocks.push(bytes);
    }
    Ok(blocks.lines())
}

/// A file that is read from some place on.
struct Reading<'a> {
    part: &'a FilePart,
    file: File,
    place: u64,
    buffer: Vec<u8>,
    /// Nobody waits any more, not even for a long way to the first record.
    stop: &'a CancellationToken,
}

impl<'a> Reading<'a> {
    /// From its beginning.
    fn open(part: &'a FilePart, stop: &'a CancellationToken) -> Result<Self> {
        Ok(Self { part, file: open(part)?, place: 0, buffer: vec![0; BLOCK_BYTES], stop })
    }

    fn go_on(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            let message = "canceling statement due to user request";
            return Err(ErrorReport::new(SqlState::QUERY_CANCELED, message));
        }
        Ok(())
    }

    fn seek(&mut self, place: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(place)).map_err(|error| failed(self.part, &error))?;
        self.place = place;
        Ok(())
    }

    /// The next bytes, none from `end` on; none: the file ends.
    fn next(&mut self, end: u64) -> Result<&[u8]> {
        self.go_on()?;
        let wanted = end.saturating_sub(self.place).min(self.buffer.len() as u64) as usize;
        let read = loop {
            match self.file.read(&mut self.buffer[..wanted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| failed(self.part, &error))?,
            }
        };
        self.place += read as u64;
        Ok(&self.buffer[..read])
    }

    /// Where the first record of the part begins; the file's end if there is none. Where values are
    /// quoted, only all that is before it tells.
    fn first_record(&mut self, format: &RecordFormat) -> Result<u64> {
        let FilePart { start, length, .. } = *self.part;
        let mut search = RecordSearch::new(format);
        if RecordSearch::may_begin_near(format) {
            let near = self.backslashes_before(start.saturating_sub(1))?;
            self.seek(near)?;
        }
        while self.place < start {
            let bytes = self.next(start)?;
            if bytes.is_empty() {
                return Err(differs(self.part));
            }
            search.pass(bytes);
        }
        let mut record = search.here();
        let mut found = record.push(&[]);
        while found.is_none() {
            let bytes = self.next(length)?;
            if bytes.is_empty() {
                return Ok(length);
            }
            found = record.push(bytes);
        }
        Ok(start + found.unwrap_or_default() as u64)
    }

    /// Where the backslashes right before a place begin.
    fn backslashes_before(&mut self, mut place: u64) -> Result<u64> {
        loop {
            self.go_on()?;
            let from = place.saturating_sub(LOOK_BACK_BYTES);
            let mut bytes = [0; LOOK_BACK_BYTES as usize];
            let bytes = &mut bytes[..(place - from) as usize];
            self.file.read_exact_at(bytes, from).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => differs(self.part),
                _ => failed(self.part, &error),
            })?;
            let backslashes = bytes.iter().rev().take_while(|byte| **byte == b'\\').count();
            if backslashes < bytes.len() || from == 0 {
                return Ok(place - backslashes as u64);
            }
            place = from;
        }
    }
}

fn failed(part: &FilePart, error: &io::Error) -> ErrorReport {
    io_error("read", part.path.as_ref(), error)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kestrel_planner::{
        catalog::{ColumnDef, SqlType},
        copy::{Forced, Header},
        functions::SessionFormats,
    };

    use super::*;

    fn layout(csv: bool, escape: u8) -> CopyLayout {
        let (delimiter, null) = if csv { (b',', "") } else { (b'\t', "\\N") };
        let column = ColumnDef {
            id: 1,
            name: "a".into(),
            sql_type: SqlType::Text,
            not_null: false,
            default: None,
            identity: None,
        };
        CopyLayout {
            table: "t".into(),
            columns: vec![column],
            forced: vec![Forced::default()],
            format: RecordFormat { csv, delimiter, null: null.into(), quote: b'"', escape },
            header: Header::None,
            formats: SessionFormats::default(),
            rejects: false,
        }
    }

    /// The first values of a part's records, with their lines.
    fn read(layout: &CopyLayout, part: &FilePart) -> Vec<String> {
        let (mut rows, stop) = (Vec::new(), CancellationToken::new());
        let mut take = |cut: Cut| {
            let lines = lines_before(layout, part, cut.start, &stop).unwrap();
            let read = layout.read(&cut.block.after_lines(lines)).unwrap();
            if let Some(batch) = read.batch {
                rows.extend((0..batch.rows.num_rows()).map(|row| batch.places.context(row)));
            }
            true
        };
        assert_eq!(cut(layout, (0, part), &stop, &mut take), Ok(true));
        rows
    }

    #[test]
    fn parts_have_together_what_the_file_has_wherever_it_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(directory.path()).unwrap().join("a");
        let long = "x".repeat(300);
        // In more than one step, and the newline behind it ends no record.
        let odd = "\\".repeat(2 * LOOK_BACK_BYTES as usize + 1);
        for (layout, data) in [
            (layout(false, b'"'), format!("1\n2{odd}\n3\n{odd}\\\n4\n{odd}\n\n5")),
            (layout(false, b'"'), format!("1\n2\\\n3\n\\\\\n{long}\nend")),
            (layout(true, b'"'), format!("1\n\"2\n\"\"\n\"\n3\r\n\"{long}\n\"\n\n4\n")),
            (layout(true, b'\\'), format!("1\n\"2\\\"\n\"\n3\\\n\"{long}\n\"\n4")),
        ] {
            fs::write(&path, &data).unwrap();
            let length = data.len() as u64;
            let part = |start, end| {
                let path = path.to_string_lossy().into_owned();
                FilePart { path, start, end, length }
            };
            let whole = read(&layout, &part(0, length));
            assert!(whole.len() >= 4, "{whole:?}");
            for cut in 0..=length {
                let mut parts = read(&layout, &part(0, cut));
                parts.extend(read(&layout, &part(cut, length)));
                assert_eq!(parts, whole, "{data:?} cut at {cut}");
            }
        }
    }

    /// On the way to its first record, too.
    #[test]
    fn a_part_is_given_up_when_nobody_waits_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(directory.path()).unwrap().join("a");
        fs::write(&path, "1\n2\n").unwrap();
        let path = path.to_string_lossy().into_owned();
        let part = FilePart { path, start: 2, end: 4, length: 4 };
        let stop = CancellationToken::new();
        stop.cancel();
        for layout in [layout(false, b'"'), layout(true, b'"')] {
            let error = cut(&layout, (0, &part), &stop, &mut |_| true).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::QUERY_CANCELED);
            let error = lines_before(&layout, &part, 2, &stop).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::QUERY_CANCELED);
        }
    }
}
