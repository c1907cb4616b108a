//! What a transaction has done in the databases beside the datanodes.

use std::{collections::BTreeSet, sync::Arc};

use kestrel_planner::catalog::{Catalog, CatalogChange};
use kestrel_proto::DatanodeId;

use super::Transaction;
use crate::{engine::Engine, shards::BlockSnapshot};

impl Transaction {
    /// Where it may have a shard transaction.
    pub(in super::super) fn opened_on(&self) -> BTreeSet<DatanodeId> {
        self.work.as_ref().map(|work| work.shards.opened_on.clone()).unwrap_or_default()
    }

    /// Where it has written.
    pub(in super::super) fn wrote_on(&self) -> BTreeSet<DatanodeId> {
        self.work.as_ref().map(|work| work.shards.wrote_on.clone()).unwrap_or_default()
    }

    /// There may be shard transactions from now on, which its end ends.
    pub(in super::super) fn will_open(
        &mut self,
        engine: &Engine,
        datanodes: impl IntoIterator<Item = DatanodeId>,
    ) {
        self.work(engine).shards.opened_on.extend(datanodes);
    }

    /// There are, and something is in them.
    pub(in super::super) fn has_written(
        &mut self,
        engine: &Engine,
        datanodes: impl IntoIterator<Item = DatanodeId>,
    ) {
        self.work(engine).shards.wrote_on.extend(datanodes);
    }

    /// So many rows of a table have other values there.
    pub(in super::super) fn has_updated(
        &mut self,
        engine: &Engine,
        table: u64,
        rows: impl IntoIterator<Item = (DatanodeId, u64)>,
    ) {
        let updated = &mut self.work(engine).shards.updated;
        for (datanode, rows) in rows {
            let known = updated.entry((table, datanode)).or_default();
            *known = known.saturating_add(rows);
        }
    }

    /// The transaction can only be undone: databases give back what it has locked there, without
    /// waiting for its end.
    pub(in super::super) fn give_up_shards(&mut self, engine: &Engine) {
        let Some(work) = &mut self.work else { return };
        let opened = std::mem::take(&mut work.shards.opened_on);
        work.shards.wrote_on.clear();
        work.shards.updated.clear();
        if !opened.is_empty() {
            let commit = work.commit_of(engine);
            tokio::spawn(async move { commit.roll_back(&opened).await });
        }
    }

    /// Whether there is something to commit or to undo.
    pub(in super::super) fn has_written_something(&self) -> bool {
        let work = self.work.as_ref();
        work.is_some_and(|work| !work.changes.is_empty() || !work.shards.wrote_on.is_empty())
    }

    /// Where a plan over `view` looks for rows, but for those that the transaction has moved itself, which
    /// nobody else can.
    pub(in super::super) fn planned_over(&self, view: &Arc<Catalog>) -> Arc<Catalog> {
        let moves = |change: &CatalogChange| match change {
            CatalogChange::AlterTable { before, after } => {
                before.distribution != after.distribution
            }
            _ => false,
        };
        let work = self.work.as_ref().filter(|work| work.changes.iter().any(moves));
        Arc::clone(work.map_or(view, |work| &work.base))
    }

    /// What the statements of a block read.
    pub(in super::super) fn block_snapshot(&mut self, engine: &Engine) -> BlockSnapshot {
        self.work(engine).shards.snapshot.clone()
    }
}
