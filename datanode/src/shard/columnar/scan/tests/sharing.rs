//! Execution partitions share the pieces: together they give every row once.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, TryStreamExt};
use kestrel_planner::operators::{ShardScan, ShardStore};

use super::table::{Cut, Table, context, random_rows};

fn ids(batches: &[RecordBatch]) -> Vec<i64> {
    batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn every_id() -> Vec<i64> {
    (0..21_000).collect()
}

async fn read(plan: &Arc<dyn ExecutionPlan>, partition: usize) -> Vec<i64> {
    let rows = plan.execute(partition, context(1_000)).unwrap();
    ids(&rows.try_collect::<Vec<_>>().await.unwrap())
}

async fn table() -> (Table, Arc<dyn ExecutionPlan>) {
    let cut = Cut { segment_rows: 9_000, row_group_rows: 2_000, partitions: 3 };
    let table = Table::new(random_rows(21_000, 11), cut).await;
    let scan = ShardScan { projection: vec![0, 3], ..table.scan(&[]) };
    let plan = table.store.scan(&scan).unwrap();
    assert_eq!(plan.output_partitioning().partition_count(), 3);
    (table, plan)
}

#[tokio::test]
async fn each_row_is_read_once() {
    let (_table, plan) = table().await;
    let (a, b, c) = tokio::join!(read(&plan, 0), read(&plan, 1), read(&plan, 2));
    // Each gets the pieces in their order.
    assert!([&a, &b, &c].iter().all(|ids| ids.is_sorted()));
    let mut all = [a, b, c].concat();
    all.sort_unstable();
    assert_eq!(all, every_id());
}

#[tokio::test]
async fn a_partition_finishes_alone() {
    let (_table, plan) = table().await;
    // One that has begun, and is not asked any more.
    let mut idle = plan.execute(2, context(1_000)).unwrap();
    let first = futures::poll!(idle.next());
    let alone = read(&plan, 1).await;
    let mut rest = read(&plan, 0).await;
    if let std::task::Poll::Ready(Some(batch)) = first {
        rest.extend(ids(&[batch.unwrap()]));
    }
    rest.extend(ids(&idle.try_collect::<Vec<_>>().await.unwrap()));
    assert!(alone.len() > rest.len(), "{} rows alone, {} else", alone.len(), rest.len());
    let mut all = [alone, rest].concat();
    all.sort_unstable();
    assert_eq!(all, every_id());
}

#[tokio::test]
async fn a_scan_can_be_run_again() {
    let (_table, plan) = table().await;
    let reset = Arc::clone(&plan).reset_state().unwrap();
    for plan in [&plan, &plan, &reset] {
        let mut all = Vec::new();
        for partition in 0..3 {
            all.extend(read(plan, partition).await);
        }
        all.sort_unstable();
        assert_eq!(all, every_id());
    }
}
