//! Locks that statements take: LOCK TABLE, and what writers lock. Readers lock nothing, they have
//! their snapshot.

use kestrel_planner::{
    catalog::{Found, TableDef, find_relation, resolve_table},
    parse::LockStatement,
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{ClientSession, Outcome};
use crate::{
    engine::{LockMode, LockScope, LockTag, UNIQUE_LOCK_WAIT, WaitLimits},
    server::Session,
};

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

    /// What a transaction that writes a table locks: the table against LOCK TABLE, and its unique
    /// keys, if it has some, against other writers.
    ///
    /// # Errors
    /// 55P03: another transaction holds the lock for too long.
    pub(super) async fn lock_for_writing(&mut self, table: &TableDef) -> Result<()> {
        let limits = self.wait_limits();
        let (tag, scope) = (LockTag::Table(table.id), LockScope::Transaction);
        self.locks.lock(tag, LockMode::RowExclusive, scope, &limits).await?;
        if table.unique_sets().next().is_none() {
            return Ok(());
        }
        let (tag, mode) = (LockTag::Keys(table.id), LockMode::Exclusive);
        // Without a lock_timeout this wait has a bound all the same.
        let lock_timeout = Some(limits.lock_timeout.unwrap_or(UNIQUE_LOCK_WAIT));
        let bounded = WaitLimits { lock_timeout, ..limits.clone() };
        let locked = self.locks.lock(tag, mode, scope, &bounded).await;
        locked.map_err(|error| match limits.lock_timeout {
            None if error.sqlstate == SqlState::LOCK_NOT_AVAILABLE => ErrorReport::new(
                SqlState::LOCK_NOT_AVAILABLE,
                format!(
                    "another transaction has written to table \"{}\" and has not ended",
                    table.name
                ),
            )
            .hint("Retry when it has committed or rolled back."),
            _ => error,
        })?;
        self.transaction.has_locked(&self.engine);
        Ok(())
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
