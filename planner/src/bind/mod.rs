//! Syntax tree and catalog snapshot to a logical plan: DataFusion's SQL planner over our catalog,
//! with PostgreSQL's types, names and errors.

mod check_names;
mod column_names;
mod correlated_conditions;
mod correlated_recursion;
mod files;
mod given;
mod json_records;
mod lateral;
mod locate;
mod long_series;
mod origin;
mod outer_tables;
mod parameters;
mod provider;
mod read_columns;
mod recursion;
mod recursion_rules;
mod set_returning;
mod subquery_values;
mod table_source;
mod types;
mod unknown_function;
mod unnest;
mod using;
mod view;
mod whole_row;

use column_names::OutputNames;
pub use column_names::name_outputs;
pub(crate) use column_names::top_level_names;
pub use files::file_query;
pub use given::GivenRows;
pub use locate::{locate, output_place};
pub use origin::{Origin, origins};
pub use parameters::stated_parameter_types;
pub use provider::{BindContext, NoSessionFunctions, SessionFunctions, Source, SystemRelations};
pub use read_columns::{ReadColumns, read_columns};
pub use set_returning::gives_rows;
pub use table_source::{CHANGED_TABLE, ShardTable};

use std::sync::{Arc, LazyLock};

use arrow::datatypes::FieldRef;
use datafusion::{
    common::{DFSchema, SchemaError},
    config::ConfigOptions,
    error::DataFusionError,
    logical_expr::{Expr, ExprSchemable, LogicalPlan},
    sql::{
        planner::{NullOrdering, ParserOptions, PlannerContext, SqlToRel},
        sqlparser::ast,
    },
};
use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::{
    catalog::{NamedRelation, SqlType},
    error::report,
    functions,
};
use provider::{Names, Provider};

/// What DataFusion's SQL planner is told besides [`parser_options`]: nothing.
static OPTIONS: LazyLock<ConfigOptions> = LazyLock::new(ConfigOptions::default);

/// A query whose names are known and whose types are PostgreSQL's.
#[derive(Clone, Debug)]
pub struct BoundQuery {
    /// The plan.
    pub plan: LogicalPlan,
    /// PostgreSQL's names of the output columns.
    pub names: Vec<String>,
    /// The output columns as the statement's text and its parameters' types make them: values of
    /// parameters, and what the optimizer sees in them, change nothing here.
    pub fields: Vec<FieldRef>,
    /// The catalog's tables and views that the query names; not those within views.
    pub relations: Vec<NamedRelation>,
    /// The types of parameters that the client or the statement says outright.
    stated: Vec<Option<SqlType>>,
}

impl BoundQuery {
    /// The types of `$1`, `$2`, …, as far as the query tells; text where it does not.
    pub fn parameter_types(&self) -> Result<Vec<SqlType>> {
        let inferred = parameters::inferred_parameter_types(&self.plan).map_err(report)?;
        let last = inferred.keys().next_back().map_or(0, |last| last + 1);
        let parameter = |at: usize| match self.stated.get(at).copied().flatten() {
            // How long it may be is the column's affair.
            Some(SqlType::Varchar(_)) => SqlType::Varchar(None),
            Some(stated) => stated,
            None => inferred.get(&at).copied().flatten().unwrap_or(SqlType::Text),
        };
        Ok((0..last.max(self.stated.len())).map(parameter).collect())
    }
}

/// Binds a query that is prepared: once for the types of its parameters, and with these once more,
/// as it will be bound whenever it is executed. So its columns are those that every execution has.
pub fn prepare_query(
    query: &ast::Query,
    context: &BindContext,
    parameter_types: &[Option<SqlType>],
) -> Result<BoundQuery> {
    let bound = bind_query(query, context, parameter_types)?;
    let types: Vec<_> = bound.parameter_types()?.into_iter().map(Some).collect();
    if types == bound.stated {
        return Ok(bound);
    }
    bind_query(query, context, &types)
}

/// Binds a query. `parameter_types`: what the client says of `$1`, …; `None`: find out.
pub fn bind_query(
    query: &ast::Query,
    context: &BindContext,
    parameter_types: &[Option<SqlType>],
) -> Result<BoundQuery> {
    let parameter_types = stated_parameter_types(query, parameter_types, &[]);
    let parameters = parameter_fields(&parameter_types);
    let bound = bind_names(query.clone(), Names::of_statement(context), parameters)?;
    let plan = lateral::lateral_joins(bound.plan)
        .and_then(subquery_values::subquery_values)
        .and_then(functions::postgresql_plan)
        .and_then(correlated_recursion::correlated_recursion)
        .and_then(correlated_conditions::conditions_above_aliases)
        .and_then(unnest::correlated_subqueries)
        .map_err(|error| context.source.report(error))?;
    let names = bound.outputs.resolve(plan.schema());
    let fields = plan.schema().fields().iter().cloned().collect();
    Ok(BoundQuery { plan, names, fields, relations: bound.relations, stated: parameter_types })
}

fn parameter_fields(types: &[Option<SqlType>]) -> Vec<Option<FieldRef>> {
    types.iter().map(|t| t.map(|t| -> FieldRef { Arc::new(t.field("", true)) })).collect()
}

/// A query whose names are known.
struct BoundNames {
    plan: LogicalPlan,
    outputs: OutputNames,
    relations: Vec<NamedRelation>,
}

/// Gives the names of a query their meaning.
fn bind_names(
    mut query: ast::Query,
    names: Names<'_>,
    parameters: Vec<Option<FieldRef>>,
) -> Result<BoundNames> {
    check_names::check_names(&query)?;
    let outputs = name_outputs(&mut query);
    recursion::recursive_queries(&mut query, names)?;
    let has_rows = whole_row::marked_rows(&mut query);
    set_returning::set_returning_functions(&mut query)?;
    using::merged_columns(&mut query, names)?;
    functions::postgresql_syntax(&mut query, &|name| names.context.wants_typed_literals(name));
    outer_tables::outer_tables(&mut query);
    let provider = Provider::new(names, &OPTIONS);
    let plan = {
        let planner = SqlToRel::new_with_options(&provider, parser_options());
        let planned = |query: &ast::Query| {
            let mut planner_context =
                PlannerContext::new().with_prepare_param_data_types(parameters.clone());
            let statement = ast::Statement::Query(Box::new(query.clone()));
            planner.sql_statement_to_plan_with_context(statement, &mut planner_context)
        };
        let mut plan = planned(&query);
        while let Some(name) = plan.as_ref().err().and_then(ambiguous_name)
            && column_names::make_unique_beside_wildcard(&mut query, &name)
        {
            plan = planned(&query);
        }
        plan.map_err(|error| names.report(error))?
    };
    let plan = match has_rows {
        true => whole_row::with_columns(plan).map_err(|error| names.report(error))?,
        false => plan,
    };
    Ok(BoundNames { plan, outputs, relations: provider.into_named() })
}

/// The name that DataFusion found twice.
fn ambiguous_name(error: &DataFusionError) -> Option<String> {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::AmbiguousReference { field } => Some(field.name.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Binds an expression that refers to no column: a DEFAULT.
pub fn bind_constant(expr: ast::Expr, context: &BindContext) -> Result<Expr> {
    let provider = Provider::new(Names::of_statement(context), &OPTIONS);
    let planner = SqlToRel::new_with_options(&provider, parser_options());
    let schema = DFSchema::empty();
    let expr = planner.sql_to_expr(expr, &schema, &mut PlannerContext::new()).map_err(report)?;
    functions::postgresql_expr(expr, &schema).map(|expr| expr.data).map_err(report)
}

fn parser_options() -> ParserOptions {
    ParserOptions {
        parse_float_as_decimal: true,
        enable_ident_normalization: true,
        support_varchar_with_length: true,
        enable_options_value_normalization: false,
        collect_spans: true,
        map_string_types_to_utf8view: true,
        // PostgreSQL: NULLs are larger than all values.
        default_null_ordering: NullOrdering::NullsMax,
    }
}

/// The type of an expression without columns.
pub fn constant_type(expr: &Expr) -> Result<SqlType> {
    let data_type = expr.get_type(&DFSchema::empty()).map_err(report)?;
    SqlType::of_arrow(&data_type)
        .ok_or_else(|| ErrorReport::unsupported(format!("values of type {data_type}")))
}

/// Refuses a plan that still has `$n`: the statement was run without them.
pub fn check_no_parameters(plan: &LogicalPlan) -> Result<()> {
    let parameters = plan.get_parameter_names().map_err(report)?;
    match parameters.into_iter().min() {
        Some(name) => Err(ErrorReport::new(
            SqlState::UNDEFINED_PARAMETER,
            format!("there is no parameter {name}"),
        )),
        None => Ok(()),
    }
}
