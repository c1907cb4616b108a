//! DataFusion's view of a catalog snapshot.

use std::{borrow::Cow, cell::RefCell, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Schema, SchemaRef},
};
use datafusion::sql::sqlparser::{ast, tokenizer::Location};
use datafusion::{
    catalog::{MemTable, TableProvider},
    common::TableReference,
    config::ConfigOptions,
    datasource::{cte_worktable::CteWorkTable, provider_as_source},
    error::{DataFusionError, Result},
    logical_expr::{
        AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, TableType,
        WindowUDF,
        planner::{ContextProvider, ExprPlanner, TypePlanner},
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use super::{
    CHANGED_TABLE, GivenRows, ShardTable, long_series::LongSeries, types::PostgresqlTypes,
    unknown_function::unknown_function, view::view_plan,
};
use crate::{
    catalog::{
        Catalog, NamedRelation, SequenceDef, TableDef, ViewDef, of_other_session, schemas_of,
    },
    error::{report, report_at, to_datafusion},
    functions::{FunctionRegistry, is_row_function},
    shard_sql::SampleSize,
};

/// What names mean for one statement.
#[derive(Clone)]
pub struct BindContext {
    /// What the places of errors are in.
    pub source: Source,
    /// The snapshot.
    pub catalog: Arc<Catalog>,
    /// Where unqualified names are looked up, in order.
    pub search_path: Vec<String>,
    /// Functions known everywhere.
    pub functions: Arc<FunctionRegistry>,
    /// Functions that only the coordinator has (`current_user`, `pg_table_is_visible`).
    pub session_functions: Arc<dyn SessionFunctions>,
    /// Relations the coordinator makes up from the catalog.
    pub system_relations: Arc<dyn SystemRelations>,
    /// What [`CHANGED_TABLE`] stands for.
    pub changed: Option<Arc<TableDef>>,
    /// Rows that have names in our own queries.
    pub given: Vec<GivenRows>,
    /// How much is enough of tables that databases hold; `None`: they are read as they are.
    pub sample: Option<SampleSize>,
}

/// A statement's text and where it is.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The text; empty for a statement of our own.
    pub sql: String,
    /// Characters before it in the whole text.
    pub offset: usize,
}

impl Source {
    /// The report of an error of the binder, with its position in the whole text.
    pub(super) fn report(&self, error: DataFusionError) -> ErrorReport {
        let mut report = report_at(error, &self.sql);
        if let Some(position) = &mut report.position {
            *position = position.saturating_add(u32::try_from(self.offset).unwrap_or(u32::MAX));
        }
        report
    }

    /// The position of a place in it, in the whole text.
    fn position(&self, place: Location) -> Option<u32> {
        let line = usize::try_from(place.line.checked_sub(1)?).ok()?;
        let before = self.sql.split_inclusive('\n').take(line).map(|l| l.chars().count());
        let place = before.sum::<usize>() + usize::try_from(place.column).ok()?;
        u32::try_from(self.offset + place).ok()
    }
}

/// Functions of one statement. Most statements name none of them, so each is made when it is named.
pub trait SessionFunctions: Send + Sync {
    /// The function of exactly this name. However often it is made, it is equal to itself.
    fn function(&self, name: &str) -> Option<Arc<ScalarUDF>>;
}

/// No functions but those known everywhere.
pub struct NoSessionFunctions;

impl SessionFunctions for NoSessionFunctions {
    fn function(&self, _: &str) -> Option<Arc<ScalarUDF>> {
        None
    }
}

/// Relations without segments: `kestrel.*`, `pg_catalog.*`, `information_schema.*`.
pub trait SystemRelations: Send + Sync {
    /// The rows of a relation; `None`: there is none of this name.
    fn relation(&self, schema: &str, name: &str) -> Option<Result<RecordBatch, ErrorReport>>;

    /// The one row of a sequence: `last_value`, `log_cnt`, `is_called`.
    fn sequence(&self, sequence: &SequenceDef) -> Result<RecordBatch, ErrorReport>;

    /// Whether the session may look for anything in this schema (42501).
    fn check_schema(&self, schema: &str) -> Result<(), ErrorReport> {
        let _ = schema;
        Ok(())
    }

    /// A query of them in a form that the binder takes; any other as it is.
    fn plannable(&self, query: ast::Query) -> ast::Query {
        query
    }
}

/// A relation a name can mean.
pub enum Relation {
    /// A table.
    Table(Arc<TableDef>),
    /// A view.
    View(Arc<ViewDef>),
    /// A system relation, with its rows.
    System(RecordBatch),
}

impl BindContext {
    /// Must an integer literal have its type when this function is called?
    pub(super) fn wants_typed_literals(&self, name: &str) -> bool {
        self.functions.wants_typed_literals(name) && self.session_functions.function(name).is_none()
    }

    /// What a name means. System relations come first, as `pg_catalog` does in PostgreSQL.
    pub fn relation(&self, schema: Option<&str>, name: &str) -> Result<Relation, ErrorReport> {
        if let Some(table) = self.changed_table(schema, name) {
            return Ok(Relation::Table(Arc::clone(table)));
        }
        let mut given = self.given.iter().filter(|_| schema.is_none());
        if let Some(given) = given.find(|given| given.name == name) {
            return Ok(Relation::System(given.rows.clone()));
        }
        let in_schema = |schema: &str| {
            if let Some(rows) = self.system_relations.relation(schema, name) {
                return Some(rows.map(Relation::System));
            }
            let view = || self.catalog.view(schema, name).map(|v| Relation::View(Arc::clone(v)));
            let table = self.catalog.table(schema, name).map(|t| Relation::Table(Arc::clone(t)));
            let sequence = || {
                let sequence = self.catalog.sequence(schema, name)?;
                Some(self.system_relations.sequence(sequence).map(Relation::System))
            };
            table.or_else(view).map(Ok).or_else(sequence)
        };
        if let Some(schema) = schema {
            self.system_relations.check_schema(schema)?;
            let denied = || of_other_session(&self.catalog, &self.search_path, Some(schema), name);
            let missing =
                || denied().unwrap_or_else(|| undefined_table(&format!("{schema}.{name}")));
            let schemas = schemas_of(&self.search_path, Some(&schema.to_string())).to_vec();
            let found = schemas.iter().find_map(|schema| in_schema(schema));
            return found.unwrap_or_else(|| Err(missing()));
        }
        std::iter::once("pg_catalog")
            .chain(self.search_path.iter().map(String::as_str))
            .find_map(in_schema)
            .unwrap_or_else(|| Err(undefined_table(name)))
    }

    fn changed_table(&self, schema: Option<&str>, name: &str) -> Option<&Arc<TableDef>> {
        self.changed.as_ref().filter(|_| schema.is_none() && name == CHANGED_TABLE)
    }
}

fn undefined_table(name: &str) -> ErrorReport {
    ErrorReport::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
}

/// What names mean in one query: a statement's own, or a view's.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) context: &'a BindContext,
    /// The view whose query it is.
    view: Option<&'a ViewDef>,
    /// Views are looked at from outside, as tables are.
    views_are_closed: bool,
}

impl<'a> Names<'a> {
    /// In the statement itself.
    pub(super) fn of_statement(context: &'a BindContext) -> Self {
        Self { context, view: None, views_are_closed: false }
    }

    /// In the statement itself, where only its own names are wanted.
    pub(super) fn of_reader(context: &'a BindContext) -> Self {
        Self { views_are_closed: true, ..Self::of_statement(context) }
    }

    /// In a view's query; `context` is that of the statement that reads the view.
    pub(super) fn of_view(context: &'a BindContext, view: &'a ViewDef) -> Self {
        Self { view: Some(view), ..Self::of_statement(context) }
    }

    /// What a name means.
    pub(super) fn relation(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Relation, ErrorReport> {
        let Some(view) = self.view else { return self.context.relation(schema, name) };
        let catalog = &self.context.catalog;
        let Some(known) = view.relation(schema, name) else {
            let context =
                BindContext { search_path: view.search_path.clone(), ..self.context.clone() };
            return context.relation(schema, name);
        };
        let table = catalog.table_by_id(known.named.id);
        let as_known = |table: &Arc<TableDef>| Relation::Table(Arc::new(known.table(table)));
        let of_view = || {
            let view = catalog.view_by_id(known.named.id)?;
            let columns = known.columns_of(&view.columns);
            Some(Relation::View(Arc::new(ViewDef { columns, ..view.as_ref().clone() })))
        };
        table.map(as_known).or_else(of_view).ok_or_else(|| undefined_table(name))
    }

    /// The report with its place, which is none of the statement in a view's text.
    pub(super) fn at(&self, report: ErrorReport, place: Option<Location>) -> ErrorReport {
        let place = place.filter(|_| self.view.is_none());
        match place.and_then(|place| self.context.source.position(place)) {
            Some(position) => report.position(position),
            None => report,
        }
    }

    /// The report of an error of the binder. A view's text is not the client's: no place in it is
    /// one in the statement.
    pub(super) fn report(&self, error: DataFusionError) -> ErrorReport {
        match self.view {
            Some(_) => report(error),
            None => self.context.source.report(error),
        }
    }
}

/// A view, for DataFusion's SQL planner: it puts the plan in the place of the name.
struct ViewSource {
    schema: SchemaRef,
    plan: LogicalPlan,
}

impl TableSource for ViewSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.plan))
    }
}

/// A view of which nothing but its columns is known.
struct ClosedView(SchemaRef);

impl TableSource for ClosedView {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0)
    }
}

/// The names' meaning as DataFusion's SQL planner asks for it.
pub(super) struct Provider<'a> {
    names: Names<'a>,
    context: &'a BindContext,
    options: &'a ConfigOptions,
    /// The catalog's relations that were asked for.
    named: RefCell<Vec<NamedRelation>>,
}

impl<'a> Provider<'a> {
    pub(super) fn new(names: Names<'a>, options: &'a ConfigOptions) -> Self {
        Self { names, context: names.context, options, named: RefCell::default() }
    }

    /// The catalog's relations that were asked for, each name once.
    pub(super) fn into_named(self) -> Vec<NamedRelation> {
        self.named.into_inner()
    }

    fn note(&self, name: &TableReference, id: u64) {
        let schema = name.schema().map(str::to_string);
        let named = NamedRelation { schema, name: name.table().into(), id };
        let mut all = self.named.borrow_mut();
        if !all.contains(&named) {
            all.push(named);
        }
    }
}

impl ContextProvider for Provider<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let relation = self.names.relation(name.schema(), name.table()).map_err(to_datafusion)?;
        let provider: Arc<dyn TableProvider> = match relation {
            Relation::Table(table) => {
                self.note(&name, table.id);
                match self.context.changed_table(name.schema(), name.table()) {
                    Some(changed) => Arc::new(ShardTable::with_addresses(
                        Arc::clone(changed),
                        &self.context.catalog,
                    )),
                    None => {
                        let table = ShardTable::new(table, &self.context.catalog);
                        Arc::new(table.with_sample(self.context.sample))
                    }
                }
            }
            Relation::View(view) => {
                self.note(&name, view.id);
                if self.names.views_are_closed {
                    let fields = view.columns.iter().map(|c| c.sql_type.field(&c.name, true));
                    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
                    return Ok(Arc::new(ClosedView(schema)));
                }
                let plan = view_plan(&view, self.context).map_err(to_datafusion)?;
                let schema = Arc::clone(plan.schema().inner());
                return Ok(Arc::new(ViewSource { schema, plan }));
            }
            Relation::System(rows) => Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?),
        };
        Ok(provider_as_source(provider))
    }

    fn get_table_function_source(
        &self,
        name: &str,
        arguments: Vec<Expr>,
    ) -> Result<Arc<dyn TableSource>> {
        match LongSeries::of_call(name, &arguments) {
            Some(series) => Ok(provider_as_source(Arc::new(series))),
            None => {
                let message = format!("function {name} is not supported in FROM");
                Err(to_datafusion(ErrorReport::unsupported(message)))
            }
        }
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.context.functions.expr_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(PostgresqlTypes))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let of_session = || self.context.session_functions.function(name);
        let functions = &self.context.functions;
        // What both have is complete among the functions that are known everywhere.
        let of_rows = if is_row_function(name) { functions.scalar(name) } else { None };
        let known = of_rows.or_else(of_session).or_else(|| functions.scalar(name));
        let other_kind = || {
            functions.higher_order(name).is_some()
                || functions.aggregate(name).is_some()
                || functions.window(name).is_some()
        };
        // The SQL planner itself knows it.
        let is_unnest = name == "unnest";
        known.or_else(|| (!other_kind() && !is_unnest).then(|| unknown_function(name)))
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.context.functions.higher_order(name)
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.context.functions.aggregate(name)
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.context.functions.window(name)
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.options
    }

    fn udf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
