//! VACUUM: segments are written anew (`compaction`); what databases hold, they vacuum themselves.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kestrel_planner::{
    access::Actor,
    catalog::{
        Catalog, Found, TableDef, find_relation, find_sequence, is_system_schema, resolve_table,
    },
    compaction::Effort,
    parse::{Identifier, Maintenance, MaintenanceTarget, QualifiedName},
    shard_sql::maintenance,
};
use kestrel_proto::{ErrorReport, Result, Severity, SqlState};
use tokio_util::sync::CancellationToken;

use super::{ClientSession, NoticeSender, Outcome};
use crate::{
    compaction::{Commit, Ended, Rewritten, rewrite, rounds},
    engine::{LockMode, LockScope, LockTag},
    query::{canceled, until},
    server::Session,
};

/// Between two tries to be the one who writes a table's segments anew.
const CLAIM_WAIT: Duration = Duration::from_millis(20);
/// How often what others' changes have made useless is begun again.
const TRIES: usize = 3;
/// How often a table with clustering columns is looked at again, until its segments are as they should
/// be: what is sorted anew may be a better base for others.
const PASSES: usize = 8;

/// A table of a VACUUM.
pub(super) struct Vacuumed {
    pub(super) table: Arc<TableDef>,
    /// Whether the statement names it, and the columns that it names; partitions follow their table.
    named: Option<Vec<Identifier>>,
}

impl ClientSession {
    /// VACUUM
    ///
    /// # Errors
    /// 25001 in a transaction block; 0A000: columns without ANALYZE; 42P01.
    pub(super) async fn vacuum(
        &mut self,
        command: &Maintenance,
        notices: &NoticeSender,
    ) -> Result<Outcome> {
        if self.is_in_block() {
            let message = "VACUUM cannot run inside a transaction block";
            return Err(ErrorReport::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        }
        if !command.analyze && command.tables.iter().any(|target| !target.columns.is_empty()) {
            let message = "ANALYZE option must be specified when a column list is provided";
            return Err(ErrorReport::unsupported(message));
        }
        let vacuumed = self.vacuumed(command, notices)?;
        for Vacuumed { table, .. } in &vacuumed {
            match table.is_on_shards() {
                true => self.vacuum_shards(table, command).await?,
                false => self.vacuum_segments(table, command, notices).await?,
            }
        }
        if command.analyze {
            self.analyze_vacuumed(command, &vacuumed, notices).await?;
        }
        Ok(Outcome::Done("VACUUM".into()))
    }

    /// The tables, in the order of the statement, each before its partitions. What may not be
    /// vacuumed is told, and left out.
    pub(super) fn vacuumed(
        &mut self,
        command: &Maintenance,
        notices: &NoticeSender,
    ) -> Result<Vec<Vacuumed>> {
        let view = self.transaction.view(&self.engine);
        let authority = self.transaction.authority(&self.engine);
        let actor = Actor::new(&authority, self.identity(&authority).current);
        let may = |object: u64| actor.maintains(object);
        let mut vacuumed = Vec::new();
        if command.tables.is_empty() {
            let own = view.tables.values().filter(|table| may(table.id) && self.is_own(table));
            vacuumed.extend(own.map(|table| Vacuumed { table: Arc::clone(table), named: None }));
            return Ok(vacuumed);
        }
        let skipping = |name: &str, why: &str| {
            let message = format!("skipping \"{name}\" --- {why}");
            notices.send(ErrorReport::warning(SqlState::WARNING, message));
        };
        for target in &command.tables {
            let (id, name) = self.vacuum_target(&target.name, &view)?;
            if !may(id) {
                skipping(&name, "only table or database owner can vacuum it");
            }
            let Some(table) = view.table_by_id(id) else {
                if may(id) {
                    skipping(&name, "cannot vacuum non-tables or special system tables");
                }
                continue;
            };
            let is_there = |column: &&Identifier| table.column(&column.name).is_some();
            if let Some(column) = target.columns.iter().find(|column| !is_there(column)) {
                let (column, table) = (&column.name, &table.name);
                let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
                return Err(ErrorReport::new(SqlState::UNDEFINED_COLUMN, message));
            }
            if may(id) {
                let named = Some(target.columns.clone());
                vacuumed.push(Vacuumed { table: Arc::clone(table), named });
            }
            for partition in view.partitions_below(id) {
                match may(partition.id) {
                    true => vacuumed.push(Vacuumed { table: partition, named: None }),
                    false => {
                        skipping(&partition.name, "only table or database owner can vacuum it");
                    }
                }
            }
        }
        Ok(vacuumed)
    }

    /// Not another session's.
    fn is_own(&self, table: &TableDef) -> bool {
        !table.is_temporary() || table.schema_name == self.temporary_schema()
    }

    /// OID and name of what a VACUUM names.
    pub(super) fn vacuum_target(
        &self,
        name: &QualifiedName,
        view: &Catalog,
    ) -> Result<(u64, String)> {
        let search_path = self.search_path(view);
        let is_known = |schema: &String| view.schemas.contains_key(schema);
        if let Some(schema) = &name.schema
            && !is_known(schema)
            && !is_system_schema(schema)
        {
            let message = format!("schema \"{schema}\" does not exist");
            return Err(ErrorReport::new(SqlState::INVALID_SCHEMA_NAME, message));
        }
        self.check_schema(name.schema.as_ref(), view)?;
        match find_relation(view, &search_path, name) {
            Some(Found::Table(table)) => Ok((table.id, table.name.clone())),
            Some(Found::View(found)) => Ok((found.id, found.name.clone())),
            None => match find_sequence(view, &search_path, name) {
                Some(sequence) => Ok((sequence.id, sequence.name.clone())),
                None => resolve_table(view, &search_path, name).map(|t| (t.id, t.name.clone())),
            },
        }
    }

    async fn vacuum_shards(&mut self, table: &TableDef, command: &Maintenance) -> Result<()> {
        self.lock_for_maintenance(table).await?;
        self.ask_shards(&maintenance::vacuum(table, command)?).await?;
        self.learn_sizes(table).await
    }

    /// Who reads and writes the table goes on.
    pub(super) async fn vacuum_segments(
        &mut self,
        table: &TableDef,
        command: &Maintenance,
        notices: &NoticeSender,
    ) -> Result<()> {
        self.lock_for_maintenance(table).await?;
        // Its own snapshot must not keep what goes.
        self.transaction.has_locked(&self.engine);
        let tell = |message: String, detail: Option<String>| {
            let info = ErrorReport {
                severity: Severity::Info,
                detail,
                ..ErrorReport::notice(SqlState::SUCCESSFUL_COMPLETION, message)
            };
            if command.verbose {
                notices.send(info);
            }
        };
        let name = format!("{}.{}.{}", self.startup.database, table.schema_name, table.name);
        tell(format!("vacuuming \"{name}\""), None);
        let began = Instant::now();
        let effort = if command.full { Effort::Full } else { Effort::Vacuum };
        let total = self.rewrite_segments(table.id, effort).await?;
        self.transaction.has_locked(&self.engine);
        self.engine.collect_garbage().await;
        let Rewritten { old_segments, new_segments, old_bytes, new_bytes, removed_rows } = total;
        let detail = format!(
            "segments: {old_segments} read, {new_segments} written\n\
             rows: {removed_rows} removed\n\
             bytes: {old_bytes} read, {new_bytes} written\n\
             elapsed: {:.2} s",
            began.elapsed().as_secs_f64()
        );
        tell(format!("finished vacuuming \"{name}\""), Some(detail));
        let (tag, mode) = (LockTag::Table(table.id), LockMode::ShareUpdateExclusive);
        self.locks.unlock(tag, mode, LockScope::Transaction);
        Ok(())
    }

    async fn rewrite_segments(&self, table: u64, effort: Effort) -> Result<Rewritten> {
        let stop = CancellationToken::new();
        // A round that is under way ends when nobody waits for it any more.
        let _stopping = stop.clone().drop_guard();
        let work = async {
            let _claim = loop {
                match self.engine.compaction.claim(table) {
                    Some(claim) => break claim,
                    None => tokio::time::sleep(CLAIM_WAIT).await,
                }
            };
            let mut total = Rewritten::default();
            for attempt in 0.. {
                let catalog = self.engine.catalog.snapshot();
                let Some(table) = catalog.table_by_id(table) else { break };
                let is_clustered = !table.cluster_by.is_empty();
                if attempt == if is_clustered { PASSES } else { TRIES } {
                    break;
                }
                let rounds = rounds(table, effort);
                let mut is_done = !is_clustered || rounds.is_empty();
                for round in rounds {
                    match rewrite(&self.engine, round, Commit::Locked, stop.clone()).await? {
                        Ended::Rewritten(rewritten) => total.add(rewritten),
                        Ended::GivenUp { .. } => is_done = false,
                    }
                }
                if is_done {
                    break;
                }
            }
            Ok(total)
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(canceled("user request")),
            () = until(self.deadline()) => Err(canceled("statement timeout")),
            done = work => done,
        }
    }

    /// ANALYZE of what was vacuumed.
    async fn analyze_vacuumed(
        &mut self,
        command: &Maintenance,
        vacuumed: &[Vacuumed],
        notices: &NoticeSender,
    ) -> Result<()> {
        let target = |Vacuumed { table, named }: &Vacuumed| {
            let name = QualifiedName {
                schema: Some(table.schema_name.clone()),
                name: table.name.clone(),
                position: None,
            };
            Some(MaintenanceTarget { name, columns: named.clone()? })
        };
        let tables: Vec<_> = vacuumed.iter().filter_map(target).collect();
        // Without names ANALYZE, too, is of all of the role's tables.
        if tables.is_empty() && (!command.tables.is_empty() || vacuumed.is_empty()) {
            return Ok(());
        }
        let command = Maintenance { full: false, tables, ..command.clone() };
        self.analyze(&command, notices).await.map(|_| ())
    }
}
