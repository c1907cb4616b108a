//! UPDATE and DELETE of a table whose rows databases hold: which rows, which new values, and where
//! such rows can be. The databases do it.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    common::tree_node::{Transformed, TreeNode},
    logical_expr::LogicalPlan,
    physical_expr::{PhysicalExpr, expressions::Column},
    physical_plan::{ExecutionPlan, empty::EmptyExec, projection::ProjectionExec},
};
use kestrel_proto::{DatanodeId, Result};

use crate::{
    catalog::{Distribution, TableDef},
    error::report,
    operators::ShardScanExec,
    plan::{PlanContext, Planner, finish, gathered},
};

/// What databases are to change.
#[derive(Clone, Debug)]
pub struct ChangePlan {
    /// Which rows: conditions over the table's columns, of which all must hold.
    pub conditions: Vec<Arc<dyn PhysicalExpr>>,
    /// The new values, over the table's columns.
    pub values: Vec<Arc<dyn PhysicalExpr>>,
    /// Where such rows can be.
    pub datanodes: Vec<DatanodeId>,
}

impl Planner {
    /// Plans the change of the rows of `table` that `query` selects the new values from; it reads
    /// nothing else. `None`: that is more than a scan with filters.
    pub async fn plan_change(
        &self,
        query: &LogicalPlan,
        table: &TableDef,
        context: &PlanContext,
    ) -> Result<Option<ChangePlan>> {
        let physical = self.physical_plan(query, context).await?;
        let Some((conditions, values)) = over_one_scan(&physical) else { return Ok(None) };
        let plan = finish(physical, context, &gathered)?;
        if !plan.init.is_empty() {
            return Ok(None);
        }
        let slices = plan.slices.iter().filter(|slice| slice.id.0 != 0);
        let found: BTreeSet<_> = slices.flat_map(|slice| slice.executors.iter().copied()).collect();
        let datanodes = match table.distribution {
            // One is read; all have the rows.
            Distribution::Replicated if !found.is_empty() => context.catalog.datanode_ids(),
            Distribution::Replicated | Distribution::Hash(_) | Distribution::Random => {
                found.into_iter().collect()
            }
        };
        Ok(Some(ChangePlan { conditions, values, datanodes }))
    }
}

type Exprs = Vec<Arc<dyn PhysicalExpr>>;

/// Conditions and values, if the plan is a projection over a scan; none of both if it has no rows.
fn over_one_scan(plan: &Arc<dyn ExecutionPlan>) -> Option<(Exprs, Exprs)> {
    if plan.downcast_ref::<EmptyExec>().is_some() {
        return Some((Vec::new(), Vec::new()));
    }
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else {
        let scan = plan.downcast_ref::<ShardScanExec>()?;
        let schema = plan.schema();
        let column = |(at, field): (usize, &Arc<arrow::datatypes::Field>)| {
            of_table(Arc::new(Column::new(field.name(), at)), scan)
        };
        let values = schema.fields().iter().enumerate().map(column);
        return Some((scan.filters().to_vec(), values.collect::<Option<_>>()?));
    };
    let input = projection.input();
    if input.downcast_ref::<EmptyExec>().is_some() {
        return Some((Vec::new(), Vec::new()));
    }
    let scan = input.downcast_ref::<ShardScanExec>()?;
    let values = projection.expr().iter().map(|output| of_table(Arc::clone(&output.expr), scan));
    Some((scan.filters().to_vec(), values.collect::<Option<_>>()?))
}

/// An expression over a scan's output as one over the table's columns.
fn of_table(expr: Arc<dyn PhysicalExpr>, scan: &ShardScanExec) -> Option<Arc<dyn PhysicalExpr>> {
    let moved = expr.transform(|node| {
        let Some(column) = node.downcast_ref::<Column>() else {
            return Ok(Transformed::no(node));
        };
        match scan.projection().get(column.index()) {
            Some(at) => Ok(Transformed::yes(Arc::new(Column::new(column.name(), *at)) as _)),
            None => Ok(Transformed::no(node)),
        }
    });
    moved.map_err(report).ok().map(|moved| moved.data)
}
