//! The operator: DataFusion's hash join to whoever looks at the plan.

use std::{fmt, sync::Arc};

use datafusion::{
    common::{JoinType, tree_node::TreeNodeRecursion},
    error::{DataFusionError, Result},
    execution::TaskContext,
    physical_expr::PhysicalExpr,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
        InputDistributionRequirements, PlanProperties, SendableRecordBatchStream,
        joins::{HashJoinExec, PartitionMode},
        limit::LimitStream,
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, SpillMetrics},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{
    FutureExt, TryStreamExt,
    future::{BoxFuture, Shared},
    stream,
};
use parking_lot::Mutex;

use super::{
    gather::{Attendance, Gathering},
    handed::HandedExec,
    held::{JoinMemory, after_build},
    joiner::{Build, Joiner, Side},
    split::Part,
};

/// A hash join that reserves what it takes, and spills if it can.
#[derive(Debug)]
pub(super) struct SpillingJoinExec {
    /// What it computes. It is never run itself.
    join: Arc<HashJoinExec>,
    metrics: ExecutionPlanMetricsSet,
    /// Of DataFusion's joins that were run.
    joined: Arc<Mutex<MetricsSet>>,
    shared: Mutex<Option<SharedBuild>>,
}

/// One build side for several partitions of the right side.
struct SharedBuild {
    ready: Shared<BoxFuture<'static, Result<Arc<SharedSide>, Arc<DataFusionError>>>>,
    gathering: Arc<Gathering>,
    /// Partitions that have not been opened yet. Whoever is the last takes the build along.
    unopened: usize,
}

/// What the partitions of the right side find.
enum SharedSide {
    /// A join over the build side; what it reads on the right is handed in by each partition.
    Held { join: Arc<dyn ExecutionPlan>, right: Arc<HandedExec>, memory: Arc<JoinMemory> },
    /// Its parts.
    Parts(Vec<Part>),
}

impl SpillingJoinExec {
    /// In this one's place.
    pub(super) fn new(join: HashJoinExec) -> Self {
        Self {
            join: Arc::new(join),
            metrics: ExecutionPlanMetricsSet::new(),
            joined: Arc::default(),
            shared: Mutex::default(),
        }
    }

    fn joiner(&self, partition: usize, context: Arc<TaskContext>) -> Arc<Joiner> {
        Arc::new(Joiner {
            // Parts come one after the other.
            can_spill: !self.join.null_aware && self.join.properties().output_ordering().is_none(),
            join: Arc::clone(&self.join),
            context,
            spills: SpillMetrics::new(&self.metrics, partition),
            joined: Arc::clone(&self.joined),
        })
    }

    /// The build side that several partitions have in common: the first one begins to read it.
    fn shared(&self, joiner: &Arc<Joiner>, partitions: usize) -> Result<SharedBuild> {
        let mut shared = self.shared.lock();
        let mut build = match shared.take() {
            Some(build) => build,
            None => {
                let left = self.join.left().execute(0, Arc::clone(&joiner.context))?;
                let ready = build_shared(Arc::clone(joiner), left, partitions);
                SharedBuild {
                    ready: ready.map(|ready| ready.map_err(Arc::new)).boxed().shared(),
                    gathering: Gathering::new(partitions),
                    unopened: partitions,
                }
            }
        };
        build.unopened -= 1;
        let (ready, gathering) = (build.ready.clone(), Arc::clone(&build.gathering));
        if build.unopened > 0 {
            *shared = Some(build);
        }
        Ok(SharedBuild { ready, gathering, unopened: 0 })
    }
}

async fn build_shared(
    joiner: Arc<Joiner>,
    left: SendableRecordBatchStream,
    partitions: usize,
) -> Result<Arc<SharedSide>> {
    let held = match joiner.build(left, 0).await? {
        Build::Held(held) => held,
        Build::Parts(parts) => return Ok(Arc::new(SharedSide::Parts(parts))),
    };
    let (left, memory) = held.into_rows(&joiner.join.left().schema());
    let left = HandedExec::with(joiner.join.left(), left);
    let right = Arc::new(HandedExec::new(joiner.join.right(), partitions));
    let join = joiner.over(left, Arc::clone(&right), PartitionMode::CollectLeft)?;
    Ok(Arc::new(SharedSide::Held { join: Arc::new(join), right, memory }))
}

/// Joins one partition of the right side with the build side that it shares.
async fn join_shared(
    joiner: Arc<Joiner>,
    ready: Shared<BoxFuture<'static, Result<Arc<SharedSide>, Arc<DataFusionError>>>>,
    attendance: Attendance,
    partition: usize,
    rows: SendableRecordBatchStream,
) -> Result<SendableRecordBatchStream> {
    let side = ready.await.map_err(DataFusionError::Shared)?;
    let left = match side.as_ref() {
        SharedSide::Held { join, right, memory } => {
            right.hand(partition, after_build(rows, memory));
            return joiner.run(join, partition, memory);
        }
        SharedSide::Parts(parts) => parts.clone(),
    };
    drop(side);
    let right = joiner.split(Side::Right, rows, 0).await;
    let parts = match joiner.join.join_type() {
        // What comes out depends on a row of the right side: it stays in its partition, where
        // operators above may rely on it.
        JoinType::Inner
        | JoinType::Right
        | JoinType::RightSemi
        | JoinType::RightAnti
        | JoinType::RightMark => left.into_iter().zip(right?).collect(),
        // A row of the build side must see those of all partitions.
        JoinType::Left
        | JoinType::LeftSemi
        | JoinType::LeftAnti
        | JoinType::LeftMark
        | JoinType::Full => {
            let own = attendance.exchange(partition, right).await?;
            let with_left = |(number, part)| Some((left.get::<usize>(number)?.clone(), part));
            own.into_iter().filter_map(with_left).collect()
        }
    };
    Ok(joiner.join_parts(parts, 1))
}

impl fmt::Debug for SharedBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBuild").field("unopened", &self.unopened).finish_non_exhaustive()
    }
}

impl DisplayAs for SpillingJoinExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.join.fmt_as(t, f)
    }
}

impl ExecutionPlan for SpillingJoinExec {
    fn name(&self) -> &str {
        self.join.name()
    }

    fn downcast_delegate(&self) -> Option<&dyn ExecutionPlan> {
        Some(self.join.as_ref())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.join.properties()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.join.input_distribution_requirements()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.join.maintains_input_order()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.join.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.join.apply_expressions(f)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let join = self.join.builder().with_new_children(children)?.recompute_properties();
        Ok(Arc::new(Self::new(join.build()?)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let joiner = self.joiner(partition, Arc::clone(&context));
        let partitions = self.join.right().output_partitioning().partition_count();
        let is_shared = *self.join.partition_mode() == PartitionMode::CollectLeft && partitions > 1;
        let rows = if is_shared {
            let SharedBuild { ready, gathering, .. } = self.shared(&joiner, partitions)?;
            let attendance = Attendance::new(&gathering);
            let right = self.join.right().execute(partition, context)?;
            join_shared(joiner, ready, attendance, partition, right).boxed()
        } else {
            let left = self.join.left().execute(partition, Arc::clone(&context))?;
            let right = self.join.right().execute(partition, context)?;
            joiner.join(left, right).boxed()
        };
        let rows = stream::once(rows).try_flatten();
        let rows = Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows));
        if self.join.fetch().is_none() {
            return Ok(rows);
        }
        // Each part's join has the limit, too.
        let uncounted = BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), partition);
        Ok(Box::pin(LimitStream::new(rows, 0, self.join.fetch(), uncounted)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        self.joined.lock().iter().for_each(|metric| metrics.push(Arc::clone(metric)));
        Some(metrics)
    }

    fn fetch(&self) -> Option<usize> {
        self.join.fetch()
    }
}
