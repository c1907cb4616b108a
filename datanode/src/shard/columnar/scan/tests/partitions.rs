//! Partitions of which no row can pass are not opened.

use std::{ops::Range, sync::Arc};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use datafusion::{
    common::ScalarValue,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, lit},
    },
    physical_plan::ExecutionPlan,
};
use kestrel_planner::operators::{ScanPartition, ShardScan, ShardStore};
use kestrel_proto::TableId;

use super::table::{Cut, Table, metric, rows_of};
use crate::{
    runtime_filter::{KeySet, RuntimeFilter},
    shard::ColumnarScanExec,
};

fn rows(ids: Range<i64>, text: &str) -> RecordBatch {
    let text = StringViewArray::from_iter_values(ids.clone().map(|_| text));
    let ids = Int64Array::from_iter_values(ids);
    let columns = [("id", Arc::new(ids) as ArrayRef), ("text", Arc::new(text) as ArrayRef)];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Three partitions by the list of their texts, `a`, `b`, and both `c` and `d`, with the ids of one
/// hundred after the other; and what a scan of them is.
async fn table() -> (Table, ShardScan) {
    let cut = Cut { segment_rows: 1000, row_group_rows: 1000, partitions: 1 };
    let mut table = Table::new(rows(0..100, "a"), cut).await;
    table.add(TableId(8), rows(100..200, "b")).await;
    table.add(TableId(9), rows(200..300, "c")).await;
    let listed = |texts: &[&str]| {
        let texts = texts.iter().map(|text| ScalarValue::Utf8View(Some((*text).to_string())));
        vec![(1, texts.collect())]
    };
    let partitions = [(7, listed(&["a"])), (8, listed(&["b"])), (9, listed(&["c", "d"]))];
    let partition = |(id, values)| ScanPartition { table_id: TableId(id), values };
    let partitions = partitions.into_iter().map(partition).collect();
    let scan = ShardScan { partitions, partitions_left_out: 2, ..table.scan(&[]) };
    (table, scan)
}

/// The ids that come, and how many partitions were pruned: of all, the two that the coordinator has left
/// out among them.
async fn check(plan: Arc<dyn ExecutionPlan>, ids: Range<i64>, pruned: usize) {
    let found = rows_of(Arc::clone(&plan), 8192).await.unwrap();
    let expected: ArrayRef = Arc::new(Int64Array::from_iter_values(ids.clone()));
    assert_eq!(found.column(0), &expected, "{ids:?}");
    assert_eq!(metric(&plan, "partitions"), 5, "{ids:?}");
    assert_eq!(metric(&plan, "partitions_pruned"), pruned, "{ids:?}");
    assert_eq!(metric(&plan, "segments_pruned"), pruned - 2, "{ids:?}");
}

#[tokio::test]
async fn by_the_keys_of_a_join() {
    let (table, scan) = table().await;
    let integers = |keys: Range<i64>| Arc::new(Int64Array::from_iter_values(keys)) as ArrayRef;
    let strings = |keys: &[&str]| Arc::new(StringViewArray::from_iter_values(keys)) as ArrayRef;
    for (column, keys, ids, pruned) in [
        (0, integers(150..151), 150..151, 4),
        (0, integers(50..250), 50..250, 2),
        (0, integers(0..0), 0..0, 5),
        (0, integers(1000..1001), 0..0, 5),
        (1, strings(&["b"]), 100..200, 4),
        (1, strings(&["a", "b"]), 0..200, 3),
        (1, strings(&["d", "a", "b"]), 0..200, 2),
    ] {
        let filter = RuntimeFilter::new();
        filter.set(KeySet::of(&[keys]).unwrap().unwrap());
        let plan = table.store.scan(&scan).unwrap();
        let plan = plan.downcast_ref::<ColumnarScanExec>().unwrap();
        check(Arc::new(plan.with_runtime_filter(column, filter)), ids, pruned).await;
    }
    // Nothing is known.
    let plan = table.store.scan(&scan).unwrap();
    let plan = plan.downcast_ref::<ColumnarScanExec>().unwrap();
    check(Arc::new(plan.with_runtime_filter(0, RuntimeFilter::new())), 0..300, 2).await;
}

#[tokio::test]
async fn by_conditions_of_other_columns() {
    let (table, scan) = table().await;
    let id: Arc<dyn PhysicalExpr> = Arc::new(Column::new("id", 0));
    let above: Arc<dyn PhysicalExpr> =
        Arc::new(BinaryExpr::new(id, Operator::GtEq, lit(ScalarValue::Int64(Some(180)))));
    let scan = ShardScan { filters: vec![above], ..scan };
    check(table.store.scan(&scan).unwrap(), 180..300, 3).await;
}
