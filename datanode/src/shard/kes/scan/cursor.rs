//! Rows through a cursor, a few thousand at a time: in a session that others use in turns with it.

use std::{collections::VecDeque, sync::Arc};

use arrow::array::RecordBatch;
use futures::stream;
use kestrel_planner::wire_binary::COPY_SIGNATURE;
use kestrel_proto::{ErrorReport, Result};

use super::{KesScan, read::Rows};
use crate::shard::kes::{
    copy::{CopyLayout, RowFinder},
    session::RawRows,
    shared_session::SharedSession,
    sql::Piece,
};

/// The first FETCH asks for so many rows: how long they are is not known yet.
pub(super) const FIRST_ROWS: usize = 256;
/// A later one for four times as many as the one before, up to so many bytes, and a batch.
const GROWTH: usize = 4;
const FETCH_BYTES: usize = 4 << 20;

/// What is done with a cursor that nobody reads any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// It is closed: its transaction goes on.
    Close,
    /// Nothing: its transaction ends soon.
    Leave,
}

/// The rows of a piece.
pub(super) fn rows(
    scan: Arc<KesScan>,
    session: Arc<SharedSession>,
    piece: Piece,
    at_end: AtEnd,
) -> Rows {
    let cursor = Cursor {
        name: session.new_cursor(),
        select: scan.sql.select(&piece),
        session,
        at_end,
        layout: None,
        next_rows: FIRST_ROWS.min(scan.chunk_limits().rows),
        is_exhausted: false,
    };
    let reading = Reading { scan: Arc::clone(&scan), cursor, ready: VecDeque::new() };
    scan.put_out(stream::try_unfold(reading, |mut reading| async move {
        Ok::<_, ErrorReport>(reading.next().await?.map(|batch| (batch, reading)))
    }))
}

struct Reading {
    scan: Arc<KesScan>,
    cursor: Cursor,
    ready: VecDeque<RecordBatch>,
}

struct Cursor {
    session: Arc<SharedSession>,
    /// Quoted.
    name: String,
    select: String,
    at_end: AtEnd,
    /// `None`: it has not been opened.
    layout: Option<CopyLayout>,
    /// Of the next FETCH.
    next_rows: usize,
    is_exhausted: bool,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.ready.is_empty() && !self.cursor.is_exhausted {
            let fetched = self.cursor.fetch().await?;
            let layout = match &self.cursor.layout {
                Some(layout) => layout.clone(),
                None => {
                    let layout = self.scan.layout(&fetched.columns)?;
                    self.cursor.layout.insert(layout).clone()
                }
            };
            self.cursor.learn(&fetched, self.scan.chunk_limits().rows);
            self.ready.extend(decode(&self.scan, &layout, &fetched).await?);
        }
        Ok(self.ready.pop_front())
    }
}

/// The rows of a FETCH.
pub(super) async fn decode(
    scan: &KesScan,
    layout: &CopyLayout,
    fetched: &RawRows,
) -> Result<Vec<RecordBatch>> {
    let mut chunks = Vec::new();
    let mut finder = RowFinder::new(fetched.columns.len(), scan.chunk_limits());
    // What FETCH sends is what COPY sends, but for beginning and end.
    finder.push(COPY_SIGNATURE, &mut chunks)?;
    finder.push(&[0; 8], &mut chunks)?;
    finder.push(&fetched.data, &mut chunks)?;
    finder.push(&(-1i16).to_be_bytes(), &mut chunks)?;
    chunks.extend(finder.finish()?);
    let mut batches = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        batches.push(scan.store.decode.decode(layout, chunk).await?);
    }
    Ok(batches)
}

impl Cursor {
    async fn fetch(&mut self) -> Result<RawRows> {
        let (name, rows) = (&self.name, self.next_rows);
        let fetch = format!("FETCH FORWARD {rows} FROM {name}");
        let sql = match self.layout {
            Some(_) => fetch,
            None => {
                let declare = format!("DECLARE {name} BINARY NO SCROLL CURSOR FOR {}", self.select);
                format!("{declare}; {fetch}")
            }
        };
        self.session.turn().await?.read(&sql).await
    }

    /// From what has come: whether it was all, and how much to ask for next.
    fn learn(&mut self, fetched: &RawRows, rows_max: usize) {
        self.is_exhausted = fetched.rows < self.next_rows;
        self.next_rows = next_rows(self.next_rows, fetched.rows, fetched.data.len(), rows_max);
    }
}

/// How many rows the next FETCH asks for, after one that asked for `asked` and got so much.
fn next_rows(asked: usize, rows: usize, bytes: usize, rows_max: usize) -> usize {
    let row_bytes = (bytes / rows.max(1)).max(1);
    (asked * GROWTH).min(rows_max).min(FETCH_BYTES / row_bytes).max(1)
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if self.layout.is_none() || self.at_end == AtEnd::Leave {
            return;
        }
        let (session, close) = (Arc::clone(&self.session), format!("CLOSE {}", self.name));
        self.session.spawn(async move {
            // A savepoint that was rolled back to may have closed it.
            if let Ok(mut turn) = session.turn().await {
                let _ = turn.read(&close).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_is_bounded_by_rows_and_bytes() {
        for (asked, rows, bytes, expected) in [
            (256, 256, 256 * 10, 1024),
            (4096, 4096, 4096 * 10, 8192),
            (8192, 8192, 8192 * 10, 8192),
            (256, 256, 256 << 20, 4),
            (4, 4, 100 << 20, 1),
            (1, 1, 10, 4),
            (256, 0, 0, 1024),
        ] {
            assert_eq!(next_rows(asked, rows, bytes, 8192), expected, "{rows} rows, {bytes} bytes");
        }
    }
}
