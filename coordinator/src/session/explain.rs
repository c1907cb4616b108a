//! EXPLAIN of a query, and of INSERT and CREATE TABLE AS.

use std::time::Instant;

use kestrel_planner::{
    explain::{self, ExplainNode, ExplainOptions},
    parse::{Explain, ExplainFormat, StatementKind},
    plan::{InsertPlan, Plan},
};
use kestrel_proto::{ErrorReport, Result};
use tokio_util::sync::CancellationToken;

use super::{ClientSession, Outcome, RowsTag, Statement, analyze::Measured, select::text_rows};
use crate::server::Parameter;

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
            Some(executed) => (&executed.statement, executed.parameters.as_slice()),
            None => (explain.statement.as_ref(), parameters),
        };
        let started = Instant::now();
        let options = ExplainOptions { costs: explain.costs, verbose: explain.verbose };
        let explained = self.explained(statement, parameters, options).await?;
        let planning_ms = started.elapsed().as_secs_f64() * 1000.0;
        let mut measured = Measured { planning_ms, summary: explain.summary, execution: None };
        if explain.analyze {
            let Some(plan) = &explained.plan else {
                return Err(ErrorReport::unsupported(
                    "EXPLAIN ANALYZE of a statement that writes is not supported",
                )
                .hint("Use EXPLAIN without ANALYZE."));
            };
            let view = self.transaction.view(&self.engine);
            let mut environment = self.environment(&view, cancel);
            environment.collect_metrics = true;
            let started = Instant::now();
            let (running, mut noted) = self.start(plan, &environment, &statement.sql).await?;
            let (_, summary) = noted.part(running.collect().await)?;
            noted.finish();
            measured.execution = Some((started.elapsed().as_secs_f64() * 1000.0, summary));
        }
        let lines = match explain.format {
            ExplainFormat::Text => {
                let mut lines = explain::text(&explained.tree, options);
                lines.extend(measured.lines());
                lines
            }
            ExplainFormat::Json => vec![explain::json(&explained.tree, options, measured.values())],
        };
        Ok(text_rows("QUERY PLAN", lines, RowsTag::Fixed("EXPLAIN")))
    }

    async fn explained(
        &mut self,
        statement: &Statement,
        parameters: &[Parameter],
        options: ExplainOptions,
    ) -> Result<Explained> {
        match &statement.kind {
            StatementKind::Query(query) => {
                let (bound, view) = self.bind(query, statement, parameters)?;
                let plan = self.plan(&bound.plan, &view).await?;
                let tree = explain::explain(&plan, options);
                Ok(Explained { tree, plan: Some(plan) })
            }
            // As in PostgreSQL: of the query that fills the table.
            StatementKind::CreateTableAs(create) => {
                let cancel = CancellationToken::new();
                let (bound, view) = self.bind_rows(&create.rows, statement, cancel).await?;
                let plan = self.plan(&bound.plan, &view).await?;
                Ok(Explained { tree: explain::explain(&plan, options), plan: None })
            }
            StatementKind::Insert(insert) => {
                let (query, table, columns, view) =
                    self.bind_insert(insert, statement, parameters).await?;
                let (plan, _) = self.plan_write(query, &table, &columns, &view).await?;
                let tree = match &plan {
                    InsertPlan::Distributed(plan) => explain::explain(plan, options),
                    InsertPlan::Ingest(plan) => {
                        explain::insert(&table.name, explain::explain(plan, options))
                    }
                };
                Ok(Explained { tree, plan: None })
            }
            _ => Err(ErrorReport::unsupported(
                "EXPLAIN of anything but a query, INSERT or CREATE TABLE AS",
            )),
        }
    }
}

/// What is shown, and what ANALYZE may run.
struct Explained {
    tree: ExplainNode,
    plan: Option<Plan>,
}
