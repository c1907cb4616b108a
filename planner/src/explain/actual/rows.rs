//! How many rows the operators of a fragment gave, by the planned ones: a few bytes that every run can
//! tell, where EXPLAIN ANALYZE tells much.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use super::align::{Place, Tree, align, operator_of};
use crate::operators::UNMEASURED;

/// Rows of the operators of a slice on one datanode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorRows {
    /// In pre-order: the rows that an operator gave, and 1 more; 0: it did not run as planned, or does
    /// not tell.
    pub rows: Vec<u64>,
    /// The positions of joins that ran with their inputs the other way round.
    pub turned: Vec<u32>,
}

/// What the operators of a plan gave, which ran as another one that rules have made of it, and which has
/// ended. Rows are those that operators count anyway: nothing is counted for it. `is_inner`: is it a part
/// of the operator above it, two that were planned as one? It has no entry, and that one's rows are told.
pub fn operator_rows(
    planned: &Arc<dyn ExecutionPlan>,
    ran: &Arc<dyn ExecutionPlan>,
    is_inner: &dyn Fn(&dyn ExecutionPlan) -> bool,
) -> OperatorRows {
    let (mut tree, mut ran_tree, mut counted) = (Tree::default(), Tree::default(), Vec::new());
    let mut inner = Vec::new();
    add_planned(&mut tree, &mut inner, None, planned.as_ref(), is_inner);
    add_ran(&mut ran_tree, &mut counted, None, ran.as_ref());
    let mut found = OperatorRows { rows: vec![0; tree.size()], turned: Vec::new() };
    for (place, rows) in align(&tree, &ran_tree).into_iter().zip(counted) {
        let Place::Same { planned, is_turned } = place else { continue };
        if let (Some(rows), Some(entry)) = (rows, found.rows.get_mut(planned)) {
            *entry = rows + 1;
        }
        if is_turned {
            found.turned.push(planned as u32);
        }
    }
    // What they gave is not what the two gave.
    for at in &inner {
        if let Some(entry) = found.rows.get_mut(*at) {
            *entry = 0;
        }
    }
    raise_filtered(&tree, &mut found.rows);
    found.without(&inner)
}

impl OperatorRows {
    /// Without operators at these positions, in ascending order.
    fn without(self, inner: &[usize]) -> Self {
        if inner.is_empty() {
            return self;
        }
        let is_kept = |at: usize| inner.binary_search(&at).is_err();
        let rows = self.rows.into_iter().enumerate().filter(|(at, _)| is_kept(*at));
        let before = |at: usize| inner.partition_point(|inner| *inner < at);
        let turned = self.turned.into_iter().filter(|at| is_kept(*at as usize));
        let turned = turned.map(|at| at - before(at as usize) as u32);
        Self { rows: rows.map(|(_, rows)| rows).collect(), turned: turned.collect() }
    }
}

/// Where a scan has done what a filter over it was to do, the rows are the filter's.
fn raise_filtered(tree: &Tree, rows: &mut [u64]) {
    for at in (0..tree.size()).rev() {
        let input = tree.only_input(at).filter(|_| tree.kind(at) == "FilterExec");
        let Some(input) = input else { continue };
        if rows.get(at) == Some(&0)
            && let Some(below) = rows.get_mut(input)
        {
            let of_filter = std::mem::take(below);
            if let Some(entry) = rows.get_mut(at) {
                *entry = of_filter;
            }
        }
    }
}

fn add_planned(
    tree: &mut Tree,
    inner: &mut Vec<usize>,
    parent: Option<usize>,
    plan: &dyn ExecutionPlan,
    is_inner: &dyn Fn(&dyn ExecutionPlan) -> bool,
) {
    let at = tree.add(parent, operator_of(plan));
    if is_inner(plan) {
        inner.push(at);
    }
    let children = plan.children().into_iter();
    children.for_each(|child| add_planned(tree, inner, Some(at), child.as_ref(), is_inner));
}

fn add_ran(
    tree: &mut Tree,
    counted: &mut Vec<Option<u64>>,
    parent: Option<usize>,
    plan: &dyn ExecutionPlan,
) {
    let mut above = parent;
    if !UNMEASURED.contains(&plan.name()) {
        above = Some(tree.add(parent, operator_of(plan)));
        counted.push(rows_of(plan));
    }
    plan.children().into_iter().for_each(|child| add_ran(tree, counted, above, child.as_ref()));
}

fn rows_of(plan: &dyn ExecutionPlan) -> Option<u64> {
    if plan.name() == "EmptyExec" {
        return Some(0);
    }
    plan.metrics()?.output_rows().map(|rows| rows as u64)
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, Int64Array},
        record_batch::RecordBatch,
    };
    use datafusion::{
        common::ScalarValue,
        datasource::memory::MemorySourceConfig,
        physical_expr::{
            PhysicalExpr,
            expressions::{BinaryExpr, Column, Literal},
        },
        physical_plan::{
            coalesce_partitions::CoalescePartitionsExec, collect, filter::FilterExec,
            joins::CrossJoinExec, limit::GlobalLimitExec, union::UnionExec,
        },
    };

    use super::*;

    fn numbers(rows: i64) -> Arc<dyn ExecutionPlan> {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let schema = batch.schema();
        MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None).unwrap()
    }

    fn less_than(limit: i64, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new("n", 0));
        let limit = Arc::new(Literal::new(ScalarValue::Int64(Some(limit))));
        let less = BinaryExpr::new(column, datafusion::logical_expr::Operator::Lt, limit);
        Arc::new(FilterExec::try_new(Arc::new(less), input).unwrap())
    }

    fn limited(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(GlobalLimitExec::new(input, 0, Some(100)))
    }

    fn counted(planned: &Arc<dyn ExecutionPlan>, ran: &Arc<dyn ExecutionPlan>) -> Vec<u64> {
        operator_rows(planned, ran, &|_| false).rows
    }

    #[tokio::test]
    async fn two_operators_may_be_one_planned_one() {
        let join =
            |left, right| -> Arc<dyn ExecutionPlan> { Arc::new(CrossJoinExec::new(left, right)) };
        let scan = || less_than(3, limited(numbers(5)));
        let planned = join(scan(), join(numbers(1), scan()));
        let ran = join(scan(), join(numbers(1), scan()));
        collect(Arc::clone(&ran), Arc::default()).await.unwrap();
        let is_inner = |plan: &dyn ExecutionPlan| plan.is::<GlobalLimitExec>();
        assert_eq!(counted(&planned, &ran), [10, 4, 6, 0, 4, 0, 4, 6, 0]);
        assert_eq!(operator_rows(&planned, &ran, &is_inner).rows, [10, 4, 0, 4, 0, 4, 0]);
        // The filter is done above: what the inner one gave is not told instead.
        let ran = limited(numbers(5));
        collect(Arc::clone(&ran), Arc::default()).await.unwrap();
        assert_eq!(operator_rows(&scan(), &ran, &is_inner).rows, [0, 0]);
    }

    #[test]
    fn turned_joins_are_counted_without_inner_operators() {
        let found = OperatorRows { rows: vec![1, 2, 3, 4, 5], turned: vec![0, 2, 4] };
        let expected = OperatorRows { rows: vec![1, 3, 5], turned: vec![0, 1, 2] };
        assert_eq!(found.without(&[1, 3]), expected);
    }

    #[tokio::test]
    async fn rows_are_those_of_planned_operators() {
        let union = || UnionExec::try_new(vec![less_than(3, numbers(5)), numbers(4)]).unwrap();
        let planned = limited(union());
        let ran = limited(Arc::new(CoalescePartitionsExec::new(union())));
        // Nothing has run.
        assert_eq!(counted(&planned, &ran), [0, 0, 0, 0, 0]);
        collect(Arc::clone(&ran), Arc::default()).await.unwrap();
        // Limit, union, filter; rows in memory are not counted.
        assert_eq!(counted(&planned, &ran), [8, 8, 4, 0, 0]);
    }

    #[tokio::test]
    async fn what_an_input_has_filtered_is_the_filters() {
        let union = || UnionExec::try_new(vec![numbers(2), numbers(1)]).unwrap();
        let planned = limited(less_than(3, union()));
        let ran = limited(Arc::new(CoalescePartitionsExec::new(union())));
        collect(Arc::clone(&ran), Arc::default()).await.unwrap();
        assert_eq!(counted(&planned, &ran), [4, 4, 0, 0, 0]);
    }
}
