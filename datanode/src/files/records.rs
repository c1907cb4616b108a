//! Rows of text and csv files: blocks are read side by side, and given in the files' order.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::stream::{self, BoxStream, StreamExt};
use kestrel_planner::copy::{BlockEnd, FilePart, FileScan, ReadBlock};
use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio_util::task::AbortOnDropHandle;

use super::{
    cut::{Cut, cut, lines_before},
    from_thread, lost, threads,
};

/// A block that has been read.
struct Parsed {
    part: usize,
    /// It is the last one of its file.
    is_last: bool,
    read: ReadBlock,
}

/// The rows of all parts of a scan.
pub(super) fn read(scan: Arc<FileScan>) -> BoxStream<'static, Result<RecordBatch>> {
    let cutting = Arc::clone(&scan);
    let cuts = from_thread(move |take| {
        for (at, (_, part)) in cutting.parts.iter().enumerate() {
            if !cut(&cutting.parser.layout, (at, part), take)? {
                break;
            }
        }
        Ok(())
    });
    let parsing = Arc::clone(&scan);
    let parsed = cuts.map(move |cut| {
        let scan = Arc::clone(&parsing);
        let parsed = tokio::task::spawn_blocking(move || parse(&scan, cut?));
        let parsed = AbortOnDropHandle::new(parsed);
        async move { parsed.await.unwrap_or_else(|error| Err(lost(&error))) }
    });
    let parsed = parsed.buffered(threads()).boxed();
    let state = Some(Rows { scan, parsed, ended: None });
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

/// Parses a block. Errors tell lines of the file, which are only counted for them.
fn parse(scan: &FileScan, cut: Cut) -> Result<Parsed> {
    let Cut { part, block, start, is_last } = cut;
    let file = &scan.parts[part].1;
    let mut read = scan.parser.parse(&block)?;
    if start > 0 && matches!(read.end, BlockEnd::Failed(_)) {
        let lines = lines_before(&scan.parser.layout, file, start)?;
        read = scan.parser.parse(&block.after_lines(lines))?;
    }
    if let BlockEnd::Failed(error) = read.end {
        return Err(match scan.names_files && error.detail.is_none() {
            true => error.detail(format!("It is in file \"{}\".", file.path)),
            false => error,
        });
    }
    Ok(Parsed { part, is_last, read })
}

/// The rows of blocks, up to the end marks of their files.
struct Rows {
    scan: Arc<FileScan>,
    parsed: BoxStream<'static, Result<Parsed>>,
    /// The part whose end mark has come.
    ended: Option<usize>,
}

impl Rows {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            let Parsed { part, is_last, read } = match self.parsed.next().await? {
                Ok(parsed) => parsed,
                Err(error) => return Some(Err(error)),
            };
            if self.ended == Some(part) {
                continue;
            }
            if read.end == BlockEnd::Ended {
                self.ended = Some(part);
                let file = &self.scan.parts[part].1;
                if !is_last && !file.is_whole() {
                    return Some(Err(mark_inside(file)));
                }
            }
            if let Some(batch) = read.batch {
                return Some(Ok(batch.rows));
            }
        }
    }
}

/// Others have read on behind the mark.
fn mark_inside(part: &FilePart) -> ErrorReport {
    let message = format!("end-of-copy marker is not at the end of file \"{}\"", part.path);
    ErrorReport::new(SqlState::BAD_COPY_FILE_FORMAT, message)
        .hint("Several datanodes read the file. Remove what is behind the marker.")
}
