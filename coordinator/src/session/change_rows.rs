//! UPDATE and DELETE of tables whose rows databases hold. They are the databases' own statements,
//! sent to those that can have such rows.

use std::sync::Arc;

use datafusion::{
    logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder},
    sql::sqlparser::ast,
};
use kestrel_planner::{
    access,
    bind::{bind_query, stated_parameter_types},
    catalog::{
        CatalogChange, Distribution, Found, Identity, Privilege, SqlType, TableDef, find_relation,
        resolve_table,
    },
    error::report,
    functions,
    parse::QualifiedName,
    plan::{ChangePlan, PlanContext},
    shard_sql::{self, Capabilities, Relation},
};
use kestrel_proto::{DatanodeId, ErrorReport, Result, ShardResults, SqlState};

use super::{
    ClientSession, Outcome, Statement, facts::plannable, insert::mismatch, own_query::own_query,
    partition::refuse_change,
};
use crate::server::Parameter;

/// What a statement changes.
struct Change<'a> {
    /// `UPDATE` or `DELETE`
    word: &'static str,
    privilege: Privilege,
    target: &'a ast::TableWithJoins,
    /// Column and value; none for DELETE.
    assignments: Vec<(String, &'a ast::Expr)>,
    condition: Option<&'a ast::Expr>,
}

impl ClientSession {
    /// UPDATE
    pub(super) async fn update(
        &mut self,
        update: &ast::Update,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Outcome> {
        let change = Change::of_update(update)?;
        self.change_rows(&change, statement, parameters).await
    }

    /// DELETE
    pub(super) async fn delete(
        &mut self,
        delete: &ast::Delete,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Outcome> {
        let change = Change::of_delete(delete)?;
        self.change_rows(&change, statement, parameters).await
    }

    /// The types of an UPDATE's parameters, as far as it tells.
    pub(super) fn update_parameters(
        &mut self,
        update: &ast::Update,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Vec<SqlType>> {
        let change = Change::of_update(update)?;
        self.change_parameters(&change, statement, types)
    }

    /// The types of a DELETE's parameters, as far as it tells.
    pub(super) fn delete_parameters(
        &mut self,
        delete: &ast::Delete,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Vec<SqlType>> {
        let change = Change::of_delete(delete)?;
        self.change_parameters(&change, statement, types)
    }

    fn change_parameters(
        &mut self,
        change: &Change<'_>,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Vec<SqlType>> {
        let view = self.transaction.view(&self.engine);
        let table = self.changed_table(change)?;
        let targets = change.targets(&table)?;
        let targets: Vec<_> = targets.iter().map(|at| table.columns[*at].sql_type).collect();
        let query = change.query()?;
        let types = stated_parameter_types(&query, types, &targets);
        let context = self.bind_context(&view, Some(statement));
        bind_query(&plannable(&query), &context, &types)?.parameter_types()
    }

    async fn change_rows(
        &mut self,
        change: &Change<'_>,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<Outcome> {
        self.lock_target(&change.table_name()?).await?;
        let table = self.changed_table(change)?;
        self.check_writable(change.word)?;
        let targets = change.targets(&table)?;
        self.check_change(change, &table, &targets)?;
        let query = change.query()?;
        let (bound, view) = match change.reads_columns() {
            true => self.bind(&query, statement, parameters)?,
            false => self.bind_unchecked(&query, statement, parameters)?,
        };
        let query = assigned(bound.plan, &table, &targets)?;
        let formats = self.settings.formats()?;
        let context = PlanContext { catalog: Arc::clone(&view), now: chrono::Utc::now(), formats };
        let plan = self.engine.planner.plan_change(&query, &table, &context).await?;
        let plan = plan.ok_or_else(|| too_complex(change.word))?;
        if plan.datanodes.is_empty() {
            return Ok(Outcome::Done(format!("{} 0", change.word)));
        }
        let capabilities = self.shard_capabilities().await?;
        let sql = change.sql(&table, &targets, &plan, capabilities)?;
        self.lock_for_writing(&table).await?;
        let done = self.execute_on_shards(&plan.datanodes, vec![sql]).await?;
        let rows = self.note_changed(change, &table, &done)?;
        if !change.assignments.is_empty() {
            self.check_shard_rows(&table).await?;
        }
        Ok(Outcome::Done(format!("{} {rows}", change.word)))
    }

    fn changed_table(&mut self, change: &Change<'_>) -> Result<Arc<TableDef>> {
        let name = change.table_name()?;
        let view = self.transaction.view(&self.engine);
        let search_path = self.search_path(&view);
        self.check_schema(name.schema.as_ref(), &view)?;
        if let Some(Found::View(view)) = find_relation(&view, &search_path, &name) {
            let verb = change.word.to_lowercase();
            let message = format!("cannot {verb} view \"{}\"", view.name);
            return Err(ErrorReport::unsupported(message));
        }
        let table = Arc::clone(resolve_table(&view, &search_path, &name)?);
        let columns: Vec<_> = change.assignments.iter().map(|(name, _)| name.as_str()).collect();
        refuse_change(change.word, &columns, &table, &view)?;
        if !table.is_on_shards() {
            return Err(ErrorReport::unsupported(format!("{} is not supported yet", change.word)));
        }
        Ok(table)
    }

    fn check_change(&self, change: &Change<'_>, table: &TableDef, targets: &[usize]) -> Result<()> {
        let columns = targets.iter().filter_map(|at| table.columns.get(*at));
        let ids: Vec<_> = columns.clone().map(|column| column.id).collect();
        let authority = self.transaction.authority(&self.engine);
        let role = self.identity(&authority).current;
        access::check_table(table, &ids, change.privilege, &authority, role)?;
        let key = match &table.distribution {
            Distribution::Hash(key) => key.as_slice(),
            Distribution::Replicated | Distribution::Random => &[],
        };
        for column in columns {
            if column.identity == Some(Identity::Always) {
                let message = format!("column \"{}\" can only be updated to DEFAULT", column.name);
                return Err(ErrorReport::new(SqlState::GENERATED_ALWAYS, message).detail(format!(
                    "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
                    column.name
                )));
            }
            if key.contains(&column.id) {
                let message = format!(
                    "updating distribution key column \"{}\" is not supported",
                    column.name
                );
                return Err(ErrorReport::unsupported(message)
                    .hint("Delete the row, and insert it with its new key."));
            }
        }
        Ok(())
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
        if change.privilege == Privilege::Delete {
            let counts = wrote.iter().map(|(id, gone)| {
                let (rows, bytes) = table.size_on(*id);
                let gone_bytes = bytes / rows.max(1) * (*gone).min(rows);
                CatalogChange::CountShardRows {
                    table: table.id,
                    datanode: id.0,
                    rows: -i64::try_from(*gone).unwrap_or(i64::MAX),
                    bytes: -i64::try_from(gone_bytes).unwrap_or(i64::MAX),
                }
            });
            self.transaction.change(&self.engine, counts.collect())?;
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

impl<'a> Change<'a> {
    fn of_update(update: &'a ast::Update) -> Result<Self> {
        let refused = [
            (update.from.is_some(), "UPDATE … FROM"),
            (update.returning.is_some(), "UPDATE … RETURNING"),
            (update.limit.is_some() || !update.order_by.is_empty(), "UPDATE … LIMIT"),
            (update.or.is_some() || update.output.is_some(), "UPDATE OR"),
        ];
        refuse(&refused)?;
        let assignments = update.assignments.iter().map(|assignment| match &assignment.target {
            ast::AssignmentTarget::ColumnName(name) => {
                Ok((QualifiedName::of_ast(name)?.name, &assignment.value))
            }
            ast::AssignmentTarget::Tuple(_) => Err(not_supported("UPDATE … SET (…) = (…)")),
        });
        Ok(Self {
            word: "UPDATE",
            privilege: Privilege::Update,
            target: &update.table,
            assignments: assignments.collect::<Result<_>>()?,
            condition: update.selection.as_ref(),
        })
    }

    fn of_delete(delete: &'a ast::Delete) -> Result<Self> {
        let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) =
            &delete.from;
        let refused = [
            (delete.using.is_some() || !delete.tables.is_empty(), "DELETE … USING"),
            (delete.returning.is_some() || delete.output.is_some(), "DELETE … RETURNING"),
            (delete.limit.is_some() || !delete.order_by.is_empty(), "DELETE … LIMIT"),
            (from.len() != 1, "DELETE from several tables"),
        ];
        refuse(&refused)?;
        let target = from.first();
        Ok(Self {
            word: "DELETE",
            privilege: Privilege::Delete,
            target: target.ok_or_else(|| ErrorReport::internal("DELETE without a table"))?,
            assignments: Vec::new(),
            condition: delete.selection.as_ref(),
        })
    }

    fn table_name(&self) -> Result<QualifiedName> {
        match &self.target.relation {
            ast::TableFactor::Table { name, .. } if self.target.joins.is_empty() => {
                QualifiedName::of_ast(name)
            }
            _ => Err(not_supported(&format!("{} of a join", self.word))),
        }
    }

    /// Whoever deletes all rows need not be allowed to read one.
    fn reads_columns(&self) -> bool {
        self.condition.is_some() || !self.assignments.is_empty()
    }

    /// The positions of the columns that get new values.
    fn targets(&self, table: &TableDef) -> Result<Vec<usize>> {
        let mut targets = Vec::new();
        for (name, _) in &self.assignments {
            let found = table.columns.iter().position(|column| column.name == *name);
            let at = found.ok_or_else(|| {
                let message =
                    format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
                ErrorReport::new(SqlState::UNDEFINED_COLUMN, message)
            })?;
            if targets.contains(&at) {
                let message = format!("multiple assignments to same column \"{name}\"");
                return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message));
            }
            targets.push(at);
        }
        Ok(targets)
    }

    /// `SELECT value, … FROM table WHERE condition`
    fn query(&self) -> Result<ast::Query> {
        let mut query = own_query("SELECT 1")?;
        let ast::SetExpr::Select(select) = query.body.as_mut() else {
            return Err(ErrorReport::internal("a query of our own is none"));
        };
        select.from = vec![self.target.clone()];
        select.selection = self.condition.cloned();
        if !self.assignments.is_empty() {
            let values = self.assignments.iter().enumerate();
            select.projection = values
                .map(|(at, (_, value))| ast::SelectItem::ExprWithAlias {
                    expr: (*value).clone(),
                    alias: ast::Ident::new(format!("value{at}")),
                })
                .collect();
        }
        Ok(query)
    }

    fn sql(
        &self,
        table: &TableDef,
        targets: &[usize],
        plan: &ChangePlan,
        capabilities: Capabilities,
    ) -> Result<String> {
        let schema = table.arrow_schema();
        let too_complex = || too_complex(self.word);
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

fn refuse(clauses: &[(bool, &str)]) -> Result<()> {
    match clauses.iter().find(|(is_there, _)| *is_there) {
        Some((_, what)) => Err(not_supported(what)),
        None => Ok(()),
    }
}

fn too_complex(word: &str) -> ErrorReport {
    not_supported(&format!("{word} with conditions or values of this kind"))
        .detail("Databases that hold rows cannot compute them as Kestrel does.")
}

fn not_supported(what: &str) -> ErrorReport {
    ErrorReport::unsupported(format!("{what} is not supported"))
        .hint("Use comparisons, arithmetic and constants over the table's own columns.")
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
