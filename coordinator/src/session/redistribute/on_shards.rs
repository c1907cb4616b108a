//! Of a table that databases hold: its rows are copied into a table beside it, where they are to be, and
//! back. All is one shard transaction per datanode, under the lock of ALTER TABLE: writers wait for all
//! of it. Readers do not: rows are deleted and inserted, which their snapshots do not see.

use std::{collections::BTreeMap, sync::Arc};

use kestrel_planner::{
    catalog::{Catalog, CatalogChange, Distribution, Segment, ShardRows, TableDef},
    ddl::DdlPlan,
    plan::InsertPlan,
    redistribution,
    shard_sql::redistribution::{make_stage, stage_of, take_back},
};
use kestrel_proto::{DatanodeId, ErrorReport, Result, ShardResults, SqlState};

use super::{Moving, moved};
use crate::session::{ClientSession, write::distributed};

impl ClientSession {
    /// Moves the rows, and tells the catalog.
    pub(super) async fn move_on_shards(&mut self, plan: DdlPlan) -> Result<()> {
        if self.is_in_block() {
            let message = "ALTER TABLE ... SET DISTRIBUTED of a table that databases hold cannot run \
                           inside a transaction block";
            return Err(ErrorReport::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        }
        let moving = self.begin_moving(&plan)?;
        let tables: Vec<_> =
            moved(&plan).map(|(before, after)| (before.clone(), after.clone())).collect();
        let mut changes = plan.changes;
        for (before, after) in tables {
            changes.extend(self.move_between_databases(&before, &after, &moving).await?);
        }
        self.change(changes).await
    }

    async fn move_between_databases(
        &mut self,
        before: &TableDef,
        after: &TableDef,
        moving: &Moving,
    ) -> Result<Vec<CatalogChange>> {
        let view = self.transaction.view(&self.engine);
        let datanodes = view.datanode_ids();
        let stage = stage_of(after);
        let make = make_stage(before, &stage)?;
        self.execute_on_shards(&datanodes, make).await?;
        self.transaction.has_written(&self.engine, datanodes.iter().copied());
        // With what is known of its size.
        let there = view.table_by_id(before.id).map_or(before, AsRef::as_ref);
        let written = self.copy_between(there, stage.clone(), &view, moving).await?;
        let done = self.execute_on_shards(&datanodes, take_back(before, &stage)?).await?;
        check_counts(before, after, &done)?;
        let mut on: BTreeMap<u32, ShardRows> = datanodes
            .iter()
            .map(|id| (id.0, ShardRows { datanode: id.0, rows: 0, bytes: 0 }))
            .collect();
        for segment in written {
            if let Some(shard_rows) = on.get_mut(&segment.datanode) {
                shard_rows.rows += segment.rows;
                shard_rows.bytes += segment.bytes;
            }
        }
        let table = before.id;
        let set = |shard_rows| CatalogChange::SetShardRows { table, shard_rows };
        Ok(on.into_values().map(set).collect())
    }

    /// The rows into the table beside: what each datanode has got.
    async fn copy_between(
        &mut self,
        before: &TableDef,
        stage: TableDef,
        view: &Arc<Catalog>,
        moving: &Moving,
    ) -> Result<Vec<Segment>> {
        // All copies of a replicated table are the same to the planner.
        let source = match before.distribution {
            Distribution::Replicated => before.clone(),
            Distribution::Hash(_) | Distribution::Random => {
                redistribution::source(before, Vec::new())
            }
        };
        let query = redistribution::all_rows(&Arc::new(source), view)?;
        let context = self.plan_context(view)?;
        let InsertPlan::Distributed(plan) =
            self.engine.planner.plan_insert(&query, &stage, &context).await?
        else {
            return Err(ErrorReport::internal("rows are moved by datanodes"));
        };
        let environment = self.environment(view, self.cancel.clone());
        let (running, mut noted) = self.start(&plan, &environment, &moving.text).await?;
        let (written, rows) = noted.part(distributed(running, &Arc::new(stage), view).await)?;
        noted.finish();
        moving.progress.has_found(rows);
        moving.progress.has_copied(rows);
        Ok(written.into_iter().flat_map(|written| written.segments).collect())
    }
}

/// As many rows must have come as have gone, each copy of a replicated table counted.
///
/// # Errors
/// XX000
fn check_counts(
    before: &TableDef,
    after: &TableDef,
    done: &[(DatanodeId, ShardResults)],
) -> Result<()> {
    let copies = |table: &TableDef| match table.distribution {
        Distribution::Replicated => done.len() as u64,
        Distribution::Hash(_) | Distribution::Random => 1,
    };
    let affected = |at: usize| -> u64 {
        done.iter().filter_map(|(_, results)| results.affected_rows.get(at)).sum()
    };
    let (gone, come) = (affected(0), affected(1));
    match gone * copies(after) == come * copies(before) {
        true => Ok(()),
        false => Err(ErrorReport::internal(format!(
            "{come} rows of table \"{}\" were moved, and {gone} were there",
            after.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted() {
        let table = |distribution| TableDef::new(20_000, ("public", "t"), vec![], distribution);
        let (hash, copied) = (table(Distribution::Hash(vec![1])), table(Distribution::Replicated));
        let check = |before: &TableDef, after: &TableDef, rows: [[u64; 2]; 2]| {
            let done = rows.iter().zip(0..).map(|(rows, id)| {
                let affected_rows = vec![rows[0], rows[1], 0];
                (DatanodeId(id), ShardResults { affected_rows, ..ShardResults::default() })
            });
            check_counts(before, after, &done.collect::<Vec<_>>()).is_ok()
        };
        assert!(check(&hash, &hash, [[3, 5], [7, 5]]));
        assert!(!check(&hash, &hash, [[3, 5], [7, 4]]));
        assert!(check(&hash, &copied, [[3, 10], [7, 10]]));
        assert!(check(&copied, &hash, [[10, 4], [10, 6]]));
        assert!(!check(&copied, &hash, [[10, 10], [10, 10]]));
    }
}
