//! Locks that statements take: LOCK TABLE, what writers lock (and `unique/locks.rs`), what DDL locks.
//! Readers lock nothing, they have their snapshot.

use kestrel_planner::{
    catalog::{Catalog, CatalogChange, Found, TableDef, find_relation, resolve_table},
    ddl::DdlPlan,
    parse::{LockStatement, QualifiedName},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{ClientSession, Outcome};
use crate::{
    engine::{LockMode, LockScope, LockTag, WaitLimits},
    server::Session,
};

/// How often DDL gives tables back, before it waits for other DDL with them locked.
const GIVEN_BACK_MAX: usize = 5;

impl ClientSession {
    /// LOCK TABLE.
    ///
    /// # Errors
    /// 25P01: not in a transaction block, where the lock would end with the statement. 42501: the
    /// role may do nothing with the table that such a lock is for. 55P03: NOWAIT, and another has it.
    pub(super) async fn lock_tables(&mut self, lock: &LockStatement) -> Result<Outcome> {
        if !self.is_in_block() {
            return Err(ErrorReport::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "LOCK TABLE can only be used in transaction blocks",
            ));
        }
        let mode = LockMode::of_words(lock.mode)
            .ok_or_else(|| ErrorReport::internal("a lock in no mode"))?;
        let mut tables = Vec::with_capacity(lock.tables.len());
        for name in &lock.tables {
            // Names mean what they mean to the transaction; a lock alone is no reason to keep an old
            // snapshot.
            let view = match self.transaction.has_run() {
                true => self.transaction.view(&self.engine),
                false => self.engine.catalog.snapshot(),
            };
            let search_path = self.search_path(&view);
            self.check_schema(name.schema.as_ref(), &view)?;
            if let Some(Found::View(view)) = find_relation(&view, &search_path, name) {
                return Err(ErrorReport::unsupported("LOCK of a view is not supported")
                    .detail(format!("\"{}\" is a view.", view.name))
                    .hint("Lock the tables that it reads."));
            }
            let table = resolve_table(&view, &search_path, name)?;
            self.check_lock(table.id, mode)?;
            tables.push((table.id, table.name.clone()));
        }
        for (id, name) in tables {
            let (tag, scope) = (LockTag::Table(id), LockScope::Transaction);
            if !lock.no_wait {
                self.locks.lock(tag, mode, scope, &self.wait_limits()).await?;
            } else if !self.locks.try_lock(tag, mode, scope) {
                let message = format!("could not obtain lock on relation \"{name}\"");
                return Err(ErrorReport::new(SqlState::LOCK_NOT_AVAILABLE, message));
            }
        }
        Ok(Outcome::Done("LOCK TABLE".into()))
    }

    /// The lock of DDL, which one transaction has at a time.
    ///
    /// # Errors
    /// Those of a wait for a lock.
    pub(super) async fn lock_ddl(&mut self) -> Result<()> {
        let limits = self.wait_limits();
        self.transaction.lock_ddl(&self.engine, &self.locks, &limits).await
    }

    /// Plans DDL when it has locked what it changes: the catalog against other DDL, tables against
    /// writers and LOCK TABLE. `planned` makes the plan over a snapshot, and may be asked again: what
    /// was waited for may have changed.
    ///
    /// # Errors
    /// Those of `planned`, and of a wait for a lock.
    pub(super) async fn plan_under_locks(
        &mut self,
        planned: impl Fn(&Self, &Catalog) -> Result<DdlPlan>,
    ) -> Result<DdlPlan> {
        let limits = self.wait_limits();
        let is_first = !self.transaction.has_run();
        let scope = LockScope::Transaction;
        // What this statement has locked.
        let mut locked: Vec<(LockTag, LockMode)> = Vec::new();
        let mut given_back = 0;
        loop {
            let had_lock = self.transaction.has_ddl_lock();
            if !locked.is_empty()
                && given_back < GIVEN_BACK_MAX
                && !self.transaction.try_lock_ddl(&self.engine, &self.locks)
            {
                // Who has the lock of DDL may want these tables: it is not to wait for who waits for it.
                given_back += 1;
                for (tag, mode) in locked.drain(..) {
                    self.locks.unlock(tag, mode, scope);
                }
            }
            self.transaction.lock_ddl(&self.engine, &self.locks, &limits).await?;
            if is_first && given_back > 0 {
                // Who had the lock may have changed the tables.
                self.transaction.begin_anew(&self.engine);
            }
            let view = self.transaction.view(&self.engine);
            let plan = planned(self, &view)?;
            let mut taken = None;
            for (tag, mode) in locked_by(&plan.changes, &view) {
                let had_it = self.locks.holds(tag, mode);
                if !self.locks.try_lock(tag, mode, scope) {
                    taken = Some((tag, mode));
                    break;
                }
                if !had_it {
                    locked.push((tag, mode));
                }
            }
            let Some((tag, mode)) = taken else { return Ok(plan) };
            // Others' DDL is not to wait for whatever this statement waits for.
            if !had_lock {
                self.transaction.unlock_ddl(&self.locks);
            }
            self.locks.lock(tag, mode, scope, &limits).await?;
            locked.push((tag, mode));
            if is_first {
                // Also in a block: nothing has been read that would have to stay.
                self.transaction.begin_anew(&self.engine);
            }
        }
    }

    /// Locks the table that a statement names to write it, before more than the name is looked at:
    /// DDL that has it may change the table. A name of nothing else is the statement's own error.
    ///
    /// # Errors
    /// Those of a wait for a lock; 40001: a block's snapshot is older than a SET DISTRIBUTED of a table in
    /// databases.
    pub(super) async fn lock_target(&mut self, name: &QualifiedName) -> Result<()> {
        let limits = self.wait_limits();
        loop {
            let view = self.transaction.view(&self.engine);
            let search_path = self.search_path(&view);
            let Some(Found::Table(table)) = find_relation(&view, &search_path, name) else {
                return Ok(());
            };
            let (tag, scope) = (LockTag::Table(table.id), LockScope::Transaction);
            if self.locks.try_lock(tag, LockMode::RowExclusive, scope) {
                if table.is_on_shards() && !self.find_rows(table.id, &view).await? {
                    continue;
                }
                return Ok(());
            }
            self.locks.lock(tag, LockMode::RowExclusive, scope, &limits).await?;
            self.transaction.has_locked(&self.engine);
        }
    }

    /// What ends a wait for a lock.
    pub(super) fn wait_limits(&self) -> WaitLimits {
        WaitLimits {
            lock_timeout: self.settings.lock_timeout(),
            deadline: self.deadline(),
            cancel: self.cancel.clone(),
        }
    }
}

/// What DDL locks besides the catalog: the tables that it drops, empties or alters, in the modes of
/// PostgreSQL's `AlterTableGetLockLevel` (tablecmds.c), `DefineIndex` and `CommentObject`. Those that
/// it makes itself nobody else knows yet.
fn locked_by(changes: &[CatalogChange], view: &Catalog) -> Vec<(LockTag, LockMode)> {
    let table = |id: u64, mode| view.table_by_id(id).map(|_| (LockTag::Table(id), mode));
    let lock = |change: &CatalogChange| match change {
        CatalogChange::DropTable(id)
        | CatalogChange::RemoveAllSegments { table: id }
        | CatalogChange::SetOwner { object: id, .. } => table(*id, LockMode::AccessExclusive),
        CatalogChange::AlterTable { before, after } => {
            let only_indexes = TableDef { indexes: after.indexes.clone(), ..(**before).clone() };
            let is_index = only_indexes == **after && after.indexes.len() > before.indexes.len();
            let extended_statistics = after.extended_statistics.clone();
            let is_statistics = extended_statistics != before.extended_statistics
                && TableDef { extended_statistics, ..(**before).clone() } == **after;
            let cluster_by = after.cluster_by.clone();
            let is_clustering = cluster_by != before.cluster_by
                && TableDef { cluster_by, ..(**before).clone() } == **after;
            let mode = match (is_statistics || is_clustering, is_index) {
                (true, _) => LockMode::ShareUpdateExclusive,
                (false, true) => LockMode::Share,
                (false, false) => LockMode::AccessExclusive,
            };
            table(before.id, mode)
        }
        CatalogChange::SetComment { object, .. } => table(*object, LockMode::ShareUpdateExclusive),
        CatalogChange::AddSegments { .. }
        | CatalogChange::ReplaceVectors { .. }
        | CatalogChange::ReplaceSegments { .. }
        | CatalogChange::CountShardRows { .. }
        | CatalogChange::SetShardRows { .. }
        | CatalogChange::SetStatistics(_)
        | CatalogChange::Decide(_)
        | CatalogChange::Forget(_)
        | CatalogChange::CreateSchema(_)
        | CatalogChange::DropSchema(_)
        | CatalogChange::RenameSchema { .. }
        | CatalogChange::CreateTable(_)
        | CatalogChange::CreateView(_)
        | CatalogChange::DropView(_)
        | CatalogChange::CreateSequence(_)
        | CatalogChange::AlterSequence { .. }
        | CatalogChange::DropSequence(_)
        | CatalogChange::SetSequence { .. }
        | CatalogChange::CreateRole(_)
        | CatalogChange::AlterRole(_)
        | CatalogChange::DropRole(_)
        | CatalogChange::SetAccess { .. }
        | CatalogChange::SetDefaultAcl(_)
        | CatalogChange::DropDefaultAcl(_)
        | CatalogChange::SetRoleSettings(_)
        | CatalogChange::SetDatanodes { .. }
        | CatalogChange::RegisterDatanode { .. } => None,
    };
    let own: Vec<_> = changes.iter().filter_map(lock).collect();
    let mut locks = around_partitions(changes, view);
    locks.retain(|lock| !own.contains(lock));
    locks.extend(own);
    // As writers do: the table before its partitions.
    let level = |tag: &LockTag| match tag {
        LockTag::Table(id) => view.partition_ancestors(*id).len(),
        _ => 0,
    };
    locks.sort_by_cached_key(|(tag, _)| level(tag));
    locks
}

/// Who writes into a partitioned table has found out which partitions there are, and which rows its
/// default partition takes: what changes that waits for them, and they for it. So it is with what is
/// below a partition that comes or goes.
fn around_partitions(changes: &[CatalogChange], view: &Catalog) -> Vec<(LockTag, LockMode)> {
    let mut locks = Vec::new();
    let mut add = |id: u64| {
        let lock = (LockTag::Table(id), LockMode::AccessExclusive);
        if !locks.contains(&lock) {
            locks.push(lock);
        }
    };
    for change in changes {
        let parents = match change {
            CatalogChange::CreateTable(table) => [table.parent_id(), None],
            CatalogChange::DropTable(id) => {
                [view.table_by_id(*id).and_then(|table| table.parent_id()), None]
            }
            CatalogChange::AlterTable { before, after }
                if before.partition_of != after.partition_of =>
            {
                view.partitions_below(before.id).iter().for_each(|below| add(below.id));
                [before.parent_id(), after.parent_id()]
            }
            _ => continue,
        };
        for parent in parents.into_iter().flatten().filter_map(|id| view.table_by_id(id)) {
            add(parent.id);
            if let Some(default) = view.default_partition(parent.id) {
                add(default.id);
                view.partitions_below(default.id).iter().for_each(|below| add(below.id));
            }
        }
    }
    locks
}

#[cfg(test)]
mod tests {
    use kestrel_planner::{
        ddl,
        parse::{StatementKind, parse},
    };

    use super::*;

    fn plan(catalog: &Catalog, sql: &str) -> DdlPlan {
        let StatementKind::Ddl(statement) = parse(sql).unwrap().remove(0).kind else {
            panic!("no DDL: {sql}")
        };
        ddl::plan(&statement, catalog, &["public".into()]).unwrap()
    }

    #[test]
    fn statements_lock_the_tables_that_they_change() {
        let create = "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)";
        let empty = Catalog::empty();
        let mut catalog = empty.apply(&plan(&empty, create).changes).unwrap();
        for sql in [
            "CREATE TABLE p (a int) DISTRIBUTED BY (a) PARTITION BY LIST (a)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
        ] {
            catalog = catalog.apply(&plan(&catalog, sql).changes).unwrap();
        }
        for (sql, expected) in [
            ("DROP TABLE t", "AccessExclusiveLock"),
            ("TRUNCATE t", "AccessExclusiveLock"),
            ("ALTER TABLE t RENAME TO u", "AccessExclusiveLock"),
            ("ALTER TABLE t ADD COLUMN c int", "AccessExclusiveLock"),
            ("CREATE INDEX i ON t (b)", "ShareLock"),
            ("COMMENT ON COLUMN t.a IS 'x'", "ShareUpdateExclusiveLock"),
            ("CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)", "AccessExclusiveLock"),
            ("DROP TABLE p1", "AccessExclusiveLock AccessExclusiveLock"),
            ("DROP TABLE p", "AccessExclusiveLock AccessExclusiveLock"),
            ("COMMENT ON SCHEMA public IS 'x'", ""),
            ("CREATE TABLE u (a int) DISTRIBUTED BY (a)", ""),
        ] {
            let locks = locked_by(&plan(&catalog, sql).changes, &catalog);
            let modes: Vec<_> = locks.iter().map(|(_, mode)| mode.name()).collect();
            assert_eq!(modes.join(" "), expected, "{sql}");
        }
    }
}
