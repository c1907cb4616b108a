//! How a join goes on from its build side: in memory, in parts, or in chunks.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::{
    common::JoinType,
    error::{DataFusionError, Result},
    execution::{TaskContext, runtime_env::RuntimeEnv},
    physical_expr::PhysicalExpr,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, SendableRecordBatchStream, SpillManager,
        joins::{HashJoinExec, PartitionMode},
        metrics::{MetricsSet, SpillMetrics},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, future::BoxFuture, stream};
use kestrel_planner::operators::JoinPace;
use parking_lot::Mutex;

use super::{
    MAX_LEVEL,
    handed::HandedExec,
    held::{Held, JoinMemory, NoRoom, Room, after_build},
    split::{Part, Splitter, in_batches},
};
use crate::runtime_filter::KeyCollectorExec;

/// What joins leave of a query's memory to operators that cannot do with less, such as those that
/// merge what was spilled.
const LEFT_BY_JOINS: f64 = 0.25;
/// What parts leave of it: one goes when the next one comes.
const LEFT_BY_PARTS: f64 = 0.0625;

/// A side of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The build side.
    Left,
    /// The probe side.
    Right,
}

/// A build side that has been read.
pub(super) enum Build {
    /// It is in memory.
    Held(Held),
    /// In parts: there was no room for it.
    Parts(Vec<Part>),
}

/// What all steps of one partition's join need.
pub(super) struct Joiner {
    pub(super) join: Arc<HashJoinExec>,
    pub(super) context: Arc<TaskContext>,
    pub(super) can_spill: bool,
    pub(super) spills: SpillMetrics,
    /// Those of DataFusion's joins.
    pub(super) joined: Arc<Mutex<MetricsSet>>,
}

impl Joiner {
    /// Joins one partition of each side.
    ///
    /// # Errors
    /// Those of the sides and of spilling; 53200 when it cannot spill, or spilling does not help.
    pub(super) async fn join(
        self: Arc<Self>,
        left: SendableRecordBatchStream,
        right: SendableRecordBatchStream,
    ) -> Result<SendableRecordBatchStream> {
        match self.build(left, 0).await? {
            Build::Held(held) => self.join_held(held, right, Side::Left),
            Build::Parts(left) => {
                let right = self.split(Side::Right, right, 0).await?;
                Ok(self.join_parts(left.into_iter().zip(right).collect(), 1))
            }
        }
    }

    /// Reads a build side, at level 0 the join's own.
    pub(super) async fn build(
        &self,
        mut rows: SendableRecordBatchStream,
        level: usize,
    ) -> Result<Build> {
        let room = match (self.can_spill, level) {
            (false, _) => Room::All,
            (true, 0) => Room::AllBut(LEFT_BY_JOINS),
            (true, _) => Room::AllBut(LEFT_BY_PARTS),
        };
        let mut held = Held::new(self.context.memory_pool());
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            let Err(NoRoom { batch, error }) = held.add(batch, room) else {
                continue;
            };
            if !self.can_spill {
                return Err(*error);
            }
            if level == 0
                && let Some(collector) = self.join.left().downcast_ref::<KeyCollectorExec>()
            {
                // It holds parts of the batches, too.
                collector.give_up();
            }
            return Ok(Build::Parts(self.spill(held, batch, rows, level).await?));
        }
        Ok(Build::Held(held))
    }

    async fn spill(
        &self,
        held: Held,
        next: RecordBatch,
        rows: SendableRecordBatchStream,
        level: usize,
    ) -> Result<Vec<Part>> {
        let mut splitter = self.splitter(Side::Left, level);
        let Held { batches, memory, .. } = held;
        for batch in batches.into_iter().chain([next]) {
            append(&mut splitter, &batch).await?;
        }
        drop(memory);
        append_all(splitter, rows).await
    }

    /// Writes all rows of a side into files.
    pub(super) async fn split(
        &self,
        side: Side,
        rows: SendableRecordBatchStream,
        level: usize,
    ) -> Result<Vec<Part>> {
        append_all(self.splitter(side, level), rows).await
    }

    /// The rows of these parts' joins, one after the other; `level`: how often they were split.
    pub(super) fn join_parts(
        self: &Arc<Self>,
        parts: Vec<(Part, Part)>,
        level: usize,
    ) -> SendableRecordBatchStream {
        let joiner = Arc::clone(self);
        let rows = stream::iter(parts)
            .then(move |(left, right)| Arc::clone(&joiner).join_part(left, right, level))
            .try_flatten();
        self.adapted(rows)
    }

    fn join_part(
        self: Arc<Self>,
        left: Part,
        right: Part,
        level: usize,
    ) -> BoxFuture<'static, Result<SendableRecordBatchStream>> {
        let join = async move {
            let build = self.read(Side::Left, &left)?;
            let parts = match self.build(build, level).await? {
                Build::Held(held) => return self.join_read(held, &right, Side::Left),
                Build::Parts(parts) => parts,
            };
            if level >= MAX_LEVEL || parts.iter().any(|part| part.rows == left.rows) {
                drop(parts);
                return self.join_chunks(&left, &right);
            }
            drop(left);
            let rows = self.read(Side::Right, &right)?;
            let right = self.split(Side::Right, rows, level).await?;
            Ok(self.join_parts(parts.into_iter().zip(right).collect(), level + 1))
        };
        join.boxed()
    }

    /// Joins as much of one side as there is room for with all of the other, and again, until nothing
    /// is left. Right for a side each row of which comes out by what it finds on the other side alone.
    fn join_chunks(
        self: Arc<Self>,
        left: &Part,
        right: &Part,
    ) -> Result<SendableRecordBatchStream> {
        let (side, chunked, other) = match self.join.join_type() {
            JoinType::Inner
            | JoinType::Left
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark => (Side::Left, left, right.clone()),
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                (Side::Right, right, left.clone())
            }
            JoinType::Full => {
                return Err(DataFusionError::ResourcesExhausted(
                    "a full join has too many rows of one key for memory".into(),
                ));
            }
        };
        let rows = self.read(side, chunked)?;
        let joiner = Arc::clone(&self);
        let chunks = stream::try_unfold((rows, None), move |(mut rows, next)| {
            let (joiner, other) = (Arc::clone(&joiner), other.clone());
            async move {
                let Some((held, next)) = joiner.chunk(&mut rows, next).await? else {
                    return Ok::<_, DataFusionError>(None);
                };
                let joined = joiner.join_read(held, &other, side)?;
                Ok(Some((joined, (rows, next))))
            }
        });
        Ok(self.adapted(chunks.try_flatten()))
    }

    /// The next rows that there is room for, from `next` on, and the batch that comes after them. Other
    /// partitions may have come to their chunks, too: each leaves them some room, and has one batch
    /// even if they have left none.
    async fn chunk(
        &self,
        rows: &mut SendableRecordBatchStream,
        mut next: Option<RecordBatch>,
    ) -> Result<Option<(Held, Option<RecordBatch>)>> {
        let mut held = Held::new(self.context.memory_pool());
        let more = match self.join.right().output_partitioning().partition_count() {
            1 => Room::AllBut(LEFT_BY_PARTS),
            _ => Room::HalfBut(LEFT_BY_PARTS),
        };
        loop {
            let batch = match next.take() {
                Some(batch) => batch,
                None => match rows.try_next().await? {
                    Some(batch) => batch,
                    None if held.batches.is_empty() => return Ok(None),
                    None => return Ok(Some((held, None))),
                },
            };
            let room = if held.batches.is_empty() { Room::Needed } else { more };
            match held.add(batch, room) {
                Ok(()) => {}
                Err(NoRoom { error, .. }) if held.batches.is_empty() => return Err(*error),
                Err(NoRoom { batch, .. }) => return Ok(Some((held, Some(batch)))),
            }
        }
    }

    /// [`Joiner::join_held`] with what was written of the other side. The join's own right side comes at
    /// a pace at which the query's end is noticed; here whole batches would come at once.
    fn join_read(
        &self,
        held: Held,
        probe: &Part,
        build_side: Side,
    ) -> Result<SendableRecordBatchStream> {
        let probe = self.read(build_side.other(), probe)?;
        if self.join.filter().is_none() {
            // Each batch of pairs comes out, and others may run then.
            return self.join_held(held, probe, build_side);
        }
        let pace = JoinPace::default();
        let joined = self.join_held(held, pace.probe(probe), build_side)?;
        Ok(pace.output(joined))
    }

    /// DataFusion's join over a build side in memory, which is this join's `build_side`.
    fn join_held(
        &self,
        held: Held,
        probe: SendableRecordBatchStream,
        build_side: Side,
    ) -> Result<SendableRecordBatchStream> {
        let (build, memory) = held.into_rows(&self.input(build_side).schema());
        let probe = after_build(probe, &memory);
        let (left, right) = match build_side {
            Side::Left => (build, probe),
            Side::Right => (probe, build),
        };
        let join = self.over(
            HandedExec::with(self.join.left(), left),
            HandedExec::with(self.join.right(), right),
            PartitionMode::Partitioned,
        )?;
        let join = match build_side {
            Side::Left => Arc::new(join) as _,
            Side::Right => join.swap_inputs(PartitionMode::Partitioned)?,
        };
        self.run(&join, 0, &memory)
    }

    /// This join over other inputs.
    pub(super) fn over(
        &self,
        left: HandedExec,
        right: impl Into<Arc<HandedExec>>,
        mode: PartitionMode,
    ) -> Result<HashJoinExec> {
        let inputs: Vec<Arc<dyn ExecutionPlan>> = vec![Arc::new(left), right.into()];
        let builder = self.join.builder().reset_state().with_partition_mode(mode);
        builder.with_new_children(inputs)?.recompute_properties().build()
    }

    /// The rows of a partition of a join, which has its memory from this pool.
    pub(super) fn run(
        &self,
        join: &Arc<dyn ExecutionPlan>,
        partition: usize,
        memory: &Arc<JoinMemory>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = join.execute(partition, Arc::new(self.context_with(memory)))?;
        let metrics = join.metrics().unwrap_or_default();
        let mut joined = self.joined.lock();
        // Other partitions of a join that they share have their own.
        let own = metrics.iter().filter(|metric| metric.partition() == Some(partition));
        own.for_each(|metric| joined.push(Arc::clone(metric)));
        Ok(rows)
    }

    fn context_with(&self, memory: &Arc<JoinMemory>) -> TaskContext {
        let (context, memory_pool) = (&self.context, Arc::clone(memory) as _);
        let resources = RuntimeEnv { memory_pool, ..context.runtime_env().as_ref().clone() };
        TaskContext::new(
            context.task_id(),
            context.session_id(),
            context.session_config().clone(),
            context.scalar_functions().clone(),
            context.higher_order_functions().clone(),
            context.aggregate_functions().clone(),
            context.window_functions().clone(),
            Arc::new(resources),
        )
    }

    fn input(&self, side: Side) -> &Arc<dyn ExecutionPlan> {
        match side {
            Side::Left => self.join.left(),
            Side::Right => self.join.right(),
        }
    }

    fn spills(&self, side: Side) -> SpillManager {
        let schema = self.input(side).schema();
        SpillManager::new(self.context.runtime_env(), self.spills.clone(), schema)
    }

    fn splitter(&self, side: Side, level: usize) -> Splitter {
        let key = |(left, right): &(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)| match side {
            Side::Left => Arc::clone(left),
            Side::Right => Arc::clone(right),
        };
        Splitter::new(self.spills(side), self.join.on().iter().map(key).collect(), level)
    }

    fn read(&self, side: Side, part: &Part) -> Result<SendableRecordBatchStream> {
        let spills = self.spills(side);
        let read = |file| spills.read_spill_as_stream_unbuffered(Arc::clone(file), None);
        let files = part.files.iter().map(read).collect::<Result<Vec<_>>>()?;
        let schema = Arc::clone(spills.schema());
        let batch_rows = self.context.session_config().batch_size();
        let rows = in_batches(stream::iter(files).flatten(), Arc::clone(&schema), batch_rows);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn adapted(
        &self,
        rows: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    ) -> SendableRecordBatchStream {
        Box::pin(RecordBatchStreamAdapter::new(self.join.schema(), rows))
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

async fn append_all(
    mut splitter: Splitter,
    mut rows: SendableRecordBatchStream,
) -> Result<Vec<Part>> {
    while let Some(batch) = rows.try_next().await? {
        append(&mut splitter, &batch).await?;
    }
    splitter.finish()
}

/// Lets others run, and the query's end be noticed: files take batches faster than rows make one wait.
async fn append(splitter: &mut Splitter, batch: &RecordBatch) -> Result<()> {
    splitter.append(batch)?;
    tokio::task::yield_now().await;
    Ok(())
}
