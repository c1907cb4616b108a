//! EXPLAIN of a query, and of INSERT, UPDATE, DELETE and CREATE TABLE AS. With ANALYZE all but the last
//! run.

use std::{sync::Arc, time::Instant};

use kestrel_planner::{
    catalog::Catalog,
    explain::{self, Execution, ExplainNode, ExplainOptions, SentSql},
    operators::RowChangeKind,
    parse::{Explain, ExplainFormat, StatementKind},
    plan::{InsertPlan, Plan, RowChangePlan},
};
use kestrel_proto::{ErrorReport, Result};
use tokio_util::sync::CancellationToken;

use super::{
    ClientSession, Outcome, RowsTag, Statement,
    analyze::{Executed, Measured, Watched, execution},
    change_rows::{Change, PlannedChange},
    select::text_rows,
};
use crate::{
    query::{have_sent, reads_databases, would_send},
    server::Parameter,
};

impl ClientSession {
    /// EXPLAIN. With ANALYZE the statement runs, and its rows are thrown away.
    pub(super) async fn explain(
        &mut self,
        explain: &Explain,
        parameters: &[Parameter],
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        let executed = match &explain.statement.kind {
            StatementKind::Execute(execute) => {
                let cancel = cancel.clone();
                let statement = explain.statement.as_ref();
                Some(self.executed(execute, statement, parameters, cancel).await?)
            }
            _ => None,
        };
        let (statement, parameters) = match &executed {
            Some(executed) => (executed.statement.as_ref(), executed.parameters.as_slice()),
            None => (explain.statement.as_ref(), parameters),
        };
        let started = Instant::now();
        let options = ExplainOptions {
            costs: explain.costs,
            verbose: explain.verbose,
            timing: explain.timing,
        };
        let explained = self.explained(statement, parameters).await?;
        let planning_ms = started.elapsed().as_secs_f64() * 1000.0;
        let mut measured = Measured { planning_ms, summary: explain.summary, executed: None };
        let (explained, sent) = if explain.analyze {
            let (explained, executed) =
                self.analyzed(explained, statement, parameters, cancel).await?;
            let sent = have_sent(&executed.summary);
            measured.executed = Some(executed);
            (explained, sent)
        } else {
            let sent = self.would_send(&explained, cancel).await?;
            (explained, sent)
        };
        let execution = measured.executed.as_ref().map(|executed| &executed.execution);
        let tree = explained.tree(options, &sent, execution);
        let lines = match explain.format {
            ExplainFormat::Text => {
                let mut lines = explain::text(&tree, options);
                lines.extend(measured.lines(options));
                lines
            }
            ExplainFormat::Json => vec![explain::json(&tree, options, measured.values(options))],
        };
        Ok(text_rows("QUERY PLAN", lines, RowsTag::Fixed("EXPLAIN")))
    }

    /// Plans the statement.
    async fn explained(
        &mut self,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Explained> {
        match &statement.kind {
            StatementKind::Query(query) => {
                let (bound, view) = self.bind(query, statement, parameters)?;
                let plan = self.plan(&bound.plan, &view).await?;
                Ok(Explained { plan, view, purpose: Purpose::Query })
            }
            // As in PostgreSQL: of the query that fills the table.
            StatementKind::CreateTableAs(create) => {
                let cancel = CancellationToken::new();
                let (bound, view) = self.bind_rows(&create.rows, statement, cancel).await?;
                let plan = self.plan(&bound.plan, &view).await?;
                Ok(Explained { plan, view, purpose: Purpose::Fill })
            }
            StatementKind::Insert(insert) if insert.on.is_some() => {
                let message = "EXPLAIN of INSERT … ON CONFLICT is not supported";
                Err(ErrorReport::unsupported(message))
            }
            StatementKind::Insert(insert) => {
                let (query, table, columns, view) =
                    self.bind_insert(insert, statement, parameters).await?;
                let is_returned = insert.returning.is_some();
                let target = (&table, columns.as_slice());
                let (plan, _) = self.plan_write(query, target, is_returned, &view).await?;
                let (plan, purpose) = match plan {
                    InsertPlan::Distributed(plan) => (plan, Purpose::Write),
                    InsertPlan::Ingest(plan) => (plan, Purpose::Ingest(table.name.clone())),
                };
                Ok(Explained { plan, view, purpose })
            }
            StatementKind::Update(update) => {
                self.explained_change(Change::of_update(update)?, statement, parameters).await
            }
            StatementKind::Delete(delete) => {
                self.explained_change(Change::of_delete(delete)?, statement, parameters).await
            }
            _ => Err(ErrorReport::unsupported(
                "EXPLAIN of anything but a query, INSERT, UPDATE, DELETE or CREATE TABLE AS",
            )),
        }
    }

    async fn explained_change(
        &mut self,
        mut change: Change<'_>,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Explained> {
        if self.changed_table(&change)?.is_on_shards() {
            let message = format!("EXPLAIN {} of a table that databases hold", change.word());
            return Err(ErrorReport::unsupported(message));
        }
        let PlannedChange { plan, kind, table, view, .. } =
            self.plan_row_change(&mut change, statement, parameters).await?;
        let (plan, purpose) = match plan {
            RowChangePlan::Distributed(plan) => (plan, Purpose::Write),
            RowChangePlan::Here(plan) => (plan, Purpose::Change(kind, table.name.clone())),
        };
        Ok(Explained { plan, view, purpose })
    }

    /// Runs the statement: what ran in the end, and what there was to see.
    async fn analyzed(
        &mut self,
        explained: Explained,
        statement: &Statement,
        parameters: &[Parameter],
        cancel: CancellationToken,
    ) -> Result<(Explained, Executed)> {
        let started = Instant::now();
        self.watched = Some(Watched::default());
        let ran = match (&statement.kind, &explained.purpose) {
            (_, Purpose::Fill) => {
                Err(ErrorReport::unsupported("EXPLAIN ANALYZE of CREATE TABLE AS is not supported")
                    .hint("Use EXPLAIN without ANALYZE."))
            }
            (StatementKind::Insert(insert), _) => {
                self.insert(insert, statement, parameters, cancel).await.map(drop)
            }
            (StatementKind::Update(update), _) => {
                self.update(update, statement, parameters).await.map(drop)
            }
            (StatementKind::Delete(delete), _) => {
                self.delete(delete, statement, parameters).await.map(drop)
            }
            _ => self.run_query(&explained.plan, statement, cancel).await,
        };
        let watched = self.watched.take();
        ran?;
        let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        let first = watched.and_then(Watched::into_first);
        let (plan, summary) =
            first.ok_or_else(|| ErrorReport::internal("EXPLAIN ANALYZE has run no query"))?;
        let execution = execution(&summary);
        Ok((Explained { plan, ..explained }, Executed { milliseconds, summary, execution }))
    }

    /// Runs a query, whose rows nobody wants.
    async fn run_query(
        &mut self,
        plan: &Plan,
        statement: &Statement,
        cancel: CancellationToken,
    ) -> Result<()> {
        let view = self.transaction.view(&self.engine);
        let environment = self.environment(&view, cancel);
        let (mut running, mut noted) = self.start(plan, &environment, &statement.sql).await?;
        while let Some(batch) = running.next().await {
            noted.part(batch)?;
        }
        noted.finish();
        Ok(())
    }

    /// What datanodes beside databases would send to them. Others are not asked.
    async fn would_send(
        &mut self,
        explained: &Explained,
        cancel: CancellationToken,
    ) -> Result<SentSql> {
        if !reads_databases(&explained.plan) {
            return Ok(SentSql::default());
        }
        let environment = self.environment(&explained.view, cancel);
        would_send(&self.engine.cluster, &explained.plan, &environment).await
    }
}

/// What is shown.
struct Explained {
    plan: Plan,
    /// The snapshot it was planned over.
    view: Arc<Catalog>,
    purpose: Purpose,
}

/// What becomes of a plan's rows.
enum Purpose {
    /// They are the client's.
    Query,
    /// They fill a new table.
    Fill,
    /// The plan writes them into a table.
    Write,
    /// The coordinator writes them into this one.
    Ingest(String),
    /// The coordinator changes this table by them.
    Change(RowChangeKind, String),
}

impl Explained {
    fn tree(
        &self,
        options: ExplainOptions,
        sent: &SentSql,
        execution: Option<&Execution>,
    ) -> ExplainNode {
        let tree = explain::explain(&self.plan, options, sent, execution);
        match &self.purpose {
            Purpose::Query | Purpose::Fill | Purpose::Write => tree,
            Purpose::Ingest(table) => explain::insert(table, tree),
            Purpose::Change(kind, table) => explain::row_change(*kind, table, tree),
        }
    }
}
