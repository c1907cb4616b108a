//! Every kind of conjunct gives what DataFusion's filter gives.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch, StringViewArray},
    datatypes::DataType,
};
use datafusion::{
    common::ScalarValue,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{
            BinaryExpr, Column, IsNotNullExpr, IsNullExpr, LikeExpr, NotExpr, in_list, lit,
        },
    },
};
use kestrel_planner::operators::{ShardScan, ShardStore};

use super::table::{Cut, Random, Table, random_rows, rows_of, value};

const COMPARISONS: [Operator; 6] =
    [Operator::Eq, Operator::NotEq, Operator::Lt, Operator::LtEq, Operator::Gt, Operator::GtEq];

fn column(table: &RecordBatch, index: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(table.schema().field(index).name(), index))
}

fn binary(
    left: Arc<dyn PhysicalExpr>,
    operator: Operator,
    right: Arc<dyn PhysicalExpr>,
) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(left, operator, right))
}

/// A random condition over random columns.
fn condition(table: &RecordBatch, random: &mut Random, depth: usize) -> Arc<dyn PhysicalExpr> {
    let index = 1 + random.below(table.num_columns() as u64 - 1) as usize;
    let of = column(table, index);
    let array = table.column(index);
    let operator = COMPARISONS[random.below(6) as usize];
    let constant = |random: &mut Random| lit(value(array, random));
    match random.below(if depth < 3 { 11 } else { 7 }) {
        0 | 1 => binary(of, operator, constant(random)),
        2 => binary(constant(random), operator, of),
        3 => {
            let list = (0..1 + random.below(5)).map(|_| constant(random)).collect();
            in_list(of, list, &(random.below(3) == 0), &table.schema()).unwrap()
        }
        4 => Arc::new(IsNullExpr::new(of)),
        5 => Arc::new(IsNotNullExpr::new(of)),
        6 if *array.data_type() == DataType::Utf8View => {
            let pattern = ["%1%", "1 in%", "%", "", "_2%words%"][random.below(5) as usize];
            let pattern = lit(ScalarValue::Utf8View(Some(pattern.into())));
            Arc::new(LikeExpr::new(random.below(3) == 0, false, of, pattern))
        }
        6 => {
            // Two columns of one type.
            let mut others = (1..table.num_columns())
                .filter(|i| table.column(*i).data_type() == array.data_type());
            let other = others.nth(random.below(4) as usize).unwrap_or(index);
            binary(of, operator, column(table, other))
        }
        7 | 8 => {
            let (a, b) = (condition(table, random, depth + 1), condition(table, random, depth + 1));
            binary(a, Operator::Or, b)
        }
        9 => {
            let (a, b) = (condition(table, random, depth + 1), condition(table, random, depth + 1));
            binary(a, Operator::And, b)
        }
        _ => Arc::new(NotExpr::new(condition(table, random, depth + 1))),
    }
}

#[tokio::test]
async fn rows_that_pass_are_those_of_datafusions_filter() {
    let cuts = [
        Cut { segment_rows: 9_000, row_group_rows: 4_000, partitions: 3 },
        Cut { segment_rows: 1 << 20, row_group_rows: 20_000, partitions: 1 },
        Cut { segment_rows: 1 << 20, row_group_rows: 1 << 20, partitions: 2 },
    ];
    for (seed, cut) in cuts.into_iter().enumerate() {
        let table = Table::new(random_rows(21_000, seed as u64 + 1), cut).await;
        let mut random = Random::new(seed as u64 + 99);
        for round in 0..120 {
            let filters: Vec<_> =
                (0..1 + random.below(4)).map(|_| condition(&table.rows, &mut random, 0)).collect();
            let Some(expected) = table.expected(&filters).await else { continue };
            let batch_rows = [100, 1_000, 8192, 20_000][round % 4];
            let plan = table.store.scan(&table.scan(&filters)).unwrap();
            let found = rows_of(plan, batch_rows).await.unwrap();
            assert_eq!(found.num_rows(), expected.num_rows(), "{filters:#?}");
            assert_eq!(found, expected, "{filters:#?}");
        }
    }
}

/// Columns that only filters need, columns that come twice, and none at all.
#[tokio::test]
async fn projections_are_what_was_asked_for() {
    let cut = Cut { segment_rows: 9_000, row_group_rows: 4_000, partitions: 2 };
    let table = Table::new(random_rows(21_000, 5), cut).await;
    let filters = [binary(
        column(&table.rows, 2),
        Operator::Lt,
        lit(ScalarValue::try_from_array(table.rows.column(2), 3).unwrap()),
    )];
    let expected = table.expected(&filters).await.unwrap();
    for projection in [vec![0, 2], vec![0, 9, 9], vec![0], vec![]] {
        let scan = ShardScan { projection: projection.clone(), ..table.scan(&filters) };
        let plan = table.store.scan(&scan).unwrap();
        if projection.is_empty() {
            let batches = datafusion::physical_plan::collect(plan, Arc::default()).await.unwrap();
            let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(rows, expected.num_rows());
            continue;
        }
        let found = rows_of(plan, 8192).await.unwrap();
        assert_eq!(found, expected.project(&projection).unwrap());
    }
}

/// What may fail sees only rows that all else has let pass, wherever it is written.
#[tokio::test]
async fn what_may_fail_is_asked_last() {
    let divisors = Int64Array::from_iter_values((0..10_000).map(|i| i % 5));
    let rows = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(0..10_000)) as ArrayRef),
        ("divisor", Arc::new(divisors)),
        (
            "text",
            Arc::new(StringViewArray::from_iter_values(
                (0..10_000)
                    .map(|i| if i % 5 == 0 { "none".to_string() } else { (i % 7).to_string() }),
            )),
        ),
    ])
    .unwrap();
    let cut = Cut { segment_rows: 1 << 20, row_group_rows: 9_000, partitions: 1 };
    let table = Table::new(rows, cut).await;
    let integer = |n| lit(ScalarValue::Int64(Some(n)));
    let quotient = || binary(column(&table.rows, 0), Operator::Divide, column(&table.rows, 1));
    let fails = || binary(quotient(), Operator::Gt, integer(1_000));
    let parsed = datafusion::physical_expr::expressions::cast(
        column(&table.rows, 2),
        &table.schema(),
        DataType::Int64,
    );
    let parsed = || binary(Arc::clone(parsed.as_ref().unwrap()), Operator::Eq, integer(3));
    let guard = || binary(column(&table.rows, 1), Operator::NotEq, integer(0));
    let both = || binary(fails(), Operator::Or, parsed());
    for (filters, passes) in [
        (vec![fails(), guard()], true),
        (vec![guard(), fails()], true),
        (vec![parsed(), fails(), guard()], true),
        (vec![both(), guard()], true),
        (vec![fails()], false),
        (vec![parsed()], false),
    ] {
        let plan = table.store.scan(&table.scan(&filters)).unwrap();
        let found = rows_of(plan, 8192).await;
        assert_eq!(found.is_ok(), passes, "{filters:?}: {:?}", found.err());
        if let Ok(found) = found {
            let ids = found.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
            assert!(ids.len() > 100 && ids.values().iter().all(|id| id % 5 != 0));
        }
    }
}
