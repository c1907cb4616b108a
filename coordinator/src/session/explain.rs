//! EXPLAIN of a query, and of INSERT, UPDATE, DELETE and CREATE TABLE AS. With ANALYZE all but the last
//! run.

use std::{sync::Arc, time::Instant};

use datafusion::sql::sqlparser::ast;
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
    ClientSession, Outcome, RowsTag, Statement, advice,
    analyze::{Analysis, Executed, Measured},
    change_rows::{Change, PlannedChange},
    kept_plans::Planned,
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
        let options = ExplainOptions {
            costs: explain.costs,
            verbose: explain.verbose,
            timing: explain.timing,
        };
        let started = Instant::now();
        let mut measured = Measured { planning_ms: 0.0, summary: explain.summary, executed: None };
        let (explained, sent) = if explain.analyze {
            let (explained, planning_ms, executed) =
                self.analyzed(statement, parameters, cancel).await?;
            let sent = have_sent(&executed.summary);
            (measured.planning_ms, measured.executed) = (planning_ms, Some(executed));
            (explained, sent)
        } else {
            let explained = self.explained(statement, parameters).await?;
            measured.planning_ms = started.elapsed().as_secs_f64() * 1000.0;
            let sent = self.would_send(&explained, cancel).await?;
            (explained, sent)
        };
        let execution = measured.executed.as_ref().map(|executed| &executed.execution);
        let tree = explained.tree(options, &sent, execution);
        let mut watch = self.look_at(&explained.plan, &explained.view, "EXPLAIN");
        if let (Some((watch, advice)), Some(executed)) = (&mut watch, &measured.executed) {
            advice.extend(watch.look_back(&executed.summary));
        }
        let advice = watch.map(|(_, advice)| advice).unwrap_or_default();
        let lines = match explain.format {
            ExplainFormat::Text => {
                let mut lines = explain::text(&tree, options);
                lines.extend(measured.lines(options));
                lines.extend(advice::lines(&advice));
                lines
            }
            ExplainFormat::Json => {
                let mut values = measured.values(options);
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
            StatementKind::Insert(insert) => {
                check_conflict(insert)?;
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
            _ => Err(not_explained()),
        }
    }

    async fn explained_change(
        &mut self,
        mut change: Change<'_>,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Explained> {
        self.explained_table(&change)?;
        let PlannedChange { plan, kind, table, view, .. } =
            self.plan_row_change(&mut change, statement, parameters).await?;
        let (plan, purpose) = match plan {
            RowChangePlan::Distributed(plan) => (plan, Purpose::Write),
            RowChangePlan::Here(plan) => (plan, Purpose::Change(kind, table.name.clone())),
        };
        Ok(Explained { plan, view, purpose })
    }

    /// Runs the statement: what ran, how many milliseconds it was planned, and what there was to see.
    async fn analyzed(
        &mut self,
        statement: &Statement,
        parameters: &[Parameter],
        cancel: CancellationToken,
    ) -> Result<(Explained, f64, Executed)> {
        let view = self.transaction.view(&self.engine);
        self.analysis = Some(Analysis::begin());
        let ran = self.run_analyzed(statement, parameters, cancel).await;
        let analysis = self.analysis.take();
        let written = ran?;
        let analysis = analysis.ok_or_else(|| ErrorReport::internal("nothing was analyzed"))?;
        let (plan, planning_ms, executed) = analysis.end()?;
        let purpose = if explain::writes(&plan) { Purpose::Write } else { written };
        Ok((Explained { plan, view, purpose }, planning_ms, executed))
    }

    /// Runs a statement that is analyzed; what becomes of its rows, unless the plan writes them.
    async fn run_analyzed(
        &mut self,
        statement: &Statement,
        parameters: &[Parameter],
        cancel: CancellationToken,
    ) -> Result<Purpose> {
        match &statement.kind {
            StatementKind::Query(query) => {
                // A plan that was kept, if one would be used without EXPLAIN.
                let planned = self.planned(query, statement, parameters).await?;
                self.run_query(&planned, statement, cancel).await?;
                Ok(Purpose::Query)
            }
            StatementKind::Insert(insert) => {
                check_conflict(insert)?;
                let view = self.transaction.view(&self.engine);
                let (table, _) = self.insert_target(insert, &view)?;
                let table = table.name.clone();
                self.insert(insert, statement, parameters, cancel).await?;
                Ok(Purpose::Ingest(table))
            }
            StatementKind::Update(update) => {
                let change = Change::of_update(update)?;
                let table = self.explained_table(&change)?;
                self.update(update, statement, parameters).await?;
                Ok(Purpose::Change(RowChangeKind::Update, table))
            }
            StatementKind::Delete(delete) => {
                let change = Change::of_delete(delete)?;
                let table = self.explained_table(&change)?;
                self.delete(delete, statement, parameters).await?;
                Ok(Purpose::Change(RowChangeKind::Delete, table))
            }
            StatementKind::CreateTableAs(_) => {
                let message = "EXPLAIN ANALYZE of CREATE TABLE AS is not supported";
                Err(ErrorReport::unsupported(message).hint("Use EXPLAIN without ANALYZE."))
            }
            _ => Err(not_explained()),
        }
    }

    /// The table of a change that can be explained.
    fn explained_table(&mut self, change: &Change<'_>) -> Result<String> {
        let table = self.changed_table(change)?;
        if table.is_on_shards() {
            let message = format!("EXPLAIN {} of a table that databases hold", change.word());
            return Err(ErrorReport::unsupported(message));
        }
        Ok(table.name.clone())
    }

    /// Runs a query, whose rows nobody wants.
    async fn run_query(
        &mut self,
        planned: &Planned,
        statement: &Statement,
        cancel: CancellationToken,
    ) -> Result<()> {
        let environment = self.environment(&planned.view, cancel);
        let (mut running, mut noted) =
            self.start(&planned.plan, &environment, &statement.sql).await?;
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

fn check_conflict(insert: &ast::Insert) -> Result<()> {
    match insert.on {
        None => Ok(()),
        Some(_) => {
            let message = "EXPLAIN of INSERT … ON CONFLICT is not supported";
            Err(ErrorReport::unsupported(message))
        }
    }
}

fn not_explained() -> ErrorReport {
    let message = "EXPLAIN of anything but a query, INSERT, UPDATE, DELETE or CREATE TABLE AS";
    ErrorReport::unsupported(message)
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
            Purpose::Query | Purpose::Write => tree,
            Purpose::Ingest(table) => explain::insert(table, tree),
            Purpose::Change(kind, table) => explain::row_change(*kind, table, tree),
        }
    }
}
