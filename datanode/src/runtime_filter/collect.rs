//! Collects the keys of a join's build side while the join reads it.
//!
//! What is collected are the key columns of the batches as they are: the join holds the same batches
//! until it has read them all. Only then, with all keys at hand, a [`KeySet`] is made of them.

use std::{
    collections::BTreeSet,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{Statistics, tree_node::TreeNodeRecursion},
    error::{DataFusionError, Result},
    execution::{
        TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_expr::PhysicalExpr,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
        RecordBatchStream, SendableRecordBatchStream,
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet},
        statistics::{ChildStats, StatisticsArgs},
    },
};
use futures::{Stream, StreamExt, ready};
use parking_lot::Mutex;

use super::{KeySet, RuntimeFilter};

/// A key column, and the filter that its keys go to.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Its position in the input.
    pub(super) column: usize,
    pub(super) filter: Arc<RuntimeFilter>,
}

/// Hands the batches of a build side on, and makes its keys known when it has ended: all partitions of
/// it.
#[derive(Debug)]
pub(crate) struct KeyCollectorExec {
    keys: Arc<[Key]>,
    input: Arc<dyn ExecutionPlan>,
    /// What the partitions that have ended had.
    gathered: Arc<Mutex<Gathered>>,
    is_given_up: Arc<AtomicBool>,
    metrics: ExecutionPlanMetricsSet,
}

impl KeyCollectorExec {
    /// Over a join's build side, as the join reads it.
    pub(super) fn new(keys: Vec<Key>, input: Arc<dyn ExecutionPlan>) -> Self {
        Self::with_keys(keys.into(), input)
    }

    fn with_keys(keys: Arc<[Key]>, input: Arc<dyn ExecutionPlan>) -> Self {
        let (gathered, is_given_up) = (Arc::default(), Arc::default());
        Self { keys, input, gathered, is_given_up, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// Lets go of all keys, and collects no more: the join does not hold the batches that they are
    /// in. Nobody hears of the keys then.
    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
        self.gathered.lock().give_up();
    }
}

impl DisplayAs for KeyCollectorExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.input.schema();
        let name = |key: &Key| match schema.fields().get(key.column) {
            Some(field) => format!("{}@{}", field.name(), key.column),
            None => format!("@{}", key.column),
        };
        let names: Vec<_> = self.keys.iter().map(name).collect();
        write!(f, "KeyCollectorExec: keys=[{}]", names.join(", "))
    }
}

impl ExecutionPlan for KeyCollectorExec {
    fn name(&self) -> &str {
        "KeyCollectorExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => Ok(Arc::new(Self::with_keys(Arc::clone(&self.keys), input))),
            None => Err(DataFusionError::Internal("the input of an operator is gone".into())),
        }
    }

    /// Scans that run again have this round's filters, which know only the last round's keys: they
    /// let everything pass from now on.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        self.keys.iter().for_each(|key| key.filter.give_up());
        Ok(Arc::new(Self::with_keys(Arc::from([]), Arc::clone(&self.input))))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let partitions = self.input.output_partitioning().partition_count();
        let memory = MemoryConsumer::new("KeyCollector").register(context.memory_pool());
        Ok(Box::pin(Collecting {
            partition,
            partitions,
            keys: Arc::clone(&self.keys),
            columns: vec![Vec::new(); self.keys.len()],
            gathered: Arc::clone(&self.gathered),
            is_given_up: Arc::clone(&self.is_given_up),
            memory: Some(memory),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            input: self.input.execute(partition, context)?,
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        match inputs.first() {
            Some(input) => Ok(Arc::clone(input)),
            None => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }
}

/// The keys of partitions that have ended, while others go on, and the memory that they and the sets
/// made of them take. It is the plan's, as the filters are.
#[derive(Debug, Default)]
struct Gathered {
    ended: BTreeSet<usize>,
    /// By key, then by batch.
    columns: Vec<Vec<ArrayRef>>,
    memory: Vec<MemoryReservation>,
    /// There was no memory for them.
    is_given_up: bool,
}

impl Gathered {
    /// Takes what a partition had. When it was the last one, all columns of each key.
    fn end(
        &mut self,
        partition: usize,
        partitions: usize,
        columns: Vec<Vec<ArrayRef>>,
        memory: &MemoryReservation,
    ) -> Option<Vec<Vec<ArrayRef>>> {
        if !self.ended.insert(partition) || self.is_given_up {
            return None;
        }
        self.columns.resize_with(columns.len(), Vec::new);
        for (all, column) in self.columns.iter_mut().zip(columns) {
            all.extend(column);
        }
        if self.ended.len() == partitions {
            self.memory.clear();
            return Some(std::mem::take(&mut self.columns));
        }
        // From here on the join has rows of its own instead of these batches.
        let bytes = self.columns.iter().flatten().map(|column| column.get_array_memory_size());
        let held: usize = self.memory.iter().map(MemoryReservation::size).sum();
        let more = bytes.sum::<usize>().saturating_sub(held);
        if memory.try_grow(more).is_err() {
            self.give_up();
        }
        None
    }

    fn give_up(&mut self) {
        *self = Self { ended: std::mem::take(&mut self.ended), ..Self::default() };
        self.is_given_up = true;
    }
}

/// The rows of a partition.
struct Collecting {
    partition: usize,
    partitions: usize,
    keys: Arc<[Key]>,
    /// By key, then by batch.
    columns: Vec<Vec<ArrayRef>>,
    gathered: Arc<Mutex<Gathered>>,
    is_given_up: Arc<AtomicBool>,
    /// `None`: the partition has ended.
    memory: Option<MemoryReservation>,
    metrics: BaselineMetrics,
    input: SendableRecordBatchStream,
}

impl Collecting {
    fn note(&mut self, batch: &RecordBatch) {
        if self.is_given_up.load(Ordering::Acquire) {
            self.columns.iter_mut().for_each(Vec::clear);
            return;
        }
        if self.memory.is_none() {
            return;
        }
        for (columns, key) in self.columns.iter_mut().zip(self.keys.iter()) {
            columns.extend(batch.columns().get(key.column).cloned());
        }
    }

    /// The partition has ended. After the last one the keys are known, before the join hears of it.
    fn end(&mut self) -> Result<()> {
        let Some(memory) = self.memory.take() else { return Ok(()) };
        let columns = std::mem::take(&mut self.columns);
        let mut gathered = self.gathered.lock();
        let all = gathered.end(self.partition, self.partitions, columns, &memory);
        if let Some(all) = all {
            for (key, columns) in self.keys.iter().zip(all) {
                publish(key, &columns, &memory)?;
            }
        }
        gathered.memory.push(memory);
        Ok(())
    }
}

/// Without memory for the keys, or when they are too many, nobody hears of them.
fn publish(key: &Key, columns: &[ArrayRef], memory: &MemoryReservation) -> Result<()> {
    if let Some(keys) = KeySet::of(columns)?
        && memory.try_grow(keys.bytes()).is_ok()
    {
        key.filter.set(keys);
    }
    Ok(())
}

impl Stream for Collecting {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = match ready!(self.input.poll_next_unpin(cx)) {
            Some(Ok(batch)) => {
                self.note(&batch);
                Some(Ok(batch))
            }
            None => self.end().err().map(Err),
            error => error,
        };
        self.metrics.record_poll(Poll::Ready(next))
    }
}

impl RecordBatchStream for Collecting {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
