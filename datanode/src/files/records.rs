//! Rows of text and csv files: blocks are read side by side, and given in the files' order.

use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use futures::stream::{self, BoxStream, StreamExt};
use kestrel_planner::copy::{BlockEnd, FilePart, FileScan, ReadBlock, Rejects};
use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::Mutex;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};

use super::{
    LeftOut,
    cut::{Cut, cut, lines_before},
    from_thread, lost, threads,
};

/// A block that has been read.
struct Parsed {
    part: usize,
    /// There was nothing in it.
    is_empty: bool,
    read: ReadBlock,
}

/// The rows of all parts of a scan; `left_out` gets what is not among them.
pub(super) fn read(
    scan: Arc<FileScan>,
    left_out: Arc<Mutex<LeftOut>>,
) -> BoxStream<'static, Result<RecordBatch>> {
    let stop = CancellationToken::new();
    let (cutting, stop_cutting) = (Arc::clone(&scan), stop.clone());
    let cuts = from_thread(move |take| {
        for (at, (_, part)) in cutting.parts.iter().enumerate() {
            if !cut(&cutting.parser.layout, (at, part), &stop_cutting, take)? {
                break;
            }
        }
        Ok(())
    });
    let lines = scan.parts.iter().map(|_| OnceLock::new()).collect();
    let parsing = Arc::new(Parsing { scan: Arc::clone(&scan), lines, stop: stop.clone() });
    let parsed = cuts.map(move |cut| {
        let parsing = Arc::clone(&parsing);
        let parsed = tokio::task::spawn_blocking(move || parsing.parse(cut?));
        let parsed = AbortOnDropHandle::new(parsed);
        async move { parsed.await.unwrap_or_else(|error| Err(lost(&error))) }
    });
    let parsed = parsed.buffered(threads()).boxed();
    let rejects = scan.rejects.map(Rejects::new);
    let state =
        Some(Rows { scan, parsed, ended: None, rejects, left_out, _reading: stop.drop_guard() });
    let rows = stream::unfold(state, async |rows| {
        let mut rows = rows?;
        match rows.next().await {
            Some(Ok(batch)) => Some((Ok(batch), Some(rows))),
            Some(Err(error)) => Some((Err(error), None)),
            None => None,
        }
    });
    rows.boxed()
}

/// Parses blocks.
struct Parsing {
    scan: Arc<FileScan>,
    /// How many lines are before each part in its file, if that was asked for.
    lines: Vec<OnceLock<u64>>,
    stop: CancellationToken,
}

impl Parsing {
    /// Parses a block. What is wrong is told with its line in the file; only then lines are counted.
    fn parse(&self, cut: Cut) -> Result<Parsed> {
        let Cut { part, block, start } = cut;
        let is_empty = block.size() == 0;
        let (scan, file) = (&self.scan, &self.scan.parts[part].1);
        let mut read = scan.parser.parse(&block)?;
        let is_wrong = !read.rejected.is_empty() || matches!(read.end, BlockEnd::Failed(_));
        if start > 0 && is_wrong {
            let lines = match self.lines[part].get() {
                Some(lines) => *lines,
                None => {
                    let lines = lines_before(&scan.parser.layout, file, start, &self.stop)?;
                    *self.lines[part].get_or_init(|| lines)
                }
            };
            read = scan.parser.parse(&block.after_lines(lines))?;
        }
        Ok(Parsed { part, is_empty, read })
    }
}

/// The rows of blocks, up to the end marks of their files.
struct Rows {
    scan: Arc<FileScan>,
    parsed: BoxStream<'static, Result<Parsed>>,
    /// The part whose end mark has come.
    ended: Option<usize>,
    /// Bad records are left out, and counted.
    rejects: Option<Rejects>,
    left_out: Arc<Mutex<LeftOut>>,
    /// When the rows are not wanted any more, the threads that read for them end.
    _reading: DropGuard,
}

impl Rows {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            let Parsed { part, is_empty, mut read } = match self.parsed.next().await? {
                Ok(parsed) => parsed,
                Err(error) => return Some(Err(error)),
            };
            let file = &self.scan.parts[part].1;
            if self.ended == Some(part) {
                if !is_empty && !file.is_whole() {
                    return Some(Err(mark_inside(file)));
                }
                continue;
            }
            if let BlockEnd::Failed(error) = read.end {
                return Some(Err(self.in_file(part, error)));
            }
            if read.end == BlockEnd::Ended {
                self.ended = Some(part);
                if file.end < file.length {
                    return Some(Err(mark_inside(file)));
                }
            }
            if let Err(error) = self.note_rejected(part, &mut read) {
                return Some(Err(error));
            }
            if let Some(batch) = read.batch {
                return Some(Ok(batch.rows));
            }
        }
    }
}

impl Rows {
    fn in_file(&self, part: usize, error: ErrorReport) -> ErrorReport {
        if !self.scan.names_files || error.detail.is_some() {
            return error;
        }
        error.detail(format!("It is in file \"{}\".", self.scan.parts[part].1.path))
    }

    fn note_rejected(&mut self, part: usize, read: &mut ReadBlock) -> Result<()> {
        let (Some(rejects), Some(limit)) = (&mut self.rejects, self.scan.rejects) else {
            return Ok(());
        };
        rejects.note(read.records, &read.rejected)?;
        let file = &self.scan.parts[part].1.path;
        let rejected = std::mem::take(&mut read.rejected);
        self.left_out.lock().note(file, rejected, limit.is_logged);
        Ok(())
    }
}

/// Others have read on behind the mark.
fn mark_inside(part: &FilePart) -> ErrorReport {
    let message = format!("end-of-copy marker is not at the end of file \"{}\"", part.path);
    ErrorReport::new(SqlState::BAD_COPY_FILE_FORMAT, message)
        .hint("Several datanodes read the file. Remove what is behind the marker.")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kestrel_planner::{
        catalog::SqlType,
        copy::{BLOCK_BYTES, FileKind},
    };

    use super::{super::test_scan::scan, *};

    /// How many rows are in so many of a file's last bytes but some.
    async fn count(data: &str, start: u64, end: u64) -> Result<usize> {
        let directory = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(directory.path()).unwrap().join("a");
        fs::write(&path, data).unwrap();
        let path = path.to_string_lossy().into_owned();
        let part = FilePart { path, start, end, length: data.len() as u64 };
        let scan = scan(part, FileKind::Records, SqlType::Integer);
        let batches: Vec<_> = read(Arc::new(scan), Arc::default()).collect().await;
        batches.into_iter().map(|batch| batch.map(|batch| batch.num_rows())).sum()
    }

    #[tokio::test]
    async fn an_end_mark_may_be_at_the_end_of_a_file_in_parts() {
        // The mark is what a block ends with, and an empty one comes behind it.
        let rows = "2\n".repeat((BLOCK_BYTES - 6) / 2);
        let data = format!("1\n22\n{rows}\\.\n");
        let length = data.len() as u64;
        assert_eq!(length, 2 + BLOCK_BYTES as u64);
        assert_eq!(count(&data, 2, length).await, Ok(1 + (BLOCK_BYTES - 6) / 2));
        let refused = |found: Result<usize>| found.unwrap_err().sqlstate;
        // Others may read on.
        let found = count(&format!("{data}3\n"), 2, length).await;
        assert_eq!(refused(found), SqlState::BAD_COPY_FILE_FORMAT);
        let found = count(&format!("{data}3\n"), 2, length + 2).await;
        assert_eq!(refused(found), SqlState::BAD_COPY_FILE_FORMAT);
        // Nobody does; whatever it is.
        assert_eq!(count("1\n\\.\nx\n", 0, 7).await, Ok(1));
        assert_eq!(count(&format!("22\n{rows}\\.\nx\n"), 0, length).await, Ok(1 + rows.len() / 2));
    }
}
