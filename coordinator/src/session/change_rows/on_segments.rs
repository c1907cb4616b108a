//! UPDATE and DELETE of tables in segments.
//!
//! ```text
//!   query: which rows, by their addresses, and what takes their place    datanodes
//!   the rows of each segment, put together                               coordinator
//!   new delete vectors beside the segments                               datanodes
//!   the transaction's view: other vectors, new segments                  coordinator
//! ```

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder},
    sql::sqlparser::ast,
};
use kestrel_planner::{
    bind::BoundQuery,
    catalog::{Catalog, CatalogChange, Distribution, PartitionTree, Segment, TableDef},
    error::report,
    functions,
    operators::{Address, ChangedRows, RowChangeKind, RowChanges, row_changes},
    plan::{RowChange, RowChangePlan},
};
use kestrel_proto::{DatanodeId, ErrorReport, Result, message::deleted_rows::Rows};

use super::{
    super::{
        ClientSession, Outcome, Statement,
        insert::mismatch,
        partition::{Written, is_routed},
        returning::{Gathered, Returning},
        select::bind_within,
        unique::NewValues,
    },
    change::Change,
    returned::Returned,
};
use crate::{
    query::{
        QueryEnvironment, RowSource, RunningQuery, TableIngestor, WrittenTable, canceled, until,
        write_vectors,
    },
    server::{Parameter, Session},
};

/// A change that is planned.
pub(in super::super) struct PlannedChange {
    pub(in super::super) plan: RowChangePlan,
    pub(in super::super) kind: RowChangeKind,
    pub(in super::super) table: Arc<TableDef>,
    /// The columns that get new values, by their ids; `None`: rows may go to another partition.
    assigned: Option<Vec<u32>>,
    /// The snapshot it was planned over.
    pub(in super::super) view: Arc<Catalog>,
    returned: Option<Returned>,
    returning: Option<Returning>,
}

impl ClientSession {
    /// Plans an UPDATE or DELETE of a table in segments, for a role that may do it.
    pub(in super::super) async fn plan_row_change(
        &mut self,
        change: &mut Change<'_>,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<PlannedChange> {
        let table = self.changed_table(change)?;
        let targets = change.targets(&table)?;
        self.check_change(change, &table, &targets)?;
        change.fill_defaults(&table)?;
        if change.reads_columns() {
            self.bind(&change.query()?, statement, parameters)?;
        }
        let returning = match change.returning() {
            Some(clause) => Some(self.bind_returning(&clause, &table, statement, parameters)?),
            None => None,
        };
        let others = returning.as_ref().map(Returning::outputs).unwrap_or_default();
        let query = change.addressed_query(&table, &targets, others)?;
        let (bound, view) = self.bind_changed(&query, &table, statement, parameters)?;
        let query = match change.kind {
            RowChangeKind::Delete => bound.plan,
            RowChangeKind::Update => with_assigned(bound.plan, &table, &targets)?,
        };
        let target = (&table, targets.as_slice(), &view);
        let is_joined = !change.others.is_empty();
        let how = (change.kind, is_joined, returning.is_some());
        let planned = self.plan_changed(query, target, how).await?;
        Ok(PlannedChange { returning, ..planned })
    }

    /// Plans a change by the query of the rows' addresses, of what takes their place, and, if the rows
    /// are returned, of more. `targets`: the positions of the columns that get new values.
    pub(in super::super) async fn plan_changed(
        &self,
        query: LogicalPlan,
        (table, targets, view): (&Arc<TableDef>, &[usize], &Arc<Catalog>),
        (kind, is_joined, is_returned): (RowChangeKind, bool, bool),
    ) -> Result<PlannedChange> {
        let context = self.plan_context(view)?;
        let key = table.distribution_columns();
        let mut assigned = targets.iter().filter_map(|at| table.columns.get(*at));
        let row_change = RowChange {
            table,
            kind,
            is_joined,
            moves_rows: assigned.any(|column| key.iter().any(|k| k.id == column.id)),
            is_routed: kind == RowChangeKind::Update && is_routed(table, targets, view),
            is_returned,
        };
        let (plan, returned) = match is_returned {
            false => {
                (self.engine.planner.plan_row_change(&query, &row_change, &context).await?, None)
            }
            true => {
                let (plan, returned) = self.plan_returned(query, &row_change, &context).await?;
                (plan, Some(returned))
            }
        };
        let assigned = assigned_in_place(table, targets, view);
        let (table, view) = (Arc::clone(table), Arc::clone(view));
        Ok(PlannedChange { plan, kind, table, assigned, view, returned, returning: None })
    }

    /// Binds a query of the table that is changed, with its rows' addresses.
    fn bind_changed(
        &mut self,
        query: &ast::Query,
        table: &Arc<TableDef>,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<(BoundQuery, Arc<Catalog>)> {
        let view = self.transaction.view(&self.engine);
        let mut context = self.bind_context(&view, Some(statement));
        context.changed = Some(Arc::clone(table));
        Ok((bind_within(query, &context, parameters)?, view))
    }

    /// UPDATE or DELETE, planned.
    pub(super) async fn change_segments(
        &mut self,
        mut planned: PlannedChange,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Outcome> {
        let word = match planned.kind {
            RowChangeKind::Update => "UPDATE",
            RowChangeKind::Delete => "DELETE",
        };
        let (returning, view) = (planned.returning.take(), Arc::clone(&planned.view));
        // Until RETURNING has asked its query, which may read other tables.
        let _pin = self.engine.pins.pin(view.version);
        let (rows, gathered) = self.run_change(planned, &statement.sql).await?;
        let tag = format!("{word} {rows}");
        match (returning, gathered) {
            (Some(returning), Some(gathered)) => {
                let statement = (statement, parameters);
                self.return_rows(&returning, &gathered, statement, &view, tag).await
            }
            _ => Ok(Outcome::Done(tag)),
        }
    }

    /// Runs a change; the transaction sees it at once. How many rows it has changed, and if they are
    /// returned, what the query has found. `text`: the statement's.
    pub(in super::super) async fn run_change(
        &mut self,
        planned: PlannedChange,
        text: &str,
    ) -> Result<(u64, Option<Gathered>)> {
        let PlannedChange { plan, kind, table, assigned, view, returned, .. } = planned;
        self.transaction.will_write(&self.engine);
        let mut gathered = match &returned {
            Some(returned) => Some(self.gathered(returned, &view, text).await?),
            None => None,
        };
        let kept = match &returned {
            Some(returned) if returned.keeps_rows() => gathered.as_mut(),
            _ => None,
        };
        let environment = self.environment(&view, self.cancel.clone());
        let (mut noted, changes) = match plan {
            RowChangePlan::Distributed(plan) => {
                let (running, noted) = self.start(&plan, &environment, text).await?;
                let changes = by_datanodes(running).await;
                let written = |changes: &RowChanges| {
                    let (table, segments) = (Arc::clone(&table), changes.written.clone());
                    vec![WrittenTable { table, segments, rows: None }]
                };
                (noted, changes.map(|changes| (written(&changes), changes)))
            }
            RowChangePlan::Here(plan) => {
                let (running, noted) = self.start(&plan, &environment, text).await?;
                let target = (&table, &view);
                let kind = (kind, kept);
                (noted, self.change_here(running, kind, target, &environment).await)
            }
        };
        let changes = changes.map_err(|error| error.in_schema(&table.schema_name));
        let (written, changes) = noted.part(changes)?;
        let rows = noted.part(changed_rows(&changes, kind, &table, &view))?;
        noted.part(self.delete_rows(&table, changes.deleted).await)?;
        let values = assigned.as_deref().map_or(NewValues::All, NewValues::Of);
        noted.part(self.add_written(written, values).await)?;
        noted.finish_written(rows);
        Ok((rows, gathered))
    }

    /// The coordinator has the rows: it sends what takes their place to the datanodes.
    async fn change_here(
        &self,
        mut rows: RunningQuery,
        (kind, mut kept): (RowChangeKind, Option<&mut Gathered>),
        (table, view): (&Arc<TableDef>, &Arc<Catalog>),
        environment: &QueryEnvironment,
    ) -> Result<(Written, RowChanges)> {
        let mut ingestor = match kind {
            RowChangeKind::Delete => None,
            RowChangeKind::Update => Some(TableIngestor::start(
                &self.engine.cluster,
                view,
                table,
                environment,
                RowSource::Query,
            )?),
        };
        let mut changes = RowChanges::default();
        while let Some(batch) = rows.next().await {
            let batch = changes.deleted.note(batch?)?;
            if let Some(ingestor) = &mut ingestor
                && batch.num_rows() > 0
            {
                let first = Address::ALL.len();
                let columns: Vec<_> = (first..first + table.columns.len()).collect();
                let new = batch.project(&columns).map_err(|e| report(e.into()))?;
                ingestor.push(&new).await?;
            }
            if let Some(kept) = &mut kept {
                kept.push(batch);
            }
        }
        let mut written = Written::new();
        if let Some(ingestor) = ingestor {
            written = ingestor.finish().await?.0;
            changes.written = written.iter().flat_map(|w| &w.segments).cloned().collect();
        }
        Ok((written, changes))
    }

    /// Has delete vectors with these rows written, and makes them part of the transaction's view.
    pub(in super::super) async fn delete_rows(
        &mut self,
        table: &TableDef,
        deleted: ChangedRows,
    ) -> Result<()> {
        if deleted.0.is_empty() {
            return Ok(());
        }
        let view = self.transaction.view(&self.engine);
        let mut deleted = deleted.0;
        let mut grown_of = Vec::new();
        let itself = view.table_by_id(table.id);
        for holder in itself.map_or_else(Vec::new, |table| view.leaves_of(table)) {
            let mut grown = Vec::new();
            for segment in &holder.segments {
                if let Some(rows) = deleted.remove(&(DatanodeId(segment.datanode), segment.id)) {
                    grown.push((Arc::clone(segment), Rows::Numbers(rows.encode().into())));
                }
            }
            if !grown.is_empty() {
                grown_of.push((holder, grown));
            }
        }
        if !deleted.is_empty() {
            return Err(ErrorReport::internal("rows of segments are deleted that are not there"));
        }
        for (holder, grown) in grown_of {
            self.grow_vectors(&holder, grown).await?;
        }
        Ok(())
    }

    async fn grow_vectors(
        &mut self,
        table: &TableDef,
        grown: Vec<(Arc<Segment>, Rows)>,
    ) -> Result<()> {
        let (cancel, deadline) = (self.cancel.clone(), self.deadline());
        let transaction = self.transaction.id(&self.engine);
        let with = (&self.engine.cluster, &self.engine.moves);
        let written = write_vectors(with, transaction, table, grown);
        let vectors = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(canceled("user request")),
            () = until(deadline) => return Err(canceled("statement timeout")),
            vectors = written => vectors?,
        };
        let change = CatalogChange::ReplaceVectors { table: table.id, vectors };
        self.transaction.change(&self.engine, vec![change])
    }
}

/// The ids of these columns (positions in the table); `None` if their new values may take a row to
/// another partition, whose keys it then is new to.
pub(super) fn assigned_in_place(
    table: &TableDef,
    targets: &[usize],
    view: &Catalog,
) -> Option<Vec<u32>> {
    let assigned = targets.iter().filter_map(|at| table.columns.get(*at));
    let ids: Vec<u32> = assigned.map(|column| column.id).collect();
    let is_key = |of: &TableDef| of.partition_columns().iter().any(|c| ids.contains(&c.id));
    // Only the other tables of a tree have to be looked for.
    let is_alone = table.partitioned_by.is_none() && table.partition_of.is_none();
    let root = view.partition_root(table.id).filter(|_| !is_alone);
    let moves = root.is_some_and(|root| {
        PartitionTree::of(root, view).tables().into_iter().any(|level| is_key(level))
    });
    (!moves).then_some(ids)
}

/// What the datanodes have done.
pub(in super::super) async fn by_datanodes(running: RunningQuery) -> Result<RowChanges> {
    let (batches, _) = running.collect().await?;
    let mut changes = RowChanges::default();
    batches.iter().try_for_each(|batch| row_changes(batch, &mut changes))?;
    Ok(changes)
}

/// How many rows were changed; a replicated table's are counted once.
///
/// Errors: XX000: not all copies were changed alike, or another number of rows has come than gone.
fn changed_rows(
    changes: &RowChanges,
    kind: RowChangeKind,
    table: &TableDef,
    view: &Catalog,
) -> Result<u64> {
    let counts = changes.deleted.counts();
    let deleted: u64 = counts.values().sum();
    let written: u64 = changes.written.iter().map(|segment| segment.rows).sum();
    if kind == RowChangeKind::Update && written != deleted {
        return Err(ErrorReport::internal(format!(
            "{written} rows were written for {deleted} of table \"{}\"",
            table.name
        )));
    }
    if table.distribution != Distribution::Replicated || deleted == 0 {
        return Ok(deleted);
    }
    let different: BTreeSet<_> = counts.values().copied().collect();
    match (different.first(), different.len(), counts.len() == view.datanodes.len()) {
        (Some(rows), 1, true) => Ok(*rows),
        _ => Err(ErrorReport::internal(format!(
            "the copies of table \"{}\" would be changed in different ways",
            table.name
        ))),
    }
}

/// The query with values that its targets take; the other columns stay as they are.
pub(in super::super) fn with_assigned(
    query: LogicalPlan,
    table: &TableDef,
    targets: &[usize],
) -> Result<LogicalPlan> {
    // A literal becomes a value of its column's type only where it stands.
    let (input, exprs) = match query {
        LogicalPlan::Projection(projection) => {
            (Arc::unwrap_or_clone(projection.input), projection.expr)
        }
        other => {
            let columns = other.schema().columns();
            (other, columns.into_iter().map(Expr::Column).collect())
        }
    };
    let schema = Arc::clone(input.schema());
    let exprs = exprs.into_iter().enumerate().map(|(at, expr)| {
        // What only RETURNING wants.
        if at >= Address::ALL.len() + table.columns.len() {
            return Ok(expr);
        }
        let expr = without_aliases(expr);
        if let Some(part) = Address::of_position(at) {
            return Ok(expr.alias(part.name()));
        }
        let position = at - Address::ALL.len();
        let column = table.columns.get(position);
        let column = column.ok_or_else(|| ErrorReport::internal("a row of too many columns"))?;
        if !targets.contains(&position) {
            return Ok(expr.alias(column.name.clone()));
        }
        let from = expr.get_type(&schema).map_err(report)?;
        let assigned = functions::assign_to(expr, &from, column.sql_type)
            .map_err(|error| mismatch(error, column, &from, "expression"))?;
        Ok(assigned.alias(column.name.clone()))
    });
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(input)
        .project(exprs)
        .and_then(LogicalPlanBuilder::build)
        .map_err(report)
}

/// What is named, without the names.
pub(in super::super) fn without_aliases(mut expr: Expr) -> Expr {
    while let Expr::Alias(alias) = expr {
        expr = *alias.expr;
    }
    expr
}
