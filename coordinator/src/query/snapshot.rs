//! What a query reads of the databases beside the datanodes: one snapshot each, opened at a moment
//! when no transaction is committed on one of them and not yet on another.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::{join_all, try_join_all};
use kestrel_planner::{
    catalog::Catalog,
    operators::{database_scans, database_tables, is_all_one_scan},
    plan::Plan,
};
use kestrel_proto::{DatanodeId, ErrorReport, Result, SnapshotScope, SqlState, TransactionId};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{
    Cluster, QueryEnvironment,
    gather::{canceled, until},
};
use crate::{
    engine::Engine,
    shards::{BlockSnapshot, SwitchWatch, check_unmoved},
};

/// What a query that reads databases runs with.
pub(super) struct Settled {
    /// Says which snapshot.
    pub(super) environment: QueryEnvironment,
    /// What was opened for this query; to be kept as long as it runs.
    pub(super) opened: Option<Arc<OpenSnapshots>>,
    /// Tables whose rows are to stay where the plan looks for them, though no snapshot keeps them.
    pub(super) watch: Option<SwitchWatch>,
}

/// Settles what a query reads; `None`: it is settled, or it reads no database. One that is a scan on one
/// datanode, and no more, reads what is there when it begins.
///
/// # Errors
/// 40001: rows have been taken to other datanodes since it was planned ([`crate::shards`]); those of
/// datanodes; 55P03; 57014.
pub(super) async fn settle(
    engine: &Engine,
    plan: &Plan,
    environment: &QueryEnvironment,
) -> Result<Option<Settled>> {
    let cluster = &engine.cluster;
    if environment.snapshot.is_some() {
        return Ok(None);
    }
    let datanodes = datanodes_that_scan(plan);
    if datanodes.is_empty() {
        return Ok(None);
    }
    let tables = tables(plan);
    let settled = |snapshot, opened, watch| {
        let environment = QueryEnvironment { snapshot, ..environment.clone() };
        Ok(Some(Settled { environment, opened, watch }))
    };
    cluster.check_usable(&datanodes.iter().copied().collect::<Vec<_>>())?;
    if let Some(block) = &environment.block {
        let transaction = environment.transaction;
        let opened = open_block_snapshot(engine, block, transaction);
        let there = unless_interrupted(environment, opened).await?;
        check_unmoved(&tables, &environment.base, &there)?;
        return settled(Some(SnapshotScope::Transaction(transaction)), None, None);
    }
    let scope = SnapshotScope::Query(environment.id);
    let wait = cluster.shards.settings.latch_wait;
    // What waits for no commit there would miss one whose client has been told already.
    let pass = cluster.shards.latch.snapshot(&datanodes, wait);
    let pass = unless_interrupted(environment, pass).await?;
    check_unmoved(&tables, &environment.base, &engine.catalog.snapshot())?;
    let watch = |until_end| SwitchWatch::begin(&cluster.shards, tables.clone(), until_end);
    let slices = plan.slices.iter().map(|slice| &slice.plan);
    if datanodes.len() == 1 && plan.init.is_empty() && is_all_one_scan(slices) {
        return settled(None, None, Some(watch(false)));
    }
    // Where it has written, the transaction reads what is there, not the snapshot.
    let reads_own = !environment.wrote_on.is_disjoint(&datanodes);
    let watch = reads_own.then(|| watch(true));
    let open_on = Mutex::new(datanodes.clone());
    let opened = OpenSnapshots { cluster: cluster.clone(), scope, open_on };
    let hold = cluster.shards.settings.latch_hold_max;
    let open = async { Ok(open_within(cluster, scope, &datanodes, hold).await?) };
    unless_interrupted(environment, open).await?;
    drop(pass);
    settled(Some(scope), Some(Arc::new(opened)), watch)
}

/// The snapshot of a block, on all datanodes: nobody knows what its next statements read. What was in
/// the catalog when it was opened.
pub(crate) async fn open_block_snapshot(
    engine: &Engine,
    block: &BlockSnapshot,
    transaction: TransactionId,
) -> Result<Arc<Catalog>> {
    let cluster = &engine.cluster;
    let scope = SnapshotScope::Transaction(transaction);
    let datanodes: BTreeSet<_> = cluster.datanodes.iter().map(|d| d.id()).collect();
    let settings = &cluster.shards.settings;
    let mut hold = settings.latch_hold;
    loop {
        let close = async { Ok(close_everywhere(cluster, scope, &datanodes).await?) };
        let open = async {
            let _pass = cluster.shards.latch.snapshot(&datanodes, settings.latch_wait).await?;
            open_within(cluster, scope, &datanodes, hold).await?;
            Ok(engine.catalog.snapshot())
        };
        match block.open_once(close, open).await {
            Err(Unopened::Late) if hold < settings.latch_hold_max => hold *= 2,
            opened => return Ok(opened?),
        }
    }
}

/// Why snapshots are not open.
enum Unopened {
    /// Commits were held off for long enough.
    Late,
    Failed(ErrorReport),
}

impl From<ErrorReport> for Unopened {
    fn from(report: ErrorReport) -> Self {
        Self::Failed(report)
    }
}

impl From<Unopened> for ErrorReport {
    fn from(unopened: Unopened) -> Self {
        let message = "could not open a snapshot: databases have not answered in time";
        match unopened {
            Unopened::Failed(report) => report,
            Unopened::Late => Self::new(SqlState::LOCK_NOT_AVAILABLE, message)
                .detail("Commits wait while a snapshot is opened.")
                .hint(
                    "If sessions with the databases are short, raise shard-sessions of the \
                     datanodes, or run fewer transactions at a time.",
                ),
        }
    }
}

/// Opens a scope's snapshots while commits are held off, for as long as this may last. A database may
/// have no session free, and those who have them may wait to commit.
async fn open_within(
    cluster: &Cluster,
    scope: SnapshotScope,
    datanodes: &BTreeSet<DatanodeId>,
    hold: Duration,
) -> Result<(), Unopened> {
    match timeout(hold, open(cluster, scope, datanodes)).await {
        Ok(opened) => Ok(opened?),
        Err(_elapsed) => Err(Unopened::Late),
    }
}

/// Closes a scope's snapshots, to open others.
///
/// # Errors
/// Of a datanode that may hold its snapshot still.
async fn close_everywhere(
    cluster: &Cluster,
    scope: SnapshotScope,
    datanodes: &BTreeSet<DatanodeId>,
) -> Result<()> {
    try_join_all(datanodes.iter().copied().map(|id| close_on(cluster, scope, id))).await?;
    Ok(())
}

async fn close_on(cluster: &Cluster, scope: SnapshotScope, id: DatanodeId) -> Result<()> {
    let closed = cluster.datanode(id)?.close_snapshot(scope).await;
    closed.map_err(|error| error.on_datanode(id.name()))
}

async fn open(
    cluster: &Cluster,
    scope: SnapshotScope,
    datanodes: &BTreeSet<DatanodeId>,
) -> Result<()> {
    try_join_all(datanodes.iter().copied().map(|id| open_on(cluster, scope, id))).await?;
    Ok(())
}

async fn open_on(cluster: &Cluster, scope: SnapshotScope, id: DatanodeId) -> Result<()> {
    let opened = cluster.datanode(id)?.open_snapshot(scope).await;
    opened.map_err(|error| error.on_datanode(id.name()))
}

async fn unless_interrupted<T>(
    environment: &QueryEnvironment,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = environment.cancel.cancelled() => Err(canceled("user request")),
        () = until(environment.deadline) => Err(canceled("statement timeout")),
        done = work => done,
    }
}

/// The tables that the plan, with its init plans, reads in databases.
fn tables(plan: &Plan) -> BTreeSet<u64> {
    let here = plan.slices.iter().flat_map(|slice| database_tables(&slice.plan));
    here.chain(plan.init.iter().flat_map(tables)).collect()
}

/// Where the plan, with its init plans, reads databases.
fn datanodes_that_scan(plan: &Plan) -> BTreeSet<DatanodeId> {
    let slices = plan.slices.iter().filter(|slice| database_scans(&slice.plan) > 0);
    let mut datanodes: BTreeSet<_> =
        slices.flat_map(|slice| slice.executors.iter().copied()).collect();
    datanodes.extend(plan.init.iter().flat_map(datanodes_that_scan));
    datanodes
}

/// Snapshots of a query, which are closed when this is dropped.
pub(super) struct OpenSnapshots {
    cluster: Cluster,
    scope: SnapshotScope,
    open_on: Mutex<BTreeSet<DatanodeId>>,
}

impl OpenSnapshots {
    /// The end of the query has closed those on its datanodes.
    pub(super) fn closed_on(&self, datanodes: &[DatanodeId]) {
        self.open_on.lock().retain(|datanode| !datanodes.contains(datanode));
    }
}

impl Drop for OpenSnapshots {
    fn drop(&mut self) {
        let (cluster, scope) = (self.cluster.clone(), self.scope);
        let datanodes = std::mem::take(self.open_on.get_mut());
        if !datanodes.is_empty() {
            let close = async move { close(&cluster, scope, &datanodes).await };
            self.cluster.runtime.spawn(close);
        }
    }
}

/// Closes a scope's snapshots. A datanode that does not hear of it hears it later, or has restarted.
pub(crate) async fn close(
    cluster: &Cluster,
    scope: SnapshotScope,
    datanodes: &BTreeSet<DatanodeId>,
) {
    let found = datanodes.iter().filter_map(|id| cluster.datanode(*id).ok());
    let closed = join_all(found.map(|datanode| datanode.close_snapshot(scope))).await;
    for error in closed.into_iter().filter_map(Result::err) {
        tracing::warn!(?scope, %error, "a snapshot is not closed yet");
    }
}
