//! A stream of CopyData payloads to one of record batches.

use std::collections::VecDeque;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use kestrel_proto::{ErrorReport, Result};

use super::{ChunkLimits, CopyLayout, DecodePool, RowChunk, RowFinder};

/// While a batch is taken, one is decoded and the data of the next one read.
const BATCHES_AHEAD: usize = 2;

/// Decodes binary COPY data. `payloads` must end when the COPY has ended, and have its error if it
/// has failed. Batches come in the order of their rows; an error may come before batches of rows that
/// stand before it, and is the end for whoever reads.
///
/// It holds three chunks at most (two decoded or about to be, one that is read), and those that one
/// payload completes.
///
/// # Errors
/// Those of `payloads`, of [`RowFinder`] and of [`super::decode_chunk`].
pub fn decode_stream<S>(
    payloads: S,
    layout: CopyLayout,
    limits: ChunkLimits,
    pool: DecodePool,
) -> impl Stream<Item = Result<RecordBatch>> + Send
where
    S: Stream<Item = Result<Bytes>> + Send + Unpin,
{
    let finder = RowFinder::new(layout.len(), limits);
    let chunks = Chunks { payloads, finder, ready: VecDeque::new(), is_ended: false };
    stream::try_unfold(chunks, |mut chunks| async move {
        Ok::<_, ErrorReport>(chunks.next().await?.map(|chunk| (chunk, chunks)))
    })
    .map_ok(move |chunk| {
        let (pool, layout) = (pool.clone(), layout.clone());
        async move { pool.decode(&layout, chunk).await }
    })
    .try_buffered(BATCHES_AHEAD)
}

/// Payloads on their way to chunks.
struct Chunks<S> {
    payloads: S,
    finder: RowFinder,
    ready: VecDeque<RowChunk>,
    is_ended: bool,
}

impl<S: Stream<Item = Result<Bytes>> + Unpin> Chunks<S> {
    async fn next(&mut self) -> Result<Option<RowChunk>> {
        let mut found = Vec::new();
        while self.ready.is_empty() && !self.is_ended {
            match self.payloads.next().await {
                Some(payload) => self.finder.push(&payload?, &mut found)?,
                None => {
                    self.is_ended = true;
                    found.extend(self.finder.finish()?);
                }
            }
            self.ready.extend(found.drain(..));
        }
        Ok(self.ready.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{array::AsArray, array::Int32Array, datatypes::Int32Type, datatypes::Schema};
    use kestrel_planner::catalog::SqlType;
    use kestrel_proto::SqlState;

    use super::super::CopyEncoder;
    use super::*;

    /// COPY data of the numbers from 0, in payloads of one row each and some of several.
    fn payloads(rows: i32) -> (CopyLayout, Vec<Bytes>) {
        let schema = Arc::new(Schema::new(vec![SqlType::Integer.field("a", true)]));
        let layout = CopyLayout::try_new("t", Arc::clone(&schema), &[23]).unwrap();
        let numbers = Arc::new(Int32Array::from_iter_values(0..rows));
        let (mut encoder, mut encoded) = (CopyEncoder::new(layout.clone()), Vec::new());
        encoder
            .encode(&RecordBatch::try_new(schema, vec![numbers]).unwrap(), &mut encoded)
            .unwrap();
        encoder.finish(&mut encoded);
        let data = Bytes::from(encoded.concat());
        // The header goes with the first row.
        let (first, rest) = data.split_at(29.min(data.len()));
        let mut payloads = vec![Bytes::copy_from_slice(first)];
        payloads.extend(rest.chunks(10).take(5_000).map(Bytes::copy_from_slice));
        payloads.push(Bytes::copy_from_slice(rest.get(50_000..).unwrap_or_default()));
        (layout, payloads)
    }

    async fn read(
        layout: CopyLayout,
        payloads: Vec<Result<Bytes>>,
        rows: usize,
    ) -> Result<Vec<RecordBatch>> {
        let (pool, limits) = (DecodePool::try_new(2)?, ChunkLimits { rows, bytes: 1 << 20 });
        decode_stream(stream::iter(payloads), layout, limits, pool).try_collect().await
    }

    #[tokio::test]
    async fn batches_come_in_order() {
        // Chunks that are decoded at once, and chunks that go to the pool.
        for (rows, chunk_rows) in [(0, 100), (7, 100), (20_000, 1_000), (100_000, 30_000)] {
            let (layout, payloads) = payloads(rows);
            let payloads = payloads.into_iter().map(Ok).collect();
            let batches = read(layout, payloads, chunk_rows).await.unwrap();
            assert_eq!(batches.len(), (rows as usize).div_ceil(chunk_rows));
            let numbers = batches.iter().flat_map(|batch| {
                batch.column(0).as_primitive::<Int32Type>().values().iter().copied()
            });
            assert!(numbers.eq(0..rows), "{rows} rows");
        }
    }

    #[tokio::test]
    async fn a_copy_that_fails_has_its_error() {
        let (layout, all) = payloads(20_000);
        let mut failing: Vec<Result<Bytes>> = all.iter().take(3_000).cloned().map(Ok).collect();
        failing.push(Err(ErrorReport::new(SqlState::QUERY_CANCELED, "canceled")));
        let error = read(layout.clone(), failing, 1_000).await.unwrap_err();
        assert_eq!(error.sqlstate, SqlState::QUERY_CANCELED);
        // One that just ends has not ended well.
        let short = all.iter().take(3_000).cloned().map(Ok).collect();
        let error = read(layout, short, 1_000).await.unwrap_err();
        assert_eq!(error.message, "unexpected end of COPY data");
    }
}
