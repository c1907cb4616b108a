//! EXPLAIN of a query, and of INSERT, UPDATE, DELETE and CREATE TABLE AS.

use std::{sync::Arc, time::Instant};

use kestrel_planner::{
    catalog::Catalog,
    explain::{self, ExplainNode, ExplainOptions, SentSql},
    operators::RowChangeKind,
    parse::{Explain, ExplainFormat, StatementKind},
    plan::{InsertPlan, Plan, RowChangePlan},
};
use kestrel_proto::{ErrorReport, Result};
use tokio_util::sync::CancellationToken;

use super::{
    ClientSession, Outcome, RowsTag, Statement, advice,
    analyze::Measured,
    change_rows::{Change, PlannedChange},
    select::text_rows,
};
use crate::{
    query::{QuerySummary, have_sent, reads_databases, would_send},
    server::Parameter,
};

impl ClientSession {
    /// EXPLAIN. With ANALYZE a query runs; statements that write do not.
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
        let options = ExplainOptions { costs: explain.costs, verbose: explain.verbose };
        let explained = self.explained(statement, parameters).await?;
        let mut watch = self.look_at(&explained.plan, &explained.view, "EXPLAIN");
        let planning_ms = started.elapsed().as_secs_f64() * 1000.0;
        let mut measured = Measured { planning_ms, summary: explain.summary, execution: None };
        let sent = if explain.analyze {
            let execution = self.analyzed(&explained, statement, cancel).await?;
            let sent = have_sent(&execution.1);
            if let Some((watch, advice)) = &mut watch {
                advice.extend(watch.look_back(&execution.1));
            }
            measured.execution = Some(execution);
            sent
        } else {
            self.would_send(&explained, cancel).await?
        };
        let tree = explained.tree(options, &sent);
        let advice = watch.map(|(_, advice)| advice).unwrap_or_default();
        let lines = match explain.format {
            ExplainFormat::Text => {
                let mut lines = explain::text(&tree, options);
                lines.extend(measured.lines());
                lines.extend(advice::lines(&advice));
                lines
            }
            ExplainFormat::Json => {
                let mut values = measured.values();
                if !advice.is_empty() {
                    values.insert("Advice".into(), advice::values(&advice));
                }
                vec![explain::json(&tree, options, values)]
            }
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
                Ok(Explained { plan, view, purpose: Purpose::Write })
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

    /// Runs the query; how long that took in milliseconds, and what it did.
    async fn analyzed(
        &mut self,
        explained: &Explained,
        statement: &Statement,
        cancel: CancellationToken,
    ) -> Result<(f64, QuerySummary)> {
        match explained.purpose {
            Purpose::Query => {}
            Purpose::Write | Purpose::Ingest(_) | Purpose::Change(..) => {
                return Err(ErrorReport::unsupported(
                    "EXPLAIN ANALYZE of a statement that writes is not supported",
                )
                .hint("Use EXPLAIN without ANALYZE."));
            }
        }
        let view = self.transaction.view(&self.engine);
        let mut environment = self.environment(&view, cancel);
        environment.collect_metrics = true;
        let started = Instant::now();
        let (running, mut noted) =
            self.start(&explained.plan, &environment, &statement.sql).await?;
        let (_, summary) = noted.part(running.collect().await)?;
        noted.finish();
        Ok((started.elapsed().as_secs_f64() * 1000.0, summary))
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
    /// They are the client's: ANALYZE may run it.
    Query,
    /// The plan writes them into a table.
    Write,
    /// The coordinator writes them into this one.
    Ingest(String),
    /// The coordinator changes this table by them.
    Change(RowChangeKind, String),
}

impl Explained {
    fn tree(&self, options: ExplainOptions, sent: &SentSql) -> ExplainNode {
        let tree = explain::explain(&self.plan, options, sent);
        match &self.purpose {
            Purpose::Query | Purpose::Write => tree,
            Purpose::Ingest(table) => explain::insert(table, tree),
            Purpose::Change(kind, table) => explain::row_change(*kind, table, tree),
        }
    }
}
