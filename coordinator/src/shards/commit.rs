//! The commit of a transaction that has written into databases.
//!
//! ```text
//! one datanode                      several, or the catalog changes, too
//!                                   dn1 PREPARE TRANSACTION   dn2 PREPARE TRANSACTION
//! latch: no snapshot there          latch: no snapshots there
//! dn1 COMMIT                        catalog: changes + Decide        <- the commit, on disk
//! catalog: counts of rows           dn1 COMMIT PREPARED       dn2 COMMIT PREPARED
//!                                   catalog: Forget, some time
//! ```
//!
//! A failure before the decision undoes everything; after it, recovery ends what is not ended here.
//! It is Gray's two-phase commit with presumed abort (Mohan, Lindsay, Obermarck: Transaction
//! management in the R* distributed database management system, 1986).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::join_all;
use kestrel_planner::catalog::{CatalogChange, DecisionDef};
use kestrel_proto::{
    Datanode, DatanodeId, ErrorReport, Result, SqlState, TransactionEnd, TransactionId,
};
use tokio::time::timeout;

use super::{Shards, latch::CommitPass, work::transaction_name};

/// How a transaction commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phases {
    /// Only in the catalog.
    Catalog,
    /// One datanode's COMMIT decides. What the catalog is to learn can be lost.
    One(DatanodeId),
    /// They prepare, and the catalog decides.
    Two(BTreeSet<DatanodeId>),
}

/// How a transaction that has written there, and changes the catalog so, commits. Pure.
pub fn phases(wrote_on: &BTreeSet<DatanodeId>, changes: &[CatalogChange]) -> Phases {
    let only_counts = |change: &CatalogChange| {
        matches!(change, CatalogChange::CountShardRows { .. } | CatalogChange::SetShardRows { .. })
    };
    match (wrote_on.len(), wrote_on.first()) {
        (0, _) | (_, None) => Phases::Catalog,
        (1, Some(datanode)) if changes.iter().all(only_counts) => Phases::One(*datanode),
        _ => Phases::Two(wrote_on.clone()),
    }
}

/// What the catalog does with a decision.
#[derive(Debug)]
pub enum Decided<T> {
    /// It is on disk.
    Done(T),
    /// It is not, and never will be.
    Failed(ErrorReport),
    /// The next start finds out.
    Unknown(ErrorReport),
}

/// A transaction that is about to commit.
#[derive(Clone)]
pub struct Commit {
    /// All of the cluster, in the order of their ids.
    pub datanodes: Vec<Arc<dyn Datanode>>,
    /// What all commits share.
    pub shards: Arc<Shards>,
    /// The transaction.
    pub transaction: TransactionId,
    /// The coordinator's.
    pub epoch: u64,
}

impl Commit {
    /// COMMIT on the one datanode that was written to.
    ///
    /// # Errors
    /// Those of the database, and nothing is committed; 08007 when nobody knows.
    pub async fn in_one_phase(&self, datanode: DatanodeId) -> Result<()> {
        let settings = &self.shards.settings;
        let on = BTreeSet::from([datanode]);
        let _pass = match self.shards.latch.commit(&on, settings.latch_wait).await {
            Ok(pass) => pass,
            Err(error) => {
                self.roll_back(&on).await;
                return Err(error);
            }
        };
        match self.end(datanode, TransactionEnd::Commit, settings.end_wait).await {
            Ok(_) => Ok(()),
            Err(error) if error.sqlstate == SqlState::DATANODE_LOST => {
                // It may never have heard of it: its transaction, and the locks, must not stay.
                let commit = self.clone();
                tokio::spawn(async move { commit.roll_back(&on).await });
                Err(unknown(datanode, &error))
            }
            Err(error) => {
                // The database has undone it; the datanode may not know that it is over.
                self.roll_back(&on).await;
                Err(error)
            }
        }
    }

    /// Prepares on all of `participants`, lets the catalog decide, and commits there. Its caller
    /// sees to it that it is not dropped on the way: a task of its own.
    ///
    /// # Errors
    /// Of the datanodes or the catalog, before the decision: nothing is committed then, except when
    /// the catalog does not know.
    pub async fn in_two_phases<T, F>(
        &self,
        participants: &BTreeSet<DatanodeId>,
        decide: impl FnOnce(DecisionDef) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Decided<T>>,
    {
        let active = Active::begin(&self.shards, self.transaction);
        if let Err(error) = self.prepare(participants).await {
            self.undo(participants).await;
            return Err(error);
        }
        let pass = match self.shards.latch.commit(participants, self.latch_wait()).await {
            Ok(pass) => pass,
            Err(error) => {
                self.undo(participants).await;
                return Err(error);
            }
        };
        let decision = DecisionDef {
            transaction: self.transaction.0,
            epoch: self.epoch,
            datanodes: participants.iter().map(|id| id.0).collect(),
        };
        match decide(decision).await {
            Decided::Done(value) => {
                self.commit_prepared(participants, pass).await;
                Ok(value)
            }
            Decided::Failed(error) => {
                drop(pass);
                self.undo(participants).await;
                Err(error)
            }
            Decided::Unknown(error) => {
                // Prepared it stays, and nobody reads there, until the next start.
                pass.leave_in_doubt(self.transaction);
                active.for_ever();
                Err(error)
            }
        }
    }

    /// Rolls back the shard transactions on these datanodes.
    pub async fn roll_back(&self, datanodes: &BTreeSet<DatanodeId>) {
        self.end_all(datanodes, &[TransactionEnd::Rollback]).await;
    }

    /// The first error, when all have answered.
    async fn prepare(&self, participants: &BTreeSet<DatanodeId>) -> Result<()> {
        let wait = self.shards.settings.end_wait;
        let prepare = |id| self.end(id, TransactionEnd::Prepare, wait);
        let prepared = join_all(participants.iter().copied().map(prepare)).await;
        prepared.into_iter().try_for_each(|prepared| prepared.map(|_| ()))
    }

    /// Whatever has come of PREPARE: what was prepared, what was not, what is still on its way. What
    /// is not heard recovery finds: it is prepared and not decided.
    async fn undo(&self, participants: &BTreeSet<DatanodeId>) {
        let ends = [TransactionEnd::Rollback, TransactionEnd::RollbackPrepared];
        if !self.end_all(participants, &ends).await {
            self.shards.wake.notify_one();
        }
    }

    /// Whether all have heard it.
    async fn end_all(&self, datanodes: &BTreeSet<DatanodeId>, ends: &[TransactionEnd]) -> bool {
        let end_one = |id| self.end_one(id, ends);
        let heard = join_all(datanodes.iter().copied().map(end_one)).await;
        heard.into_iter().all(|heard| heard)
    }

    async fn end_one(&self, id: DatanodeId, ends: &[TransactionEnd]) -> bool {
        let mut is_heard = true;
        for end in ends {
            if let Err(error) = self.end(id, *end, self.shards.settings.end_wait).await {
                let transaction = transaction_name(self.transaction, self.epoch);
                tracing::warn!(datanode = %id, transaction, ?end, %error, "left to recovery");
                is_heard = false;
            }
        }
        is_heard
    }

    /// It is decided: the client hears of it when all have committed, or when that takes too long.
    async fn commit_prepared(&self, participants: &BTreeSet<DatanodeId>, pass: CommitPass) {
        let commit_one = |id| self.commit_prepared_one(id, &pass);
        let acknowledged = join_all(participants.iter().copied().map(commit_one)).await;
        if acknowledged.into_iter().all(|done| done) {
            self.shards.acknowledged.lock().push(self.transaction);
        } else {
            pass.leave_in_doubt(self.transaction);
            self.shards.wake.notify_one();
        }
    }

    /// Whether it has committed.
    async fn commit_prepared_one(&self, id: DatanodeId, pass: &CommitPass) -> bool {
        let transaction = transaction_name(self.transaction, self.epoch);
        let wait = self.shards.settings.acknowledge_wait;
        match self.end(id, TransactionEnd::CommitPrepared, wait).await {
            Ok(was_there) => {
                if !was_there {
                    tracing::error!(datanode = %id, transaction, "somebody else has ended it");
                }
                pass.release(id);
                true
            }
            Err(error) => {
                tracing::warn!(datanode = %id, transaction, %error, "left to recovery");
                false
            }
        }
    }

    async fn end(&self, id: DatanodeId, end: TransactionEnd, wait: Duration) -> Result<bool> {
        let datanode = self.datanodes.get(id.0 as usize);
        let datanode =
            datanode.ok_or_else(|| ErrorReport::internal(format!("no datanode {id}")))?;
        let ended = timeout(wait, datanode.end_transaction(self.transaction, self.epoch, end));
        match ended.await {
            Ok(ended) => ended.map_err(|error| error.on_datanode(id.name())),
            Err(_) => {
                let seconds = wait.as_secs_f64();
                Err(ErrorReport::datanode_lost(id, format!("datanode \"{id}\" was lost"))
                    .detail(format!("It has not ended a transaction within {seconds} seconds.")))
            }
        }
    }

    fn latch_wait(&self) -> Duration {
        self.shards.settings.latch_wait
    }
}

/// Recovery leaves the transaction alone while this is there.
struct Active<'a> {
    shards: &'a Shards,
    transaction: TransactionId,
    is_for_ever: bool,
}

impl<'a> Active<'a> {
    fn begin(shards: &'a Shards, transaction: TransactionId) -> Self {
        shards.active.lock().insert(transaction);
        Self { shards, transaction, is_for_ever: false }
    }

    /// Until the next start.
    fn for_ever(mut self) {
        self.is_for_ever = true;
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        if !self.is_for_ever {
            self.shards.active.lock().remove(&self.transaction);
        }
    }
}

/// PostgreSQL's `ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN`.
fn unknown(datanode: DatanodeId, error: &ErrorReport) -> ErrorReport {
    let message = format!("datanode \"{datanode}\" was lost while it committed");
    let detail = "Whether the transaction is committed is not known.";
    tracing::error!(%datanode, %error, "a commit's outcome is unknown");
    ErrorReport::new(SqlState::TRANSACTION_RESOLUTION_UNKNOWN, message)
        .detail(detail)
        .hint("Look whether its rows are there before you run it again.")
        .on_datanode(datanode.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_transaction_commits() {
        let on = |ids: &[u32]| ids.iter().map(|id| DatanodeId(*id)).collect::<BTreeSet<_>>();
        let counts =
            CatalogChange::CountShardRows { table: 1, datanode: 0, rows: 1, bytes: 9, updated: 0 };
        let ddl = CatalogChange::DropTable(1);
        for (wrote_on, changes, expected) in [
            (on(&[]), vec![], Phases::Catalog),
            (on(&[]), vec![ddl.clone()], Phases::Catalog),
            (on(&[3]), vec![], Phases::One(DatanodeId(3))),
            (on(&[3]), vec![counts.clone(), counts.clone()], Phases::One(DatanodeId(3))),
            (on(&[3]), vec![counts.clone(), ddl.clone()], Phases::Two(on(&[3]))),
            (on(&[1, 3]), vec![], Phases::Two(on(&[1, 3]))),
            (on(&[1, 3]), vec![counts], Phases::Two(on(&[1, 3]))),
        ] {
            assert_eq!(phases(&wrote_on, &changes), expected, "{wrote_on:?} {changes:?}");
        }
    }
}
