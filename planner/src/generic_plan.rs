//! Plans that are kept: a bound query and what the logical optimizer makes of it, with `$1`, … in it.
//!
//! What is left to do each time is cheap and looks at what is there now: values take the places of
//! the parameters, scans get the present snapshot's tables and statistics, and the physical plan, the
//! motions and where slices run follow from both. So no value and no row that a plan was made with
//! stays in it. Where no row has come or gone since, and there are no parameters, even that is left
//! out ([`FinishedPlan`]), but for partitioned tables.
//!
//! A query is kept only if nothing but its text, its parameters' types, the session's formats and its
//! tables' definitions can have had a part in its plan:
//!
//! - it reads tables, by their own names: no views, system relations or functions that give rows;
//! - its functions are immutable: `now()` and its kin are computed when a query is optimized;
//! - its parameters stand where their values would not have given it another form: not in LIMIT.

use std::sync::Arc;

use datafusion::{
    common::{
        ParamValues,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    datasource::{provider_as_source, source_as_provider},
    error::Result as DataFusionResult,
    execution::SessionState,
    logical_expr::{Expr, LogicalPlan, Volatility},
    optimizer::{Optimizer, simplify_expressions::SimplifyExpressions},
};
use kestrel_proto::Result;

use crate::{
    bind::{BoundQuery, ShardTable},
    catalog::{Catalog, NamedRelation, TableDef, schemas_of},
    error::report,
    finished_plan::FinishedPlan,
    plan::{Plan, PlanContext, Planner, finish, gathered},
    statistics::TableStatistics,
};

/// Words that are read as what the clock says when a query is optimized.
const CLOCK_WORDS: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// A plan for all values of its parameters.
#[derive(Clone, Debug)]
pub struct GenericPlan {
    /// What was bound; its parameters have no values.
    pub bound: BoundQuery,
    optimized: LogicalPlan,
    /// What it reads, as it was.
    tables: Vec<KnownTable>,
    /// What these tables' rows and statistics have led to.
    finished: Arc<FinishedPlan>,
}

/// A table that a kept plan reads.
#[derive(Clone, Debug)]
struct KnownTable {
    table: Arc<TableDef>,
    /// The scans of the plan hold them.
    statistics: Option<Arc<TableStatistics>>,
}

impl KnownTable {
    fn of(table: &Arc<TableDef>, catalog: &Catalog) -> Self {
        let statistics = catalog.statistics_of(table.id).cloned();
        Self { table: Arc::clone(table), statistics }
    }

    /// Which partitions it has, and what is in them, the table does not tell.
    fn is_partitioned(&self) -> bool {
        self.table.partitioned_by.is_some()
    }

    /// Are its definition, rows and statistics the very same?
    fn is_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.table, &other.table)
            && match (&self.statistics, &other.statistics) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            }
    }
}

impl GenericPlan {
    /// The same over another snapshot, if the query's names mean the same there, and these tables are
    /// defined as they were; `None`: it is to be bound again.
    pub fn over(self: &Arc<Self>, catalog: &Catalog, search_path: &[String]) -> Option<Arc<Self>> {
        let means_it =
            |named: &NamedRelation| table_of(named, catalog, search_path) == Some(named.id);
        if !self.bound.relations.iter().all(means_it) {
            return None;
        }
        let mut is_as_it_was = true;
        for old in &self.tables {
            let new = KnownTable::of(present(&old.table, catalog)?, catalog);
            if !Arc::ptr_eq(&old.table, &new.table) && !is_defined_alike(&old.table, &new.table) {
                return None;
            }
            is_as_it_was &= old.is_the_same(&new) && !new.is_partitioned();
        }
        match is_as_it_was {
            true => Some(Arc::clone(self)),
            false => self.rebased(catalog).ok().map(Arc::new),
        }
    }

    fn rebased(&self, catalog: &Catalog) -> DataFusionResult<Self> {
        let mut bound = self.bound.clone();
        bound.plan = over_tables(bound.plan, catalog)?;
        let optimized = over_tables(self.optimized.clone(), catalog)?;
        let tables = self.tables.iter().filter_map(|known| present(&known.table, catalog));
        let tables = tables.map(|table| KnownTable::of(table, catalog)).collect();
        Ok(Self { bound, optimized, tables, finished: Arc::default() })
    }
}

impl Planner {
    /// Optimizes a query for any values of its parameters; `None`: it cannot be kept. `text`: the
    /// statement's. It was bound without functions or relations that only a session has.
    ///
    /// # Errors
    /// Those of the optimizer.
    pub fn generic(
        &self,
        bound: &BoundQuery,
        text: &str,
        context: &PlanContext,
    ) -> Result<Option<GenericPlan>> {
        let text = text.to_ascii_lowercase();
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        if words.any(|word| CLOCK_WORDS.contains(&word)) {
            return Ok(None);
        }
        let Some(tables) = kept_tables(&bound.plan, &context.catalog).map_err(report)? else {
            return Ok(None);
        };
        let optimized = self.optimized(&bound.plan, &self.state_for(context))?;
        let bound = bound.clone();
        Ok(Some(GenericPlan { bound, optimized, tables, finished: Arc::default() }))
    }

    /// Plans what was kept, with the values of its parameters.
    ///
    /// # Errors
    /// Those of planning a query.
    pub async fn plan_generic(
        &self,
        generic: &GenericPlan,
        values: Option<ParamValues>,
        context: &PlanContext,
    ) -> Result<Plan> {
        let Some(values) = values else {
            if let Some(plan) = generic.finished.get(context) {
                return Ok(plan);
            }
            let state = self.state_for(context);
            let plan = self.plan_optimized(&generic.optimized, &state, context).await?;
            if !generic.tables.iter().any(KnownTable::is_partitioned) {
                generic.finished.keep(&plan, context);
            }
            return Ok(plan);
        };
        let state = self.state_for(context);
        let optimized = generic.optimized.clone();
        let optimized = with_constants(optimized, values, &state).map_err(report)?;
        self.plan_optimized(&optimized, &state, context).await
    }

    async fn plan_optimized(
        &self,
        optimized: &LogicalPlan,
        state: &SessionState,
        context: &PlanContext,
    ) -> Result<Plan> {
        let planner = Arc::clone(state.query_planner());
        let physical = planner.create_physical_plan(optimized, state).await.map_err(report)?;
        finish(physical, context, &gathered)
    }
}

/// Values in the places of parameters, and what follows from them computed: filters on keys then
/// compare columns to constants.
fn with_constants(
    plan: LogicalPlan,
    values: ParamValues,
    state: &SessionState,
) -> DataFusionResult<LogicalPlan> {
    let plan = plan.with_param_values(values)?;
    let rules = Optimizer::with_rules(vec![Arc::new(SimplifyExpressions::new())]);
    rules.optimize(plan, state, |_, _| ())
}

/// What a plan reads; `None`: it is not to be kept.
fn kept_tables(plan: &LogicalPlan, catalog: &Catalog) -> DataFusionResult<Option<Vec<KnownTable>>> {
    let mut tables = Some(Vec::new());
    plan.apply_with_subqueries(|node| {
        if !is_kept(node)? {
            tables = None;
        } else if let (LogicalPlan::TableScan(scan), Some(known)) = (node, &mut tables) {
            let provider = source_as_provider(&scan.source)?;
            let table = provider.downcast_ref::<ShardTable>().map(ShardTable::table);
            // A view knows its tables otherwise, and a changed one has addresses.
            let itself = table.and_then(|table| present(table, catalog));
            match (table, itself) {
                (Some(table), Some(itself)) if Arc::ptr_eq(table, itself) => {
                    known.push(KnownTable::of(table, catalog));
                }
                _ => tables = None,
            }
        }
        Ok(if tables.is_some() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(tables)
}

/// Whether an operator may be in a plan that is kept, by its expressions.
fn is_kept(node: &LogicalPlan) -> DataFusionResult<bool> {
    let takes_values = match node {
        LogicalPlan::Filter(_) | LogicalPlan::Projection(_) | LogicalPlan::Join(_) => true,
        LogicalPlan::TableScan(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::EmptyRelation(_) => false,
        _ => return Ok(false),
    };
    let mut is_kept = true;
    node.apply_expressions(|expr| {
        expr.apply(|expr| {
            is_kept &= match expr {
                Expr::ScalarFunction(call) => {
                    call.func.signature().volatility == Volatility::Immutable
                }
                Expr::Placeholder(_) => takes_values,
                Expr::HigherOrderFunction(_) | Expr::ScalarVariable(..) => false,
                _ => true,
            };
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(is_kept)
}

/// The table that a name means; `None`: something else, or nothing.
fn table_of(named: &NamedRelation, catalog: &Catalog, search_path: &[String]) -> Option<u64> {
    let name = named.name.as_str();
    let found = schemas_of(search_path, named.schema.as_ref()).iter().find_map(|schema| {
        let table = catalog.table(schema, name).map(|table| Some(table.id));
        let is_other =
            || catalog.view(schema, name).is_some() || catalog.sequence(schema, name).is_some();
        table.or_else(|| is_other().then_some(None))
    });
    found.flatten()
}

/// A table in another snapshot, if it has its name there.
fn present<'a>(table: &TableDef, catalog: &'a Catalog) -> Option<&'a Arc<TableDef>> {
    let named = catalog.table(&table.schema_name, &table.name);
    named.filter(|found| found.id == table.id)
}

/// Whether two states of a table differ only in its rows.
fn is_defined_alike(one: &TableDef, other: &TableDef) -> bool {
    let TableDef {
        id,
        schema_name,
        name,
        columns,
        distribution,
        primary_key,
        unique_keys,
        segments: _,
        indexes,
        checks,
        last_column_id,
        missing_values,
        on_commit,
        storage,
        shard_rows: _,
        partitioned_by,
        partition_of,
        cluster_by: _,
        extended_statistics: _,
        changed_rows: _,
        shard_names,
    } = one;
    (id, schema_name, name, columns, distribution)
        == (&other.id, &other.schema_name, &other.name, &other.columns, &other.distribution)
        && (primary_key, unique_keys, indexes, checks, last_column_id)
            == (
                &other.primary_key,
                &other.unique_keys,
                &other.indexes,
                &other.checks,
                &other.last_column_id,
            )
        && (missing_values, on_commit, storage, shard_names)
            == (&other.missing_values, &other.on_commit, &other.storage, &other.shard_names)
        && (partitioned_by, partition_of) == (&other.partitioned_by, &other.partition_of)
}

/// A plan whose scans are of this snapshot's tables.
fn over_tables(plan: LogicalPlan, catalog: &Catalog) -> DataFusionResult<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        let provider = source_as_provider(&scan.source)?;
        let table = provider.downcast_ref::<ShardTable>().map(ShardTable::table);
        let Some(table) = table.and_then(|table| present(table, catalog)) else {
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        };
        scan.source = provider_as_source(Arc::new(ShardTable::new(Arc::clone(table), catalog)));
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })
    .data()
}
