//! The rows of a query as they are asked for, and where one stands among them.

use std::fmt;

use arrow::array::RecordBatch;
use futures::StreamExt;
use kestrel_proto::{BatchStream, ErrorReport, Result, SqlState};

use super::kept::{KeptRows, Room, at_most};

/// A query's rows. It stands before the first of them, on one, or behind the last
/// (`portalPos`, `atStart` and `atEnd` of pquery.c).
pub struct RowCursor {
    /// What is still to be read; `None`: all was.
    source: Option<BatchStream>,
    /// Why no more can be read.
    failure: Option<ErrorReport>,
    /// Of the last batch, what was not given yet. Only if no rows are kept.
    rest: Option<RecordBatch>,
    /// SCROLL: the rows that were read.
    kept: Option<KeptRows>,
    place: Place,
    /// No query stands behind it any more.
    is_held: bool,
    /// It is being read; stays so when whoever reads it breaks off.
    is_read: bool,
}

/// Where a cursor stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The row it stands on, or, behind the last one, that; from 1. 0: before the first.
    pub(super) at: u64,
    /// It stands behind the last row.
    pub(super) is_past_end: bool,
}

impl fmt::Debug for RowCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowCursor").field("place", &self.place).finish_non_exhaustive()
    }
}

impl RowCursor {
    /// One that keeps nothing, before the first row.
    pub fn forward_only(rows: BatchStream) -> Self {
        Self {
            source: Some(rows),
            failure: None,
            rest: None,
            kept: None,
            place: Place::default(),
            is_held: false,
            is_read: false,
        }
    }

    /// An error has come out of it, or has broken into it: nothing more is to be read
    /// (`MarkPortalFailed` of portalmem.c).
    pub fn is_broken(&self) -> bool {
        self.is_read || self.failure.is_some()
    }

    /// One that keeps its rows there, before the first of them.
    pub(super) fn scrollable(rows: BatchStream, room: Room) -> Self {
        Self { kept: Some(KeptRows::new(room)), ..Self::forward_only(rows) }
    }

    /// Where it stands.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The next rows, at most `limit`; it stands on the last of them then. `None`: there is no
    /// next row, and it stands behind the last one.
    pub async fn forward(&mut self, limit: u64) -> Result<Option<RecordBatch>> {
        if limit == 0 || self.place.is_past_end {
            return Ok(None);
        }
        self.is_read = true;
        let batch = match self.kept {
            Some(_) => self.ahead(limit).await,
            None => self.rest(limit).await,
        };
        self.is_read = false;
        let batch = batch?;
        match &batch {
            Some(batch) => self.place.at += batch.num_rows() as u64,
            None => self.place.is_past_end = true,
        }
        Ok(batch)
    }

    /// The rows before this one, the nearest first, at most `limit`; it stands on the last of them
    /// then. `None`: there is none, and it stands before the first row.
    ///
    /// # Errors
    /// 55000: it keeps no rows.
    pub(super) fn backward(&mut self, limit: u64) -> Result<Option<RecordBatch>> {
        let kept = self.kept.as_mut().ok_or_else(forward_only)?;
        if limit == 0 {
            return Ok(None);
        }
        let here = self.place.at + u64::from(self.place.is_past_end);
        let batch = kept.behind(here.saturating_sub(1), limit)?;
        let rows = batch.as_ref().map_or(here, |batch| batch.num_rows() as u64);
        self.place = Place { at: here - rows, is_past_end: false };
        Ok(batch)
    }

    /// Goes before the first row.
    ///
    /// # Errors
    /// 55000: it keeps no rows, and has moved.
    pub(super) fn rewind(&mut self) -> Result<()> {
        if self.place == Place::default() {
            return Ok(());
        }
        if self.kept.is_none() {
            return Err(forward_only());
        }
        self.place = Place::default();
        Ok(())
    }

    /// Reads what is still to be read, and keeps it there, unless it keeps its rows anyway: from now
    /// on no query stands behind it.
    pub(super) async fn hold(&mut self, room: Room) -> Result<()> {
        if self.is_held {
            return Ok(());
        }
        if self.kept.is_some() {
            while let Some(batch) = self.read().await? {
                self.keep(batch)?;
            }
            self.is_held = true;
            return Ok(());
        }
        let mut rest = KeptRows::new(room);
        if let Some(batch) = self.rest.take() {
            rest.push(batch)?;
        }
        while let Some(batch) = self.read().await? {
            rest.push(batch)?;
        }
        self.source = Some(rest.into_stream());
        self.is_held = true;
        Ok(())
    }

    async fn ahead(&mut self, limit: u64) -> Result<Option<RecordBatch>> {
        loop {
            let Some(kept) = &mut self.kept else { return Ok(None) };
            if let Some(ahead) = kept.ahead(self.place.at, limit)? {
                return Ok(Some(ahead));
            }
            match self.read().await? {
                Some(batch) => self.keep(batch)?,
                None => return Ok(None),
            }
        }
    }

    async fn rest(&mut self, limit: u64) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.rest.take().filter(|batch| batch.num_rows() > 0) {
                let given = at_most(batch.num_rows(), limit);
                if given < batch.num_rows() {
                    self.rest = Some(batch.slice(given, batch.num_rows() - given));
                }
                return Ok(Some(batch.slice(0, given)));
            }
            match self.read().await? {
                Some(batch) => self.rest = Some(batch),
                None => return Ok(None),
            }
        }
    }

    fn keep(&mut self, batch: RecordBatch) -> Result<()> {
        let kept = self.kept.as_mut().map_or(Ok(()), |kept| kept.push(batch));
        // A row is missing from now on.
        kept.inspect_err(|error| self.fail(error.clone()))
    }

    async fn read(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let Some(source) = &mut self.source else { return Ok(None) };
        match source.next().await {
            Some(Ok(batch)) => Ok(Some(batch)),
            Some(Err(error)) => {
                self.fail(error.clone());
                Err(error)
            }
            None => {
                self.source = None;
                Ok(None)
            }
        }
    }

    fn fail(&mut self, error: ErrorReport) {
        self.source = None;
        self.failure = Some(error);
    }
}

fn forward_only() -> ErrorReport {
    ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward")
        .hint("Declare it with SCROLL option to enable backward scan.")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int32Array, StringViewArray};
    use arrow::datatypes::Int32Type;
    use datafusion::execution::{
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool, UnboundedMemoryPool},
    };
    use futures::{FutureExt, stream};

    use super::*;

    /// 1, 2, 3 | nothing | 4, 5
    fn rows() -> BatchStream {
        let batch = |numbers: Vec<i32>| {
            let column: ArrayRef = Arc::new(Int32Array::from(numbers));
            Ok(RecordBatch::try_from_iter([("n", column)]).unwrap())
        };
        let batches = [batch(vec![1, 2, 3]), batch(vec![]), batch(vec![4, 5])];
        Box::pin(stream::iter(batches))
    }

    fn room(pool: impl MemoryPool + 'static, mode: DiskManagerMode) -> Room {
        let pool: Arc<dyn MemoryPool> = Arc::new(pool);
        let disk = DiskManagerBuilder::default().with_mode(mode).build().unwrap();
        Room { memory: MemoryConsumer::new("test").register(&pool), disk: Arc::new(disk) }
    }

    /// Nothing goes to disk.
    fn memory() -> Room {
        room(UnboundedMemoryPool::default(), DiskManagerMode::Disabled)
    }

    /// Everything does.
    fn disk() -> Room {
        room(GreedyMemoryPool::new(1), DiskManagerMode::OsTmpDirectory)
    }

    fn numbers(batch: Option<RecordBatch>) -> Vec<i32> {
        batch.map_or(vec![], |b| b.column(0).as_primitive::<Int32Type>().values().to_vec())
    }

    #[tokio::test]
    async fn forward_only_gives_every_row_once() {
        let mut cursor = RowCursor::forward_only(rows());
        assert!(cursor.rewind().is_ok());
        assert_eq!(numbers(cursor.forward(2).await.unwrap()), [1, 2]);
        assert_eq!(numbers(cursor.forward(9).await.unwrap()), [3]);
        assert_eq!(cursor.backward(1).unwrap_err().message, "cursor can only scan forward");
        assert_eq!(cursor.rewind().unwrap_err().sqlstate.as_str(), "55000");
        assert_eq!(numbers(cursor.forward(9).await.unwrap()), [4, 5]);
        assert_eq!(cursor.place(), Place { at: 5, is_past_end: false });
        assert!(numbers(cursor.forward(1).await.unwrap()).is_empty());
        assert_eq!(cursor.place(), Place { at: 5, is_past_end: true });
    }

    #[tokio::test]
    async fn a_scrollable_cursor_goes_both_ways() {
        for room in [memory(), disk()] {
            goes_both_ways(RowCursor::scrollable(rows(), room)).await;
        }
    }

    async fn goes_both_ways(mut cursor: RowCursor) {
        assert!(numbers(cursor.backward(1).unwrap()).is_empty());
        assert_eq!(numbers(cursor.forward(2).await.unwrap()), [1, 2]);
        assert_eq!(numbers(cursor.backward(1).unwrap()), [1]);
        assert_eq!(numbers(cursor.forward(9).await.unwrap()), [2, 3]);
        assert_eq!(numbers(cursor.forward(9).await.unwrap()), [4, 5]);
        assert!(numbers(cursor.forward(9).await.unwrap()).is_empty());
        assert_eq!(numbers(cursor.backward(1).unwrap()), [5]);
        assert_eq!(numbers(cursor.backward(9).unwrap()), [4]);
        assert_eq!(numbers(cursor.backward(9).unwrap()), [3, 2, 1]);
        assert!(numbers(cursor.backward(9).unwrap()).is_empty());
        assert_eq!(cursor.place(), Place::default());
        cursor.forward(3).await.unwrap();
        cursor.rewind().unwrap();
        assert_eq!(numbers(cursor.forward(1).await.unwrap()), [1]);
    }

    #[tokio::test]
    async fn a_held_cursor_goes_on_where_it_stood() {
        for room in [memory, disk] {
            let mut cursor = RowCursor::forward_only(rows());
            assert_eq!(numbers(cursor.forward(2).await.unwrap()), [1, 2]);
            cursor.hold(room()).await.unwrap();
            assert_eq!(numbers(cursor.forward(9).await.unwrap()), [3]);
            assert_eq!(numbers(cursor.forward(1).await.unwrap()), [4]);
            let mut cursor = RowCursor::scrollable(rows(), room());
            assert_eq!(numbers(cursor.forward(2).await.unwrap()), [1, 2]);
            cursor.hold(room()).await.unwrap();
            assert_eq!(numbers(cursor.backward(1).unwrap()), [1]);
        }
    }

    #[tokio::test]
    async fn a_cursor_that_is_left_in_the_middle_is_broken() {
        let mut cursor = RowCursor::forward_only(Box::pin(rows().chain(stream::pending())));
        while cursor.place().at < 5 {
            cursor.forward(9).await.unwrap();
        }
        assert!(!cursor.is_broken());
        assert!(cursor.forward(1).now_or_never().is_none());
        assert!(cursor.is_broken());
    }

    #[tokio::test]
    async fn slices_of_one_batch_are_counted_once() {
        let texts: Vec<String> = (0..8000).map(|n| format!("{n:0>100}")).collect();
        let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
        let whole = RecordBatch::try_from_iter([("x", column)]).unwrap();
        let slices: Vec<_> = (0..100).map(|n| Ok(whole.slice(n * 80, 80))).collect();
        let pool = GreedyMemoryPool::new(4 * whole.get_array_memory_size());
        let room = room(pool, DiskManagerMode::Disabled);
        let mut cursor = RowCursor::scrollable(Box::pin(stream::iter(slices)), room);
        while cursor.forward(u64::MAX).await.unwrap().is_some() {}
        let last = cursor.backward(1).unwrap().unwrap();
        assert_eq!(last.column(0).as_string_view().value(0), format!("{:0>100}", 7999));
    }

    #[tokio::test]
    async fn kept_rows_need_memory_or_a_disk() {
        let room = room(GreedyMemoryPool::new(1), DiskManagerMode::Disabled);
        let mut cursor = RowCursor::scrollable(rows(), room);
        for _ in 0..2 {
            let error = cursor.forward(1).await.unwrap_err();
            assert_eq!(error.sqlstate, SqlState::OUT_OF_MEMORY, "{error}");
        }
    }

    #[tokio::test]
    async fn a_cursor_keeps_no_more_memory_than_its_part() {
        let column: ArrayRef = Arc::new(Int32Array::from(vec![7; 2 << 20]));
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let room = Room { memory: MemoryConsumer::new("test").register(&pool), ..disk() };
        let batches = vec![Ok(batch); 5];
        let mut cursor = RowCursor::forward_only(Box::pin(stream::iter(batches)));
        cursor.hold(room).await.unwrap();
        assert!((1..=16 << 20).contains(&pool.reserved()), "{}", pool.reserved());
        let mut rows = 0;
        while let Some(batch) = cursor.forward(u64::MAX).await.unwrap() {
            rows += batch.num_rows();
        }
        assert_eq!(rows, 10 << 20);
        drop(cursor);
        assert_eq!(pool.reserved(), 0);
    }
}
