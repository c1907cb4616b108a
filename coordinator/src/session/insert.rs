//! INSERT: rows of a query into a table.

use std::sync::Arc;

use datafusion::{
    logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit},
    scalar::ScalarValue,
    sql::sqlparser::ast,
};
use kestrel_planner::{
    bind::{bind_constant, output_place},
    catalog::{Catalog, ColumnDef, Found, TableDef, find_relation, resolve_table, sequence_of},
    error::report,
    functions,
    parse::{QualifiedName, overriding},
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio_util::sync::CancellationToken;

use super::{
    ClientSession, Outcome, Statement,
    facts::plannable,
    identity_columns,
    own_query::own_query,
    returning::{Gathered, inserted_clause},
};
use crate::server::Parameter;

impl ClientSession {
    /// INSERT.
    pub(super) async fn insert(
        &mut self,
        insert: &ast::Insert,
        statement: &Statement,
        parameters: &[Parameter],
        cancel: CancellationToken,
    ) -> Result<Outcome> {
        if let ast::TableObject::TableName(name) = &insert.table {
            self.lock_target(&QualifiedName::of_ast(name)?).await?;
        }
        if let Some(on) = &insert.on {
            return self.insert_on_conflict((insert, on), statement, parameters, cancel).await;
        }
        let (query, table, columns, view) = self.bind_insert(insert, statement, parameters).await?;
        // Until RETURNING has asked its query, which may read other tables.
        let _pin = self.engine.pins.pin(view.version);
        if !table.is_temporary() {
            self.check_writable("INSERT")?;
        }
        let returning = match inserted_clause(insert)? {
            Some(clause) => Some(self.bind_returning(&clause, &table, statement, parameters)?),
            None => None,
        };
        let mut kept = returning.is_some().then(|| Gathered::new(table.arrow_schema(), 0));
        let text = (statement.sql.as_str(), cancel);
        let target = (&table, columns.as_slice());
        let rows = self.write_rows(query, target, kept.as_mut(), &view, text).await?;
        let tag = format!("INSERT 0 {rows}");
        match (returning, kept) {
            (Some(returning), Some(kept)) => {
                let statement = (statement, parameters);
                self.return_rows(&returning, &kept, statement, &view, tag).await
            }
            _ => Ok(Outcome::Done(tag)),
        }
    }

    /// The query of an INSERT, its table, and where in that the query's columns go.
    pub(super) async fn bind_insert(
        &mut self,
        insert: &ast::Insert,
        statement: &Statement,
        parameters: &[Parameter],
    ) -> Result<(LogicalPlan, Arc<TableDef>, Vec<usize>, Arc<Catalog>)> {
        let view = self.transaction.view(&self.engine);
        let (table, columns) = self.insert_target(insert, &view)?;
        let overriding = overriding(&statement.sql);
        // Before a sequence counts; which columns are meant without names is known later.
        self.check_insert(&table, &columns)?;
        let mut query = match &insert.source {
            Some(query) => (**query).clone(),
            None => default_values(&table)?,
        };
        let is_values = match query.body.as_mut() {
            ast::SetExpr::Values(values) => {
                identity_columns::settle_values(values, &table, &columns, overriding)?;
                true
            }
            _ => false,
        };
        self.fill_defaults(&mut query, &table, &columns).await?;
        let (bound, view) = self.bind(&query, statement, parameters)?;
        let columns = match (columns.is_empty(), bound.plan.schema().fields().len()) {
            // Without names the first columns are meant.
            (true, given) if given <= table.columns.len() => (0..given).collect(),
            (true, _) => all_columns(&table),
            (false, _) => columns,
        };
        check_column_count(bound.plan.schema().fields().len(), columns.len()).map_err(|error| {
            let place = output_place(&query, columns.len());
            let position = place.and_then(|place| statement.position(place));
            ErrorReport { position, ..error }
        })?;
        self.check_insert(&table, &columns)?;
        let (plan, columns) = match is_values {
            true => (bound.plan, columns),
            false => identity_columns::settle_query(bound.plan, &table, columns, overriding)?,
        };
        Ok((plan, table, columns, view))
    }

    /// The table of an INSERT, and the positions of the columns it names.
    pub(super) fn insert_target(
        &self,
        insert: &ast::Insert,
        view: &Catalog,
    ) -> Result<(Arc<TableDef>, Vec<usize>)> {
        let ast::TableObject::TableName(name) = &insert.table else {
            return Err(ErrorReport::unsupported("INSERT INTO a function"));
        };
        let name = QualifiedName::of_ast(name)?;
        let search_path = self.search_path(view);
        self.check_schema(name.schema.as_ref(), view)?;
        if let Some(Found::View(view)) = find_relation(view, &search_path, &name) {
            let message = format!("cannot insert into view \"{}\"", view.name);
            return Err(ErrorReport::unsupported(message)
                .hint("Insert into the tables that the view reads."));
        }
        let table = Arc::clone(resolve_table(view, &search_path, &name)?);
        let columns = target_columns(&table, &insert.columns)?;
        Ok((table, columns))
    }

    /// A projection from the query's columns to all the table's, with assignment casts; columns
    /// that are not named get their defaults.
    pub(super) fn project_to_table(
        &self,
        query: LogicalPlan,
        table: &TableDef,
        columns: &[usize],
        view: &Arc<Catalog>,
    ) -> Result<LogicalPlan> {
        let given = query.schema().fields().len();
        let context = self.bind_context(view, None);
        let exprs = table.columns.iter().enumerate().map(|(at, column)| {
            let source = columns.iter().take(given).position(|c| *c == at);
            let expr = match (source, &column.default) {
                (Some(position), _) => Expr::Column(query.schema().columns()[position].clone()),
                (None, Some(default)) if sequence_of(default).is_none() => {
                    bind_constant(default_expr(default)?, &context)?
                }
                (None, _) => lit(ScalarValue::Null),
            };
            let from = expr.get_type(query.schema()).map_err(report)?;
            let cast = functions::assign_to(expr, &from, column.sql_type)
                .map_err(|error| mismatch(error, column, &from, "expression"))?;
            Ok(cast.alias(column.name.clone()))
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        LogicalPlanBuilder::from(query)
            .project(exprs)
            .and_then(LogicalPlanBuilder::build)
            .map_err(report)
    }
}

pub(super) fn check_column_count(given: usize, named: usize) -> Result<()> {
    let message = match given.cmp(&named) {
        std::cmp::Ordering::Greater => "INSERT has more expressions than target columns",
        std::cmp::Ordering::Less => "INSERT has more target columns than expressions",
        std::cmp::Ordering::Equal => return Ok(()),
    };
    Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message))
}

/// `what`: of what the value is: `expression`, `default expression`.
pub(super) fn mismatch(
    error: ErrorReport,
    column: &ColumnDef,
    from: &arrow::datatypes::DataType,
    what: &str,
) -> ErrorReport {
    if error.sqlstate != SqlState::CANNOT_COERCE {
        return error;
    }
    let from = kestrel_planner::catalog::SqlType::of_arrow(from)
        .map_or_else(|| from.to_string(), |t| t.to_string());
    ErrorReport::new(
        SqlState::DATATYPE_MISMATCH,
        format!(
            "column \"{}\" is of type {} but {what} is of type {from}",
            column.name, column.sql_type
        ),
    )
    .hint("You will need to rewrite or cast the expression.")
}

pub(super) fn all_columns(table: &TableDef) -> Vec<usize> {
    (0..table.columns.len()).collect()
}

/// The columns an INSERT names, in its order. Without names: the first ones.
pub(super) fn target_columns(table: &TableDef, names: &[ast::ObjectName]) -> Result<Vec<usize>> {
    let mut columns = Vec::new();
    for name in names {
        let name = QualifiedName::of_ast(name)?.name;
        let found = table.columns.iter().position(|c| c.name == name);
        let column = found.ok_or_else(|| {
            let message =
                format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            ErrorReport::new(SqlState::UNDEFINED_COLUMN, message)
        })?;
        if columns.contains(&column) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(ErrorReport::new(SqlState::DUPLICATE_COLUMN, message));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn default_values(table: &TableDef) -> Result<ast::Query> {
    let defaults = vec!["DEFAULT"; table.columns.len()].join(", ");
    own_query(&format!("VALUES ({defaults})"))
}

/// The expression of a DEFAULT.
pub(super) fn default_expr(text: &str) -> Result<ast::Expr> {
    let query = plannable(&own_query(&format!("SELECT {text}"))?);
    if let ast::SetExpr::Select(select) = *query.body
        && let Some(
            ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. },
        ) = select.projection.into_iter().next()
    {
        return Ok(expr);
    }
    Err(ErrorReport::internal(format!("a default is not an expression: {text}")))
}

/// A column that takes its values from a sequence: its position, and the sequence's name.
pub(super) type SerialColumn = (usize, QualifiedName);

/// Columns that are not given and take their values from a sequence.
pub(super) fn serial_columns(table: &TableDef, given: &[usize]) -> Vec<SerialColumn> {
    let serial = |(at, column): (usize, &ColumnDef)| {
        let sequence = sequence_of(column.default.as_deref()?)?;
        (!given.contains(&at)).then_some((at, sequence))
    };
    table.columns.iter().enumerate().filter_map(serial).collect()
}
