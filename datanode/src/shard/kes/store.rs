//! The store itself: what its parts share, and what a datanode asks of it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use datafusion::{
    execution::runtime_env::RuntimeEnv,
    physical_plan::{ExecutionPlan, SendableRecordBatchStream},
};
use kestrel_planner::operators::{SegmentTarget, ShardScan, ShardStore};
use kestrel_proto::{
    DatanodeId, ErrorReport, PreparedTransaction, QueryId, Result, ShardFacts, ShardIsolation,
    ShardResults, ShardRows, ShardStatements, SnapshotScope, TransactionEnd, TransactionId,
    message::SegmentRef,
};
use tokio::{
    runtime::Handle,
    sync::{OnceCell, Semaphore},
};
use uuid::Uuid;

use super::{
    copy::DecodePool,
    ending, execute,
    prepared::{self, Gid},
    probe::{self, Probed},
    scan,
    session::{KesSettings, Pool},
    shared_session::SharedSession,
    snapshots::{Opener, Snapshot, Snapshots, is_lost},
    transactions::{Opening, ShardTransactions},
    write,
};

/// How long statements of a shard transaction wait for a lock, where the settings do not say.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// What a store is opened with.
#[derive(Debug)]
pub struct KesStoreOptions {
    /// Whose shard it is.
    pub datanode: DatanodeId,
    /// The cluster, which names of prepared transactions have.
    pub cluster: Uuid,
    /// Where the database is.
    pub settings: KesSettings,
    /// Execution partitions of a scan, at most; threads that decode.
    pub target_partitions: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Memory, and where rows go that do not fit into it.
    pub resources: Arc<RuntimeEnv>,
    /// Where sessions live.
    pub runtime: Handle,
}

/// The tables that a KingbaseES or PostgreSQL database holds.
#[derive(Debug)]
pub struct KesStore {
    state: Arc<StoreState>,
}

/// What scans, writers and transactions share.
#[derive(Debug)]
pub(super) struct StoreState {
    pub(super) datanode: DatanodeId,
    pub(super) cluster: Uuid,
    pub(super) pool: Pool,
    pub(super) decode: DecodePool,
    pub(super) target_partitions: usize,
    pub(super) batch_rows: usize,
    pub(super) resources: Arc<RuntimeEnv>,
    pub(super) snapshots: Snapshots,
    /// One permit for each session that may read beside a snapshot's holder: scans of clients who
    /// read slowly must leave some for others.
    pub(super) workers: Arc<Semaphore>,
    pub(super) transactions: ShardTransactions,
    runtime: Handle,
    probed: OnceCell<Probed>,
}

/// What the sessions with the database are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KesCounters {
    /// Sessions in use.
    pub sessions_in_use: u64,
    /// Sessions that wait for a statement.
    pub sessions_idle: u64,
    /// Statements that wait for a session.
    pub sessions_waited_for: u64,
    /// Open shard transactions.
    pub transactions: u64,
    /// Open snapshots.
    pub snapshots: u64,
}

/// Of so many sessions. Half can hold snapshots; the rest is for transactions.
fn workers_max(sessions_max: usize) -> usize {
    (sessions_max.min(Semaphore::MAX_PERMITS) / 8 * 3).max(1)
}

impl KesStore {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// F0000: root certificates that cannot be read. 53000: no threads.
    pub fn new(options: KesStoreOptions) -> Result<Self> {
        // The pool settles and closes sessions there.
        let runtime = options.runtime.clone();
        let _in_runtime = runtime.enter();
        let state = StoreState {
            datanode: options.datanode,
            cluster: options.cluster,
            snapshots: Snapshots::new(options.settings.sessions_max),
            workers: Arc::new(Semaphore::new(workers_max(options.settings.sessions_max))),
            pool: Pool::new(options.settings, options.datanode)?,
            decode: DecodePool::try_new(options.target_partitions)?,
            target_partitions: options.target_partitions.max(1),
            batch_rows: options.batch_rows,
            resources: options.resources,
            transactions: ShardTransactions::default(),
            runtime: options.runtime,
            probed: OnceCell::new(),
        };
        Ok(Self { state: Arc::new(state) })
    }

    /// Asks the database what it can do, unless that is known.
    ///
    /// # Errors
    /// 58K01: it is not reachable. 0A000, 55000: it cannot hold a shard.
    pub async fn probe(&self) -> Result<()> {
        self.named(self.state.probed().await.map(|_| ()))
    }

    /// What the probe has found, and what the sessions are doing.
    ///
    /// # Errors
    /// As [`Self::probe`].
    pub async fn facts(&self) -> Result<ShardFacts> {
        let mut facts = self.named(self.state.probed().await)?.facts();
        let counters = self.counters();
        let sessions_max = self.state.pool.connector().settings().sessions_max as u64;
        for (name, value) in [
            ("sessions_max", sessions_max),
            ("sessions_in_use", counters.sessions_in_use),
            ("sessions_idle", counters.sessions_idle),
            ("transactions", counters.transactions),
            ("snapshots", counters.snapshots),
        ] {
            facts.insert(name.to_string(), value.to_string());
        }
        Ok(facts)
    }

    /// What the sessions are doing.
    pub fn counters(&self) -> KesCounters {
        let pool = self.state.pool.state();
        KesCounters {
            sessions_in_use: pool.in_use as u64,
            sessions_idle: pool.idle as u64,
            sessions_waited_for: pool.waiting as u64,
            transactions: self.state.transactions.count() as u64,
            snapshots: self.state.snapshots.count() as u64,
        }
    }

    /// See [`kestrel_proto::Datanode::open_snapshot`].
    pub async fn open_snapshot(&self, scope: SnapshotScope) -> Result<()> {
        self.named(self.state.snapshot(scope, Opener::Anybody).await.map(|_| ()))
    }

    /// See [`kestrel_proto::Datanode::close_snapshot`].
    pub fn close_snapshot(&self, scope: SnapshotScope) {
        self.state.snapshots.close(scope);
    }

    /// See [`kestrel_proto::Datanode::execute`].
    pub async fn execute(&self, order: ShardStatements) -> Result<ShardResults> {
        self.named(execute::execute(&self.state, order).await)
    }

    /// See [`kestrel_proto::Datanode::query_shard`].
    pub async fn query(&self, sql: &str) -> Result<ShardRows> {
        self.named(execute::query(&self.state, sql).await)
    }

    /// See [`kestrel_proto::Datanode::end_transaction`].
    pub async fn end_transaction(
        &self,
        transaction: TransactionId,
        epoch: u64,
        end: TransactionEnd,
    ) -> Result<bool> {
        self.named(ending::end(&self.state, transaction, epoch, end).await)
    }

    /// See [`kestrel_proto::Datanode::prepared`].
    pub async fn prepared(&self) -> Result<Vec<PreparedTransaction>> {
        self.named(self.state.prepared().await)
    }

    /// Closes what a query has read from.
    pub fn end_query(&self, query: QueryId) {
        self.state.snapshots.close(SnapshotScope::Query(query));
    }

    /// Rolls back, in the background, the open shard transactions of coordinators of lower epochs;
    /// `None`: all of them. Closes all snapshots. What is prepared stays.
    pub fn abandon(&self, before_epoch: Option<u64>) {
        self.state.snapshots.close_all();
        let sessions = self.state.transactions.take_before(before_epoch);
        if !sessions.is_empty() {
            let count = sessions.len();
            tracing::info!(datanode = %self.state.datanode, count, "shard transactions are rolled back");
        }
        for session in sessions {
            self.state.runtime.spawn(async move { session.roll_back().await });
        }
    }

    fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|report| report.on_datanode(self.state.datanode.name()))
    }
}

#[async_trait]
impl ShardStore for KesStore {
    fn scan(&self, scan: &ShardScan) -> Result<Arc<dyn ExecutionPlan>> {
        self.named(scan::plan(&self.state, scan))
    }

    async fn write(
        &self,
        target: &SegmentTarget,
        rows: SendableRecordBatchStream,
    ) -> Result<Vec<SegmentRef>> {
        self.named(write::write(&self.state, target, rows).await)
    }
}

impl StoreState {
    /// What the database is and can do.
    pub(super) async fn probed(&self) -> Result<&Probed> {
        let probe = || async {
            // No coordinator has epoch 0.
            let gid = Gid {
                cluster: self.cluster,
                epoch: 0,
                transaction: TransactionId(0),
                datanode: self.datanode,
            };
            let probed = probe::probe(&self.pool, &gid).await?;
            let (datanode, facts) = (self.datanode, probed.facts());
            tracing::info!(%datanode, ?facts, "probed the shard's database");
            Ok::<_, ErrorReport>(probed)
        };
        self.probed.get_or_try_init(probe).await
    }

    /// The same, where nothing can be waited for.
    ///
    /// # Errors
    /// 58K01: it has not been reached yet.
    pub(super) fn known(&self) -> Result<&Probed> {
        self.probed.get().ok_or_else(|| {
            let message =
                format!("the shard database of {} has not been reached yet", self.datanode);
            ErrorReport::datanode_lost(self.datanode, message)
        })
    }

    /// The snapshot that a fragment's scans read.
    ///
    /// # Errors
    /// 40001: a block's that is not open. Others as [`Snapshots::open`].
    pub(super) async fn snapshot_to_read(
        &self,
        scope: SnapshotScope,
        opener: Opener,
    ) -> Result<Arc<Snapshot>> {
        match scope {
            SnapshotScope::Query(_) => self.snapshot(scope, opener).await,
            SnapshotScope::Transaction(_) => {
                self.snapshots.get(scope).ok_or_else(|| is_lost(self.datanode))
            }
        }
    }

    /// The snapshot of a scope, which is opened if it is not.
    pub(super) async fn snapshot(
        &self,
        scope: SnapshotScope,
        opener: Opener,
    ) -> Result<Arc<Snapshot>> {
        let probed = self.probed().await?;
        self.snapshots.open(scope, opener, &self.pool, &probed.names).await
    }

    /// The shard transaction of a transaction, which must be there if that `continues`; of this
    /// isolation if it has to be opened, and the transaction has no snapshot.
    pub(super) async fn transaction(
        &self,
        transaction: TransactionId,
        epoch: u64,
        continues: bool,
        isolation: ShardIsolation,
    ) -> Result<Arc<SharedSession>> {
        let lock_timeout = self.pool.connector().settings().lock_timeout;
        let opening = Opening {
            continues,
            isolation,
            snapshot: self.snapshots.get(SnapshotScope::Transaction(transaction)),
            lock_timeout: if lock_timeout.is_zero() { LOCK_TIMEOUT } else { lock_timeout },
        };
        self.transactions.open(transaction, epoch, &self.pool, &opening).await
    }

    async fn prepared(&self) -> Result<Vec<PreparedTransaction>> {
        let view = self.probed().await?.names.prepared_xacts;
        prepared::prepared(&self.pool, view, self.cluster, self.datanode).await
    }
}
