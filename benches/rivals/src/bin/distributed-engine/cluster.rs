//! Workers and their coordinator, with the crate's defaults.

use std::sync::Arc;

use datafusion::{
    common::Result,
    execution::{SessionStateBuilder, runtime_env::RuntimeEnv},
    prelude::{SessionConfig, SessionContext},
};
use datafusion_distributed::{DistributedExt, SessionStateBuilderExt, Worker, WorkerResolver};
use rivals::Error;
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};
use url::Url;

/// Serves workers on free ports of this machine, for as long as the process lives. They and the
/// coordinator share one pool of memory, as the datanodes of a process of Kestrel do.
pub(crate) async fn start_workers(
    count: usize,
    runtime: &Arc<RuntimeEnv>,
) -> Result<Vec<Url>, Error> {
    let mut urls = vec![];
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        urls.push(Url::parse(&format!("http://{}", listener.local_addr()?))?);
        let worker = Worker::default().with_runtime_env(Arc::clone(runtime));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder().add_service(worker.into_worker_server());
        tokio::spawn(server.serve_with_incoming(incoming));
    }
    Ok(urls)
}

/// A session that distributes its queries. It has no `LocalWorkerContext`: rows always take the
/// network, as they do between machines.
pub(crate) fn coordinator(
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
    workers: Vec<Url>,
) -> SessionContext {
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_distributed_planner()
        .with_distributed_worker_resolver(Workers(workers))
        .build();
    SessionContext::from(state)
}

struct Workers(Vec<Url>);

impl WorkerResolver for Workers {
    fn get_urls(&self) -> Result<Vec<Url>> {
        Ok(self.0.clone())
    }
}
