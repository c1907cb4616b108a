//! Tables whose rows are in databases beside the datanodes: how the databases stay one.
//!
//! 1. A transaction of Kestrel's has a *shard transaction* open on each datanode where it writes
//!    ([`ShardWork`] counts them).
//! 2. [`commit`](Commit): one datanode simply commits; several prepare, the catalog decides, they
//!    commit what they have prepared. Presumed abort: what is prepared and not decided is undone.
//! 3. Meanwhile the [`latch`](CommitLatch) holds off snapshots of those datanodes, so that no query
//!    sees half of it.
//! 4. [`recovery`] ends what a crash has left prepared, at start and every ten seconds.
//! 5. [`switches`] tell queries whose tables' rows were taken to other datanodes meanwhile.

mod commit;
mod counts;
mod latch;
mod recovery;
mod switches;
mod work;

#[cfg(test)]
mod model;

pub use commit::Decided;
pub use commit::{Commit, Phases, phases};
pub use counts::{Counts, Due};
pub use latch::{CommitLatch, CommitPass, SnapshotPass};
pub use recovery::{InDoubt, recover, watch};
pub use switches::{SwitchWatch, Switches, check_unmoved, is_moved};
pub(crate) use work::savepoint_statement;
pub use work::{BlockSnapshot, ShardWork};

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use kestrel_planner::{
    catalog::{Catalog, DecisionDef},
    shard_sql::Capabilities,
};
use kestrel_proto::{DatanodeId, TransactionId};
use parking_lot::Mutex;
use tokio::sync::{Notify, OnceCell};

/// The bounds.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// For commits and snapshots to let one another pass.
    pub latch_wait: Duration,
    /// For a block to open its snapshots while commits are held off; then they go first, and it tries
    /// again for twice as long,
    pub latch_hold: Duration,
    /// up to this. Shorter than `latch_wait`: who waits to commit may have the session that whoever
    /// holds commits off waits for.
    pub latch_hold_max: Duration,
    /// For a datanode to end a transaction; after that it is taken for lost.
    pub end_wait: Duration,
    /// For a client to wait until the datanodes have committed what is decided.
    pub acknowledge_wait: Duration,
    /// Between two rounds of recovery.
    pub recovery_interval: Duration,
    /// The same while something is in doubt.
    pub doubt_interval: Duration,
    /// What stays prepared for longer is an alarm.
    pub doubt_alarm: Duration,
}

impl Default for ShardSettings {
    fn default() -> Self {
        Self {
            latch_wait: Duration::from_secs(10),
            latch_hold: Duration::from_millis(250),
            latch_hold_max: Duration::from_secs(4),
            end_wait: Duration::from_secs(30),
            acknowledge_wait: Duration::from_secs(5),
            recovery_interval: Duration::from_secs(10),
            doubt_interval: Duration::from_secs(1),
            doubt_alarm: Duration::from_secs(60),
        }
    }
}

/// What all sessions share of commits on shards.
#[derive(Debug, Default)]
pub struct Shards {
    /// The bounds.
    pub settings: ShardSettings,
    /// Between commits and snapshots.
    pub latch: CommitLatch,
    /// Where tables' rows went.
    pub switches: Switches,
    /// Transactions of this start that may be preparing: recovery leaves them alone.
    active: Mutex<BTreeSet<TransactionId>>,
    /// Decided and committed everywhere: the catalog may forget them.
    acknowledged: Mutex<Vec<TransactionId>>,
    /// What the databases can do, once somebody has asked.
    pub capabilities: OnceCell<Capabilities>,
    /// Rows that the catalog does not know of yet.
    pub counts: Counts,
    /// What the last round of recovery has seen prepared.
    in_doubt: Mutex<Vec<InDoubt>>,
    /// It has not seen all datanodes: something may be prepared where it has not looked.
    is_unseen: AtomicBool,
    /// A round of recovery is needed soon.
    wake: Notify,
}

/// What all sessions of a coordinator share that starts with this catalog.
pub fn shared(catalog: &Catalog) -> Arc<Shards> {
    Arc::new(Shards::new(ShardSettings::default(), &catalog.decided))
}

impl Shards {
    /// With what an earlier start has decided: until its datanodes are known to have committed,
    /// nobody reads them.
    pub fn new(settings: ShardSettings, decided: &BTreeMap<u64, DecisionDef>) -> Self {
        let shards = Self { settings, ..Self::default() };
        for decision in decided.values() {
            let datanodes = decision.datanodes.iter().map(|id| DatanodeId(*id)).collect();
            shards.latch.leave_in_doubt(TransactionId(decision.transaction), datanodes);
        }
        shards
    }

    /// What is prepared in the databases, as the last round of recovery saw it.
    pub fn in_doubt(&self) -> Vec<InDoubt> {
        self.in_doubt.lock().clone()
    }

    /// What the next commit may have the catalog forget.
    pub(crate) fn take_acknowledged(&self) -> Vec<TransactionId> {
        std::mem::take(&mut self.acknowledged.lock())
    }

    /// It has not: the next one.
    pub(crate) fn put_back_acknowledged(&self, transactions: Vec<TransactionId>) {
        self.acknowledged.lock().extend(transactions);
    }
}
