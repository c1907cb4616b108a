//! Slice 0: decoded from its bytes like every other slice, then run here.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::{
    execution::TaskContext,
    physical_plan::{SendableRecordBatchStream, execute_stream},
    physical_planner::DefaultPhysicalPlanner,
    scalar::ScalarValue,
};
use kestrel_planner::{
    codec,
    error::report,
    operators::{Exchange, Hands},
    plan::Plan,
};
use kestrel_proto::{
    BatchStream, COORDINATOR, DatanodeId, ErrorReport, ExchangeRequest, MotionId, QueryId, Result,
};

use super::{Cluster, QueryEnvironment};

/// Starts slice 0. Nothing is pulled before the stream is polled.
pub(super) fn start(
    cluster: &Cluster,
    plan: &Plan,
    values: &[ScalarValue],
    environment: &QueryEnvironment,
) -> Result<SendableRecordBatchStream> {
    let bytes = codec::encode_plan(&plan.slices[0].plan, COORDINATOR, values, &cluster.functions)
        .map_err(report)?;
    let hands = Hands {
        exchange: Arc::new(CoordinatorExchange { cluster: cluster.clone(), query: environment.id }),
        store: None,
        datanode: COORDINATOR,
        transaction: environment.transaction,
        coordinator_epoch: cluster.epoch,
    };
    let context = TaskContext::from(&cluster.state);
    let config = context.session_config().clone().with_extension(Arc::new(hands));
    let context = Arc::new(context.with_session_config(config));
    let decoded = codec::decode_plan(&bytes, &context, None, &cluster.functions).map_err(report)?;
    let optimized = DefaultPhysicalPlanner::default()
        .optimize_physical_plan(decoded, &cluster.state, |_, _| {})
        .map_err(report)?;
    execute_stream(optimized, context).map_err(report)
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
        self.cluster.datanode(sender)?.open_exchange(ExchangeRequest {
            query,
            motion,
            sender,
            receiver: COORDINATOR,
        })
    }

    async fn send(&self, _: MotionId, _: DatanodeId, _: RecordBatch) -> Result<bool> {
        Err(ErrorReport::internal("the coordinator was to send rows"))
    }

    fn finish(&self, _: MotionId) {}
}
