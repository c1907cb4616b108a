//! Counts the rows that a process asks another one for, and gets: their values, and the messages that
//! they came in.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use async_trait::async_trait;
use datafusion::{
    arrow::record_batch::RecordBatch,
    common::Result,
    execution::TaskContext,
    physical_plan::metrics::{ExecutionPlanMetricsSet, MetricValue},
};
use datafusion_distributed::{
    ChannelResolver, CoordinatorToWorkerMsg, ExecuteTaskRequest, GetWorkerInfoRequest,
    GetWorkerInfoResponse, SetPlanRequest, WorkerChannel, WorkerToCoordinatorMsg,
    grpc::DefaultChannelResolver,
};
use futures::{StreamExt, stream::BoxStream};
use http::HeaderMap;
use rivals::batch_bytes;
use url::Url;

/// What came to the workers of one cluster, or to its coordinator. Its clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Traffic(Arc<Counts>);

#[derive(Default)]
struct Counts {
    values: AtomicU64,
    /// Of every request; the crate counts the bytes of its messages in them.
    requests: Mutex<Vec<ExecutionPlanMetricsSet>>,
}

impl Traffic {
    /// The bytes of values since the last call, as [`batch_bytes`] counts them, and those of the
    /// messages that they came in, with Arrow's headers and padding.
    pub(crate) fn take(&self) -> (u64, u64) {
        let mut requests = self.0.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = requests.drain(..).map(|request| message_bytes(&request)).sum();
        (self.0.values.swap(0, Relaxed), messages)
    }

    fn add_request(&self, metrics: &ExecutionPlanMetricsSet) {
        let mut requests = self.0.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(metrics.clone());
    }

    fn add_values(&self, batch: &RecordBatch) {
        self.0.values.fetch_add(batch_bytes(batch), Relaxed);
    }
}

fn message_bytes(request: &ExecutionPlanMetricsSet) -> u64 {
    let of_metric = |value: &MetricValue| match value {
        MetricValue::Custom { name, value } if name.as_ref() == "bytes_transferred" => {
            value.as_usize() as u64
        }
        _ => 0,
    };
    request.clone_inner().iter().map(|metric| of_metric(metric.value())).sum()
}

/// Connects to workers as the crate does, and counts what comes from them. What a worker has from
/// itself comes through no channel.
pub(crate) struct CountedChannels {
    channels: DefaultChannelResolver,
    traffic: Traffic,
}

impl CountedChannels {
    pub(crate) fn new(traffic: Traffic) -> Self {
        Self { channels: DefaultChannelResolver::default(), traffic }
    }
}

#[async_trait]
impl ChannelResolver for CountedChannels {
    async fn get_worker_client_for_url(&self, url: &Url) -> Result<Box<dyn WorkerChannel>> {
        let channel = self.channels.get_worker_client_for_url(url).await?;
        Ok(Box::new(Counted { channel, traffic: self.traffic.clone() }))
    }
}

struct Counted {
    channel: Box<dyn WorkerChannel>,
    traffic: Traffic,
}

#[async_trait]
impl WorkerChannel for Counted {
    async fn coordinator_channel(
        &mut self,
        headers: HeaderMap,
        plan: SetPlanRequest,
        messages: BoxStream<'static, CoordinatorToWorkerMsg>,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> Result<BoxStream<'static, Result<WorkerToCoordinatorMsg>>> {
        self.channel.coordinator_channel(headers, plan, messages, metrics, context).await
    }

    /// The metrics are those of this request alone, so that no other's are counted twice.
    async fn execute_task(
        &mut self,
        headers: HeaderMap,
        request: ExecuteTaskRequest,
        _: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> Result<Vec<BoxStream<'static, Result<RecordBatch>>>> {
        let metrics = ExecutionPlanMetricsSet::new();
        self.traffic.add_request(&metrics);
        let partitions = self.channel.execute_task(headers, request, metrics, context).await?;
        let counted = |rows: BoxStream<'static, Result<RecordBatch>>| {
            let traffic = self.traffic.clone();
            rows.inspect(move |batch| batch.iter().for_each(|batch| traffic.add_values(batch)))
                .boxed()
        };
        Ok(partitions.into_iter().map(counted).collect())
    }

    async fn get_worker_info(
        &mut self,
        request: GetWorkerInfoRequest,
    ) -> Result<GetWorkerInfoResponse> {
        self.channel.get_worker_info(request).await
    }
}
