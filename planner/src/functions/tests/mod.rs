//! SQL expressions against the types, values and errors that PostgreSQL 15 gave for them.

mod aggregates;
mod documented;
mod expressions;

use std::sync::{Arc, LazyLock};

use arrow::{
    array::{Array, RecordBatch},
    datatypes::{FieldRef, SchemaRef},
};
use datafusion::{
    config::Dialect,
    error::Result,
    execution::{SessionStateBuilder, context::SessionContext},
    logical_expr::{LogicalPlan, planner::TypePlanner},
    prelude::SessionConfig,
    sql::{parser::Statement, sqlparser::ast},
};
use datafusion_proto::bytes::{physical_plan_from_bytes, physical_plan_to_bytes};

use super::{
    FunctionRegistry, cast::text_of, formats::SessionFormats, postgresql_plan, postgresql_syntax,
};
use crate::{catalog::SqlType, error::report};

/// A session that knows nothing but the registry.
fn session() -> SessionContext {
    let registry = FunctionRegistry::new();
    let mut config = SessionConfig::new().with_target_partitions(2);
    // As in `plan.rs`.
    config.options_mut().execution.skip_physical_aggregate_schema_check = true;
    config.options_mut().sql_parser.parse_float_as_decimal = true;
    config.options_mut().sql_parser.map_string_types_to_utf8view = true;
    config.options_mut().sql_parser.dialect = Dialect::PostgreSQL;
    config.options_mut().execution.time_zone = Some("UTC".into());
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_scalar_functions(registry.scalars())
        .with_aggregate_functions(registry.aggregates())
        .with_window_functions(registry.windows())
        .with_expr_planners(registry.expr_planners().to_vec())
        .with_type_planner(Arc::new(TestTypes))
        .build();
    SessionContext::new_with_state(state)
}

/// Just enough of SQL's type names.
#[derive(Debug)]
struct TestTypes;

impl TypePlanner for TestTypes {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        let name = sql_type.to_string().to_ascii_lowercase();
        let (base, arguments) = match name.split_once('(') {
            Some((base, rest)) => {
                let (arguments, tail) = rest.split_once(')').unwrap();
                (format!("{}{tail}", base.trim()), format!("({arguments})").replace(' ', ""))
            }
            None => (name.clone(), String::new()),
        };
        let canonical = match base.as_str() {
            "int" | "int4" => "integer",
            "int2" => "smallint",
            "int8" => "bigint",
            "float8" | "double" => "double precision",
            "float4" => "real",
            "bool" => "boolean",
            "varchar" => "character varying",
            "char" => "character",
            "timestamp" => "timestamp without time zone",
            "timestamptz" => "timestamp with time zone",
            "time" => "time without time zone",
            "decimal" => "numeric",
            other => other,
        };
        let found = SqlType::parse(&format!("{canonical}{arguments}"));
        Ok(found.map(|t| -> FieldRef { Arc::new(t.field("", true)) }))
    }
}

static FUNCTIONS: LazyLock<Arc<FunctionRegistry>> = LazyLock::new(FunctionRegistry::new);

/// Runs a query as a cluster would: PostgreSQL's types, optimized, through the encoded plan.
async fn run(session: &SessionContext, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let state = session.state();
    let mut statement = state.sql_to_statement(sql, &Dialect::PostgreSQL)?;
    if let Statement::Statement(statement) = &mut statement {
        postgresql_syntax(statement.as_mut(), &|name| FUNCTIONS.wants_typed_literals(name));
    }
    let plan = state.statement_to_plan(statement).await?;
    let plan: LogicalPlan = postgresql_plan(plan)?;
    let schema = Arc::clone(plan.schema().inner());
    let plan = state.create_physical_plan(&plan).await?;
    let bytes = physical_plan_to_bytes(plan)?;
    let plan = physical_plan_from_bytes(&bytes, &session.task_ctx())?;
    let batches = datafusion::physical_plan::collect(plan, session.task_ctx()).await?;
    Ok((schema, batches))
}

/// The one value of a query with one column and one row: its type and its text.
async fn value(session: &SessionContext, sql: &str) -> Result<(SqlType, Option<String>)> {
    let (schema, batches) = run(session, sql).await?;
    let batch = batches.iter().find(|b| b.num_rows() > 0).expect("a row");
    let field = schema.field(0);
    assert_eq!(field.data_type(), batch.column(0).data_type(), "{sql}");
    let texts = text_of(batch.column(0), &SessionFormats::default())?;
    let sql_type = SqlType::of_field(field).expect("a SQL type");
    Ok((sql_type, texts.is_valid(0).then(|| texts.value(0).to_string())))
}

/// `type text`, `type NULL` or `!SQLSTATE message`.
async fn outcome(session: &SessionContext, sql: &str) -> String {
    match value(session, sql).await {
        Ok((sql_type, text)) => {
            let name = sql_type.to_string();
            let name = name.split('(').next().unwrap_or_default();
            let text = match text {
                Some(text) => text,
                None => "NULL".into(),
            };
            format!("{name} {text}")
        }
        Err(error) => {
            let report = report(error);
            format!("!{} {}", report.sqlstate.as_str(), report.message)
        }
    }
}

/// Whether the outcome is what PostgreSQL gave. Quotients and averages may have another count of
/// digits: they are compared in the fewer ones.
fn agrees(found: &str, expected: &str) -> bool {
    if found == expected {
        return true;
    }
    let digits = |text: &str| text.split_once('.').map_or(0, |(_, d)| d.len() as i8);
    match (found.strip_prefix("numeric "), expected.strip_prefix("numeric ")) {
        (Some(found), Some(expected)) => {
            // PostgreSQL shows 16 significant digits: of large quotients no fraction.
            let whole = expected.trim_start_matches('-').split('.').next().map_or(0, str::len);
            let at_least = if whole > 10 { 0 } else { 6 };
            let scale = digits(found).min(digits(expected)).max(at_least);
            let parse = |text: &str| super::decimal::parse(text, scale).ok();
            parse(found).is_some() && parse(found) == parse(expected)
        }
        _ => false,
    }
}
