//! What all sessions share: the catalog, the datanodes, the planner, what runs, what is locked.

mod bookkeeping;
mod copy_errors;
mod garbage;
mod loads;
mod locks;
mod moves;
mod plan_cache;
mod redistributions;
mod temporary;

pub use bookkeeping::{Pin, Pins};
pub use copy_errors::{CopyError, CopyErrors};
pub use garbage::Garbage;
pub use loads::{Load, LoadFacts, Loads};
pub use locks::{
    LockFacts, LockIdentity, LockMode, LockOwner, LockScope, LockTag, Locks, WaitLimits,
};

pub use moves::{Moves, SegmentKey, Step, moved_part};
pub use plan_cache::{PlanCache, PlanCacheCounts, PlanKey};
pub use redistributions::{
    Redistribution, RedistributionFacts, RedistributionPhase, Redistributions,
};

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use kestrel_planner::{
    catalog::{Catalog, CatalogChange},
    plan::Planner,
};
use kestrel_proto::{
    DatanodeId, DropSegments, Result, TransactionId,
    fail_point::{self, FailPoint},
    metrics::Family,
};
use tokio::sync::RwLock;

use crate::{
    advice::Advisor,
    auto_analyze::AutoAnalyses,
    catalog::CatalogHandle,
    compaction::{AutoVacuum, Compaction},
    metrics::{self, Metrics},
    query::{Admission, Cluster, QueryLimits, QueryRegistry},
    server::Clients,
    shards::Due,
};

/// How long a statement waits for another's uncommitted rows in a table with a unique key.
pub const UNIQUE_LOCK_WAIT: Duration = Duration::from_secs(60);

/// How long counts of rows are gathered before the catalog gets them.
const COUNTS_WAIT: Duration = Duration::from_millis(500);
/// The same, where the databases have as many rows as before.
const UPDATES_WAIT: Duration = Duration::from_secs(10);

/// The coordinator's engine.
pub struct Engine {
    /// The durable catalog.
    pub catalog: CatalogHandle,
    /// Who runs fragments.
    pub cluster: Cluster,
    /// Plans queries.
    pub planner: Planner,
    /// Plans of queries that come again.
    pub plans: PlanCache,
    /// How many queries run at the same time.
    pub admission: Admission,
    /// What runs and ran.
    pub queries: QueryRegistry,
    /// What is counted of that.
    pub metrics: Metrics,
    /// Who is connected.
    pub clients: Arc<Clients>,
    /// Which catalog versions are being read.
    pub pins: Pins,
    /// Files that no new query reads.
    pub garbage: Garbage,
    /// Where rows are whose segments were written anew.
    pub moves: Moves,
    /// How segments are written anew, and which are now.
    pub compaction: Compaction,
    /// Transactions' commits have it shared; who has it alone holds them off for a moment.
    pub commits: RwLock<()>,
    /// Who has locked what.
    pub locks: Locks,
    /// What was analyzed automatically.
    pub auto_analyses: AutoAnalyses,
    /// What could be better.
    pub advice: Advisor,
    /// What COPY is loading.
    pub loads: Loads,
    /// Which tables' rows go to another distribution.
    pub redistributions: Redistributions,
    /// What COPY has left out.
    pub copy_errors: CopyErrors,
    /// When the coordinator started.
    pub started_at: DateTime<Utc>,
}

impl Engine {
    /// An engine over an open catalog and its datanodes.
    pub fn new(
        catalog: CatalogHandle,
        cluster: Cluster,
        clients: Arc<Clients>,
        limits: QueryLimits,
        auto_vacuum: AutoVacuum,
    ) -> Arc<Self> {
        let planner = Planner::new(&cluster.functions);
        let metrics = Metrics::default();
        Arc::new(Self {
            catalog,
            cluster,
            planner,
            plans: PlanCache::default(),
            admission: Admission::new(limits, metrics.clone()),
            queries: QueryRegistry::new(metrics.clone()),
            metrics,
            clients,
            pins: Pins::default(),
            garbage: Garbage::default(),
            moves: Moves::default(),
            compaction: Compaction::new(auto_vacuum),
            commits: RwLock::default(),
            locks: Locks::default(),
            auto_analyses: AutoAnalyses::default(),
            advice: Advisor::default(),
            loads: Loads::default(),
            redistributions: Redistributions::default(),
            copy_errors: CopyErrors::default(),
            started_at: Utc::now(),
        })
    }

    /// What the coordinator shows under `/metrics`.
    pub fn metric_families(&self) -> Vec<Family> {
        metrics::families(self)
    }

    /// Removes the files of a transaction that has aborted, on all datanodes. A datanode that
    /// cannot be reached cleans up when it starts again.
    pub async fn drop_transaction(&self, transaction: TransactionId) {
        for datanode in &self.cluster.datanodes {
            if let Err(error) = datanode.drop_segments(DropSegments::Transaction(transaction)).await
            {
                tracing::warn!(datanode = %datanode.id(), %error, "aborted files remain");
            }
        }
    }

    /// The catalog is to learn how many rows databases hold and have changed now: soon, and for many
    /// commits at once.
    pub fn count_shard_rows<'a>(
        self: &Arc<Self>,
        changes: impl IntoIterator<Item = &'a CatalogChange>,
    ) {
        let Some((due, taken)) = self.cluster.shards.counts.add(changes) else { return };
        let wait = match due {
            Due::Soon => COUNTS_WAIT,
            Due::Later => UPDATES_WAIT,
        };
        // Who stops meanwhile notes them, and must not be held up.
        let engine = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some(engine) = engine.upgrade()
                && engine.cluster.shards.counts.taken() == taken
            {
                engine.note_shard_rows().await;
            }
        });
    }

    /// The catalog learns it now.
    pub async fn note_shard_rows(&self) {
        let changes = self.cluster.shards.counts.take(&self.catalog.snapshot());
        if changes.is_empty() {
            return;
        }
        if let Err(error) = self.catalog.commit(None, changes, Utc::now()).await {
            tracing::warn!(%error, "how many rows databases hold was not noted");
        }
    }

    /// Removes the files that no running query can read any more.
    pub async fn collect_garbage(&self) {
        let oldest_read = self.pins.oldest();
        self.moves.forget_older_than(oldest_read);
        for (datanode, files) in self.garbage.take_older_than(oldest_read) {
            let Ok(datanode) = self.cluster.datanode(datanode) else { continue };
            fail_point::reached(FailPoint::GarbageBegun);
            if let Err(error) = datanode.drop_segments(DropSegments::Files(files)).await {
                tracing::warn!(datanode = %datanode.id(), %error, "dropped files remain");
            }
        }
    }

    /// At start: removes what a crash left behind on the datanodes.
    pub async fn clean_up_after_crash(&self) -> Result<()> {
        for datanode in &self.cluster.datanodes {
            datanode.drop_segments(self.known_files(datanode.id())).await?;
        }
        Ok(())
    }

    /// The order to remove all files of a datanode that the catalog does not know.
    pub fn known_files(&self, id: DatanodeId) -> DropSegments {
        let catalog = self.catalog.snapshot();
        let segments = catalog.segments().filter(|segment| segment.datanode == id.0);
        let files = segments.flat_map(|segment| segment.files().map(|file| file.name.to_string()));
        DropSegments::AllBut(files.collect())
    }

    /// Keeps the files of the newest version, and of all later ones, while the pin is held.
    pub fn pin_newest(&self) -> Pin {
        self.pinned_snapshot().1
    }

    /// The newest version, whose files stay while the pin is held.
    pub fn pinned_snapshot(&self) -> (Arc<Catalog>, Pin) {
        loop {
            let snapshot = self.catalog.snapshot();
            let pin = self.pins.pin(snapshot.version);
            // A commit in between may have removed files before it could see the pin.
            if self.catalog.snapshot().version == snapshot.version {
                return (snapshot, pin);
            }
        }
    }
}
