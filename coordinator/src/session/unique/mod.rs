//! No two rows of a table have a key (PRIMARY KEY, UNIQUE) in common. When rows come, they are
//! compared:
//!
//! ```text
//! with each other       few: by their values, here; many: GROUP BY over the new segments
//! with the other rows   those in segments whose zone summaries overlap with the new ones':
//!                       few: a scan for their values; many: a join, the smaller side is built
//! ```
//!
//! What is many is looked at in [`passes`], so that tables of hash values stay small. Keys contain
//! the distribution key: each datanode that has new rows answers for its own.
//!
//! Nobody else may bring the same key meanwhile: [`locks`].

mod locks;
mod passes;
mod search;
mod values;
mod zones;

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::{
    common::Column,
    logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder},
};
use kestrel_planner::{
    bind::bind_query,
    catalog::{Catalog, KeyDef, TableDef},
    error::report,
};
use kestrel_proto::{Result, SqlState};

use super::{ClientSession, own_query::own_query, rules::broken};
use crate::engine::{LockMode, LockTag};

pub(super) use locks::KeyLocks;
use passes::{most_rows, passes};
use search::{Search, SegmentKey};
use values::KeyValues;

/// Which columns of rows that were written have new values.
#[derive(Clone, Copy, Debug)]
pub(super) enum NewValues<'a> {
    /// All: the rows were not there before.
    All,
    /// These, by their ids: the rows take the place of others in the same table.
    Of(&'a [u32]),
}

impl NewValues<'_> {
    /// Whether there may be a key now that was not there before.
    fn may_double(self, key: &KeyDef) -> bool {
        match self {
            Self::All => true,
            Self::Of(columns) => columns.iter().any(|id| key.columns.contains(id)),
        }
    }

    /// The same for some key of a table.
    pub(super) fn may_double_in(self, table: &TableDef) -> bool {
        table.unique_sets().any(|key| self.may_double(key))
    }
}

impl ClientSession {
    /// Every key is once there, with the new rows and those of others: 23505. `rows`: those of the
    /// new segments, if they are known.
    pub(super) async fn check_unique(
        &mut self,
        table: &TableDef,
        (new, rows): (&[SegmentKey], Option<&RecordBatch>),
        values: NewValues<'_>,
    ) -> Result<()> {
        let keys: Vec<_> = table.unique_sets().filter(|key| values.may_double(key)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let mut double = self.first_double(table, &keys, (new, rows)).await?;
        let has_all = self.locks.holds(LockTag::Keys(table.id), LockMode::Exclusive);
        // The other row may be one that another transaction is about to delete.
        if double.is_some() && !has_all && self.wait_without_keys(table).await? {
            double = self.first_double(table, &keys, (new, rows)).await?;
        }
        let Some((key, double)) = double else { return Ok(()) };
        let message = format!("duplicate key value violates unique constraint \"{}\"", key.name);
        let error = broken(SqlState::UNIQUE_VIOLATION, message, table, &key.name);
        // Another's row is not shown to who may not read it.
        Err(match self.check_select(table, &key.columns) {
            Ok(()) => error.detail(format!("Key {double} already exists.")),
            Err(_) => error,
        })
    }

    /// The first of the keys that two rows have, one of them a new one; and its values.
    async fn first_double<'k>(
        &mut self,
        table: &TableDef,
        keys: &[&'k KeyDef],
        (new, rows): (&[SegmentKey], Option<&RecordBatch>),
    ) -> Result<Option<(&'k KeyDef, String)>> {
        let view = self.transaction.newest_view(&self.engine).await?;
        let Some(table) = view.table_by_id(table.id) else { return Ok(None) };
        for key in keys {
            let values = match rows {
                Some(rows) => KeyValues::of(table, key, rows)?,
                None => None,
            };
            if values.as_ref().is_some_and(|values| values.len() == 0) {
                continue;
            }
            let search = Search::of(table, key, &view, new);
            let mut double = None;
            if values.as_ref().is_none_or(KeyValues::has_double) {
                double = self.double_among(&search).await?;
            }
            if double.is_none() && !search.others.is_empty() {
                double = match values.as_ref().filter(|values| values.fit_condition()) {
                    Some(values) => self.double_of_few(&search, values).await?,
                    None => self.double_of_many(&search).await?,
                };
            }
            if let Some(double) = double {
                return Ok(Some((*key, double)));
            }
        }
        Ok(None)
    }

    /// `(a, b)=(1, 2)` for a key that two rows of a table have.
    pub(super) async fn double(
        &mut self,
        table: &TableDef,
        key: &KeyDef,
        view: &Arc<Catalog>,
    ) -> Result<Option<String>> {
        let Some(table) = view.table_by_id(table.id) else { return Ok(None) };
        // Keys contain the partition key.
        for table in view.leaves_of(table) {
            let double = self.double_among(&Search::of_all(&table, key, view)).await?;
            if double.is_some() {
                return Ok(double);
            }
        }
        Ok(None)
    }

    /// The same for two new rows.
    async fn double_among(&mut self, search: &Search<'_>) -> Result<Option<String>> {
        let rows = most_rows(&search.new);
        if rows < 2 {
            return Ok(None);
        }
        let view = search.view_of(&search.new);
        for condition in passes(search, rows, &search.new) {
            let query = own_query(&search.grouped(condition.as_deref()))?;
            let bound = bind_query(&query, &self.bind_context(&view, None), &[])?;
            if let Some(double) = self.found(search, &bound.plan, &view).await? {
                return Ok(Some(double));
            }
        }
        Ok(None)
    }

    /// The same for one of the other rows and a new one, whose keys are these.
    async fn double_of_few(
        &mut self,
        search: &Search<'_>,
        values: &KeyValues,
    ) -> Result<Option<String>> {
        let view = search.view_of(&search.others);
        let rows = self.keys_and_texts(search, None, &view)?;
        let columns = rows.schema().columns();
        let (keys, texts) = columns.split_at(search.width());
        let condition = values.condition(keys)?;
        let rows = LogicalPlanBuilder::from(rows)
            .filter(condition)
            .and_then(LogicalPlanBuilder::build)
            .map_err(report)?;
        self.found(search, &first_of(&rows, texts)?, &view).await
    }

    /// The same for a new row and another one.
    async fn double_of_many(&mut self, search: &Search<'_>) -> Result<Option<String>> {
        let (of_new, of_others) = (search.view_of(&search.new), search.view_of(&search.others));
        // What is built is the smaller side.
        let (new, others) = (most_rows(&search.new), most_rows(&search.others));
        let built = if new <= others { &search.new } else { &search.others };
        for condition in passes(search, new.min(others), built) {
            let condition = condition.as_deref();
            let new = self.keys_and_texts(search, condition, &of_new)?;
            let others = self.keys_and_texts(search, condition, &of_others)?;
            let joined = joined(search.width(), new, others).map_err(report)?;
            let columns = joined.schema().columns();
            let (keys, texts) = columns.split_at(search.width());
            let [keys, texts] = [keys, texts].map(|columns| first_of(&joined, columns));
            // Texts are computed of all rows, and seldom wanted.
            if self.found(search, &keys?, &of_others).await?.is_some() {
                return self.found(search, &texts?, &of_others).await;
            }
        }
        Ok(None)
    }

    /// A key's columns, and behind them their texts, of the table's rows in a snapshot.
    fn keys_and_texts(
        &mut self,
        search: &Search<'_>,
        condition: Option<&str>,
        view: &Arc<Catalog>,
    ) -> Result<LogicalPlan> {
        let query = own_query(&search.keys_and_texts(condition))?;
        Ok(bind_query(&query, &self.bind_context(view, None), &[])?.plan)
    }

    /// `(a, b)=(1, 2)`, if a query of texts has a row.
    async fn found(
        &mut self,
        search: &Search<'_>,
        query: &LogicalPlan,
        view: &Arc<Catalog>,
    ) -> Result<Option<String>> {
        let texts = self.first_row_alone(query, view, search.view).await?;
        Ok(texts.map(|texts| format!("({})=({texts})", search.names.join(", "))))
    }
}

/// The other rows that have the key of a new one; keys have so many columns.
fn joined(
    width: usize,
    new: LogicalPlan,
    others: LogicalPlan,
) -> datafusion::error::Result<LogicalPlan> {
    let named = |rows, name: &str| LogicalPlanBuilder::from(rows).alias(name)?.build();
    let (others, new) = (named(others, "others")?, named(new, "new")?);
    let keys = |rows: &LogicalPlan| -> Vec<Column> {
        rows.schema().columns().into_iter().take(width).collect()
    };
    let on = (keys(&others), keys(&new));
    LogicalPlanBuilder::from(others).join(new, JoinType::LeftSemi, on, None)?.build()
}

/// These columns of the first row.
fn first_of(rows: &LogicalPlan, columns: &[Column]) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(rows.clone())
        .project(columns.iter().cloned().map(Expr::Column))
        .and_then(|rows| rows.limit(0, Some(1)))
        .and_then(LogicalPlanBuilder::build)
        .map_err(report)
}
