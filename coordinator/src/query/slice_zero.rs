//! Slice 0: run here as it was planned. It is never encoded, so that it may call what only the
//! session has (`pg_table_is_visible`), which no datanode knows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::{
    execution::{TaskContext, memory_pool::MemoryPool, runtime_env::RuntimeEnv},
    physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream},
    physical_planner::DefaultPhysicalPlanner,
};
use kestrel_planner::{
    error::report,
    explain::{OperatorRows, operator_rows},
    memory::PeakPool,
    operators::{Exchange, Hands, Measurement, measured, optimized},
    plan::Plan,
};
use kestrel_proto::{
    BatchStream, COORDINATOR, DatanodeId, ErrorReport, ExchangeRequest, MotionId, QueryId, Result,
    message::FragmentReport,
};

use super::{Cluster, QueryEnvironment};

/// Of one stream to slice 0.
const CREDIT_BYTES: u64 = 4 << 20;

/// Slice 0, running.
pub(super) struct SliceZero {
    /// Those of the query's result.
    pub(super) rows: SendableRecordBatchStream,
    /// What it does, where the query collects metrics or counts rows.
    pub(super) observed: Option<ObservedSlice>,
}

/// What slice 0 does.
pub(super) struct ObservedSlice {
    /// Where the query collects metrics.
    measured: Option<(Measurement, Arc<dyn MemoryPool>)>,
    /// As it was planned, and as it runs.
    planned: Arc<dyn ExecutionPlan>,
    runs: Arc<dyn ExecutionPlan>,
}

impl ObservedSlice {
    /// When it has ended.
    pub(super) fn report(&self) -> FragmentReport {
        let measured = self.measured.as_ref();
        let measured = measured.map(|(measurement, memory)| measurement.report(memory));
        let OperatorRows { rows, turned } = operator_rows(&self.planned, &self.runs, &|_| false);
        FragmentReport { operator_rows: rows, turned_joins: turned, ..measured.unwrap_or_default() }
    }
}

/// Starts slice 0. Nothing is pulled before the stream is polled.
pub(super) fn start(
    cluster: &Cluster,
    plan: &Plan,
    environment: &QueryEnvironment,
) -> Result<SliceZero> {
    let hands = Hands {
        exchange: Arc::new(CoordinatorExchange { cluster: cluster.clone(), query: environment.id }),
        store: None,
        files: None,
        datanode: COORDINATOR,
        query: environment.id,
        snapshot: environment.snapshot,
        reads_own_writes: false,
        in_block: environment.block.is_some(),
        transaction: environment.transaction,
        coordinator_epoch: cluster.epoch,
    };
    let context = TaskContext::from(cluster.state.as_ref());
    let mut config = context.session_config().clone().with_extension(Arc::new(hands));
    if !environment.options.is_empty() {
        environment.formats()?.lay_into(config.options_mut());
    }
    let memory: Arc<dyn MemoryPool> =
        cluster.memory.of(environment.id, environment.memory_limit_bytes);
    let memory = if environment.collect_metrics { PeakPool::over(memory) } else { memory };
    let memory_pool = Arc::clone(&memory);
    let resources = RuntimeEnv { memory_pool, ..cluster.state.runtime_env().as_ref().clone() };
    let context = context.with_session_config(config).with_runtime(Arc::new(resources));
    let context = Arc::new(context);
    let optimize = |plan| {
        let state = cluster.state.as_ref();
        DefaultPhysicalPlanner::default().optimize_physical_plan(plan, state, |_, _| {})
    };
    let planned = Arc::clone(&plan.slices[0].plan);
    let runs = optimized(Arc::clone(&planned), optimize).map_err(report)?;
    let (runs, measured) = if environment.collect_metrics {
        let (runs, measurement) = measured(runs).map_err(report)?;
        (runs, Some((measurement, memory)))
    } else {
        (runs, None)
    };
    let rows = execute_stream(Arc::clone(&runs), context).map_err(report)?;
    let is_observed = environment.collect_metrics || environment.count_rows;
    let observed = is_observed.then_some(ObservedSlice { measured, planned, runs });
    Ok(SliceZero { rows, observed })
}

/// The coordinator only receives.
struct CoordinatorExchange {
    cluster: Cluster,
    query: QueryId,
}

impl std::fmt::Debug for CoordinatorExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CoordinatorExchange({})", self.query)
    }
}

#[async_trait]
impl Exchange for CoordinatorExchange {
    fn receive(&self, motion: MotionId, sender: DatanodeId) -> Result<BatchStream> {
        let query = self.query;
        let request = ExchangeRequest { query, motion, sender, receiver: COORDINATOR };
        self.cluster.datanode(sender)?.open_exchange(request, CREDIT_BYTES)
    }

    async fn send(&self, _: MotionId, _: DatanodeId, _: RecordBatch) -> Result<bool> {
        Err(ErrorReport::internal("the coordinator was to send rows"))
    }

    fn finish(&self, _: MotionId) {}
}
