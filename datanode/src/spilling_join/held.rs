//! A build side in memory: what it takes now, and what the join that gets it will take.

use std::{fmt, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::utils::memory::{RecordBatchMemoryCounter, estimate_memory_size},
    error::{DataFusionError, Result},
    execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
    physical_plan::{SendableRecordBatchStream, stream::RecordBatchStreamAdapter},
};
use futures::{TryStreamExt, stream};
use parking_lot::Mutex;

/// The bytes that DataFusion's table of dense keys has for a row at most: a u32 for each number of a
/// range in which at least 0.15 of all numbers are keys (`perfect_hash_join_min_key_density`), and one
/// for the row.
const DENSE_TABLE_ROW_BYTES: usize = 31;
/// What it may have for a few rows: a range of `perfect_hash_join_small_build_threshold` (1024) numbers
/// may be as sparse as it likes.
const SMALL_TABLE_BYTES: usize = 4 << 10;
/// What a join has without any rows. It is not worth a failure.
const EMPTY_TABLE_BYTES: usize = 256;

/// Batches of a build side, and memory for the join of them.
pub(super) struct Held {
    pub(super) batches: Vec<RecordBatch>,
    pub(super) memory: MemoryReservation,
    pool: Arc<dyn MemoryPool>,
    counter: RecordBatchMemoryCounter,
    rows: usize,
}

/// How much of a pool a build side may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Room {
    /// What must be there for anything to go on: it is taken even if the pool has no more.
    Needed,
    /// All that is left.
    All,
    /// All but this part of the pool, which stays free for others.
    AllBut(f64),
    /// The same, but no more than it leaves: others want some for the same.
    HalfBut(f64),
}

/// A batch that is not among those that are held, and why.
pub(super) struct NoRoom {
    pub(super) batch: RecordBatch,
    pub(super) error: Box<DataFusionError>,
}

impl Held {
    /// Nothing yet.
    pub(super) fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        let memory = MemoryConsumer::new("HashJoin").register(pool);
        memory.grow(EMPTY_TABLE_BYTES);
        Self {
            batches: Vec::new(),
            memory,
            pool: Arc::clone(pool),
            counter: RecordBatchMemoryCounter::new(),
            rows: 0,
        }
    }

    /// Adds a batch.
    ///
    /// # Errors
    /// There is no room for it. Nothing more can be added then.
    pub(super) fn add(&mut self, batch: RecordBatch, room: Room) -> Result<(), NoRoom> {
        match self.reserve(&batch, room) {
            Ok(()) => {
                self.rows += batch.num_rows();
                self.batches.push(batch);
                Ok(())
            }
            Err(error) => Err(NoRoom { batch, error: Box::new(error) }),
        }
    }

    /// The batches, for a join that has this memory.
    pub(super) fn into_rows(
        self,
        schema: &SchemaRef,
    ) -> (SendableRecordBatchStream, Arc<JoinMemory>) {
        let rows = stream::iter(self.batches.into_iter().map(Ok));
        let rows = RecordBatchStreamAdapter::new(Arc::clone(schema), rows);
        (Box::pin(rows), Arc::new(JoinMemory::new(self.memory)))
    }

    fn reserve(&mut self, batch: &RecordBatch, room: Room) -> Result<()> {
        self.counter.count_batch(batch);
        let needed = join_bytes(self.counter.memory_usage(), self.rows + batch.num_rows())?;
        let more = needed.saturating_sub(self.memory.size());
        if more == 0 {
            return Ok(());
        }
        let left = match room {
            Room::Needed => {
                self.memory.grow(more);
                return Ok(());
            }
            Room::All => usize::MAX,
            Room::AllBut(free) => self.left(free),
            Room::HalfBut(free) => {
                let all = self.left(free).saturating_add(self.memory.size());
                (all / 2).saturating_sub(self.memory.size())
            }
        };
        if more > left {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "a hash join needs {more} bytes more, and {left} are left"
            )));
        }
        self.memory.try_grow(more)
    }

    /// The bytes that nobody has, but a part of the pool that must stay free.
    fn left(&self, free: f64) -> usize {
        let MemoryLimit::Finite(limit) = self.pool.memory_limit() else { return usize::MAX };
        let usable = limit as f64 * (1.0 - free);
        (usable as usize).saturating_sub(self.pool.reserved())
    }
}

/// What DataFusion's hash join takes at the most for a build side of so many bytes and rows: its
/// batches, one batch made of all of them, the table with a chain of rows, and a bit for each row.
fn join_bytes(bytes: usize, rows: usize) -> Result<usize> {
    let chained = estimate_memory_size::<(u32, u64)>(rows, 0)?.saturating_add(4 * rows);
    let table = chained.max(DENSE_TABLE_ROW_BYTES * rows);
    Ok(bytes.saturating_mul(2).saturating_add(table).saturating_add(rows / 8 + SMALL_TABLE_BYTES))
}

/// The pool of one of DataFusion's joins: it takes from what was reserved for it, and only what it
/// lacks from the query's pool.
#[derive(Debug)]
pub(super) struct JoinMemory {
    reserved: MemoryReservation,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    /// The build side's batches are gone, and what was reserved beyond need.
    is_built: bool,
}

impl JoinMemory {
    /// Over this reservation.
    pub(super) fn new(reserved: MemoryReservation) -> Self {
        Self { reserved, used: Mutex::default() }
    }

    /// The join has its table: what it has not taken is not needed.
    pub(super) fn built(&self) {
        let mut used = self.used.lock();
        used.is_built = true;
        self.give_back(&used);
    }

    fn give_back(&self, used: &Used) {
        if used.is_built {
            self.reserved.shrink(self.reserved.size().saturating_sub(used.bytes));
        }
    }
}

impl fmt::Display for JoinMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "join({})", self.reserved.size())
    }
}

impl MemoryPool for JoinMemory {
    fn name(&self) -> &str {
        "join"
    }

    fn grow(&self, _: &MemoryReservation, additional: usize) {
        let mut used = self.used.lock();
        used.bytes += additional;
        let lacking = used.bytes.saturating_sub(self.reserved.size());
        if lacking > 0 {
            self.reserved.grow(lacking);
        }
    }

    fn shrink(&self, _: &MemoryReservation, shrink: usize) {
        let mut used = self.used.lock();
        used.bytes = used.bytes.saturating_sub(shrink);
        self.give_back(&used);
    }

    fn try_grow(&self, _: &MemoryReservation, additional: usize) -> Result<()> {
        let mut used = self.used.lock();
        let bytes = used.bytes.saturating_add(additional);
        let lacking = bytes.saturating_sub(self.reserved.size());
        // A pool that is beyond its limit refuses even nothing.
        if lacking > 0 {
            self.reserved.try_grow(lacking)?;
        }
        used.bytes = bytes;
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.used.lock().bytes
    }
}

/// Rows of a join's probe side: when they are asked for, its table has been built.
pub(super) fn after_build(
    probe: SendableRecordBatchStream,
    memory: &Arc<JoinMemory>,
) -> SendableRecordBatchStream {
    let (schema, memory) = (probe.schema(), Arc::clone(memory));
    let rows = stream::once(async move {
        memory.built();
        Ok::<_, DataFusionError>(probe)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows.try_flatten()))
}
