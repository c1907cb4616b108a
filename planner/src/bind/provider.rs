//! DataFusion's view of a catalog snapshot.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::DataType};
use datafusion::{
    catalog::{MemTable, TableProvider},
    common::TableReference,
    config::ConfigOptions,
    datasource::provider_as_source,
    error::{DataFusionError, Result},
    logical_expr::{
        AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF,
        planner::{ContextProvider, ExprPlanner, TypePlanner},
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use super::{ShardTable, types::PostgresqlTypes, unknown_function::unknown_function};
use crate::{
    catalog::{Catalog, TableDef},
    error::{report_at, to_datafusion},
    functions::FunctionRegistry,
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
    pub session_functions: Arc<Vec<Arc<ScalarUDF>>>,
    /// Relations the coordinator makes up from the catalog.
    pub system_relations: Arc<dyn SystemRelations>,
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
}

/// Relations without segments: `kestrel.*`, `pg_catalog.*`, `information_schema.*`.
pub trait SystemRelations: Send + Sync {
    /// The rows of a relation; `None`: there is none of this name.
    fn relation(&self, schema: &str, name: &str) -> Option<Result<RecordBatch, ErrorReport>>;
}

/// A relation a name can mean.
pub enum Relation {
    /// A table.
    Table(Arc<TableDef>),
    /// A system relation, with its rows.
    System(RecordBatch),
}

impl BindContext {
    /// Must an integer literal have its type when this function is called?
    pub(super) fn wants_typed_literals(&self, name: &str) -> bool {
        !self.session_functions.iter().any(|f| f.name() == name)
            && self.functions.wants_typed_literals(name)
    }

    /// What a name means. System relations come first, as `pg_catalog` does in PostgreSQL.
    pub fn relation(&self, schema: Option<&str>, name: &str) -> Result<Relation, ErrorReport> {
        let in_schema = |schema: &str| {
            if let Some(rows) = self.system_relations.relation(schema, name) {
                return Some(rows.map(Relation::System));
            }
            self.catalog.table(schema, name).map(|t| Ok(Relation::Table(Arc::clone(t))))
        };
        if let Some(schema) = schema {
            let missing = || undefined_table(&format!("{schema}.{name}"));
            return in_schema(schema).unwrap_or_else(|| Err(missing()));
        }
        std::iter::once("pg_catalog")
            .chain(self.search_path.iter().map(String::as_str))
            .find_map(in_schema)
            .unwrap_or_else(|| Err(undefined_table(name)))
    }
}

fn undefined_table(name: &str) -> ErrorReport {
    ErrorReport::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
}

/// A [`BindContext`] as DataFusion's SQL planner asks for it.
pub(super) struct Provider<'a> {
    context: &'a BindContext,
    options: &'a ConfigOptions,
}

impl<'a> Provider<'a> {
    pub(super) fn new(context: &'a BindContext, options: &'a ConfigOptions) -> Self {
        Self { context, options }
    }
}

impl ContextProvider for Provider<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let relation = self.context.relation(name.schema(), name.table()).map_err(to_datafusion)?;
        let provider: Arc<dyn TableProvider> = match relation {
            Relation::Table(table) => Arc::new(ShardTable::new(table)),
            Relation::System(rows) => Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?),
        };
        Ok(provider_as_source(provider))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.context.functions.expr_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(PostgresqlTypes))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let of_session = self.context.session_functions.iter().find(|f| f.name() == name);
        let functions = &self.context.functions;
        let known = of_session.cloned().or_else(|| functions.scalar(name));
        let other_kind = || {
            functions.higher_order(name).is_some()
                || functions.aggregate(name).is_some()
                || functions.window(name).is_some()
        };
        known.or_else(|| (!other_kind()).then(|| unknown_function(name)))
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
