//! What the bounds of pieces and zones rule out is not looked at.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use datafusion::{
    common::ScalarValue,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, IsNullExpr, in_list, lit},
    },
};
use kestrel_planner::operators::ShardStore;

use super::table::{Cut, Table, metric, rows_of};

/// 50,000 rows in order, in pieces of 20,000: zones of 8192, 8192, 3616; the same; 8192, 1808.
async fn table() -> Table {
    let number = |i: i64| i / 10;
    let rows = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(0..50_000)) as ArrayRef),
        ("number", Arc::new(Int64Array::from_iter_values((0..50_000).map(number)))),
        (
            "text",
            Arc::new(StringViewArray::from_iter_values(
                (0..50_000).map(|i| format!("{:05}", number(i))),
            )),
        ),
    ]);
    let cut = Cut { segment_rows: 1 << 20, row_group_rows: 20_000, partitions: 1 };
    Table::new(rows.unwrap(), cut).await
}

fn compare(
    name: &str,
    index: usize,
    operator: Operator,
    value: ScalarValue,
) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(Arc::new(Column::new(name, index)), operator, lit(value)))
}

#[tokio::test]
async fn pieces_and_zones_that_cannot_match_are_left_out() {
    let table = table().await;
    let number = |operator, n| compare("number", 1, operator, ScalarValue::Int64(Some(n)));
    let text = |operator, s: &str| {
        compare("text", 2, operator, ScalarValue::Utf8View(Some(s.to_string())))
    };
    let either = |a, b| -> Arc<dyn PhysicalExpr> { Arc::new(BinaryExpr::new(a, Operator::Or, b)) };
    let one_of = |numbers: &[i64]| {
        let list = numbers.iter().map(|n| lit(ScalarValue::Int64(Some(*n)))).collect();
        in_list(Arc::new(Column::new("number", 1)), list, &false, &table.schema()).unwrap()
    };
    let is_null: Arc<dyn PhysicalExpr> =
        Arc::new(IsNullExpr::new(Arc::new(Column::new("number", 1))));
    for (filters, rows, pieces, zones) in [
        // The segment is not opened, which is known to have no such rows.
        (vec![number(Operator::Lt, 0)], 0, 0, 0),
        (vec![number(Operator::Eq, 2_500)], 10, 2, 2),
        (vec![number(Operator::GtEq, 100), number(Operator::Lt, 110)], 100, 2, 2),
        (vec![number(Operator::GtEq, 4_900)], 1_000, 2, 1),
        (vec![number(Operator::NotEq, 7)], 49_990, 0, 0),
        (vec![one_of(&[3, 4_999])], 20, 1, 3),
        (vec![either(number(Operator::Eq, 3), number(Operator::Eq, 4_999))], 20, 1, 3),
        (vec![text(Operator::Gt, "04899")], 1_000, 2, 0),
        (vec![text(Operator::Eq, "9")], 0, 3, 0),
        (vec![is_null], 0, 0, 0),
    ] {
        let plan = table.store.scan(&table.scan(&filters)).unwrap();
        let found = rows_of(Arc::clone(&plan), 8192).await.unwrap();
        let counts =
            (found.num_rows(), metric(&plan, "pieces_pruned"), metric(&plan, "zones_pruned"));
        assert_eq!(counts, (rows, pieces, zones), "{filters:?}");
        let is_closed = metric(&plan, "segments_pruned") == 1;
        assert_eq!(is_closed, rows == 0 && pieces == 0, "{filters:?}");
        let opened = if is_closed { 0 } else { 3 };
        assert_eq!(metric(&plan, "pieces_read"), opened - pieces, "{filters:?}");
        assert_eq!(metric(&plan, "segments_read") > 0, pieces < opened, "{filters:?}");
        assert!(metric(&plan, "segments_read") <= metric(&plan, "segments"), "{filters:?}");
    }
}
