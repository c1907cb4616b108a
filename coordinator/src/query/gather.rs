//! Runs a plan and hands its rows over as they come.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Instant,
};

use arrow::array::RecordBatch;
use datafusion::{logical_expr::physical_planning_context::SubqueryIndex, scalar::ScalarValue};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
};
use kestrel_planner::{error::report, plan::Plan};
use kestrel_proto::{
    COORDINATOR, DatanodeId, ErrorReport, QueryId, Result, SqlState, message::FragmentReport,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Cluster, QueryEnvironment,
    dispatch::{Fragments, dispatch},
    motions::{MotionKinds, motion_kinds},
    running::{QuerySummary, RunningQuery},
    slice_zero::{self, SliceZero},
    snapshot::{self, OpenSnapshots},
};
use crate::engine::Engine;

/// Batches between slice 0 and the client.
const ROWS_IN_FLIGHT: usize = 2;

/// Runs a plan: its init plans to their ends, then the main plan to its first rows.
pub fn run<'a>(
    engine: &'a Engine,
    plan: &'a Plan,
    environment: &'a QueryEnvironment,
) -> BoxFuture<'a, Result<RunningQuery>> {
    async move {
        let started = Instant::now();
        let cluster = &engine.cluster;
        let settled = snapshot::settle(engine, plan, environment).await?;
        let environment = settled.as_ref().map_or(environment, |settled| &settled.environment);
        let mut summary = QuerySummary::default();
        plan.init_values.clear();
        for (at, init) in plan.init.iter().enumerate() {
            // A query of its own: its motions are numbered like the main plan's.
            let environment =
                QueryEnvironment { id: kestrel_proto::QueryId::random(), ..environment.clone() };
            let running = run(engine, init, &environment).await?;
            let (value, of_init) = scalar_value(init, running).await?;
            plan.init_values.set(SubqueryIndex::new(at), value).map_err(report)?;
            summary.traffic.extend(of_init.traffic.iter().cloned());
            summary.motions.add(&of_init.motions);
            if environment.collect_metrics {
                summary.init.push(of_init);
            }
        }
        let fragments = dispatch(cluster, plan, environment)?;
        summary.dispatch_ms = started.elapsed().as_secs_f64() * 1000.0;
        let summary = Arc::new(Mutex::new(summary));
        let (to_client, rows) = mpsc::channel(ROWS_IN_FLIGHT);
        let driver = Driver {
            cluster: cluster.clone(),
            environment: environment.clone(),
            fragments,
            kinds: motion_kinds(plan),
            to_client,
            summary: Arc::clone(&summary),
            snapshots: settled.as_ref().and_then(|settled| settled.opened.clone()),
            ended_early: Arc::default(),
        };
        let slice_zero = caught(async { slice_zero::start(cluster, plan, environment) }).await;
        // On the caller's threads: the driver's may be busy with what is to be ended.
        let early_end = cluster.is_one_process().then(|| {
            let (cluster, environment) = (cluster.clone(), environment.clone());
            let (datanodes, client) =
                (driver.fragments.datanodes.clone(), driver.to_client.clone());
            let ended_early = Arc::clone(&driver.ended_early);
            AbortOnDropHandle::new(tokio::spawn(async move {
                let why = interrupted(&environment, &client).await;
                ended_early.get_or_init(|| why);
                end_everywhere(&cluster, &datanodes, environment.id).await;
            }))
        });
        let work = async move {
            driver.drive(slice_zero).await;
            drop(early_end);
        };
        // Where datanodes are elsewhere they leave it as it is.
        let work = match cluster.datanodes.first() {
            Some(datanode) => datanode.beside_fragments(environment.id, work.boxed()),
            None => work.boxed(),
        };
        cluster.runtime.spawn(work);
        let watch = settled.and_then(|settled| settled.watch);
        Ok(RunningQuery { rows, summary, watch, first: None })
    }
    .boxed()
}

/// The value of a scalar subquery: NULL without rows. Nothing of it is kept but that: its second
/// row is its end.
async fn scalar_value(
    plan: &Plan,
    mut running: RunningQuery,
) -> Result<(ScalarValue, QuerySummary)> {
    let mut value = None;
    while let Some(batch) = running.next().await {
        let batch = batch?;
        match batch.num_rows() {
            0 => {}
            1 if value.is_none() => {
                value = Some(ScalarValue::try_from_array(batch.column(0), 0).map_err(report)?);
            }
            _ => {
                return Err(ErrorReport::new(
                    SqlState::CARDINALITY_VIOLATION,
                    "more than one row returned by a subquery used as an expression",
                ));
            }
        }
    }
    let value = match value {
        Some(value) => value,
        None => ScalarValue::try_from(plan.schema.field(0).data_type()).map_err(report)?,
    };
    let summary = running.summary.lock().clone();
    Ok((value, summary))
}

/// Drives one query from its first row to the end of its last fragment.
struct Driver {
    cluster: Cluster,
    environment: QueryEnvironment,
    fragments: Fragments,
    kinds: MotionKinds,
    to_client: mpsc::Sender<Result<RecordBatch>>,
    summary: Arc<Mutex<QuerySummary>>,
    /// Of databases; closed when they are dropped here and by [`run`].
    snapshots: Option<Arc<OpenSnapshots>>,
    /// Why the datanodes were told to end it, if they were before the driver knew.
    ended_early: Arc<OnceLock<&'static str>>,
}

impl Driver {
    async fn drive(mut self, slice_zero: Result<SliceZero>) {
        let outcome = match slice_zero {
            Ok(slice_zero) => caught(self.gather(slice_zero)).await,
            Err(error) => Err(error),
        };
        let outcome = outcome.map_err(|error| match self.ended_early.get() {
            Some(why) if error.sqlstate == SqlState::QUERY_CANCELED => canceled(why),
            _ => error,
        });
        self.fragments.running.shutdown().await;
        match outcome {
            // A lost datanode does not hear that the query has ended: the client need not wait for
            // it, nor the other datanodes for a client that does not read.
            Err(error) if error.sqlstate == SqlState::DATANODE_LOST => {
                self.summary.lock().complete = true;
                let _ = tokio::join!(self.to_client.send(Err(error)), self.end());
            }
            outcome => {
                self.end().await;
                self.summary.lock().complete = true;
                if let Err(error) = outcome {
                    // The client may have gone: then nobody is left to tell.
                    let _ = self.to_client.send(Err(error)).await;
                }
            }
        }
    }

    async fn end(&self) {
        end_everywhere(&self.cluster, &self.fragments.datanodes, self.environment.id).await;
        if let Some(snapshots) = &self.snapshots {
            snapshots.closed_on(&self.fragments.datanodes);
        }
    }

    /// Rows to the client until the end, or until something ends the query.
    async fn gather(&mut self, slice_zero: SliceZero) -> Result<()> {
        let (environment, to_client) = (self.environment.clone(), self.to_client.clone());
        let summary = Arc::clone(&self.summary);
        tokio::select! {
            biased;
            why = interrupted(&environment, &to_client) => Err(canceled(why)),
            ended = self.rows_and_fragments(slice_zero, &summary) => ended,
        }
    }

    async fn rows_and_fragments(
        &mut self,
        SliceZero { mut rows, measured }: SliceZero,
        summary: &Mutex<QuerySummary>,
    ) -> Result<()> {
        let mut fragments_left = true;
        loop {
            tokio::select! {
                ended = self.fragments.running.join_next(), if fragments_left => match ended {
                    Some(ended) => note(ended, &self.kinds, summary)?,
                    None => fragments_left = false,
                },
                batch = rows.next() => match batch {
                    Some(batch) => {
                        let batch = match batch {
                            Ok(batch) => batch,
                            Err(error) => return Err(self.cause(report(error)).await),
                        };
                        summary.lock().rows += batch.num_rows() as u64;
                        if self.to_client.send(Ok(batch)).await.is_err() {
                            return Err(canceled("the client's leaving"));
                        }
                    }
                    None => break,
                },
            }
        }
        // What slice 0 no longer reads, its senders no longer send.
        drop(rows);
        if let Some(measured) = measured {
            summary.lock().fragments.push((0, COORDINATOR, measured.report()));
        }
        while let Some(ended) = self.fragments.running.join_next().await {
            note(ended, &self.kinds, summary)?;
        }
        Ok(())
    }

    /// A stream breaks when its fragment fails: the fragment's own error says why.
    async fn cause(&mut self, seen: ErrorReport) -> ErrorReport {
        if seen.sqlstate != SqlState::INTERNAL_ERROR {
            return seen;
        }
        while let Some(Some(ended)) = self.fragments.running.join_next().now_or_never() {
            if let Ok(Err(error)) = ended {
                return error;
            }
        }
        seen
    }
}

async fn end_everywhere(cluster: &Cluster, datanodes: &[DatanodeId], query: QueryId) {
    let datanodes = datanodes.iter().filter_map(|id| cluster.datanode(*id).ok());
    join_all(datanodes.map(|datanode| datanode.end_query(query))).await;
}

/// Comes when the query must end before its rows do; why.
async fn interrupted(
    environment: &QueryEnvironment,
    to_client: &mpsc::Sender<Result<RecordBatch>>,
) -> &'static str {
    tokio::select! {
        biased;
        () = environment.cancel.cancelled() => "user request",
        () = until(environment.deadline) => "statement timeout",
        () = to_client.closed() => "the client's leaving",
    }
}

type Ended = std::result::Result<Result<(u32, DatanodeId, FragmentReport)>, tokio::task::JoinError>;

fn note(ended: Ended, kinds: &MotionKinds, summary: &Mutex<QuerySummary>) -> Result<()> {
    let lost = |error| ErrorReport::internal(format!("a fragment's task was lost: {error}"));
    let (slice, datanode, report) = ended.map_err(lost)??;
    let mut summary = summary.lock();
    summary.motions.add_traffic(&report.traffic, kinds);
    summary.traffic.extend(report.traffic.iter().cloned());
    summary.fragments.push((slice, datanode, report));
    Ok(())
}

/// A panic is an error like any other: the query must end everywhere.
async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

fn panicked(panic: &(dyn Any + Send)) -> ErrorReport {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let report = ErrorReport::internal("slice 0 has panicked");
    match text {
        Some(text) => report.detail(format!("{text}.")),
        None => report,
    }
}

/// Comes at the deadline; never, without one.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// The error of a statement that something has ended (57014).
pub(crate) fn canceled(why: &str) -> ErrorReport {
    ErrorReport::new(SqlState::QUERY_CANCELED, format!("canceling statement due to {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error() {
        async fn work(is_buggy: bool) -> Result<u32> {
            assert!(!is_buggy, "a {}", "bug");
            Ok(1)
        }
        assert_eq!(caught(work(false)).await, Ok(1));
        let error = caught(work(true)).await.unwrap_err();
        assert_eq!(error.sqlstate, SqlState::INTERNAL_ERROR);
        assert_eq!(error.detail.as_deref(), Some("a bug."));
    }
}
