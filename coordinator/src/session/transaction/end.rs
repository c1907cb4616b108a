//! How a transaction ends: in the catalog, and in the databases that it has written to.

use std::{collections::BTreeSet, sync::Arc};

use chrono::Utc;
use kestrel_planner::catalog::{Catalog, CatalogChange, TableDef};
use kestrel_proto::{
    DatanodeId, ErrorReport, Result, SnapshotScope, SqlState, TransactionId,
    fail_point::{self, FailPoint},
};

use super::{super::commit::check_still_so, Status, Transaction, Work, merge::merged};
use crate::{
    engine::{Engine, LockOwner},
    query::close_snapshot,
    shards::{BlockSnapshot, Commit, Decided, Phases, phases},
};

/// How often a commit is tried while others commit before it.
const COMMIT_TRIES: usize = 100;

/// What a commit has done to the catalog.
struct Committed {
    before: Arc<Catalog>,
    after: Arc<Catalog>,
    /// As they are in the catalog.
    changes: Vec<CatalogChange>,
    /// Files of the transaction that the catalog has no need of.
    superseded: Vec<(DatanodeId, String)>,
}

impl Transaction {
    /// Makes the changes durable and visible, or undoes them. When the outcome is not known, files
    /// stay: what turns out not to be committed is removed at the next start.
    /// The locks go as soon as others can see the outcome, before files are removed.
    ///
    /// # Errors
    /// 40001, and those of the catalog and of databases: nothing is committed then. 58030, XX000 and
    /// 08007: nobody knows.
    pub(in super::super) async fn commit(
        &mut self,
        engine: &Arc<Engine>,
        locks: &LockOwner,
    ) -> Result<()> {
        self.status = Status::Implicit;
        let Some(work) = self.work.take() else { return Ok(()) };
        let closing = work.closing(engine);
        let idle = &work.shards.opened_on - &work.shards.wrote_on;
        if !idle.is_empty() {
            // There is nothing in them to wait for.
            let commit = work.commit_of(engine);
            tokio::spawn(async move { commit.roll_back(&idle).await });
        }
        let committed = match phases(&work.shards.wrote_on, &work.changes) {
            Phases::Catalog if work.changes.is_empty() => {
                // Of what was undone; nobody else has seen them.
                engine.garbage.note_files(work.superseded, 0);
                return Ok(());
            }
            Phases::Catalog => work.commit_catalog(engine).await.map(Some),
            Phases::One(datanode) => {
                work.commit_in_one_phase(engine, datanode).await.map(|()| None)
            }
            Phases::Two(on) => work.commit_in_two_phases(engine, on).await.map(Some),
        };
        drop(closing);
        match committed {
            Ok(committed) => {
                if let Some(Committed { before, after, changes, superseded }) = committed {
                    engine.garbage.note(&before, &changes, after.version);
                    let superseded = superseded.into_iter().chain(work.superseded.clone());
                    engine.garbage.note_files(superseded, after.version);
                }
                drop(work);
                locks.end_transaction();
                engine.collect_garbage().await;
                Ok(())
            }
            Err(error) if may_be_committed(&error) => {
                tracing::error!(%error, "a commit's outcome is unknown; the next start finds it");
                Err(error)
            }
            Err(error) => {
                work.remove_files(engine).await;
                Err(error)
            }
        }
    }

    /// Undoes everything; also when nobody waits for it, as for a client that has gone.
    pub(in super::super) async fn rollback(&mut self, engine: &Arc<Engine>) {
        self.status = Status::Implicit;
        let Some(work) = self.work.take() else { return };
        let engine = Arc::clone(engine);
        let undone = tokio::spawn(async move { work.roll_back(&engine).await });
        if let Err(error) = undone.await {
            tracing::error!(%error, "a rollback's task was lost");
        }
    }
}

impl Work {
    pub(super) fn commit_of(&self, engine: &Engine) -> Commit {
        Commit {
            datanodes: engine.cluster.datanodes.clone(),
            shards: Arc::clone(&engine.cluster.shards),
            transaction: self.id,
            epoch: engine.cluster.epoch,
        }
    }

    async fn commit_catalog(&self, engine: &Engine) -> Result<Committed> {
        fail_point::reached(FailPoint::CommitBegun);
        commit(engine, self.id, (&self.changes, &[]), &self.base, &self.checked).await
    }

    /// What the catalog learns is only how many rows there are: it does so later.
    async fn commit_in_one_phase(&self, engine: &Arc<Engine>, datanode: DatanodeId) -> Result<()> {
        let commit = self.commit_of(engine);
        let newest = engine.catalog.snapshot();
        let updates = self.shards.updates();
        let counts = || self.changes.iter().chain(&updates);
        let may_commit =
            check_still_so(counts(), &self.base, &self.checked, &newest, &engine.moves)
                .and_then(|()| engine.cluster.check_usable(&[datanode]));
        if let Err(error) = may_commit {
            commit.roll_back(&self.shards.wrote_on).await;
            return Err(error);
        }
        to_the_end(async move { commit.in_one_phase(datanode).await }).await?;
        engine.count_shard_rows(counts());
        Ok(())
    }

    async fn commit_in_two_phases(
        &self,
        engine: &Arc<Engine>,
        participants: BTreeSet<DatanodeId>,
    ) -> Result<Committed> {
        let (commit, engine) = (self.commit_of(engine), Arc::clone(engine));
        let transaction = self.id;
        let (changes, base) = (self.changes.clone(), Arc::clone(&self.base));
        let (checked, updates) = (self.checked.clone(), self.shards.updates());
        to_the_end(async move {
            let decide = |decision| async {
                let shards = &engine.cluster.shards;
                let forgotten = shards.take_acknowledged();
                let forget = forgotten.iter().map(|t| CatalogChange::Forget(t.0));
                let decide = [CatalogChange::Decide(decision)].into_iter().chain(forget);
                let changes: Vec<_> = changes.into_iter().chain(decide).collect();
                let all = (changes.as_slice(), updates.as_slice());
                let done = self::commit(&engine, transaction, all, &base, &checked).await;
                let error = match done {
                    Ok(committed) => {
                        engine.count_shard_rows(&updates);
                        return Decided::Done(committed);
                    }
                    Err(error) => error,
                };
                shards.put_back_acknowledged(forgotten);
                match may_be_committed(&error) {
                    true => Decided::Unknown(error),
                    false => Decided::Failed(error),
                }
            };
            commit.in_two_phases(&participants, decide).await
        })
        .await
    }

    async fn roll_back(self, engine: &Arc<Engine>) {
        let _closing = self.closing(engine);
        if !self.shards.opened_on.is_empty() {
            self.commit_of(engine).roll_back(&self.shards.opened_on).await;
        }
        self.remove_files(engine).await;
    }

    fn closing(&self, engine: &Arc<Engine>) -> Closing {
        let (engine, snapshot) = (Arc::clone(engine), self.shards.snapshot.clone());
        Closing { engine, scope: SnapshotScope::Transaction(self.id), snapshot }
    }

    async fn remove_files(&self, engine: &Engine) {
        if self.wrote_files {
            engine.drop_transaction(self.id).await;
        }
    }
}

/// Closes the snapshot of a block when it is dropped, wherever it may be open. Nobody waits for that.
struct Closing {
    engine: Arc<Engine>,
    scope: SnapshotScope,
    snapshot: BlockSnapshot,
}

impl Drop for Closing {
    fn drop(&mut self) {
        if self.snapshot.must_be_closed() {
            let (engine, scope) = (Arc::clone(&self.engine), self.scope);
            self.engine.cluster.runtime.spawn(async move {
                let datanodes = engine.cluster.datanodes.iter().map(|d| d.id()).collect();
                close_snapshot(&engine.cluster, scope, &datanodes).await;
            });
        }
    }
}

/// In a task of its own, so that a commit that has begun ends, whether or not its client stays.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let lost = |error| Err(ErrorReport::internal(format!("a commit's task was lost: {error}")));
    tokio::spawn(work).await.unwrap_or_else(lost)
}

/// Commits a transaction's changes, if what it relied on is still so in the version before, also for
/// `updates`, which the catalog learns later.
async fn commit(
    engine: &Engine,
    transaction: TransactionId,
    (changes, updates): (&[CatalogChange], &[CatalogChange]),
    base: &Catalog,
    checked: &[Arc<TableDef>],
) -> Result<Committed> {
    let (mut last, mut superseded) = (None, Vec::new());
    // Before anybody can see it.
    engine.cluster.shards.switches.note(changes);
    for _ in 0..COMMIT_TRIES {
        let _together = engine.commits.read().await;
        let newest = engine.catalog.snapshot();
        let written = changes.iter().chain(updates);
        check_still_so(written, base, checked, &newest, &engine.moves)?;
        let merged = merged(engine, transaction, changes, (base, &newest)).await?;
        let fitting = merged.as_ref().map_or(changes, |merged| &merged.changes).to_vec();
        let done = engine.catalog.commit(Some(newest.version), fitting.clone(), Utc::now()).await;
        match done {
            Err(error)
                if error.sqlstate == SqlState::SERIALIZATION_FAILURE
                    && engine.catalog.snapshot().version != newest.version =>
            {
                superseded.extend(merged.into_iter().flat_map(|merged| merged.written));
                last = Some(error);
            }
            Err(error) => return Err(error),
            Ok(after) => {
                superseded.extend(merged.into_iter().flat_map(|merged| merged.superseded));
                return Ok(Committed { before: newest, after, changes: fitting, superseded });
            }
        }
    }
    Err(last.unwrap_or_else(|| ErrorReport::internal("a commit was not tried")))
}

/// Whether the next start may find the changes of a commit that has failed so: after an I/O error
/// (58030) nobody knows what is on the disk, nor when the task that wrote was lost (XX000).
fn may_be_committed(error: &ErrorReport) -> bool {
    matches!(error.sqlstate, SqlState::IO_ERROR | SqlState::INTERNAL_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_only_after_a_commit_that_has_surely_failed() {
        for (sqlstate, expected) in [
            (SqlState::SERIALIZATION_FAILURE, false),
            (SqlState::DISK_FULL, false),
            (SqlState::IO_ERROR, true),
            (SqlState::INTERNAL_ERROR, true),
        ] {
            let error = ErrorReport::new(sqlstate, "could not write the catalog");
            assert_eq!(may_be_committed(&error), expected, "{error}");
        }
    }
}
