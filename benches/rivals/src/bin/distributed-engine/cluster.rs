//! Workers and their coordinator, with the crate's defaults.

use std::sync::Arc;

use datafusion::{
    common::Result,
    execution::{SessionStateBuilder, runtime_env::RuntimeEnv},
    prelude::{SessionConfig, SessionContext},
};
use datafusion_distributed::{
    ChannelResolver, DistributedExt, SessionStateBuilderExt, Worker, WorkerQueryContext,
    WorkerResolver,
};
use rivals::Error;
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};
use url::Url;

use super::traffic::{CountedChannels, Traffic};

/// Serves workers on free ports of this machine, for as long as the process lives. They and the
/// coordinator share one pool of memory, as the datanodes of a process of Kestrel do. `traffic`
/// counts what they get from each other.
pub(crate) async fn start_workers(
    count: usize,
    runtime: &Arc<RuntimeEnv>,
    traffic: Option<&Traffic>,
) -> Result<Vec<Url>, Error> {
    let channels = traffic.map(|traffic| Arc::new(CountedChannels::new(traffic.clone())));
    let mut urls = vec![];
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        urls.push(Url::parse(&format!("http://{}", listener.local_addr()?))?);
        let worker = match &channels {
            Some(channels) => counting_worker(channels),
            None => Worker::default(),
        };
        let worker = worker.with_runtime_env(Arc::clone(runtime));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder().add_service(worker.into_worker_server());
        tokio::spawn(server.serve_with_incoming(incoming));
    }
    Ok(urls)
}

fn counting_worker(channels: &Arc<CountedChannels>) -> Worker {
    let channels: Arc<dyn ChannelResolver + Send + Sync> = Arc::<CountedChannels>::clone(channels);
    Worker::from_session_builder(move |context: WorkerQueryContext| {
        let channels = Arc::clone(&channels);
        async move { Ok(context.builder.with_distributed_channel_resolver(channels).build()) }
    })
}

/// A session that distributes its queries. It has no `LocalWorkerContext`: its rows always take the
/// network, as they do between machines. `traffic` counts them; then they are not compressed, which
/// they are otherwise (LZ4), nor are those between workers.
pub(crate) fn coordinator(
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
    workers: Vec<Url>,
    traffic: Option<&Traffic>,
) -> Result<SessionContext> {
    let mut builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_distributed_planner()
        .with_distributed_worker_resolver(Workers(workers));
    if let Some(traffic) = traffic {
        let channels = CountedChannels::new(traffic.clone());
        builder = builder
            .with_distributed_channel_resolver(channels)
            .with_distributed_compression(None)?;
    }
    Ok(SessionContext::from(builder.build()))
}

struct Workers(Vec<Url>);

impl WorkerResolver for Workers {
    fn get_urls(&self) -> Result<Vec<Url>> {
        Ok(self.0.clone())
    }
}
