//! Sorts end with their query.
//!
//! A sort spawns a task for each of its batches, hundreds at once, and what would drop them waits
//! behind them for a thread. So each looks whether the query has ended before it sorts its batch:
//! when it evaluates the sort's expressions.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, FieldRef, Schema},
};
use datafusion::{
    common::tree_node::{Transformed, TransformedResult, TreeNode},
    error::{DataFusionError, Result},
    logical_expr::ColumnarValue,
    physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr},
    physical_plan::{ExecutionPlan, sorts::sort::SortExec},
};
use tokio_util::sync::CancellationToken;

use crate::pass_through::PassThroughExec;

/// Lets every sort look at `stop`. Not those that keep only the first rows: they spawn nothing.
pub(super) fn with_stops(
    plan: Arc<dyn ExecutionPlan>,
    stop: &CancellationToken,
) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| {
        let Some(sort) = plan.downcast_ref::<SortExec>() else { return Ok(Transformed::no(plan)) };
        let keys = sort.expr().iter().map(|key| {
            let expr = UntilStopped { inner: Arc::clone(&key.expr), stop: stop.clone() };
            PhysicalSortExpr::new(Arc::new(expr), key.options)
        });
        match LexOrdering::new(keys) {
            Some(keys) if sort.fetch().is_none() => {
                let stopping = SortExec::new(keys, Arc::clone(sort.input()))
                    .with_preserve_partitioning(sort.preserve_partitioning());
                // To what is above it, the rows come in the order of the sort that it was.
                let properties = Arc::clone(plan.properties());
                let sort = PassThroughExec::new(Arc::new(stopping), properties, |rows| rows);
                Ok(Transformed::yes(Arc::new(sort) as _))
            }
            _ => Ok(Transformed::no(plan)),
        }
    })
    .data()
}

/// An expression that fails once the query has ended.
#[derive(Debug)]
struct UntilStopped {
    inner: Arc<dyn PhysicalExpr>,
    stop: CancellationToken,
}

impl PartialEq for UntilStopped {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for UntilStopped {}

impl Hash for UntilStopped {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for UntilStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for UntilStopped {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stop.is_cancelled() {
            return Err(DataFusionError::Execution("the query has ended".into()));
        }
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let stop = self.stop.clone();
        match children.pop() {
            Some(inner) => Ok(Arc::new(Self { inner, stop })),
            None => Err(DataFusionError::Internal("a sort key is gone".into())),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use datafusion::{
        datasource::memory::MemorySourceConfig,
        physical_expr::expressions::Column,
        physical_plan::{collect, windows::get_ordered_partition_by_indices},
    };

    use super::*;

    #[tokio::test]
    async fn a_sort_fails_once_its_query_has_ended() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![3, 1, 2]));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let input = MemorySourceConfig::try_new_exec(
            &[vec![batch.clone(), batch.clone()]],
            batch.schema(),
            None,
        )
        .unwrap();
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new("n", 0));
        let key = PhysicalSortExpr::new_default(Arc::clone(&column));
        let sort = SortExec::new(LexOrdering::new([key]).unwrap(), input);
        let stop = CancellationToken::new();
        let plan = with_stops(Arc::new(sort), &stop).unwrap();
        // What is above still finds the order.
        assert_eq!(get_ordered_partition_by_indices(&[column], &plan).unwrap(), [0]);
        let sorted = collect(Arc::clone(&plan), Arc::default()).await.unwrap();
        let sorted: Vec<i64> = sorted
            .iter()
            .flat_map(|b| {
                b.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec()
            })
            .collect();
        assert_eq!(sorted, [1, 1, 2, 2, 3, 3]);
        stop.cancel();
        let error = collect(plan, Arc::default()).await.unwrap_err();
        assert!(error.to_string().contains("the query has ended"), "{error}");
    }
}
