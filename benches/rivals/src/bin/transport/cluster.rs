//! One worker of datafusion-distributed behind a TCP port, and a coordinator that is no worker.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    catalog::Session,
    common::Result,
    execution::{SessionState, SessionStateBuilder, context::QueryPlanner},
    logical_expr::{LogicalPlan, LogicalPlanBuilder},
    physical_plan::ExecutionPlan,
};
use datafusion_distributed::{
    CompressionType, DistributedExt, SessionStateBuilderExt, Worker, WorkerQueryContext,
    WorkerResolver,
};
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};
use url::Url;

use super::repeat::{Repeat, RepeatExec};

/// With one task, the planner leaves the boundary out. Both go to the one worker there is.
const TASKS: usize = 2;

/// Serves a worker on a free port of this machine, for as long as the process lives.
pub(crate) async fn start_worker(repeat: &Repeat) -> Result<Url, Box<dyn Error>> {
    let codec = repeat.clone();
    let worker = Worker::from_session_builder(move |context: WorkerQueryContext| {
        let codec = codec.clone();
        async move { Ok(context.builder.with_distributed_user_codec(codec).build()) }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = Url::parse(&format!("http://{}", listener.local_addr()?))?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder().add_service(worker.into_worker_server());
    tokio::spawn(server.serve_with_incoming(incoming));
    Ok(url)
}

/// A session that plans every query as [`RepeatExec`], and lets datafusion-distributed distribute
/// it. It has no `LocalWorkerContext`, so that no task can run in it without the network.
pub(crate) fn coordinator(
    repeat: &Repeat,
    worker: &Url,
    compression: Option<CompressionType>,
) -> Result<SessionState> {
    let builder = SessionStateBuilder::new()
        .with_default_features()
        .with_query_planner(Arc::new(Always(repeat.clone())))
        .with_distributed_planner()
        .with_distributed_worker_resolver(One(worker.clone()))
        .with_distributed_user_codec(repeat.clone())
        .with_distributed_desired_task_count_handler(TASKS)
        .with_distributed_max_tasks_per_stage(TASKS)?
        .with_distributed_compression(compression)?;
    Ok(builder.build())
}

/// The plan of a query. It can run once.
pub(crate) async fn plan(coordinator: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
    let query = LogicalPlanBuilder::empty(false).build()?;
    coordinator.query_planner().create_physical_plan(&query, coordinator).await
}

struct One(Url);

impl WorkerResolver for One {
    fn get_urls(&self) -> Result<Vec<Url>> {
        Ok(vec![self.0.clone()])
    }
}

#[derive(Debug)]
struct Always(Repeat);

#[async_trait]
impl QueryPlanner for Always {
    async fn create_physical_plan(
        &self,
        _: &LogicalPlan,
        _: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(RepeatExec::new(self.0.clone())))
    }
}
