//! Statements in the transaction's shard transactions: DDL, changes of rows, savepoints.

use std::{sync::Arc, time::Instant};

use futures::future::try_join_all;
use kestrel_planner::{
    catalog::{Catalog, CatalogChange, Segment, TableDef},
    shard_sql,
};
use kestrel_proto::{
    DatanodeId, ErrorReport, Result, ShardIsolation, ShardResults, ShardStatements,
};

use super::ClientSession;
use crate::{
    query::{canceled, open_block_snapshot, until},
    server::Session,
    shards::{check_unmoved, savepoint_statement},
};

impl ClientSession {
    /// Changes the catalog, and the databases along with it.
    pub(super) async fn change(&mut self, changes: Vec<CatalogChange>) -> Result<()> {
        let view = self.transaction.view(&self.engine);
        let statements = shard_sql::ddl::all_statements(&changes, &view)?;
        self.transaction.change(&self.engine, changes)?;
        if statements.is_empty() {
            return Ok(());
        }
        let datanodes = view.datanode_ids();
        self.execute_on_shards(&datanodes, statements).await?;
        self.transaction.has_written(&self.engine, datanodes);
        Ok(())
    }

    /// Rows were written into databases. What they are to obey there the databases have seen to, but
    /// for CHECK.
    pub(super) async fn add_shard_rows(
        &mut self,
        table: &TableDef,
        written: Vec<Segment>,
    ) -> Result<()> {
        let datanodes = written.iter().map(|s| DatanodeId(s.datanode));
        self.transaction.has_written(&self.engine, datanodes);
        let count = |segment: Segment| CatalogChange::CountShardRows {
            table: table.id,
            datanode: segment.datanode,
            rows: segment.rows.try_into().unwrap_or(i64::MAX),
            bytes: segment.bytes.try_into().unwrap_or(i64::MAX),
            updated: 0,
        };
        let changes = written.into_iter().map(count).collect();
        self.transaction.change(&self.engine, changes)?;
        self.check_shard_rows(table).await
    }

    /// The transaction is about to write on these datanodes.
    pub(super) async fn open_on_shards(&mut self, datanodes: &[DatanodeId]) -> Result<()> {
        let cancel = self.cancel.clone();
        let deadline = self.deadline();
        if self.is_in_block() {
            let block = self.transaction.block_snapshot(&self.engine);
            let transaction = self.transaction.id(&self.engine);
            let opened = open_block_snapshot(&self.engine, &block, transaction);
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(canceled("user request")),
                () = until(deadline) => return Err(canceled("statement timeout")),
                opened = opened => opened?,
            };
        }
        let opened = self.transaction.opened_on();
        let new: Vec<_> = datanodes.iter().copied().filter(|id| !opened.contains(id)).collect();
        if new.is_empty() {
            return Ok(());
        }
        self.transaction.will_open(&self.engine, new.iter().copied());
        // What comes can be gone back from as far as everywhere else.
        let savepoints = 0..self.savepoints.len() as u64;
        let statements: Vec<_> =
            savepoints.map(|number| savepoint_statement("SAVEPOINT", number)).collect();
        if !statements.is_empty() {
            self.send_to_shards(&new, statements, deadline).await?;
        }
        Ok(())
    }

    /// Whether statements on a table in databases, which is locked, find its rows where `view` says.
    /// Outside of a block it sees the newest catalog then.
    ///
    /// # Errors
    /// 40001: they do not, and the transaction has begun with that.
    pub(super) async fn find_rows(&mut self, table: u64, view: &Arc<Catalog>) -> Result<bool> {
        let base = self.transaction.planned_over(view);
        let tables = [table].into();
        let found = check_unmoved(&tables, &base, &self.engine.catalog.snapshot());
        if let Err(error) = found {
            if self.is_in_block() || self.transaction.has_written_something() {
                return Err(error);
            }
            self.transaction.has_locked(&self.engine);
            return Ok(false);
        }
        // One that is opened from now on has them there: the table is locked.
        if let Some(there) = self.transaction.block_snapshot(&self.engine).opened().await {
            check_unmoved(&tables, &base, &there)?;
        }
        Ok(true)
    }

    /// Runs statements on each of these datanodes, in the transaction's shard transactions.
    ///
    /// # Errors
    /// Those of the databases, by the first that fails; 57014.
    pub(super) async fn execute_on_shards(
        &mut self,
        datanodes: &[DatanodeId],
        statements: Vec<String>,
    ) -> Result<Vec<(DatanodeId, ShardResults)>> {
        self.open_on_shards(datanodes).await?;
        let deadline = self.deadline();
        self.send_to_shards(datanodes, statements, deadline).await
    }

    /// SAVEPOINT, ROLLBACK TO SAVEPOINT or RELEASE SAVEPOINT, wherever there is a shard transaction.
    pub(super) async fn savepoint_on_shards(&mut self, word: &str, number: usize) -> Result<()> {
        let datanodes: Vec<_> = self.transaction.opened_on().into_iter().collect();
        if datanodes.is_empty() {
            return Ok(());
        }
        let statement = savepoint_statement(word, number as u64);
        self.send_to_shards(&datanodes, vec![statement], None).await?;
        Ok(())
    }

    async fn send_to_shards(
        &mut self,
        datanodes: &[DatanodeId],
        statements: Vec<String>,
        deadline: Option<Instant>,
    ) -> Result<Vec<(DatanodeId, ShardResults)>> {
        let cluster = &self.engine.cluster;
        cluster.check_usable(datanodes)?;
        let isolation = match self.is_in_block() {
            true => ShardIsolation::RepeatableRead,
            false => ShardIsolation::ReadCommitted,
        };
        let transaction = self.transaction.id(&self.engine);
        let wrote_on = self.transaction.wrote_on();
        let order = |id: &DatanodeId| ShardStatements {
            transaction,
            coordinator_epoch: cluster.epoch,
            isolation,
            continues: wrote_on.contains(id),
            statements: statements.clone(),
        };
        let mut calls = Vec::with_capacity(datanodes.len());
        for id in datanodes {
            let (id, datanode, order) = (*id, cluster.datanode(*id)?, order(id));
            calls.push(async move {
                let done = datanode.execute(order).await;
                done.map(|results| (id, results)).map_err(|error| error.on_datanode(id.name()))
            });
        }
        let done = tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(canceled("user request")),
            () = until(deadline) => Err(canceled("statement timeout")),
            done = try_join_all(calls) => done,
        }?;
        if let Some(notices) = &self.notices {
            // All databases say the same.
            let said = done.iter().flat_map(|(_, results)| &results.notices);
            let mut seen: Vec<&ErrorReport> = Vec::new();
            for notice in said {
                if seen.iter().all(|other| other.message != notice.message) {
                    notices.send(notice.clone());
                    seen.push(notice);
                }
            }
        }
        Ok(done)
    }
}
