//! A session's transaction: one snapshot, what it changes, and how it ends.
//!
//! Statements outside of BEGIN … COMMIT run in an implicit transaction, one per batch. Changes
//! wait in the transaction and are applied to its own view at once, so that it sees its own
//! uncommitted segments; COMMIT hands them to the catalog in one piece.

mod end;
mod merge;
mod on_shards;

use std::sync::Arc;

use kestrel_planner::{
    access::{check_changes, with_owners},
    catalog::{Catalog, CatalogChange, TableDef},
};
use kestrel_proto::{DatanodeId, ErrorReport, Result, SqlState, TransactionId};

use super::commit::check_same_rows;
use crate::{
    engine::{Engine, LockMode, LockOwner, LockScope, LockTag, Pin, WaitLimits},
    server::TransactionStatus,
    shards::ShardWork,
};
use merge::merged;

/// Where a session stands.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    status: Status,
    /// The OID of the role that changes things; until it is told: nobody's.
    role: u64,
    work: Option<Work>,
}

/// How far a transaction had come: what a savepoint goes back to.
#[derive(Debug)]
pub(super) struct Progress {
    /// `None`: it had not looked at the catalog.
    view: Option<Arc<Catalog>>,
    changes: usize,
    checked: usize,
    /// What it had done in databases.
    shards: ShardWork,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Status {
    /// No BEGIN: what runs is committed at the end of the batch.
    #[default]
    Implicit,
    /// After BEGIN.
    Open,
    /// After an error in a block.
    Failed,
}

/// What a transaction has read and written.
#[derive(Debug)]
struct Work {
    id: TransactionId,
    /// The snapshot it started from.
    base: Arc<Catalog>,
    /// The snapshot with its own changes.
    view: Arc<Catalog>,
    changes: Vec<CatalogChange>,
    /// Tables whose rows were looked at for a new rule, as they were then.
    checked: Vec<Arc<TableDef>>,
    wrote_files: bool,
    /// Files that only a look at others' changes had need of.
    superseded: Vec<(DatanodeId, String)>,
    /// What it has done in databases.
    shards: ShardWork,
    _pin: Pin,
    has_ddl_lock: bool,
}

impl Work {
    /// What others have created since the snapshot was taken has OIDs that are not in it. Whoever
    /// has the lock of DDL is the only one to take new ones.
    fn take_new_oids(&mut self, engine: &Engine) {
        let newest = engine.catalog.snapshot().next_oid;
        if self.view.next_oid < newest {
            Arc::make_mut(&mut self.view).next_oid = newest;
        }
    }
}

impl Transaction {
    pub(super) fn status(&self) -> TransactionStatus {
        match self.status {
            Status::Implicit => TransactionStatus::Idle,
            Status::Open => TransactionStatus::Open,
            Status::Failed => TransactionStatus::Failed,
        }
    }

    /// In a block that has failed only its end is accepted.
    pub(super) fn check_usable(&self) -> Result<()> {
        if self.status != Status::Failed {
            return Ok(());
        }
        Err(ErrorReport::new(
            SqlState::IN_FAILED_SQL_TRANSACTION,
            "current transaction is aborted, commands ignored until end of transaction block",
        ))
    }

    /// Whether a statement has looked at the catalog or changed it.
    pub(super) fn has_run(&self) -> bool {
        self.work.is_some()
    }

    /// Whether it has changed anything.
    pub(super) fn has_changed(&self) -> bool {
        self.work.as_ref().is_some_and(|work| !work.changes.is_empty())
    }

    /// Files that were written for it, and that nothing it changes has need of.
    pub(super) fn note_superseded(
        &mut self,
        engine: &Engine,
        files: impl IntoIterator<Item = (DatanodeId, String)>,
    ) {
        self.work(engine).superseded.extend(files);
    }

    /// The snapshot statements see; taken when the first one asks.
    pub(super) fn view(&mut self, engine: &Engine) -> Arc<Catalog> {
        Arc::clone(&self.work(engine).view)
    }

    /// The transaction's id, which new files carry.
    pub(super) fn id(&mut self, engine: &Engine) -> TransactionId {
        self.work(engine).id
    }

    /// Files are being written for it: they go if it does not commit.
    pub(super) fn will_write(&mut self, engine: &Engine) {
        self.work(engine).wrote_files = true;
    }

    fn work(&mut self, engine: &Engine) -> &mut Work {
        self.work.get_or_insert_with(|| {
            let (base, pin) = engine.pinned_snapshot();
            Work {
                id: engine.catalog.next_transaction_id(),
                view: Arc::clone(&base),
                _pin: pin,
                base,
                changes: Vec::new(),
                checked: Vec::new(),
                wrote_files: false,
                superseded: Vec::new(),
                shards: ShardWork::default(),
                has_ddl_lock: false,
            }
        })
    }

    /// The snapshot that the next statement sees, without beginning anything.
    pub(super) fn newest(&self, engine: &Engine) -> Arc<Catalog> {
        match &self.work {
            Some(work) => Arc::clone(&work.view),
            None => engine.catalog.snapshot(),
        }
    }

    /// The snapshot that privileges are looked up in: what the transaction sees, with the owners,
    /// grants and roles of now. What is revoked is revoked for transactions that have begun, too;
    /// what the transaction has granted itself, it has.
    pub(super) fn authority(&self, engine: &Engine) -> Arc<Catalog> {
        let newest = engine.catalog.snapshot();
        let Some(Work { base, view, .. }) = &self.work else { return newest };
        if Arc::ptr_eq(&newest, base) {
            // Not compared: that takes as long as there are objects.
            return Arc::clone(view);
        }
        if newest.access == base.access && newest.roles == base.roles {
            return Arc::clone(view);
        }
        let mut authority = Catalog::clone(view);
        // What others have dropped meanwhile is still there for the transaction.
        let is_own = |id: &u64| {
            view.access.get(id) != base.access.get(id) || newest.object_kind(*id).is_none()
        };
        let others = newest.access.iter().filter(|(id, _)| !is_own(id));
        authority.access.retain(|id, _| is_own(id));
        authority.access.extend(others.map(|(id, access)| (*id, access.clone())));
        let is_own = |name: &String| view.roles.get(name) != base.roles.get(name);
        let others = newest.roles.iter().filter(|(name, _)| !is_own(name));
        authority.roles.retain(|name, _| is_own(name));
        authority.roles.extend(others.map(|(name, role)| (name.clone(), role.clone())));
        Arc::new(authority)
    }

    /// What is changed from now on, this role changes: it must be allowed to, and owns what is new.
    pub(super) fn acts_as(&mut self, role: u64) {
        self.role = role;
    }

    /// Adds changes; the transaction sees them at once. 42501 if the role may not make them.
    pub(super) fn change(&mut self, engine: &Engine, changes: Vec<CatalogChange>) -> Result<()> {
        let role = self.role;
        check_changes(&changes, &self.authority(engine), role)?;
        let changes = with_owners(changes, &self.view(engine), role);
        self.follow(engine, changes)
    }

    /// The same for what follows from statements that were checked: no role is asked.
    pub(super) fn follow(&mut self, engine: &Engine, changes: Vec<CatalogChange>) -> Result<()> {
        let work = self.work(engine);
        let mut view = work.view.apply(&changes)?;
        // Not a version of the catalog yet.
        view.version = work.base.version;
        work.view = Arc::new(view);
        work.changes.extend(changes);
        Ok(())
    }

    /// About how many rows and bytes more or fewer a datanode's database has of a table when it commits.
    pub(super) fn counted_on(&self, table: u64, on: DatanodeId) -> (i64, i64) {
        let changes = self.work.iter().flat_map(|work| &work.changes);
        changes.fold((0, 0), |(sum, size), change| match change {
            CatalogChange::CountShardRows { table: of, datanode, rows, bytes, .. }
                if (*of, *datanode) == (table, on.0) =>
            {
                (sum.saturating_add(*rows), size.saturating_add(*bytes))
            }
            _ => (sum, size),
        })
    }

    /// One transaction with DDL at a time. One that has done nothing yet then sees the newest
    /// catalog.
    ///
    /// # Errors
    /// Those of a wait for a lock.
    pub(super) async fn lock_ddl(
        &mut self,
        engine: &Engine,
        locks: &LockOwner,
        limits: &WaitLimits,
    ) -> Result<()> {
        if self.has_ddl_lock() {
            return Ok(());
        }
        let scope = LockScope::Transaction;
        locks.lock(LockTag::Ddl, LockMode::Exclusive, scope, limits).await?;
        self.has_locked_ddl(engine);
        Ok(())
    }

    /// The same without waiting: whether it has the lock.
    pub(super) fn try_lock_ddl(&mut self, engine: &Engine, locks: &LockOwner) -> bool {
        if self.has_ddl_lock() {
            return true;
        }
        let has_it = locks.try_lock(LockTag::Ddl, LockMode::Exclusive, LockScope::Transaction);
        if has_it {
            self.has_locked_ddl(engine);
        }
        has_it
    }

    fn has_locked_ddl(&mut self, engine: &Engine) {
        self.has_locked(engine);
        let work = self.work(engine);
        work.has_ddl_lock = true;
        work.take_new_oids(engine);
    }

    pub(super) fn has_ddl_lock(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.has_ddl_lock)
    }

    /// Gives the lock of DDL back, with which nothing was done.
    pub(super) fn unlock_ddl(&mut self, locks: &LockOwner) {
        if let Some(work) = &mut self.work {
            work.has_ddl_lock = false;
            locks.unlock(LockTag::Ddl, LockMode::Exclusive, LockScope::Transaction);
        }
    }

    /// The transaction can only be undone: it gives back what it has locked, without waiting for
    /// its end (PostgreSQL's `AbortTransaction`).
    pub(super) fn give_up_locks(&mut self, locks: &LockOwner) {
        if let Some(work) = &mut self.work {
            work.has_ddl_lock = false;
        }
        locks.end_transaction();
    }

    /// How far it has come.
    pub(super) fn progress(&self) -> Progress {
        let work = self.work.as_ref();
        Progress {
            view: work.map(|work| Arc::clone(&work.view)),
            changes: work.map_or(0, |work| work.changes.len()),
            checked: work.map_or(0, |work| work.checked.len()),
            shards: work.map(|work| work.shards.clone()).unwrap_or_default(),
        }
    }

    /// Undoes what was done since; a block that had failed goes on. Locks are kept.
    pub(super) async fn go_back(&mut self, engine: &Engine, progress: &Progress) {
        self.status = Status::Open;
        let Some(work) = &mut self.work else { return };
        work.view = Arc::clone(progress.view.as_ref().unwrap_or(&work.base));
        let undone = work.changes.split_off(progress.changes.min(work.changes.len()));
        work.checked.truncate(progress.checked);
        work.shards.wrote_on.clone_from(&progress.shards.wrote_on);
        work.shards.updated.clone_from(&progress.shards.updated);
        if work.has_ddl_lock {
            work.take_new_oids(engine);
        }
        engine.garbage.note_undone(&undone);
        // Nobody needs it: neither what was undone nor what is left.
        engine.garbage.note_files(std::mem::take(&mut work.superseded), 0);
        engine.collect_garbage().await;
    }

    /// The transaction has waited for a lock: what others have committed meanwhile it is to see, if
    /// it has done nothing yet and is no block.
    pub(super) fn has_locked(&mut self, engine: &Engine) {
        if self.status == Status::Implicit {
            self.begin_anew(engine);
        }
    }

    /// It sees what others have committed, if it has changed nothing. Who asks for that knows that it has
    /// read nothing either, or may see other rows now.
    pub(super) fn begin_anew(&mut self, engine: &Engine) {
        let work = self.work(engine);
        if work.changes.is_empty() {
            let (base, pin) = engine.pinned_snapshot();
            work._pin = pin;
            work.view = Arc::clone(&base);
            work.base = base;
        }
    }

    /// What others have committed since this transaction began, and its own changes: so a key can be
    /// twice there that neither sees alone.
    ///
    /// # Errors
    /// 40001: the two do not go together.
    pub(super) async fn newest_view(&mut self, engine: &Engine) -> Result<Arc<Catalog>> {
        let work = self.work(engine);
        let newest = engine.catalog.snapshot();
        let merged = merged(engine, work.id, &work.changes, (&work.base, &newest)).await?;
        let changes = merged.as_ref().map_or(&work.changes, |merged| &merged.changes);
        let mut view = newest.apply(changes)?;
        view.version = work.base.version;
        work.superseded.extend(merged.into_iter().flat_map(|merged| merged.written));
        Ok(Arc::new(view))
    }

    /// Whether others have left the rows of these tables as they were when the transaction began.
    ///
    /// # Errors
    /// 40001: they have not.
    pub(super) fn check_same_rows(
        &self,
        engine: &Engine,
        tables: impl IntoIterator<Item = u64>,
    ) -> Result<()> {
        let Some(work) = &self.work else { return Ok(()) };
        check_same_rows(tables, &work.base, &engine.catalog.snapshot())
    }

    /// The rows of a table obey a rule that the transaction declares: no others may come before it
    /// has committed.
    pub(super) fn note_checked(&mut self, engine: &Engine, table: Arc<TableDef>) {
        self.work(engine).checked.push(table);
    }

    /// BEGIN; `false`: there was one already.
    pub(super) fn begin(&mut self) -> bool {
        let new = self.status == Status::Implicit;
        if new {
            self.status = Status::Open;
        }
        new
    }

    /// A statement has failed: a block must be rolled back.
    pub(super) fn fail(&mut self) {
        if self.status == Status::Open {
            self.status = Status::Failed;
        }
    }

    /// In a block?
    pub(super) fn in_block(&self) -> bool {
        self.status != Status::Implicit
    }

    /// Has the block failed?
    pub(super) fn has_failed(&self) -> bool {
        self.status == Status::Failed
    }

    /// What ON COMMIT says of the session's temporary tables, for a transaction that did something.
    pub(super) fn end_temporary(&mut self, engine: &Engine, schema: &str) -> Result<()> {
        let work = self.work.as_ref().filter(|work| !work.changes.is_empty());
        let changes = work.map(|work| work.view.on_commit(schema)).unwrap_or_default();
        if changes.is_empty() { Ok(()) } else { self.follow(engine, changes) }
    }
}
