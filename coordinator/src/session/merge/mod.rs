//! MERGE into a table in segments.
//!
//! ```text
//!   source LEFT JOIN table: addresses, which clause fits, the columns as they are to be     datanodes
//!   rows that go and rows that come, told apart                                         coordinator
//!   delete vectors, new segments                                                          datanodes
//! ```
//!
//! Of a replicated table each datanode changes its own copy: the rows that are changed are found as
//! those of an UPDATE and of a DELETE then, by the same query.

mod clauses;
mod query;

use std::sync::Arc;

use arrow::{
    array::{AsArray, BooleanArray, RecordBatch},
    compute::{cast, concat_batches, filter_record_batch},
    datatypes::{DataType, Int64Type},
};
use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    access,
    bind::{bind_query, stated_parameter_types},
    catalog::{Catalog, Distribution, Privilege, SqlType, TableDef},
    error::report,
    operators::{ChangedRows, RowChangeKind},
    parse::{Merge, MergeAction},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{
    ClientSession, Outcome, Statement,
    change_rows::Change,
    facts::plannable,
    insert::{all_columns, target_columns},
    own_query::own_query,
    partition::Written,
    returning::{OtherRelation, alias_of},
    select::bind_within,
    unique::NewValues,
};
use crate::{
    query::{QueryEnvironment, RowSource, RunningQuery, TableIngestor},
    server::Parameter,
};
use clauses::{Action, Clause, clauses, names};
use query::{ACTION_AT, Merged, addressed_query, plain_query};

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Insert,
    Update,
    Delete,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Insert, Self::Update, Self::Delete];
    /// Rows of the table go.
    const OLD: [Self; 2] = [Self::Update, Self::Delete];
    /// Rows come.
    const NEW: [Self; 2] = [Self::Insert, Self::Update];

    fn of(action: &Action) -> Option<Self> {
        match action {
            Action::Nothing => None,
            Action::Delete => Some(Self::Delete),
            Action::Update(_) => Some(Self::Update),
            Action::Insert(_) => Some(Self::Insert),
        }
    }
}

impl ClientSession {
    /// MERGE.
    pub(super) async fn merge(
        &mut self,
        merge: &Merge,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Outcome> {
        let change = Change::of_conflict(&merge.target, &[], (&[], None))?;
        self.lock_target(&change.table_name()?).await?;
        let table = self.changed_table(&change)?;
        if !table.is_temporary() {
            self.check_writable("MERGE")?;
        }
        if table.is_on_shards() {
            let message = "MERGE into a table that databases hold is not supported";
            return Err(ErrorReport::unsupported(message).hint("Use UPDATE, DELETE and INSERT."));
        }
        // Before anything is read: what was waited for is to be seen.
        self.lock_for_changing(&table, true).await?;
        let table = self.changed_table(&change)?;
        let types: Vec<_> = parameters.iter().map(|p| Some(p.sql_type)).collect();
        let clauses = self.merge_clauses(merge, &table, statement, &types)?;
        self.check_merge(merge, &clauses, &table)?;
        self.bind_unchecked(&plain_query(merge, &clauses, false)?, statement, parameters)?;
        self.bind(&plain_query(merge, &clauses, true)?, statement, parameters)?;
        let view = self.transaction.view(&self.engine);
        let mut context = self.bind_context(&view, Some(statement));
        context.changed = Some(Arc::clone(&table));
        let query = addressed_query(merge, &clauses, &table)?;
        let bound = bind_within(&query, &context, parameters)?;
        let merged = Merged::of(bound.plan, &table, &clauses)?;
        let target = (&table, &view, statement.sql.as_str());
        let rows = match table.distribution {
            Distribution::Replicated => self.merge_copies(&merged, &clauses, target).await?,
            Distribution::Hash(_) | Distribution::Random => {
                self.merge_rows(&merged, target).await?
            }
        };
        Ok(Outcome::Done(format!("MERGE {rows}")))
    }

    fn merge_clauses(
        &mut self,
        merge: &Merge,
        table: &TableDef,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Vec<Clause>> {
        let view = self.transaction.view(&self.engine);
        let context = self.bind_context(&view, Some(statement));
        let mut query = own_query("SELECT * FROM t")?;
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            select.from = vec![merge.source.clone()];
        }
        let bound = bind_query(&plannable(&query), &context, types)?;
        let source = OtherRelation::all(bound.plan.schema());
        let (alias, _) = alias_of(&merge.target)?;
        if source.iter().any(|relation| relation.alias == alias) {
            let message = format!("name \"{alias}\" specified more than once");
            return Err(ErrorReport::new(SqlState::DUPLICATE_ALIAS, message)
                .detail("The name is used both as MERGE target table and data source."));
        }
        clauses(merge, table, &source)
    }

    /// Errors: 42501 for what the role may not do; 428C9 for a value that only a sequence may give.
    fn check_merge(&self, merge: &Merge, clauses: &[Clause], table: &TableDef) -> Result<()> {
        for (clause, stated) in clauses.iter().zip(&merge.clauses) {
            match (&clause.action, &stated.action) {
                (_, MergeAction::Update(assignments)) => {
                    let change = Change::of_conflict(&merge.target, assignments, (&[], None))?;
                    self.check_change(&change, table, &change.targets(table)?)?;
                }
                (_, MergeAction::Insert { columns, .. }) => {
                    let columns = match columns.is_empty() {
                        true => all_columns(table),
                        false => target_columns(table, &names(columns))?,
                    };
                    self.check_insert(table, &columns)?;
                }
                (Action::Delete, _) => {
                    let authority = self.transaction.authority(&self.engine);
                    let role = self.identity(&authority).current;
                    access::check_table(table, &[], Privilege::Delete, &authority, role)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The types of a MERGE's parameters, as far as it tells.
    pub(super) fn merge_parameters(
        &mut self,
        merge: &Merge,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Vec<SqlType>> {
        let change = Change::of_conflict(&merge.target, &[], (&[], None))?;
        let table = self.changed_table(&change)?;
        let clauses = self.merge_clauses(merge, &table, statement, types)?;
        let query = plain_query(merge, &clauses, true)?;
        let values = clauses.iter().flat_map(|clause| clause.action.values());
        let targets: Vec<_> = values.map(|(at, _)| table.columns[*at].sql_type).collect();
        let types = stated_parameter_types(&query, types, &targets);
        let view = self.transaction.view(&self.engine);
        let context = self.bind_context(&view, Some(statement));
        bind_query(&plannable(&query), &context, &types)?.parameter_types()
    }

    /// All rows come to the coordinator: those that go are noted, those that come are sent to the
    /// datanodes.
    async fn merge_rows(
        &mut self,
        merged: &Merged<'_>,
        (table, view, text): (&Arc<TableDef>, &Arc<Catalog>, &str),
    ) -> Result<usize> {
        let plan = self.plan(&merged.rows_of(&Kind::ALL, true)?, view).await?;
        self.advise(&plan, view, "MERGE");
        self.transaction.will_write(&self.engine);
        let environment = self.environment(view, self.cancel.clone());
        let (running, mut noted) = self.start(&plan, &environment, text).await?;
        let done = self.sort_out(running, merged, (table, view), &environment).await;
        let done = done.map_err(|error| error.in_schema(&table.schema_name));
        let (rows, deleted, written) = noted.part(done)?;
        noted.part(self.delete_rows(table, deleted).await)?;
        noted.part(self.add_written(written, NewValues::All).await)?;
        noted.finish_written(rows as u64);
        Ok(rows)
    }

    async fn sort_out(
        &self,
        mut running: RunningQuery,
        merged: &Merged<'_>,
        (table, view): (&Arc<TableDef>, &Arc<Catalog>),
        environment: &QueryEnvironment,
    ) -> Result<(usize, ChangedRows, Written)> {
        let cluster = &self.engine.cluster;
        let mut ingestor =
            TableIngestor::start(cluster, view, table, environment, RowSource::Query)?;
        let (mut rows, mut deleted) = (0, ChangedRows::default());
        while let Some(batch) = running.next().await {
            let batch = batch?;
            rows += batch.num_rows();
            note_once(&mut deleted, of_kinds(&batch, merged, &Kind::OLD)?)?;
            let new = of_kinds(&batch, merged, &Kind::NEW)?;
            if new.num_rows() > 0 {
                ingestor.push(&columns_of(&new)?).await?;
            }
        }
        let (written, _) = ingestor.finish().await?;
        Ok((rows, deleted, written))
    }

    /// The same where each datanode changes its own copy.
    async fn merge_copies(
        &mut self,
        merged: &Merged<'_>,
        clauses: &[Clause],
        (table, view, text): (&Arc<TableDef>, &Arc<Catalog>, &str),
    ) -> Result<usize> {
        // Planned before anything runs: so it is known that all would find the same.
        let mut targets: Vec<usize> = Vec::new();
        for clause in clauses.iter().filter(|clause| clause.is_matched) {
            targets.extend(clause.action.values().iter().map(|(at, _)| *at));
        }
        let mut changes = Vec::new();
        for (kind, change) in
            [(Kind::Update, RowChangeKind::Update), (Kind::Delete, RowChangeKind::Delete)]
        {
            if merged.numbers_of(&[kind]).next().is_some() {
                let query = merged.rows_of(&[kind], false)?;
                let target = (table, targets.as_slice(), view);
                changes.push(self.plan_changed(query, target, (change, false, false)).await?);
            }
        }
        let plan = self.plan(&merged.rows_of(&Kind::ALL, true)?, view).await?;
        self.advise(&plan, view, "MERGE");
        let environment = self.environment(view, self.cancel.clone());
        let (running, mut noted) = self.start(&plan, &environment, text).await?;
        let (batches, _) = noted.part(running.collect().await)?;
        noted.finish();
        drop(noted);
        let (mut rows, mut found, mut new) = (0, ChangedRows::default(), Vec::new());
        for batch in &batches {
            rows += batch.num_rows();
            note_once(&mut found, of_kinds(batch, merged, &Kind::OLD)?)?;
            new.push(columns_of(&of_kinds(batch, merged, &[Kind::Insert])?)?);
        }
        for change in changes {
            self.run_change(change, text).await?;
        }
        if let Some(first) = new.first() {
            let new = concat_batches(&first.schema(), &new).map_err(|e| report(e.into()))?;
            self.insert_rows(&new, table, view).await?;
        }
        Ok(rows)
    }
}

/// Notes rows that go.
///
/// Errors: 21000 for one that has gone.
fn note_once(deleted: &mut ChangedRows, rows: RecordBatch) -> Result<()> {
    let count = rows.num_rows();
    if deleted.note(rows)?.num_rows() == count {
        return Ok(());
    }
    let message = "MERGE command cannot affect row a second time";
    Err(ErrorReport::new(SqlState::CARDINALITY_VIOLATION, message)
        .hint("Ensure that not more than one source row matches any one target row."))
}

/// The rows whose actions are of these kinds.
fn of_kinds(batch: &RecordBatch, merged: &Merged<'_>, kinds: &[Kind]) -> Result<RecordBatch> {
    let numbers: Vec<_> = merged.numbers_of(kinds).filter_map(|n| i64::try_from(n).ok()).collect();
    let actions = cast(batch.column(ACTION_AT), &DataType::Int64).map_err(|e| report(e.into()))?;
    let actions = actions.as_primitive::<Int64Type>().iter();
    let is_one: BooleanArray = actions
        .map(|action| Some(action.is_some_and(|action| numbers.contains(&action))))
        .collect();
    filter_record_batch(batch, &is_one).map_err(|e| report(e.into()))
}

/// The table's columns.
fn columns_of(rows: &RecordBatch) -> Result<RecordBatch> {
    let columns: Vec<_> = (ACTION_AT + 1..rows.num_columns()).collect();
    rows.project(&columns).map_err(|e| report(e.into()))
}
