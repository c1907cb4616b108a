//! INSERT … ON CONFLICT into a table in segments.
//!
//! ```text
//!   the proposed rows, numbered                                        gathered
//!   which of them meet a row of the table, which one another           queries over both
//!   what becomes of each                                               [`decide`]
//!   the rows that are met are changed, as an UPDATE changes them       datanodes
//!   the others are written                                             datanodes
//! ```
//!
//! Other writers of the table's keys wait meanwhile, since each locks them before it reads.

mod arbiter;
mod conflict;
mod decide;
mod rows;

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
};
use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    access,
    bind::{BindContext, GivenRows, bind_query, read_columns, stated_parameter_types},
    catalog::{Catalog, KeyDef, SqlType, TableDef},
    operators::{RowChangeKind, conform},
    parse::quote,
    plan::InsertPlan,
};
use kestrel_proto::{ErrorReport, Result};
use tokio_util::sync::CancellationToken;

use super::{
    ClientSession, Outcome, Statement,
    change_rows::with_assigned,
    facts::plannable,
    own_query::own_query,
    returning::{Gathered, ROW_NUMBER, inserted_clause},
    select::bind_within,
    unique::NewValues,
};
use crate::{
    query::{RowSource, TableIngestor},
    server::Parameter,
};
use conflict::{Conflict, PROPOSED, projection_of, proposed};
use decide::{Existing, Fate, decide};
use rows::{chosen, in_order, of_table};

impl ClientSession {
    /// INSERT … ON CONFLICT.
    pub(super) async fn insert_on_conflict(
        &mut self,
        (insert, on): (&ast::Insert, &ast::OnInsert),
        statement: &Statement,
        parameters: &[Parameter],
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        let view = self.transaction.view(&self.engine);
        let (table, _) = self.insert_target(insert, &view)?;
        if table.is_on_shards() {
            let message = "INSERT … ON CONFLICT of a table that databases hold is not supported";
            return Err(ErrorReport::unsupported(message).hint("Update the rows, then insert."));
        }
        // Before anything is read: what was waited for is to be seen.
        self.lock_for_changing(&table, true).await?;
        let view = self.transaction.view(&self.engine);
        // Until RETURNING has asked its query, which may read other tables.
        let _pin = self.engine.pins.pin(view.version);
        let (table, _) = self.insert_target(insert, &view)?;
        let conflict = Conflict::of(insert, on, &table)?;
        self.check_conflict(&conflict, &table, statement, parameters)?;
        let returning = match inserted_clause(insert)? {
            Some(clause) => Some(self.bind_returning(&clause, &table, statement, parameters)?),
            None => None,
        };
        let bound = (insert, parameters);
        let proposed = self.proposed_rows(bound, &table, statement, cancel).await?;
        let asked = (statement, parameters, &view);
        let fates = self.fates(&conflict, &table, &proposed, asked).await?;
        let updated = chosen(&proposed, &fates, Fate::Update)?;
        let inserted = chosen(&proposed, &fates, Fate::Insert)?;
        let is_returned = returning.is_some();
        let changed = (&conflict, &table, updated);
        let (updated, new_rows) = self.update_met(changed, is_returned, asked).await?;
        let rows = updated + self.insert_rows(&inserted, &table, &view).await?;
        let tag = format!("INSERT 0 {rows}");
        let Some(returning) = returning else { return Ok(Outcome::Done(tag)) };
        let mut gathered = Gathered::new(table.arrow_schema(), 0);
        gathered.push(in_order(&table, inserted, new_rows)?);
        self.return_rows(&returning, &gathered, (statement, parameters), &view, tag).await
    }

    /// Binds what DO UPDATE says over the table itself.
    ///
    /// Errors: 42501; those of its expressions.
    fn check_conflict(
        &mut self,
        conflict: &Conflict,
        table: &Arc<TableDef>,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<()> {
        if conflict.update.is_none() {
            return Ok(());
        }
        let mut change = conflict.change(0)?;
        let targets = change.targets(table)?;
        self.check_change(&change, table, &targets)?;
        change.fill_defaults(table)?;
        let query = change.query_with(conflict.condition())?;
        let view = self.transaction.view(&self.engine);
        let mut context = self.bind_context(&view, Some(statement));
        context.given = vec![proposed(RecordBatch::new_empty(table.arrow_schema()))?];
        let bound = bind_within(&query, &context, parameters)?;
        // Their types are wrong whether rows are met or not.
        context.changed = Some(Arc::clone(table));
        let changed = change.addressed_query(table, &targets, Vec::new())?;
        with_assigned(bind_within(&changed, &context, parameters)?.plan, table, &targets)?;
        let types: Vec<_> = parameters.iter().map(|p| Some(p.sql_type)).collect();
        let columns = || read_columns(&plannable(&query), &context, &types);
        let authority = self.transaction.authority(&self.engine);
        let role = self.identity(&authority).current;
        access::check_reads(&bound.relations, &authority, role, &columns)
    }

    /// The types of the parameters of an INSERT with ON CONFLICT, where those of the rest of it are
    /// known.
    pub(super) fn conflict_parameters(
        &mut self,
        insert: &ast::Insert,
        statement: &Statement,
        types: Vec<Option<SqlType>>,
    ) -> Result<Vec<SqlType>> {
        let known = |types: Vec<Option<SqlType>>| {
            types.into_iter().map(|t| t.unwrap_or(SqlType::Text)).collect::<Vec<_>>()
        };
        let Some(on) = &insert.on else { return Ok(known(types)) };
        let view = self.transaction.view(&self.engine);
        let (table, _) = self.insert_target(insert, &view)?;
        let conflict = Conflict::of(insert, on, &table)?;
        if conflict.update.is_none() {
            return Ok(known(types));
        }
        let mut change = conflict.change(0)?;
        let targets = change.targets(&table)?;
        let targets: Vec<_> = targets.iter().map(|at| table.columns[*at].sql_type).collect();
        change.fill_defaults(&table)?;
        let query = change.query_with(conflict.condition())?;
        let types = stated_parameter_types(&query, &types, &targets);
        let mut context = self.bind_context(&view, Some(statement));
        context.given = vec![proposed(RecordBatch::new_empty(table.arrow_schema()))?];
        bind_query(&plannable(&query), &context, &types)?.parameter_types()
    }

    /// The rows that are to be inserted, as the table takes them.
    async fn proposed_rows(
        &mut self,
        (insert, parameters): (&ast::Insert, &[Parameter]),
        table: &Arc<TableDef>,
        statement: &Statement,
        cancel: CancellationToken,
    ) -> Result<RecordBatch> {
        let (query, _, columns, view) = self.bind_insert(insert, statement, parameters).await?;
        if !table.is_temporary() {
            self.check_writable("INSERT")?;
        }
        let (plan, serials) = self.plan_write(query, (table, &columns), true, &view).await?;
        let InsertPlan::Ingest(plan) = plan else {
            return Err(ErrorReport::internal("proposed rows do not come to the coordinator"));
        };
        self.check_serials(table, &serials, &view)?;
        let environment = self.environment(&view, cancel);
        let (mut running, mut noted) = self.start(&plan, &environment, &statement.sql).await?;
        let mut gathered = Gathered::new(table.arrow_schema(), 0);
        while let Some(batch) = running.next().await {
            let batch = noted.part(batch)?;
            let batch = Self::with_serials(&self.sequences, batch, table, &serials, &view).await;
            let batch = noted.part(batch)?;
            let batch = conform(&batch, &table.arrow_schema(), &table.name);
            let batch = batch.map_err(|error| error.in_schema(&table.schema_name));
            gathered.push(noted.part(batch)?);
        }
        noted.finish();
        gathered.joined()
    }

    /// What becomes of each of the proposed rows.
    async fn fates(
        &mut self,
        conflict: &Conflict,
        table: &TableDef,
        rows: &RecordBatch,
        (statement, parameters, view): (&Statement, &[Parameter], &Arc<Catalog>),
    ) -> Result<Vec<Fate>> {
        let mut existing = vec![Existing::None; rows.num_rows()];
        let mut leaders = Vec::new();
        let mut context = self.bind_context(view, Some(statement));
        context.given = vec![proposed(rows.clone())?];
        for (at, key) in conflict.arbiters.iter().enumerate() {
            let query = conflict.search(at)?;
            for batch in self.own_rows(&query, &context, parameters, statement).await? {
                let holds = batch.column(1).as_boolean_opt().ok_or_else(malformed)?;
                for (row, holds) in numbers(&batch, 0)?.into_iter().zip(holds) {
                    let met = existing.get_mut(row).ok_or_else(malformed)?;
                    *met = if holds == Some(true) { Existing::Met } else { Existing::Kept };
                }
            }
            leaders.push(match rows.num_rows() {
                0 | 1 => vec![Some(0); rows.num_rows()],
                _ => self.leaders(key, table, &context, statement).await?,
            });
        }
        decide(&existing, &leaders, conflict.update.is_some())
    }

    /// For each of the proposed rows the first one with the same key; `None`: the key is NULL.
    async fn leaders(
        &mut self,
        key: &KeyDef,
        table: &TableDef,
        context: &BindContext,
        statement: &Statement,
    ) -> Result<Vec<Option<usize>>> {
        let names = key.columns.iter().filter_map(|id| table.column_by_id(*id));
        let names: Vec<_> = names.map(|column| quote(&column.name)).collect();
        let (number, columns) = (quote(ROW_NUMBER), names.join(", "));
        let present: Vec<_> = names.iter().map(|name| format!("{name} IS NOT NULL")).collect();
        let sql = format!(
            "SELECT {number}, min({number}) OVER (PARTITION BY {columns}) FROM {} WHERE {}",
            quote(PROPOSED),
            present.join(" AND ")
        );
        let rows = context.given.first().map_or(0, |given| given.rows.num_rows());
        let mut leaders = vec![None; rows];
        for batch in self.own_rows(&own_query(&sql)?, context, &[], statement).await? {
            for (row, leader) in numbers(&batch, 0)?.into_iter().zip(numbers(&batch, 1)?) {
                *leaders.get_mut(row).ok_or_else(malformed)? = Some(leader);
            }
        }
        Ok(leaders)
    }

    /// The rows of a query of our own, by what names mean in `context`.
    pub(super) async fn own_rows(
        &mut self,
        query: &ast::Query,
        context: &BindContext,
        parameters: &[Parameter],
        statement: &Statement,
    ) -> Result<Vec<RecordBatch>> {
        let bound = bind_within(query, context, parameters)?;
        let plan = self.plan(&bound.plan, &context.catalog).await?;
        let environment = self.environment(&context.catalog, self.cancel.clone());
        let (running, mut noted) = self.start(&plan, &environment, &statement.sql).await?;
        let (batches, _) = noted.part(running.collect().await)?;
        noted.finish();
        Ok(batches)
    }

    /// DO UPDATE: changes the rows that these meet; how many, and what they are now, with the numbers
    /// of the proposed ones.
    async fn update_met(
        &mut self,
        (conflict, table, met): (&Conflict, &Arc<TableDef>, RecordBatch),
        is_returned: bool,
        (statement, parameters, view): (&Statement, &[Parameter], &Arc<Catalog>),
    ) -> Result<(u64, Option<RecordBatch>)> {
        if met.num_rows() == 0 {
            return Ok((0, None));
        }
        let mut change = conflict.change(0)?;
        let targets = change.targets(table)?;
        change.fill_defaults(table)?;
        let number = match is_returned {
            true => projection_of(&format!("SELECT excluded.{}", quote(ROW_NUMBER)))?,
            false => Vec::new(),
        };
        let query = change.addressed_query(table, &targets, number)?;
        let mut context = self.bind_context(view, Some(statement));
        context.changed = Some(Arc::clone(table));
        context.given = vec![GivenRows { name: PROPOSED.into(), rows: met }];
        let bound = bind_within(&query, &context, parameters)?;
        let query = with_assigned(bound.plan, table, &targets)?;
        let how = (RowChangeKind::Update, false, is_returned);
        let planned = self.plan_changed(query, (table, &targets, view), how).await?;
        let (rows, gathered) = self.run_change(planned, &statement.sql).await?;
        let now = gathered.map(|gathered| of_table(&gathered, table)).transpose()?;
        Ok((rows, now))
    }

    /// Writes rows that the table takes; how many.
    pub(super) async fn insert_rows(
        &mut self,
        rows: &RecordBatch,
        table: &Arc<TableDef>,
        view: &Arc<Catalog>,
    ) -> Result<u64> {
        if rows.num_rows() == 0 {
            return Ok(0);
        }
        self.prepare_writing(table, view).await?;
        let environment = self.environment(view, self.cancel.clone());
        let written = async {
            let cluster = &self.engine.cluster;
            let mut ingestor =
                TableIngestor::start(cluster, view, table, &environment, RowSource::Outside)?;
            ingestor.push(rows).await?;
            ingestor.finish().await
        };
        let written = written.await.map_err(|error| error.in_schema(&table.schema_name));
        let (written, rows) = written?;
        self.add_written(written, NewValues::All).await?;
        Ok(rows)
    }
}

/// Numbers of rows, from a column of a batch.
fn numbers(batch: &RecordBatch, column: usize) -> Result<Vec<usize>> {
    let column = batch.column(column).as_primitive_opt::<Int64Type>().ok_or_else(malformed)?;
    column.values().iter().map(|n| usize::try_from(*n).map_err(|_| malformed())).collect()
}

fn malformed() -> ErrorReport {
    ErrorReport::internal("a query of our own about ON CONFLICT has another form")
}
