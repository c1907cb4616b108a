//! PREPARE and EXECUTE.

use std::{ops::ControlFlow, sync::Arc};

use chrono::Utc;
use datafusion::{
    logical_expr::{Expr, LogicalPlanBuilder},
    scalar::ScalarValue,
    sql::sqlparser::ast::{self, Value, Visitor},
};
use futures::{FutureExt, future::BoxFuture};
use kestrel_planner::{
    catalog::SqlType,
    error::report,
    functions,
    parse::{self, Execute, Prepare, StatementKind, Walk},
};
use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio_util::sync::CancellationToken;

use super::{ClientSession, NoticeSender, Outcome, Statement, own_query::own_query};
use crate::server::{Parameter, PreparedStatement, Session, check_unchanged, parameter_of_text};

/// A prepared statement with its parameters' values.
pub(super) struct Executed {
    pub(super) statement: Arc<Statement>,
    pub(super) parameters: Vec<Parameter>,
    prepared: Arc<PreparedStatement<Statement>>,
}

impl ClientSession {
    /// PREPARE.
    ///
    /// # Errors
    /// 42P05: the name is taken. 42704: there is no such type.
    pub(super) async fn prepare(
        &mut self,
        prepare: &Prepare,
        statement: &Statement,
    ) -> Result<Outcome> {
        let types = prepare.types.iter().map(declared_type).collect::<Result<Vec<_>>>()?;
        let mut description = self.describe(&prepare.statement, &types).await?;
        // What was declared is a parameter, used or not.
        let count = description.parameters.len().max(types.len());
        description.parameters.resize(count, SqlType::Text);
        for (parameter, declared) in description.parameters.iter_mut().zip(types) {
            *parameter = declared.unwrap_or(*parameter);
        }
        let prepared = PreparedStatement {
            statement: Some(Arc::new(prepare.statement.clone())),
            sql: statement.sql.clone(),
            description,
            prepared_at: Utc::now(),
            declared: Vec::new(),
            from_sql: true,
        };
        self.prepared.insert(&prepare.name, prepared)?;
        Ok(Outcome::Done("PREPARE".into()))
    }

    /// EXECUTE. `statement` is the EXECUTE itself, with its own parameters.
    ///
    /// # Errors
    /// 26000, 42601, 42804: of the name, the number and the types of the arguments. 0A000: the
    /// columns are not those of PREPARE any more.
    pub(super) fn execute_prepared<'a>(
        &'a mut self,
        execute: &'a Execute,
        (statement, parameters): (&'a Statement, &'a [Parameter]),
        notices: &'a NoticeSender,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<Outcome>> {
        async move {
            let executed = self.executed(execute, statement, parameters, cancel.clone()).await?;
            let Executed { statement, parameters, prepared } = executed;
            let run = self.run(&statement, &parameters, notices, cancel).await;
            // A place in its text is none in the client's.
            let outcome = run.map_err(|error| ErrorReport { position: None, ..error })?;
            if let (Outcome::Rows { fields, .. }, true) = (&outcome, is_planned(&statement.kind)) {
                check_unchanged(prepared.description.fields.as_deref(), fields)?;
            }
            Ok(outcome)
        }
        .boxed()
    }

    /// What an EXECUTE runs.
    pub(super) async fn executed(
        &mut self,
        execute: &Execute,
        statement: &Statement,
        parameters: &[Parameter],
        cancel: CancellationToken,
    ) -> Result<Executed> {
        let prepared = Arc::clone(self.prepared.get(&execute.name)?);
        let expected = prepared.description.parameters.clone();
        // Nor does PostgreSQL look at arguments where it expects none.
        if !expected.is_empty() && execute.arguments.len() != expected.len() {
            let message =
                format!("wrong number of parameters for prepared statement \"{}\"", execute.name);
            return Err(ErrorReport::new(SqlState::SYNTAX_ERROR, message).detail(format!(
                "Expected {} parameters but got {}.",
                expected.len(),
                execute.arguments.len()
            )));
        }
        let inner = match &prepared.statement {
            // Only a client's protocol can prepare an EXECUTE; it could be of itself.
            Some(inner) if matches!(inner.kind, StatementKind::Execute(_)) => {
                return Err(ErrorReport::unsupported("EXECUTE of an EXECUTE is not supported"));
            }
            Some(inner) => Arc::clone(inner),
            None => Arc::new(empty()),
        };
        let arguments = (execute.arguments.as_slice(), expected.as_slice());
        let parameters = self.arguments(arguments, statement, parameters, cancel).await?;
        Ok(Executed { statement: inner, parameters, prepared })
    }

    /// The values of an EXECUTE's arguments, as values of the types that are expected.
    async fn arguments(
        &mut self,
        (arguments, expected): (&[ast::Expr], &[SqlType]),
        statement: &Statement,
        parameters: &[Parameter],
        cancel: CancellationToken,
    ) -> Result<Vec<Parameter>> {
        let mut values = Vec::with_capacity(arguments.len());
        let style = self.text_style();
        for (argument, sql_type) in arguments.iter().zip(expected) {
            refuse_subqueries(argument)?;
            values.push(match text_of(argument) {
                Some(text) => Some(parameter_of_text(*sql_type, text, &style)?),
                None => None,
            });
        }
        let computed = || values.iter().enumerate().filter(|(_, value)| value.is_none());
        let open: Vec<usize> = computed().map(|(at, _)| at).collect();
        if !open.is_empty() {
            let query = query_of(open.iter().map(|at| arguments[*at].clone()))?;
            let targets: Vec<_> = open.iter().map(|at| (*at, expected[*at])).collect();
            let computed = self.compute(&query, &targets, (statement, parameters), cancel).await?;
            for (at, value) in open.into_iter().zip(computed) {
                values[at] = Some(value);
            }
        }
        let missing = || ErrorReport::internal("an argument of EXECUTE has no value");
        values.into_iter().map(|value| value.ok_or_else(missing)).collect()
    }

    /// The one row of a query, as values of these types.
    async fn compute(
        &mut self,
        query: &ast::Query,
        targets: &[(usize, SqlType)],
        (statement, parameters): (&Statement, &[Parameter]),
        cancel: CancellationToken,
    ) -> Result<Vec<Parameter>> {
        let (bound, view) = self.bind(query, statement, parameters)?;
        let schema = bound.plan.schema();
        let columns = schema.columns().into_iter().zip(schema.fields()).zip(targets);
        let exprs = columns.map(|((column, field), (at, target))| {
            let value = Expr::Column(column);
            let from = field.data_type();
            // A numeric keeps all its digits: it has the type of the value.
            let is_numeric = matches!(target, SqlType::Numeric(..));
            if is_numeric && from.is_decimal() {
                return Ok(value.alias(format!("p{at}")));
            }
            let target = match is_numeric && from.is_integer() {
                true => SqlType::Numeric(38, 0),
                false => *target,
            };
            let value = functions::assign_to(value, from, target)
                .map_err(|error| mismatch(error, *at, target, from))?;
            Ok(value.alias(format!("p{at}")))
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        let plan = LogicalPlanBuilder::from(bound.plan.clone())
            .project(exprs)
            .and_then(LogicalPlanBuilder::build)
            .map_err(report)?;
        let plan = self.plan(&plan, &view).await?;
        let environment = self.environment(&view, cancel);
        let running = crate::query::run(&self.engine, &plan, &environment).await?;
        let (batches, _) = running.collect().await?;
        let batch = batches.iter().find(|batch| batch.num_rows() > 0);
        let batch = batch.ok_or_else(|| ErrorReport::internal("arguments without values"))?;
        let values = batch.columns().iter().zip(targets).map(|(column, (_, target))| {
            let value = ScalarValue::try_from_array(column, 0).map_err(report)?;
            match value {
                ScalarValue::Decimal128(_, precision, scale) => {
                    Ok(Parameter { sql_type: SqlType::Numeric(precision, scale), value })
                }
                value => {
                    let value = value.cast_to(&target.arrow()).map_err(report)?;
                    Ok(Parameter { sql_type: *target, value })
                }
            }
        });
        values.collect()
    }
}

/// The columns of these were found out when they were prepared; those of others (SHOW, FETCH) are
/// what they are.
fn is_planned(kind: &StatementKind) -> bool {
    matches!(
        kind,
        StatementKind::Query(_)
            | StatementKind::Insert(_)
            | StatementKind::Update(_)
            | StatementKind::Delete(_)
    )
}

fn empty() -> Statement {
    let (sql, notices) = (String::new(), Vec::new());
    Statement { sql, offset: 0, notices, kind: StatementKind::Empty }
}

/// A type of PREPARE's list; a parameter has no length, precision or scale. `None`: find out.
fn declared_type(data_type: &ast::DataType) -> Result<Option<SqlType>> {
    if data_type.to_string().eq_ignore_ascii_case("unknown") {
        return Ok(None);
    }
    Ok(Some(match parse::sql_type(data_type)? {
        SqlType::Numeric(..) => SqlType::Numeric(38, 10),
        SqlType::Varchar(_) => SqlType::Varchar(None),
        SqlType::Char(_) => SqlType::Text,
        other => other,
    }))
}

/// A string literal or NULL (`Some(None)`): it is read as what it is needed for.
fn text_of(argument: &ast::Expr) -> Option<Option<&str>> {
    match argument {
        ast::Expr::Nested(inner) => text_of(inner),
        ast::Expr::Value(value) => match &value.value {
            Value::Null => Some(None),
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(Some(text)),
            _ => None,
        },
        _ => None,
    }
}

fn refuse_subqueries(argument: &ast::Expr) -> Result<()> {
    struct Search;
    impl Visitor for Search {
        type Break = ();

        fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    match argument.walk(&mut Search) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            Err(ErrorReport::unsupported("cannot use subquery in EXECUTE parameter"))
        }
    }
}

/// `SELECT a, b, …`
fn query_of(exprs: impl Iterator<Item = ast::Expr>) -> Result<ast::Query> {
    let mut query = own_query("SELECT 1")?;
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        select.projection = exprs.map(ast::SelectItem::UnnamedExpr).collect();
        return Ok(query);
    }
    Err(ErrorReport::internal("a query of our own is none"))
}

fn mismatch(
    error: ErrorReport,
    at: usize,
    expected: SqlType,
    from: &arrow::datatypes::DataType,
) -> ErrorReport {
    if error.sqlstate != SqlState::CANNOT_COERCE {
        return error;
    }
    let from = SqlType::of_arrow(from).map_or_else(|| from.to_string(), |t| t.to_string());
    let number = at + 1;
    ErrorReport::new(
        SqlState::DATATYPE_MISMATCH,
        format!(
            "parameter ${number} of type {from} cannot be coerced to the expected type {expected}"
        ),
    )
    .hint("You will need to rewrite or cast the expression.")
}
