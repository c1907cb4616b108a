//! Who brings a key keeps others from bringing it until the transaction has ended: of two that
//! bring the same one, the second waits and then finds it.
//!
//! | Statement | [`LockTag::RowChanges`] | [`LockTag::Keys`] | [`LockTag::Key`] |
//! |---|---|---|---|
//! | INSERT of a few rows that are known before they are written | | ROW EXCLUSIVE | of each |
//! | the same of more rows, by who has locked single keys before | | ROW EXCLUSIVE | of each |
//! | other INSERT, COPY | waits until it is free | EXCLUSIVE | |
//! | UPDATE of a key's columns | EXCLUSIVE | EXCLUSIVE | |
//! | other UPDATE, DELETE | EXCLUSIVE | | |
//!
//! Keys are asked for when all locks are there, in the newest snapshot. Rows of the same key can then
//! come from nobody else; those that are there can only go, or be replaced by one of the same key, and
//! of two that replace or delete a row one fails at its commit (`transaction/merge.rs`). That UPDATE and
//! DELETE wait for each other is for fewer of these failures. An INSERT that meets a row which is
//! being deleted waits for the end of that; it holds none of its keys meanwhile, and asks again.
//! Two who have locked single keys and then want all would wait for each other; so would who waits for
//! keys while others wait for its row changes. The first lock more single keys, the second keep neither
//! lock while they wait for the other.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use arrow::array::RecordBatch;
use kestrel_planner::{catalog::TableDef, plan::InsertPlan};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::values::KeyValues;
use crate::{
    engine::{LockMode, LockScope, LockTag, UNIQUE_LOCK_WAIT, WaitLimits},
    query::FEW_ROWS,
    session::ClientSession,
};

/// A session that has so many locks locks all keys of a table instead of single ones.
const MOST_LOCKS: usize = 250_000;

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
        let changes = LockTag::RowChanges(table.id);
        match changes_keys {
            true => self.lock_changes_and_keys(table).await?,
            false => self.lock_bounded(changes, LockMode::Exclusive, table).await?,
        }
        self.transaction.has_locked(&self.engine);
        Ok(())
    }

    /// Takes both when both are there: who has keys is not to wait for who waits for keys.
    async fn lock_changes_and_keys(&self, table: &TableDef) -> Result<()> {
        let (mode, scope) = (LockMode::Exclusive, LockScope::Transaction);
        let (mut waited_for, mut other) = (LockTag::RowChanges(table.id), LockTag::Keys(table.id));
        let end = Instant::now() + self.wait_limits().lock_timeout.unwrap_or(UNIQUE_LOCK_WAIT);
        loop {
            let had_it = self.locks.holds(waited_for, mode);
            let left = end.saturating_duration_since(Instant::now());
            self.lock_within(waited_for, mode, table, left).await?;
            if self.locks.try_lock(other, mode, scope) {
                return Ok(());
            }
            if !had_it {
                self.locks.unlock(waited_for, mode, scope);
            }
            std::mem::swap(&mut waited_for, &mut other);
        }
    }

    /// Up to how many rows an INSERT locks single keys.
    pub(in super::super) fn most_single_keys(&self, table: &TableDef) -> usize {
        let holds = |mode| self.locks.holds(LockTag::Keys(table.id), mode);
        match holds(LockMode::RowExclusive) && !holds(LockMode::Exclusive) {
            true => MOST_LOCKS,
            false => FEW_ROWS,
        }
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
            // There may be many, and hardly one of them has to be waited for.
            if !self.locks.try_lock(*tag, LockMode::Exclusive, LockScope::Transaction) {
                self.lock_bounded(*tag, LockMode::Exclusive, table).await?;
            }
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
        let bound = self.wait_limits().lock_timeout.unwrap_or(UNIQUE_LOCK_WAIT);
        self.lock_within(tag, mode, table, bound).await
    }

    async fn lock_within(
        &self,
        tag: LockTag,
        mode: LockMode,
        table: &TableDef,
        bound: Duration,
    ) -> Result<()> {
        let limits = self.wait_limits();
        let bounded = WaitLimits { lock_timeout: Some(bound), ..limits.clone() };
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
