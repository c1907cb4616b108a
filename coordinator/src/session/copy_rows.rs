//! What COPY asks about its rows before it writes them: the values of defaults that differ from row
//! to row, WHERE, CHECK. They are asked with queries of our own over the rows, which stand for a
//! relation that only these queries know.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch},
    compute::{cast, concat_batches},
    datatypes::{DataType, SchemaRef},
};
use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    bind::{BindContext, SystemRelations, bind_query},
    catalog::{SequenceDef, SqlType, TableDef},
    error::report,
    parse::quote,
    plan::PlanContext,
};
use kestrel_proto::{ErrorReport, QueryId, Result, SqlState};

use super::{
    facts::plannable,
    own_query::own_query,
    rules::{has_aggregate, shown},
};
use crate::{engine::Engine, query::QueryEnvironment};

/// The relation's name; no other has this schema.
const SCHEMA: &str = "kestrel copy";
const NAME: &str = "rows";

/// Asks about rows.
pub(super) struct CopyRowsQuery {
    pub(super) engine: Arc<Engine>,
    /// What names mean.
    pub(super) context: BindContext,
    /// What the queries run with; each has an id of its own.
    pub(super) environment: QueryEnvironment,
    pub(super) table: Arc<TableDef>,
}

/// The rows as a relation, beside the system relations.
struct WithRows {
    rows: RecordBatch,
    others: Arc<dyn SystemRelations>,
}

impl SystemRelations for WithRows {
    fn relation(&self, schema: &str, name: &str) -> Option<Result<RecordBatch>> {
        if (schema, name) == (SCHEMA, NAME) {
            return Some(Ok(self.rows.clone()));
        }
        self.others.relation(schema, name)
    }

    fn check_schema(&self, schema: &str) -> Result<()> {
        self.others.check_schema(schema)
    }

    fn sequence(&self, sequence: &SequenceDef) -> Result<RecordBatch> {
        self.others.sequence(sequence)
    }

    fn plannable(&self, query: ast::Query) -> ast::Query {
        self.others.plannable(query)
    }
}

impl CopyRowsQuery {
    /// The values of expressions over the table's columns, for each of the rows.
    pub(super) async fn values(
        &self,
        rows: &RecordBatch,
        expressions: &[String],
    ) -> Result<RecordBatch> {
        let context = self.over(rows);
        let bound = bind_query(&self.query(expressions)?, &context, &[])
            .map_err(|error| ErrorReport { position: None, ..error })?;
        let plan_context = PlanContext {
            catalog: Arc::clone(&context.catalog),
            now: chrono::Utc::now(),
            formats: self.environment.formats()?,
            rules: self.environment.rules()?,
            join_order: self.environment.join_order()?,
        };
        let plan = self.engine.planner.plan(&bound.plan, &plan_context).await?;
        let environment = QueryEnvironment { id: QueryId::random(), ..self.environment.clone() };
        let running = crate::query::run(&self.engine, &plan, &environment).await?;
        let (batches, _) = running.collect().await?;
        let schema: SchemaRef =
            batches.first().map_or_else(|| Arc::clone(&plan.schema), RecordBatch::schema);
        concat_batches(&schema, &batches).map_err(|error| report(error.into()))
    }

    fn over(&self, rows: &RecordBatch) -> BindContext {
        let others = Arc::clone(&self.context.system_relations);
        let system_relations = Arc::new(WithRows { rows: rows.clone(), others });
        BindContext { system_relations, ..self.context.clone() }
    }

    /// `SELECT (…), (…) FROM rows AS t`
    fn query(&self, expressions: &[String]) -> Result<ast::Query> {
        // A line of its own: an expression may end with a comment.
        let list: Vec<_> = expressions.iter().map(|e| format!("({e}\n)")).collect();
        let (schema, name, table) = (quote(SCHEMA), quote(NAME), quote(&self.table.name));
        let sql = format!("SELECT {} FROM {schema}.{name} AS {table}", list.join(", "));
        own_query(&sql).map(|query| plannable(&query))
    }

    /// Must WHERE mean something for these columns.
    ///
    /// Errors: those of binding it; 42804 if it is no condition, 42803 for aggregates.
    pub(super) fn check_filter(&self, rows: &RecordBatch, filter: &str) -> Result<()> {
        let bound = bind_query(&self.query(&[filter.to_string()])?, &self.over(rows), &[])
            .map_err(|error| ErrorReport { position: None, ..error })?;
        if has_aggregate(&bound.plan) {
            let message = "aggregate functions are not allowed in COPY FROM WHERE conditions";
            return Err(ErrorReport::new(SqlState::GROUPING_ERROR, message));
        }
        let field = bound.plan.schema().field(0);
        let found = SqlType::of_field(field);
        if found == Some(SqlType::Boolean) || field.data_type().is_null() {
            return Ok(());
        }
        let found = found.map_or_else(|| field.data_type().to_string(), |t| t.to_string());
        let message = format!("argument of WHERE must be type boolean, not type {found}");
        Err(ErrorReport::new(SqlState::DATATYPE_MISMATCH, message))
    }

    /// For which rows a condition is true.
    pub(super) async fn filter(&self, rows: &RecordBatch, filter: &str) -> Result<BooleanArray> {
        let values = self.values(rows, &[filter.to_string()]).await?;
        booleans(&values, 0)
    }

    /// The first row for which a CHECK constraint is false, and what is wrong with it: 23514.
    pub(super) async fn check(&self, rows: &RecordBatch) -> Result<Option<(usize, ErrorReport)>> {
        let checks = &self.table.checks;
        if checks.is_empty() {
            return Ok(None);
        }
        let conditions: Vec<_> = checks.iter().map(|check| check.condition.clone()).collect();
        let values = self.values(rows, &conditions).await?;
        let mut first: Option<(usize, &str)> = None;
        for (at, check) in checks.iter().enumerate() {
            let condition = booleans(&values, at)?;
            let wrong =
                (0..condition.len()).find(|r| condition.is_valid(*r) && !condition.value(*r));
            if let Some(row) = wrong
                && first.is_none_or(|(known, _)| row < known)
            {
                first = Some((row, &check.name));
            }
        }
        let Some((row, name)) = first else { return Ok(None) };
        let texts: Vec<_> = self.table.columns.iter().map(|c| shown(&c.name, c.sql_type)).collect();
        let texts = self.values(&rows.slice(row, 1), &texts).await?;
        let texts = texts.columns().iter().map(|column| {
            let text = cast(column, &DataType::Utf8View).map_err(|e| report(e.into()))?;
            let text = text.as_string_view();
            Ok(if text.is_empty() || text.is_null(0) {
                String::new()
            } else {
                text.value(0).into()
            })
        });
        let texts = texts.collect::<Result<Vec<String>>>()?.join(", ");
        let message = format!(
            "new row for relation \"{}\" violates check constraint \"{name}\"",
            self.table.name
        );
        let error = ErrorReport::new(SqlState::CHECK_VIOLATION, message)
            .detail(format!("Failing row contains ({texts})."));
        Ok(Some((row, error)))
    }
}

/// A column of conditions.
fn booleans(values: &RecordBatch, at: usize) -> Result<BooleanArray> {
    let column = cast(values.column(at), &DataType::Boolean).map_err(|e| report(e.into()))?;
    Ok(column.as_boolean().clone())
}
