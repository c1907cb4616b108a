//! A bound query to slices: DataFusion's logical optimizer, its initial physical plan, then
//! `rewrite`, `distribute`, `check` and `slice`.

use std::{cell::Cell, sync::Arc};

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Schema, SchemaRef},
};
use chrono::{DateTime, Utc};
use datafusion::{
    common::{DFSchema, ScalarValue},
    config::ConfigOptions,
    execution::{SessionState, SessionStateBuilder, config::SessionConfig},
    logical_expr::{ColumnarValue, LogicalPlan, physical_planning_context::ScalarSubqueryResults},
    physical_plan::{ExecutionPlan, scalar_subquery::ScalarSubqueryExec},
};
use kestrel_proto::{DatanodeId, ErrorReport, Result};

use crate::{
    catalog::{Catalog, Distribution, TableDef},
    distribute::{Distributor, Placed, check, is_on_coordinator},
    drawn_conditions::draw_in_place,
    error::report,
    functions::{FunctionRegistry, SessionFormats},
    group_keys::name_group_keys,
    join_keys::name_join_keys,
    join_order::JoinOrderSettings,
    motion::{HashKey, Motion},
    operators::SegmentWriteExec,
    rewrite::rewritten,
    rule_switches::RuleSwitches,
    slice::{Slice, slice},
};

/// A constant, so that plans have Partial and Final phases whatever machine plans them.
const PLANNING_PARTITIONS: usize = 2;

/// What a statement is planned with besides its text.
#[derive(Clone, Debug)]
pub struct PlanContext {
    /// The snapshot it was bound over.
    pub catalog: Arc<Catalog>,
    /// What `now()` is.
    pub now: DateTime<Utc>,
    /// How the session reads and writes values.
    pub formats: SessionFormats,
    /// Which rules it has switched off.
    pub rules: RuleSwitches,
    /// What it says of the order of joins.
    pub join_order: JoinOrderSettings,
}

/// A distributed plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Uncorrelated scalar subqueries; each is run before the main plan.
    pub init: Vec<Plan>,
    /// Where the main plan looks for the value of each init plan, by its position.
    pub init_values: ScalarSubqueryResults,
    /// The whole tree, motions and all.
    pub root: Arc<Placed>,
    /// The tree cut at its motions; slice 0 first.
    pub slices: Vec<Slice>,
    /// The schema of the result.
    pub schema: SchemaRef,
}

pub use crate::change_plan::ChangePlan;
pub use crate::generic_plan::GenericPlan;
pub use crate::row_change_plan::{RowChange, RowChangePlan};

/// How the rows of an INSERT come to their table.
#[derive(Clone, Debug)]
pub enum InsertPlan {
    /// The datanodes write: the result is [`crate::operators::segment_write_schema`].
    Distributed(Plan),
    /// The rows are the coordinator's: it ingests the plan's result.
    Ingest(Plan),
}

/// Plans queries. Cheap to share; holds DataFusion's configuration and rules.
pub struct Planner {
    state: SessionState,
}

impl Planner {
    /// A planner that knows these functions.
    pub fn new(functions: &Arc<FunctionRegistry>) -> Self {
        let mut options = ConfigOptions::default();
        options.execution.target_partitions = PLANNING_PARTITIONS;
        options.optimizer.enable_physical_uncorrelated_scalar_subquery = true;
        // It compares nullability, which its own rules change: more may be NULL than is.
        options.execution.skip_physical_aggregate_schema_check = true;
        options.sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
        // A bound query has its functions in it. Of all that rules look up by name there is only
        // DISTINCT ON's: each statement has a copy of the state, with all that is registered.
        let looked_up = functions.aggregate("first_value").into_iter().collect();
        let state = SessionStateBuilder::new()
            .with_config(SessionConfig::from(options))
            .with_aggregate_functions(looked_up)
            // The initial plan as it is: the optimized one drops limits and freezes join modes.
            .with_physical_optimizer_rules(Vec::new())
            .build();
        Self { state }
    }

    /// Plans a query.
    pub async fn plan(&self, query: &LogicalPlan, context: &PlanContext) -> Result<Plan> {
        let physical = self.physical_plan(query, context).await?;
        finish(physical, context, &gathered)
    }

    /// Plans `INSERT INTO table query`; the query's columns are the table's.
    pub async fn plan_insert(
        &self,
        query: &LogicalPlan,
        table: &TableDef,
        context: &PlanContext,
    ) -> Result<InsertPlan> {
        let physical = self.physical_plan(query, context).await?;
        // Only the coordinator knows which partition takes a row.
        let is_routed = table.partitioned_by.is_some() || table.partition_of.is_some();
        let is_here = Cell::new(is_routed || is_on_coordinator(&physical).map_err(report)?);
        let plan = finish(physical, context, &|distributor, plan| {
            let rows = distributor.place(plan).map_err(report)?;
            if is_here.get() || rows.is_local() {
                is_here.set(true);
                return Ok(rows.gather_at_root());
            }
            let rows = to_table(distributor, rows, table, 0)?;
            let write = SegmentWriteExec::new(
                table.table_id(),
                table.name.clone(),
                table.arrow_schema(),
                table.column_ids(),
                table.shard_relation(),
                Arc::clone(&rows.plan),
            );
            let write: Arc<dyn ExecutionPlan> = Arc::new(write.clustered(table.cluster_by.clone()));
            let estimate = rows.estimate.clone();
            let locus = crate::locus::Locus::Strewn;
            let written = Placed { plan: write, locus, estimate, children: vec![rows] };
            Ok(written.gather_at_root())
        })?;
        Ok(if is_here.get() { InsertPlan::Ingest(plan) } else { InsertPlan::Distributed(plan) })
    }

    /// The value of a bound query that reads nothing: of its only output column.
    ///
    /// # Errors
    /// What the expression fails with; 0A000 for one that has no value before it runs.
    pub fn constant(&self, query: &LogicalPlan, context: &PlanContext) -> Result<ScalarValue> {
        let state = self.state_for(context);
        let optimized = state.optimize(query).map_err(report)?;
        let LogicalPlan::Projection(projection) = &optimized else {
            return Err(ErrorReport::unsupported("a subquery where a constant must stand"));
        };
        let [expr] = projection.expr.as_slice() else {
            return Err(ErrorReport::internal("a constant has one column"));
        };
        let nothing = DFSchema::empty();
        let expr = expr.clone().unalias();
        let physical = state.create_physical_expr(expr, &nothing).map_err(report)?;
        let one_row = RecordBatchOptions::new().with_row_count(Some(1));
        let schema = Arc::new(Schema::empty());
        let row = RecordBatch::try_new_with_options(schema, vec![], &one_row)
            .map_err(|error| report(error.into()))?;
        match physical.evaluate(&row).map_err(report)? {
            ColumnarValue::Scalar(value) => Ok(value),
            ColumnarValue::Array(values) => ScalarValue::try_from_array(&values, 0).map_err(report),
        }
    }

    pub(crate) fn state_for(&self, context: &PlanContext) -> SessionState {
        let mut state = self.state.clone();
        if context.formats != SessionFormats::default() {
            context.formats.lay_into(state.config_mut().options_mut());
        }
        let options = Arc::clone(state.config_options());
        let properties = state.execution_props_mut();
        properties.query_execution_start_time = Some(context.now);
        // Functions of slice 0 keep these; those of other slices get the fragment's.
        properties.config_options = Some(options);
        state
    }

    pub(crate) fn optimized(
        &self,
        query: &LogicalPlan,
        state: &SessionState,
    ) -> Result<LogicalPlan> {
        let query = name_group_keys(query.clone()).and_then(draw_in_place).map_err(report)?;
        state.optimize(&query).and_then(name_join_keys).map_err(report)
    }

    pub(crate) async fn physical_plan(
        &self,
        query: &LogicalPlan,
        context: &PlanContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let state = self.state_for(context);
        let optimized = self.optimized(query, &state)?;
        let planner = Arc::clone(state.query_planner());
        planner.create_physical_plan(&optimized, &state).await.map_err(report)
    }
}

/// Rows to where a table has them; its columns are those from `first` on.
pub(crate) fn to_table(
    distributor: &Distributor,
    rows: Placed,
    table: &TableDef,
    first: usize,
) -> Result<Placed> {
    let columns = table.distribution_columns();
    match &table.distribution {
        Distribution::Replicated => Ok(rows.to_replicated()),
        Distribution::Random if rows.locus.is_partitioned() => Ok(rows),
        Distribution::Random => Ok(rows.moved(Motion::Spread, crate::locus::Locus::Strewn)),
        Distribution::Hash(_) => {
            let keys = columns.iter().map(|column| {
                let index = first + table.column_index(column.id)?;
                let field = rows.plan.schema().field(index).clone();
                let expr = datafusion::physical_expr::expressions::Column::new(field.name(), index);
                let class = column.sql_type.hash_class()?;
                Some(HashKey { expr: Arc::new(expr), class })
            });
            let keys = keys.collect::<Option<Vec<_>>>().ok_or_else(|| {
                ErrorReport::internal("a table's distribution key cannot be hashed")
            })?;
            let placed_so =
                crate::locus::Locus::hashed(keys.iter().enumerate().filter_map(|(at, key)| {
                    Some((first + table.column_index(columns[at].id)?, key.class))
                }));
            if rows.locus.is_also(&placed_so) {
                return Ok(rows);
            }
            Ok(distributor.redistribute(rows, keys))
        }
    }
}

/// How the main plan is placed.
pub(crate) type Place<'a> = &'a dyn Fn(&Distributor, &Arc<dyn ExecutionPlan>) -> Result<Placed>;

/// The rows of a query come to the coordinator.
pub(crate) fn gathered(distributor: &Distributor, plan: &Arc<dyn ExecutionPlan>) -> Result<Placed> {
    distributor.distribute(plan).map_err(report)
}

/// Splits off the init plans, distributes, checks and slices.
pub(crate) fn finish(
    physical: Arc<dyn ExecutionPlan>,
    context: &PlanContext,
    place: Place<'_>,
) -> Result<Plan> {
    let datanodes: Vec<DatanodeId> = context.catalog.datanode_ids();
    let distributor = Distributor {
        datanodes: datanodes.len(),
        bucket_map: Arc::clone(&context.catalog.bucket_map),
        everywhere: false,
        join_order: context.join_order,
    };
    let (main, init, init_values) = match physical.downcast_ref::<ScalarSubqueryExec>() {
        None => (physical, Vec::new(), ScalarSubqueryResults::default()),
        Some(with_subqueries) => {
            let mut links: Vec<_> = with_subqueries.subqueries().iter().collect();
            links.sort_by_key(|link| link.index.as_usize());
            let init = links
                .into_iter()
                .map(|link| finish(Arc::clone(&link.plan), context, &gathered))
                .collect::<Result<Vec<_>>>()?;
            (Arc::clone(with_subqueries.input()), init, with_subqueries.results().clone())
        }
    };
    let main = rewritten(main, &distributor, &context.rules).map_err(report)?;
    let root = place(&distributor, &main)?;
    check(&root)?;
    let slices = slice(&root, &datanodes, &context.catalog.bucket_map).map_err(report)?;
    let schema = root.plan.schema();
    Ok(Plan { init, init_values, root: Arc::new(root), slices, schema })
}
