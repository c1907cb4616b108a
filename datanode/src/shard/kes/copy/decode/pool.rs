//! Threads that decode the columns of a chunk in parallel.

use std::sync::Arc;

use arrow::array::RecordBatch;
use kestrel_proto::{ErrorReport, Result, SqlState};
use rayon::{
    ThreadPool, ThreadPoolBuilder,
    iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator},
};
use tokio::sync::oneshot;

use super::{assemble, decode_chunk, decode_column};
use crate::shard::kes::copy::{CopyLayout, RowChunk};

/// A chunk of fewer bytes is decoded where it is met: that is quicker than to hand it over.
const INLINE_BYTES: usize = 64 << 10;

/// The threads that decode for all scans of a datanode.
#[derive(Clone, Debug)]
pub struct DecodePool(Arc<ThreadPool>);

impl DecodePool {
    /// With so many threads.
    ///
    /// # Errors
    /// 53000: the system gives no more threads.
    pub fn try_new(threads: usize) -> Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|thread| format!("kestrel-decode-{thread}"))
            // Who waits for the batch sees that it does not come; other scans go on.
            .panic_handler(|_| tracing::error!("the decoding of COPY data panicked"))
            .build();
        pool.map(|pool| Self(Arc::new(pool))).map_err(|error| {
            ErrorReport::new(SqlState::INSUFFICIENT_RESOURCES, "could not start threads")
                .detail(error.to_string())
        })
    }

    /// Decodes a chunk, its columns in parallel, without blocking the task that waits for it.
    ///
    /// # Errors
    /// As [`decode_chunk`].
    pub async fn decode(&self, layout: &CopyLayout, chunk: RowChunk) -> Result<RecordBatch> {
        if chunk.bytes() < INLINE_BYTES {
            return decode_chunk(layout, &chunk);
        }
        let (sender, receiver) = oneshot::channel();
        let layout = layout.clone();
        self.0.spawn(move || {
            // Nobody waits for a batch of a query that has ended.
            if !sender.is_closed() {
                let _ = sender.send(decode_in_parallel(&layout, &chunk));
            }
        });
        match receiver.await {
            Ok(batch) => batch,
            Err(_) => Err(ErrorReport::internal("the decoding of COPY data was given up")),
        }
    }

    /// Decodes a chunk, its columns in parallel. Blocks the thread.
    ///
    /// # Errors
    /// As [`decode_chunk`].
    pub fn decode_blocking(&self, layout: &CopyLayout, chunk: &RowChunk) -> Result<RecordBatch> {
        self.0.install(|| decode_in_parallel(layout, chunk))
    }
}

/// On the threads of the pool that this one is of.
fn decode_in_parallel(layout: &CopyLayout, chunk: &RowChunk) -> Result<RecordBatch> {
    let columns = (0..layout.len()).into_par_iter();
    // By column, so that of several errors always the first column's is told.
    let columns: Vec<_> =
        columns.with_max_len(1).map(|column| decode_column(layout, chunk, column)).collect();
    assemble(layout, chunk, columns.into_iter().collect::<Result<_>>()?)
}
