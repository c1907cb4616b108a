//! UPDATE and DELETE of tables whose rows databases hold. They are the databases' own statements,
//! sent to those that can have such rows.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use kestrel_planner::{
    catalog::{CatalogChange, Distribution, TableDef},
    error::report,
    functions,
    operators::RowChangeKind,
    plan::ChangePlan,
    shard_sql::{self, Capabilities, Relation},
};
use kestrel_proto::{DatanodeId, ErrorReport, Result, ShardResults};

use super::{
    super::{ClientSession, Outcome, Statement, insert::mismatch},
    change::{Change, not_supported, refuse},
};
use crate::server::Parameter;

impl ClientSession {
    /// Changes rows that databases hold.
    pub(super) async fn change_on_shards(
        &mut self,
        change: &mut Change<'_>,
        table: &Arc<TableDef>,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Outcome> {
        change.check_simple()?;
        let targets = change.targets(table)?;
        self.check_change(change, table, &targets)?;
        change.check_key(table, &targets)?;
        change.fill_defaults(table)?;
        let query = change.query()?;
        let (bound, view) = match change.reads_columns() {
            true => self.bind(&query, statement, parameters)?,
            false => self.bind_unchecked(&query, statement, parameters)?,
        };
        let query = assigned(bound.plan, table, &targets)?;
        let context = self.plan_context(&view)?;
        let plan = self.engine.planner.plan_change(&query, table, &context).await?;
        let plan = plan.ok_or_else(|| too_complex(change.word()))?;
        if plan.datanodes.is_empty() {
            return Ok(Outcome::Done(format!("{} 0", change.word())));
        }
        let capabilities = self.shard_capabilities().await?;
        let sql = change.sql(table, &targets, &plan, capabilities)?;
        self.lock_for_writing(table).await?;
        let done = self.execute_on_shards(&plan.datanodes, vec![sql]).await?;
        let rows = self.note_changed(change, table, &done)?;
        if !change.assignments.is_empty() {
            self.check_shard_rows(table).await?;
        }
        Ok(Outcome::Done(format!("{} {rows}", change.word())))
    }

    /// Rows that are there to count; a replicated table's once.
    fn note_changed(
        &mut self,
        change: &Change<'_>,
        table: &TableDef,
        done: &[(DatanodeId, ShardResults)],
    ) -> Result<u64> {
        let affected = |results: &ShardResults| results.affected_rows.iter().sum::<u64>();
        let wrote = done.iter().filter(|(_, results)| affected(results) > 0);
        let wrote: Vec<_> = wrote.map(|(id, results)| (*id, affected(results))).collect();
        self.transaction.has_written(&self.engine, wrote.iter().map(|(id, _)| *id));
        match change.kind {
            RowChangeKind::Update => {
                self.transaction.has_updated(&self.engine, table.id, wrote.iter().copied());
            }
            RowChangeKind::Delete => {
                let counts = wrote.iter().map(|(id, gone)| gone_from(table, *id, *gone));
                self.transaction.change(&self.engine, counts.collect())?;
            }
        }
        let rows = wrote.iter().map(|(_, rows)| *rows);
        Ok(match table.distribution {
            Distribution::Replicated => rows.max().unwrap_or(0),
            Distribution::Hash(_) | Distribution::Random => rows.sum(),
        })
    }

    /// What all databases of the cluster can do.
    async fn shard_capabilities(&self) -> Result<Capabilities> {
        let cluster = &self.engine.cluster;
        let asked = cluster.shards.capabilities.get_or_try_init(|| async {
            let mut all: Option<Capabilities> = None;
            for datanode in &cluster.datanodes {
                let facts = datanode.shard_facts().await?;
                let here = Capabilities::of_facts(&facts);
                all = Some(all.map_or(here, |all| all.common(here)));
            }
            Ok::<_, ErrorReport>(all.unwrap_or_default())
        });
        asked.await.copied()
    }
}

/// About so many rows and bytes fewer.
fn gone_from(table: &TableDef, on: DatanodeId, gone: u64) -> CatalogChange {
    let (rows, bytes) = table.size_on(on);
    let gone_bytes = bytes / rows.max(1) * gone.min(rows);
    CatalogChange::CountShardRows {
        table: table.id,
        datanode: on.0,
        rows: -i64::try_from(gone).unwrap_or(i64::MAX),
        bytes: -i64::try_from(gone_bytes).unwrap_or(i64::MAX),
        updated: 0,
    }
}

impl Change<'_> {
    /// Databases change rows by what is in them.
    fn check_simple(&self) -> Result<()> {
        let refused = match self.kind {
            RowChangeKind::Update => "UPDATE … FROM",
            RowChangeKind::Delete => "DELETE … USING",
        };
        refuse(&[(!self.others.is_empty(), refused)]).map_err(|error| error.hint(SIMPLE))?;
        let returning = format!("{} … RETURNING of a table that databases hold", self.word());
        refuse(&[(self.returning().is_some(), returning.as_str())])
            .map_err(|error| error.hint("Select the rows before or after."))
    }

    /// A row does not move to another database.
    fn check_key(&self, table: &TableDef, targets: &[usize]) -> Result<()> {
        let key = match &table.distribution {
            Distribution::Hash(key) => key.as_slice(),
            Distribution::Replicated | Distribution::Random => &[],
        };
        let mut columns = targets.iter().filter_map(|at| table.columns.get(*at));
        match columns.find(|column| key.contains(&column.id)) {
            Some(column) => Err(ErrorReport::unsupported(format!(
                "updating distribution key column \"{}\" is not supported",
                column.name
            ))
            .hint("Delete the row, and insert it with its new key.")),
            None => Ok(()),
        }
    }

    fn sql(
        &self,
        table: &TableDef,
        targets: &[usize],
        plan: &ChangePlan,
        capabilities: Capabilities,
    ) -> Result<String> {
        let schema = table.arrow_schema();
        let too_complex = || too_complex(self.word());
        let text = |expr| shard_sql::computed(expr, &schema, capabilities).ok_or_else(too_complex);
        let conditions = plan.conditions.iter().map(text).collect::<Result<Vec<_>>>()?;
        let relation = Relation::of(table);
        if self.assignments.is_empty() {
            return shard_sql::change::delete(&relation, &conditions);
        }
        let assigned = targets
            .iter()
            .zip(&plan.values)
            .map(|(at, value)| Ok((table.columns[*at].name.as_str(), text(value)?)));
        let assigned = assigned.collect::<Result<Vec<_>>>()?;
        shard_sql::change::update(&relation, &assigned, &conditions)
    }
}

const SIMPLE: &str = "Use comparisons, arithmetic and constants over the table's own columns.";

fn too_complex(word: &str) -> ErrorReport {
    not_supported(&format!("{word} with conditions or values of this kind"))
        .detail("Databases that hold rows cannot compute them as Kestrel does.")
        .hint(SIMPLE)
}

/// The query with values that its targets take. A constant becomes one of the target's type; what
/// depends on columns the database assigns, by the same rules.
fn assigned(query: LogicalPlan, table: &TableDef, targets: &[usize]) -> Result<LogicalPlan> {
    if targets.is_empty() {
        return Ok(query);
    }
    let LogicalPlan::Projection(projection) = query else {
        return Err(too_complex("UPDATE"));
    };
    let schema = Arc::clone(projection.input.schema());
    let exprs = projection.expr.into_iter().zip(targets).enumerate().map(|(at, (expr, target))| {
        let column = &table.columns[*target];
        let expr = expr.unalias();
        let from = expr.get_type(&schema).map_err(report)?;
        let assigned = functions::assign_to(expr.clone(), &from, column.sql_type)
            .map_err(|error| mismatch(error, column, &from, "expression"))?;
        let is_constant = expr.column_refs().is_empty();
        let value: Expr = if is_constant { assigned } else { expr };
        Ok(value.alias(format!("value{at}")))
    });
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(Arc::unwrap_or_clone(projection.input))
        .project(exprs)
        .and_then(LogicalPlanBuilder::build)
        .map_err(report)
}
