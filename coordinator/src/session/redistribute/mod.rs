//! ALTER TABLE … SET DISTRIBUTED: rows go to where another distribution has them.
//!
//! ```text
//!   rounds: what is new is copied, what has gone is deleted in the copies    others read and write
//!   the lock of ALTER TABLE, and one round more                             writers wait
//!     if that would be long, it is given back first, for more rounds        they go on
//!   one commit: the new definition, the new segments for the old            readers keep their snapshots
//! ```
//!
//! Until the commit nobody sees the new segments: an error, a cancel or a crash leaves the table as it
//! was, and files that go with their transaction. In a transaction block everything happens under the
//! lock, which the block keeps; so it does where databases hold the rows.

mod on_segments;
mod on_shards;
mod table;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use kestrel_planner::{
    catalog::{Catalog, CatalogChange, TableDef},
    ddl::DdlPlan,
    parse::{AlterAction, DdlStatement},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{ClientSession, NoticeSender, Outcome, rules::qualified};
use crate::engine::{
    LockMode, LockScope, LockTag, Redistribution, RedistributionFacts, RedistributionPhase,
};
use table::MovedTable;

/// A round that takes no longer is the last before writers have to wait.
const SHORT_ROUND: Duration = Duration::from_millis(300);
/// Rounds beside others, who may be as fast.
const ROUNDS_MAX: usize = 12;
/// Who has waited for writers with more rows left than these lets others go on, and does a round more.
const LAST_ROUND_ROWS: u64 = 200_000;
/// How often the lock is waited for.
const TURNS_MAX: usize = 3;

/// Is it ALTER TABLE … SET DISTRIBUTED?
pub(super) fn sets_distribution(statement: &DdlStatement) -> bool {
    let DdlStatement::AlterTable(alter) = statement else { return false };
    matches!(alter.actions.as_slice(), [AlterAction::SetDistributed(_)])
}

/// The rows of one statement on their way.
struct Moving {
    tables: Vec<MovedTable>,
    progress: Redistribution,
    /// For those who look at what runs.
    text: String,
}

impl Moving {
    /// Is this what the plan says, too?
    fn is_of(&self, plan: &DdlPlan) -> bool {
        let planned: Vec<_> = moved(plan).collect();
        let is_same = |table: &MovedTable, planned: &(&TableDef, &TableDef)| {
            table.before == *planned.0 && table.after == *planned.1
        };
        planned.len() == self.tables.len()
            && self.tables.iter().zip(&planned).all(|(table, planned)| is_same(table, planned))
    }
}

/// The tables that have the rows, as they are and as they become: partitions in their table's place.
fn moved(plan: &DdlPlan) -> impl Iterator<Item = (&TableDef, &TableDef)> {
    altered(plan).filter(|(_, after)| after.partitioned_by.is_none())
}

fn altered(plan: &DdlPlan) -> impl Iterator<Item = (&TableDef, &TableDef)> {
    plan.changes.iter().filter_map(|change| match change {
        CatalogChange::AlterTable { before, after } => Some((before.as_ref(), after.as_ref())),
        _ => None,
    })
}

impl ClientSession {
    /// ALTER TABLE … SET DISTRIBUTED
    ///
    /// # Errors
    /// Those of DDL, of queries and of a wait for a lock; 40001: the table was altered, or written in
    /// a block's time. 25001: in a block, of a table that databases hold.
    pub(super) async fn set_distributed(
        &mut self,
        statement: &DdlStatement,
        notices: &NoticeSender,
    ) -> Result<Outcome> {
        let is_beside = !self.is_in_block() && !self.transaction.has_changed();
        let planned = |session: &Self, view: &Catalog| session.plan_ddl(statement, view);
        let mut begun = None;
        let mut turn = 1;
        let plan = loop {
            if is_beside {
                begun = self.move_beside_others(statement, begun).await?;
            }
            if let Some(moving) = &begun {
                moving.progress.is(RedistributionPhase::Locking);
            }
            let plan = self.plan_under_locks(planned).await?;
            if plan.moves_rows {
                // Who has had the lock has perhaps committed since the snapshot was taken.
                self.transaction.has_locked(&self.engine);
            }
            if turn == TURNS_MAX || begun.as_ref().is_none_or(|moving| self.is_short(moving, &plan))
            {
                break plan;
            }
            turn += 1;
            self.let_others_go_on(&plan);
        };
        plan.notices.iter().for_each(|notice| notices.send(notice.clone()));
        let tag = plan.tag.clone();
        if plan.moves_rows && altered(&plan).any(|(before, _)| before.is_on_shards()) {
            self.move_on_shards(plan).await?;
        } else if plan.moves_rows {
            self.switch(begun, plan).await?;
        } else {
            self.give_up(begun);
            self.change(plan.changes).await?;
        }
        Ok(Outcome::Done(tag))
    }

    /// Moves rows while others read and write, on from what has `begun`. `None`: there is nothing to
    /// move, or not like this. The tables are locked only until it is done.
    async fn move_beside_others(
        &mut self,
        statement: &DdlStatement,
        begun: Option<Moving>,
    ) -> Result<Option<Moving>> {
        let view = self.transaction.view(&self.engine);
        let plan = self.plan_ddl(statement, &view)?;
        if !plan.moves_rows || altered(&plan).any(|(before, _)| before.is_on_shards()) {
            self.give_up(begun);
            return Ok(None);
        }
        let locked: Vec<_> = altered(&plan).map(|(before, _)| before.id).collect();
        for (before, _) in altered(&plan) {
            self.lock_for_maintenance(before).await?;
        }
        self.transaction.has_locked(&self.engine);
        let view = self.transaction.view(&self.engine);
        let plan = self.plan_ddl(statement, &view)?;
        let moving = match begun {
            Some(moving) if moving.is_of(&plan) => Some(moving),
            begun => {
                self.give_up(begun);
                plan.moves_rows.then(|| self.begin_moving(&plan)).transpose()?
            }
        };
        let moving = match moving {
            Some(moving) => Some(self.move_rounds(moving).await?),
            None => None,
        };
        // Others may have the lock of DDL and wait for the table, while this waits for that.
        self.unlock_tables(locked, LockMode::ShareUpdateExclusive);
        Ok(moving)
    }

    async fn move_rounds(&mut self, mut moving: Moving) -> Result<Moving> {
        for _ in 0..ROUNDS_MAX {
            let began = Instant::now();
            self.move_round(&mut moving).await?;
            moving.progress.is(RedistributionPhase::CatchingUp);
            // What it has read may go.
            self.transaction.has_locked(&self.engine);
            if began.elapsed() <= SHORT_ROUND {
                break;
            }
        }
        Ok(moving)
    }

    /// Is what is left to do little, and what was done of use?
    fn is_short(&mut self, moving: &Moving, plan: &DdlPlan) -> bool {
        let view = self.transaction.view(&self.engine);
        let left = moving.tables.iter().map(|table| table.rows_left(&view)).sum::<u64>();
        moving.is_of(plan) && left <= LAST_ROUND_ROWS
    }

    /// Gives back what was locked to make this plan.
    fn let_others_go_on(&mut self, plan: &DdlPlan) {
        let locked: Vec<_> = altered(plan).map(|(before, _)| before.id).collect();
        self.unlock_tables(locked, LockMode::AccessExclusive);
        self.transaction.unlock_ddl(&self.locks);
    }

    fn unlock_tables(&self, tables: Vec<u64>, mode: LockMode) {
        for id in tables {
            self.locks.unlock(LockTag::Table(id), mode, LockScope::Transaction);
        }
    }

    /// Nobody wants what was written for this.
    fn give_up(&mut self, moving: Option<Moving>) {
        let tables = moving.into_iter().flat_map(|moving| moving.tables);
        let files: Vec<_> = tables.flat_map(|table| table.files()).collect();
        self.transaction.note_superseded(&self.engine, files);
    }

    fn begin_moving(&self, plan: &DdlPlan) -> Result<Moving> {
        let first = altered(plan).next();
        let (before, after) = first.ok_or_else(|| ErrorReport::internal("no table is moved"))?;
        let progress = self.engine.redistributions.begin(RedistributionFacts {
            session_pid: self.startup.process_id,
            user: self.startup.user.clone(),
            schema: before.schema_name.clone(),
            table: before.name.clone(),
            distribution: after.distributed_clause(),
            phase: RedistributionPhase::Copying,
            rounds: 0,
            rows_total: 0,
            rows: 0,
            started_at: Utc::now(),
        });
        let text = format!("ALTER TABLE {} SET {}", qualified(before), after.distributed_clause());
        let tables = moved(plan).map(|(before, after)| MovedTable::new(before, after)).collect();
        Ok(Moving { tables, progress, text })
    }

    /// What is left to move, and the new layout, while nobody else writes.
    async fn switch(&mut self, begun: Option<Moving>, plan: DdlPlan) -> Result<()> {
        let mut moving = match begun {
            Some(moving) if moving.is_of(&plan) => moving,
            Some(_) => return Err(altered_meanwhile(&plan)),
            None => self.begin_moving(&plan)?,
        };
        let switched = self.switch_to(&mut moving, plan).await;
        if switched.is_err() {
            // A block may go on behind a savepoint.
            self.give_up(Some(moving));
        }
        switched
    }

    async fn switch_to(&mut self, moving: &mut Moving, plan: DdlPlan) -> Result<()> {
        moving.progress.is(RedistributionPhase::Switching);
        // A block may see less than is there: nothing that it copies could take the place of that.
        let tables: Vec<_> = moving.tables.iter().map(|table| table.before.id).collect();
        self.transaction.check_same_rows(&self.engine, tables)?;
        self.move_round(moving).await?;
        let view = self.transaction.view(&self.engine);
        let mut changes = plan.changes;
        for table in &moving.tables {
            changes.push(table.replaced(&view)?);
            if let Some(now) = view.table_by_id(table.before.id) {
                self.transaction.note_checked(&self.engine, Arc::clone(now));
            }
        }
        self.change(changes).await
    }
}

fn altered_meanwhile(plan: &DdlPlan) -> ErrorReport {
    let name = altered(plan).next().map(|(before, _)| before.name.as_str()).unwrap_or_default();
    let message = "could not serialize access due to concurrent update";
    ErrorReport::new(SqlState::SERIALIZATION_FAILURE, message)
        .detail(format!("Table \"{name}\" was altered by another transaction meanwhile."))
        .hint("Run the statement again.")
}
