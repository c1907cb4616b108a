//! UPDATE and DELETE of a table whose rows databases hold: which rows, which new values, and where
//! such rows can be. The databases do it.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    common::{
        ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{LogicalPlan, Operator},
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, Literal},
        split_conjunction,
    },
    physical_plan::{ExecutionPlan, empty::EmptyExec, projection::ProjectionExec},
};
use kestrel_proto::{BucketMap, DatanodeId, Result};

use crate::{
    catalog::{Distribution, SqlType, TableDef},
    error::report,
    operators::ShardScanExec,
    placement::buckets,
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
            Distribution::Hash(_) if !found.is_empty() => {
                let owner = owner(&conditions, table, &context.catalog.bucket_map);
                owner.map_or_else(|| found.into_iter().collect(), |owner| vec![owner])
            }
            Distribution::Replicated | Distribution::Hash(_) | Distribution::Random => {
                found.into_iter().collect()
            }
        };
        Ok(Some(ChangePlan { conditions, values, datanodes }))
    }
}

/// The one datanode that can have such rows: the conditions give each column of the distribution key
/// a value.
fn owner(
    conditions: &[Arc<dyn PhysicalExpr>],
    table: &TableDef,
    map: &BucketMap,
) -> Option<DatanodeId> {
    let equal: Vec<_> =
        conditions.iter().flat_map(split_conjunction).filter_map(equality).collect();
    let (mut values, mut classes) = (Vec::new(), Vec::new());
    for column in table.distribution_columns() {
        let at = table.column_index(column.id)?;
        let class = column.sql_type.hash_class()?;
        let (_, value) = equal.iter().find(|(index, _)| *index == at)?;
        let of_value = SqlType::of_arrow(&value.data_type())?.hash_class()?;
        // Equal values of another class have other hashes.
        if of_value != class || value.is_null() {
            return None;
        }
        values.push(value.to_array().ok()?);
        classes.push(class);
    }
    let bucket = buckets(&values, &classes).ok()?.first().copied()?;
    Some(map.owner(bucket))
}

/// `column = constant`, either way round.
fn equality(expr: &Arc<dyn PhysicalExpr>) -> Option<(usize, ScalarValue)> {
    let binary = expr.downcast_ref::<BinaryExpr>().filter(|b| *b.op() == Operator::Eq)?;
    let sides = [(binary.left(), binary.right()), (binary.right(), binary.left())];
    sides.into_iter().find_map(|(column, constant)| {
        let column = column.downcast_ref::<Column>()?;
        let constant = constant.downcast_ref::<Literal>()?;
        Some((column.index(), constant.value().clone()))
    })
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
