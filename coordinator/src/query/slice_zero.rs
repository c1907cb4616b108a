//! Slice 0: run here as it was planned. It is never encoded, so that it may call what only the
//! session has (`pg_table_is_visible`), which no datanode knows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::{
    execution::{TaskContext, runtime_env::RuntimeEnv},
    physical_plan::{SendableRecordBatchStream, execute_stream},
    physical_planner::DefaultPhysicalPlanner,
};
use kestrel_planner::{
    error::report,
    operators::{Exchange, Hands, optimized},
    plan::Plan,
};
use kestrel_proto::{
    BatchStream, COORDINATOR, DatanodeId, ErrorReport, ExchangeRequest, MotionId, QueryId, Result,
};

use super::{Cluster, QueryEnvironment};

/// Of one stream to slice 0.
const CREDIT_BYTES: u64 = 4 << 20;

/// Starts slice 0. Nothing is pulled before the stream is polled.
pub(super) fn start(
    cluster: &Cluster,
    plan: &Plan,
    environment: &QueryEnvironment,
) -> Result<SendableRecordBatchStream> {
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
    let memory_pool = cluster.memory.of(environment.id, environment.memory_limit_bytes);
    let resources = RuntimeEnv { memory_pool, ..cluster.state.runtime_env().as_ref().clone() };
    let context = context.with_session_config(config).with_runtime(Arc::new(resources));
    let context = Arc::new(context);
    let optimize = |plan| {
        let state = cluster.state.as_ref();
        DefaultPhysicalPlanner::default().optimize_physical_plan(plan, state, |_, _| {})
    };
    let plan = optimized(Arc::clone(&plan.slices[0].plan), optimize).map_err(report)?;
    execute_stream(plan, context).map_err(report)
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
