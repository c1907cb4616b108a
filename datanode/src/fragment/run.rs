//! From a fragment's bytes to its report.

use std::{
    any::Any,
    collections::HashMap,
    future::pending,
    panic::AssertUnwindSafe,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use datafusion::{
    config::ConfigOptions,
    execution::{TaskContext, memory_pool::MemoryPool, runtime_env::RuntimeEnv},
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{ExecutionPlan, ExecutionPlanProperties, SendableRecordBatchStream},
    prelude::SessionConfig,
};
use futures::{FutureExt, StreamExt};
use kestrel_planner::{
    explain::operator_rows,
    memory::{PeakPool, QueryMemory},
    operators::{Hands, ShardStore, measured, optimized, physical_rules},
};
use kestrel_proto::{
    DatanodeId, ErrorReport, QueryId, Result, SnapshotScope, SqlState, TransactionId,
    message::{Fragment, FragmentReport},
};
use prost::Message;
use tokio::{
    runtime::Handle,
    task::{JoinError, JoinSet},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    FragmentDecoder,
    check::{FragmentId, Here, check, check_epoch},
    config::with_settings,
    describe::{self, database_scans},
    registry::{Registered, Registry},
    stop::with_stops,
};
use crate::{
    error::report as report_of,
    exchange::{ExchangeHub, LocalExchange, MotionSender, Peers},
    files::ServerFiles,
    rules,
    shard::kes::{self, KesStore},
    turns::{QueryTurns, Turns, in_turns, with_turns},
};

/// What all fragments of a datanode run with.
#[derive(Debug)]
pub(crate) struct FragmentRunner {
    pub(crate) datanode: DatanodeId,
    pub(crate) hub: ExchangeHub,
    pub(crate) peers: Arc<Peers>,
    pub(crate) store: Arc<dyn ShardStore>,
    /// The database, whose transactions end with their coordinator.
    pub(crate) kes: Option<Arc<KesStore>>,
    pub(crate) decoder: Arc<dyn FragmentDecoder>,
    pub(crate) resources: Arc<RuntimeEnv>,
    pub(crate) memory: QueryMemory,
    pub(crate) turns: Turns,
    pub(crate) config: SessionConfig,
    /// Where fragments run: not where requests are answered.
    pub(crate) runtime: Handle,
    pub(crate) registry: RunningFragments,
}

/// The fragments that run.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunningFragments(Arc<Registry>);

/// A fragment that runs. However it stops, its motion ends with it.
struct Running {
    registered: Registered,
    sender: Arc<MotionSender>,
    turns: Arc<QueryTurns>,
}

impl FragmentRunner {
    /// Runs an encoded fragment to its end.
    ///
    /// # Errors
    /// The fragment's own; 55000 when it may not run here; 57014 when its query ends or its
    /// deadline passes; XX000 when it panics.
    pub(crate) async fn run(self: &Arc<Self>, fragment: Bytes) -> Result<FragmentReport> {
        let name = self.datanode.name();
        self.run_unnamed(fragment).await.map_err(|report| report.on_datanode(name))
    }

    async fn run_unnamed(self: &Arc<Self>, fragment: Bytes) -> Result<FragmentReport> {
        let fragment = fragment_of(fragment)?;
        let (id, registered) = self.accept(&fragment)?;
        let sender = Arc::new(self.hub.begin(id.query, id.motion())?);
        let turns = self.turns.of(id.query);
        let running = Running { registered, sender, turns: Arc::clone(&turns) };
        let runner = Arc::clone(self);
        let work = async move { runner.run_accepted(&fragment, running, id).await };
        let task = self.runtime.spawn(in_turns(&turns, work));
        AbortOnDropHandle::new(task).await.unwrap_or_else(|error| Err(died(error)))
    }

    fn accept(&self, fragment: &Fragment) -> Result<(FragmentId, Registered)> {
        let id = self.admit(fragment)?;
        self.peers.learn(&fragment.peers)?;
        Ok((id, self.registry.0.register(id)?))
    }

    /// Names a fragment that may run here.
    pub(super) fn admit(&self, fragment: &Fragment) -> Result<FragmentId> {
        let here = Here {
            datanode: self.datanode,
            newest_epoch: self.registry.0.newest_epoch(),
            function_fingerprint: self.decoder.function_fingerprint(),
        };
        let id = check(fragment, &here)?;
        self.heard_from(fragment.coordinator_epoch)?;
        Ok(id)
    }

    /// Refuses a coordinator that another has replaced (55000). One that is new ends all that its
    /// predecessor has left.
    pub(crate) fn heard_from(&self, epoch: u64) -> Result<()> {
        let registry = &self.registry.0;
        check_epoch(epoch, registry.newest_epoch())?;
        if registry.saw_epoch(epoch) {
            self.end_all();
            if let Some(kes) = &self.kes {
                kes.abandon(Some(epoch));
            }
        }
        Ok(())
    }

    /// Ends all queries, without waiting for their fragments.
    pub(crate) fn end_all(&self) {
        self.hub.end_all();
        self.registry.0.stop_all();
    }

    async fn run_accepted(
        &self,
        fragment: &Fragment,
        running: Running,
        id: FragmentId,
    ) -> Result<FragmentReport> {
        let work = AssertUnwindSafe(self.work(fragment, &running, id)).catch_unwind();
        let result = tokio::select! {
            biased;
            () = running.registered.stop.cancelled() => Err(canceled("the query has ended")),
            () = elapsed(fragment.milliseconds_left) => {
                Err(canceled("canceling statement due to statement timeout"))
            }
            result = work => result.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))),
        };
        running.end(result, self.datanode)
    }

    async fn work(
        &self,
        fragment: &Fragment,
        running: &Running,
        id: FragmentId,
    ) -> Result<FragmentReport> {
        let context = Arc::new(self.context(fragment, running, id)?);
        let plan = self.decoder.decode(fragment, &self.store, &context)?;
        let scans = if fragment.collect_metrics { database_scans(&plan) } else { Vec::new() };
        let planned = fragment.count_rows.then(|| Arc::clone(&plan));
        let plan = optimize(plan, context.session_config().options())?;
        let plan = with_stops(plan, &running.registered.stop).map_err(report_of)?;
        let plan = with_turns(plan).map_err(report_of)?;
        let (plan, measurement) = match fragment.collect_metrics {
            true => measured(plan).map(|(plan, measurement)| (plan, Some(measurement))),
            false => Ok((plan, None)),
        }
        .map_err(report_of)?;
        tracing::debug!(query = %id.query, slice = id.slice.0, "fragment begins");
        drain(&plan, &context, &running.turns).await?;
        let measured = measurement.map(|measurement| measurement.report(context.memory_pool()));
        let scans = describe::sent(&scans);
        let hands = Hands::of(&context)?;
        let rejected = hands.files.as_ref().map(|files| files.rejected());
        let (rejected_rows, rejected) = rejected.unwrap_or_default();
        let traffic = running.sender.traffic();
        let measured = measured.unwrap_or_default();
        let counted = planned.map(|planned| operator_rows(&planned, &plan, &kes::is_inner_scan));
        let counted = counted.unwrap_or_default();
        let (operator_rows, turned_joins) = (counted.rows, counted.turned);
        Ok(FragmentReport {
            traffic,
            scans,
            rejected_rows,
            rejected,
            operator_rows,
            turned_joins,
            ..measured
        })
    }

    fn context(
        &self,
        fragment: &Fragment,
        running: &Running,
        id: FragmentId,
    ) -> Result<TaskContext> {
        let memory: Arc<dyn MemoryPool> = self.memory.of(id.query, fragment.memory_quota_bytes);
        let memory = if fragment.collect_metrics { PeakPool::over(memory) } else { memory };
        let exchange = LocalExchange::new(
            self.hub.clone(),
            Arc::clone(&self.peers),
            id.query,
            Arc::clone(&running.sender),
            Arc::clone(&memory),
        );
        let hands = Hands {
            exchange: Arc::new(exchange),
            store: Some(Arc::clone(&self.store)),
            files: Some(Arc::new(ServerFiles::default())),
            datanode: self.datanode,
            query: id.query,
            snapshot: fragment.snapshot.clone().and_then(SnapshotScope::from_message),
            reads_own_writes: fragment.reads_own_writes,
            in_block: fragment.in_block,
            transaction: TransactionId(fragment.transaction_id),
            coordinator_epoch: fragment.coordinator_epoch,
        };
        let config = with_settings(self.config.clone(), &fragment.options)?;
        let config = config.with_extension(Arc::new(hands));
        let resources = RuntimeEnv { memory_pool: memory, ..self.resources.as_ref().clone() };
        // The decoder finds the functions, and a plan has its own in it.
        Ok(TaskContext::new(
            Some(format!("{}/{}", id.query, id.slice.0)),
            id.query.to_string(),
            config,
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            Arc::new(resources),
        ))
    }
}

impl RunningFragments {
    /// See [`Registry::end_query`].
    pub(crate) async fn end_query(&self, query: QueryId) {
        self.0.end_query(query).await;
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.fragments()
    }

    /// How many have ended well, and how many have not.
    pub(crate) fn ended(&self) -> (u64, u64) {
        self.0.ended()
    }
}

impl Running {
    /// Ends the motion as the fragment ended: who receives it is told what the caller is told.
    fn end(&self, result: Result<FragmentReport>, datanode: DatanodeId) -> Result<FragmentReport> {
        let named = |report: ErrorReport| report.on_datanode(datanode.name());
        match result {
            Ok(report) => {
                let unfinished = ErrorReport::internal("a fragment ended before its motion");
                let unfinished = named(unfinished);
                if !self.sender.end(unfinished.clone()) {
                    return Err(unfinished);
                }
                self.registered.finish();
                Ok(report)
            }
            Err(report) => {
                let report = named(report);
                self.sender.end(report.clone());
                Err(report)
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Without effect when the motion has ended.
        self.sender.end(canceled("the statement was given up"));
    }
}

/// The fragment of these bytes.
pub(super) fn fragment_of(bytes: Bytes) -> Result<Fragment> {
    Fragment::decode(bytes)
        .map_err(|e| ErrorReport::internal(format!("a fragment cannot be decoded: {e}")))
}

/// DataFusion's physical rules, which decide the parallelism inside the datanode, and then ours.
pub(super) fn optimize(
    plan: Arc<dyn ExecutionPlan>,
    options: &ConfigOptions,
) -> Result<Arc<dyn ExecutionPlan>> {
    static RULES: LazyLock<Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>> =
        LazyLock::new(physical_rules);
    let optimize = |plan| {
        let plan = RULES.iter().try_fold(plan, |plan, rule| {
            rule.optimize(plan, options).map_err(|error| error.context(rule.name()))
        })?;
        rules::apply(plan, options)
    };
    optimized(plan, optimize).map_err(report_of)
}

/// Runs every execution partition of the root; the first error stops the others.
async fn drain(
    plan: &Arc<dyn ExecutionPlan>,
    context: &Arc<TaskContext>,
    turns: &Arc<QueryTurns>,
) -> Result<()> {
    let partitions = plan.output_partitioning().partition_count();
    let open = |partition| plan.execute(partition, Arc::clone(context)).map_err(report_of);
    if partitions == 1 {
        return exhaust(open(0)?).await;
    }
    let mut tasks = JoinSet::new();
    for partition in 0..partitions {
        tasks.spawn(in_turns(turns, exhaust(open(partition)?)));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap_or_else(|error| Err(died(error)))?;
    }
    Ok(())
}

async fn exhaust(mut rows: SendableRecordBatchStream) -> Result<()> {
    while let Some(batch) = rows.next().await {
        batch.map_err(report_of)?;
    }
    Ok(())
}

/// Comes after that time; never, when it is 0.
async fn elapsed(milliseconds: u64) {
    match milliseconds {
        0 => pending().await,
        _ => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
    }
}

fn canceled(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::QUERY_CANCELED, message)
}

pub(super) fn died(error: JoinError) -> ErrorReport {
    match error.try_into_panic() {
        Ok(panic) => panicked(panic.as_ref()),
        Err(error) => ErrorReport::internal(format!("a fragment was stopped: {error}")),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> ErrorReport {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_string())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    let report = ErrorReport::internal("a fragment has panicked");
    match message {
        Some(message) => report.detail(format!("{message}.")),
        None => report,
    }
}
