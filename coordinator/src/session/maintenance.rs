//! ANALYZE. Databases analyze their tables, too, for their own planners.

use std::sync::Arc;

use futures::future::try_join_all;
use kestrel_planner::{
    access::Actor,
    catalog::{
        CatalogChange, Found, ShardRows, TableDef, find_relation, is_temporary_schema,
        own_temporary_schema, resolve_table,
    },
    parse::Maintenance,
    shard_sql::maintenance,
};
use kestrel_proto::{DatanodeId, ErrorReport, Result, ShardRows as Answer, SqlState};

use super::{ClientSession, NoticeSender, Outcome};
use crate::{
    engine::{LockMode, LockScope, LockTag},
    query::canceled,
};

impl ClientSession {
    /// ANALYZE
    pub(super) async fn analyze(
        &mut self,
        command: &Maintenance,
        notices: &NoticeSender,
    ) -> Result<Outcome> {
        let info = command.verbose.then_some(notices);
        for (table, columns) in self.maintained("ANALYZE", command, notices)? {
            self.lock_for_maintenance(&table).await?;
            if table.is_on_shards() {
                let sizes = self.analyze_in_databases(&table, &columns).await?;
                self.transaction.follow(&self.engine, sizes)?;
            }
            self.analyze_table(&table, &columns, info).await?;
        }
        Ok(Outcome::Done("ANALYZE".into()))
    }

    /// The databases analyze their parts of a table; what the catalog is to learn of how large these are.
    pub(super) async fn analyze_in_databases(
        &mut self,
        table: &TableDef,
        columns: &[String],
    ) -> Result<Vec<CatalogChange>> {
        self.ask_shards(&maintenance::analyze(table, columns)?).await?;
        self.shard_sizes(table).await
    }

    /// One question to all databases; their answers by datanode.
    pub(super) async fn ask_shards(&self, sql: &str) -> Result<Vec<(DatanodeId, Answer)>> {
        let all = self.engine.cluster.datanodes.iter().map(|d| (d.id(), sql.to_string()));
        self.ask_each_shard(all.collect()).await
    }

    /// A question to each of these databases.
    pub(super) async fn ask_each_shard(
        &self,
        questions: Vec<(DatanodeId, String)>,
    ) -> Result<Vec<(DatanodeId, Answer)>> {
        let mut calls = Vec::with_capacity(questions.len());
        for (id, sql) in questions {
            let datanode = Arc::clone(self.engine.cluster.datanode(id)?);
            calls.push(async move {
                let answer = datanode.query_shard(sql).await;
                answer.map(|rows| (id, rows)).map_err(|error| error.on_datanode(id.name()))
            });
        }
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(canceled("user request")),
            answers = try_join_all(calls) => answers,
        }
    }

    /// The tables that a command is about, with the columns that it names.
    fn maintained(
        &mut self,
        word: &str,
        command: &Maintenance,
        notices: &NoticeSender,
    ) -> Result<Vec<(Arc<TableDef>, Vec<String>)>> {
        let view = self.transaction.view(&self.engine);
        let search_path = self.search_path(&view);
        let mut tables = Vec::new();
        for target in &command.tables {
            if let Some(Found::View(skipped)) = find_relation(&view, &search_path, &target.name) {
                // PostgreSQL's `analyze_rel` (analyze.c) and `vacuum_rel` (vacuum.c).
                let verb = word.to_lowercase();
                let message = format!(
                    "skipping \"{}\" --- cannot {verb} non-tables or special system tables",
                    skipped.name
                );
                notices.send(ErrorReport::warning(SqlState::WARNING, message));
                continue;
            }
            let table = resolve_table(&view, &search_path, &target.name)?;
            let columns = target.columns.iter().map(|column| column.name.clone());
            let columns: Vec<_> = columns.collect();
            if let Some(column) = columns.iter().find(|column| table.column(column).is_none()) {
                let message =
                    format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
                return Err(ErrorReport::new(SqlState::UNDEFINED_COLUMN, message));
            }
            if let Some(twice) = twice(&columns) {
                let name = &table.name;
                let message =
                    format!("column \"{twice}\" of relation \"{name}\" appears more than once");
                return Err(ErrorReport::new(SqlState::DUPLICATE_COLUMN, message));
            }
            tables.push((Arc::clone(table), columns.clone()));
            let partitions = view.partitions_below(table.id).into_iter();
            tables.extend(partitions.map(|table| (table, columns.clone())));
        }
        let names_none = command.tables.is_empty();
        if names_none {
            let own = own_temporary_schema(&search_path);
            let is_others = |schema: &String| is_temporary_schema(schema) && own != Some(schema);
            let all = view.tables.values().filter(|table| !is_others(&table.schema_name));
            tables.extend(all.map(|table| (Arc::clone(table), Vec::new())));
        }
        let authority = self.transaction.authority(&self.engine);
        let actor = Actor::new(&authority, self.identity(&authority).current);
        tables.retain(|(table, _)| {
            let may = actor.maintains(table.id);
            if !may && !names_none {
                // PostgreSQL's `vacuum_is_relation_owner` (vacuum.c).
                let (verb, name) = (word.to_lowercase(), &table.name);
                let message =
                    format!("skipping \"{name}\" --- only table or database owner can {verb} it");
                notices.send(ErrorReport::warning(SqlState::WARNING, message));
            }
            may
        });
        Ok(tables)
    }

    pub(super) async fn lock_for_maintenance(&mut self, table: &TableDef) -> Result<()> {
        let (tag, scope) = (LockTag::Table(table.id), LockScope::Transaction);
        let mode = LockMode::ShareUpdateExclusive;
        self.locks.lock(tag, mode, scope, &self.wait_limits()).await
    }

    /// The catalog learns how many rows the databases think they hold.
    pub(super) async fn learn_sizes(&mut self, table: &TableDef) -> Result<()> {
        let sizes = self.shard_sizes(table).await?;
        self.transaction.follow(&self.engine, sizes)
    }

    /// How many rows the databases think they hold, and those that the transaction has written there, which
    /// nobody else sees.
    async fn shard_sizes(&mut self, table: &TableDef) -> Result<Vec<CatalogChange>> {
        // What was counted is among them: it must not be added later.
        self.engine.note_shard_rows().await;
        let mut changes = Vec::new();
        for (id, answer) in self.ask_shards(&maintenance::size(table)?).await? {
            let [rows, bytes] = maintenance::numbers(&answer.rows)?;
            // It has no idea: the table is another's, and was not analyzed.
            if rows < 0 {
                continue;
            }
            let (own_rows, own_bytes) = self.transaction.counted_on(table.id, id);
            let together =
                |there: i64, own: i64| there.max(0).saturating_add(own).max(0).cast_unsigned();
            let shard_rows = ShardRows {
                datanode: id.0,
                rows: together(rows, own_rows),
                bytes: together(bytes, own_bytes),
            };
            changes.push(CatalogChange::SetShardRows { table: table.id, shard_rows });
        }
        Ok(changes)
    }
}

/// A name that is there twice.
fn twice(names: &[String]) -> Option<&String> {
    names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)).map(|(_, name)| name)
}
