//! Rows that have to wait until all of them have come: in memory, and on disk when that is short.

use std::{collections::VecDeque, sync::Arc};

use arrow::array::RecordBatch;
use datafusion::{
    execution::{
        SpillFile,
        memory_pool::{MemoryConsumer, MemoryReservation},
        runtime_env::RuntimeEnv,
    },
    physical_plan::{
        SendableRecordBatchStream, SpillManager,
        metrics::{ExecutionPlanMetricsSet, SpillMetrics},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream};
use kestrel_proto::{ErrorReport, Result, batch_bytes};
use tokio::task::spawn_blocking;

use crate::error::report;

/// What is held without asking for memory: a file is no smaller.
const HELD_BYTES_MIN: usize = 8 << 20;

/// Takes all rows, and gives them again: those on disk first.
///
/// # Errors
/// Those of the rows. 53100, 58030: the disk.
pub(super) async fn collected(
    mut rows: SendableRecordBatchStream,
    resources: &Arc<RuntimeEnv>,
) -> Result<SendableRecordBatchStream> {
    let schema = rows.schema();
    let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
    let mut spool = Spool {
        manager: SpillManager::new(Arc::clone(resources), metrics, Arc::clone(&schema)),
        reservation: MemoryConsumer::new("ShardWrite")
            .with_can_spill(true)
            .register(&resources.memory_pool),
        held: Vec::new(),
        held_bytes: 0,
        files: VecDeque::new(),
    };
    while let Some(batch) = rows.next().await {
        spool.take(batch.map_err(report)?).await?;
    }
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, spool.read())))
}

struct Spool {
    manager: SpillManager,
    reservation: MemoryReservation,
    held: Vec<RecordBatch>,
    held_bytes: usize,
    files: VecDeque<Arc<dyn SpillFile>>,
}

impl Spool {
    async fn take(&mut self, batch: RecordBatch) -> Result<()> {
        self.held_bytes += batch_bytes(&batch) as usize;
        self.held.push(batch);
        let asked = self.held_bytes.saturating_sub(HELD_BYTES_MIN);
        match self.reservation.try_resize(asked) {
            Ok(()) => Ok(()),
            Err(_) => self.spill().await,
        }
    }

    async fn spill(&mut self) -> Result<()> {
        let (manager, held) = (self.manager.clone(), std::mem::take(&mut self.held));
        let spill = move || manager.spill_record_batch_and_finish(&held, "rows for a shard");
        let spilled = spawn_blocking(spill).await.map_err(|error| {
            ErrorReport::internal(format!("the writing of a temporary file has died: {error}"))
        })?;
        self.files.extend(spilled.map_err(report)?);
        self.held_bytes = 0;
        self.reservation.free();
        Ok(())
    }

    fn read(self) -> impl futures::Stream<Item = datafusion::error::Result<RecordBatch>> + Send {
        let Self { manager, reservation, held, files, .. } = self;
        let open = move |file| match manager.read_spill_as_stream(file, None) {
            Ok(rows) => rows.boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        };
        let spilled = stream::iter(files).map(open).flatten();
        // The memory is given back when the last of it is read.
        let held = stream::iter(held).map(move |batch| {
            let _ = &reservation;
            Ok(batch)
        });
        spilled.chain(held)
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{AsArray, Int64Array},
        datatypes::{DataType, Field, Int64Type, Schema},
    };
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use futures::TryStreamExt;

    use super::*;

    /// Of a batch: 800 KB.
    const ROWS: i64 = 100_000;

    #[tokio::test]
    async fn rows_that_do_not_fit_wait_on_disk() {
        let resources = RuntimeEnvBuilder::new().with_memory_limit(1 << 20, 1.0);
        let resources = resources.build_arc().unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let batch = |n: i64| {
            let numbers = Int64Array::from_iter_values(n * ROWS..(n + 1) * ROWS);
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(numbers)]).unwrap()
        };
        for (count, spills) in [(0, false), (3, false), (40, true)] {
            let batches: Vec<_> = (0..count).map(|n| Ok(batch(n))).collect();
            let rows = RecordBatchStreamAdapter::new(Arc::clone(&schema), stream::iter(batches));
            let again = collected(Box::pin(rows), &resources).await.unwrap();
            assert_eq!(resources.disk_manager.used_disk_space() > 0, spills, "{count} batches");
            let batches: Vec<RecordBatch> = again.try_collect().await.unwrap();
            let numbers =
                |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
            let mut numbers: Vec<i64> = batches.iter().flat_map(numbers).collect();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..count * ROWS), "{count} batches");
        }
        assert_eq!(resources.memory_pool.reserved(), 0);
    }
}
