//! Who brings a key keeps others from bringing it until the transaction has ended: of two that
//! bring the same one, the second waits and then finds it.
//!
//! | Statement | [`LockTag::RowChanges`] | [`LockTag::Keys`] | [`LockTag::Key`] |
//! |---|---|---|---|
//! | INSERT of a few rows that are known before they are written | | ROW EXCLUSIVE | of each |
//! | other INSERT, COPY | waits until it is free | EXCLUSIVE | |
//! | UPDATE of a key's columns | EXCLUSIVE | EXCLUSIVE | |
//! | other UPDATE, DELETE | EXCLUSIVE | | |
//!
//! Keys are asked for when all locks are there, in the newest snapshot. Rows of the same key can then
//! come from nobody else; those that are there can only go, or be replaced by one of the same key, and
//! of two that replace or delete a row one fails at its commit (`transaction/merge.rs`). That UPDATE and
//! DELETE wait for each other is for fewer of these failures. An INSERT that meets a row which is
//! being deleted waits for the end of that; it holds none of its keys meanwhile, and asks again.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use kestrel_planner::{catalog::TableDef, plan::InsertPlan};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::values::KeyValues;
use crate::{
    engine::{LockMode, LockScope, LockTag, UNIQUE_LOCK_WAIT, WaitLimits},
    session::ClientSession,
};

/// A session that has so many locks locks all keys of a table instead of single ones.
const MOST_LOCKS: usize = 100_000;

/// What an INSERT locks of a table's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum KeyLocks {
    /// Those of its rows, when it knows them.
    Each,
    /// All, before it begins.
    All,
}

impl KeyLocks {
    /// Only rows that the coordinator computes alone are waited with: others have a place among the
    /// running queries by then. Which partition's key it would be is known too late.
    pub(in super::super) fn of(table: &TableDef, plan: &InsertPlan) -> Self {
        let is_plain = table.partitioned_by.is_none()
            && table.partition_of.is_none()
            && !table.is_on_shards()
            && table.unique_sets().next().is_some()
            && table.unique_sets().all(|key| KeyValues::are_of(table, key));
        match plan {
            InsertPlan::Ingest(plan)
                if is_plain && plan.slices.len() == 1 && plan.init.is_empty() =>
            {
                Self::Each
            }
            _ => Self::All,
        }
    }
}

impl ClientSession {
    /// What a transaction that adds rows to a table locks: the table against LOCK TABLE and DDL, and
    /// its unique keys, if it has some, against others that do. The snapshot stays: rows may have been
    /// planned or written by its rules, and the commit compares these with the newest.
    ///
    /// # Errors
    /// 55P03: another transaction holds the lock for too long; those of a wait for a lock.
    pub(in super::super) async fn lock_for_writing(&mut self, table: &TableDef) -> Result<()> {
        self.lock_rows(table).await?;
        if !has_keys(table) {
            return Ok(());
        }
        // Rows that others are about to delete may have the same keys.
        self.wait_for_changes(table).await?;
        self.lock_bounded(LockTag::Keys(table.id), LockMode::Exclusive, table).await
    }

    /// What one locks that updates or deletes rows; `changes_keys`: columns of unique keys get new
    /// values. What was waited for is seen then.
    ///
    /// # Errors
    /// The same.
    pub(in super::super) async fn lock_for_changing(
        &mut self,
        table: &TableDef,
        changes_keys: bool,
    ) -> Result<()> {
        self.lock_rows(table).await?;
        if !has_keys(table) {
            return Ok(());
        }
        self.lock_bounded(LockTag::RowChanges(table.id), LockMode::Exclusive, table).await?;
        if changes_keys {
            self.lock_bounded(LockTag::Keys(table.id), LockMode::Exclusive, table).await?;
        }
        self.transaction.has_locked(&self.engine);
        Ok(())
    }

    /// What one locks that adds these rows; the snapshot stays.
    ///
    /// # Errors
    /// The same.
    pub(in super::super) async fn lock_keys_of(
        &mut self,
        table: &TableDef,
        rows: &[RecordBatch],
    ) -> Result<()> {
        let mut hashes = BTreeSet::new();
        for key in table.unique_sets() {
            for batch in rows {
                let Some(values) = KeyValues::of(table, key, batch)? else {
                    return self.lock_for_writing(table).await;
                };
                hashes.extend(values.hashes(key));
            }
        }
        if self.locks.count().saturating_add(hashes.len()) > MOST_LOCKS {
            return self.lock_for_writing(table).await;
        }
        self.lock_rows(table).await?;
        self.lock_bounded(LockTag::Keys(table.id), LockMode::RowExclusive, table).await?;
        let tags = hashes.into_iter().map(|hash| LockTag::Key(table.id, hash));
        let is_new = |tag: &LockTag| !self.locks.holds(*tag, LockMode::Exclusive);
        self.locked_keys = tags.filter(is_new).collect();
        self.lock_again(table).await
    }

    /// The keys that the statement has locked, in one order, so that statements alone do not wait in a
    /// circle.
    async fn lock_again(&self, table: &TableDef) -> Result<()> {
        for tag in &self.locked_keys {
            self.lock_bounded(*tag, LockMode::Exclusive, table).await?;
        }
        Ok(())
    }

    /// [`Self::wait_for_changes`], without the keys that the statement has locked: who deletes a row may
    /// bring its key again.
    ///
    /// # Errors
    /// As above.
    pub(super) async fn wait_without_keys(&mut self, table: &TableDef) -> Result<bool> {
        let changes = LockTag::RowChanges(table.id);
        if self.locks.try_lock(changes, LockMode::RowShare, LockScope::Transaction) {
            self.locks.unlock(changes, LockMode::RowShare, LockScope::Transaction);
            return Ok(false);
        }
        for tag in &self.locked_keys {
            self.locks.unlock(*tag, LockMode::Exclusive, LockScope::Transaction);
        }
        self.wait_for_changes(table).await?;
        self.lock_again(table).await?;
        Ok(true)
    }

    /// What everybody locks that writes a table: the table against LOCK TABLE and DDL.
    ///
    /// # Errors
    /// Those of a wait for a lock.
    pub(in super::super) async fn lock_rows(&mut self, table: &TableDef) -> Result<()> {
        let (tag, scope) = (LockTag::Table(table.id), LockScope::Transaction);
        self.locks.lock(tag, LockMode::RowExclusive, scope, &self.wait_limits()).await
    }

    /// Waits for a transaction that has updated or deleted rows of a table.
    ///
    /// # Errors
    /// As above.
    async fn wait_for_changes(&self, table: &TableDef) -> Result<()> {
        let (tag, mode) = (LockTag::RowChanges(table.id), LockMode::RowShare);
        self.lock_bounded(tag, mode, table).await?;
        self.locks.unlock(tag, mode, LockScope::Transaction);
        Ok(())
    }

    /// Without a `lock_timeout` this wait has a bound all the same.
    async fn lock_bounded(&self, tag: LockTag, mode: LockMode, table: &TableDef) -> Result<()> {
        let limits = self.wait_limits();
        let lock_timeout = Some(limits.lock_timeout.unwrap_or(UNIQUE_LOCK_WAIT));
        let bounded = WaitLimits { lock_timeout, ..limits.clone() };
        let locked = self.locks.lock(tag, mode, LockScope::Transaction, &bounded).await;
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
        })
    }
}

/// Databases see to the keys of what they hold.
fn has_keys(table: &TableDef) -> bool {
    table.unique_sets().next().is_some() && !table.is_on_shards()
}
