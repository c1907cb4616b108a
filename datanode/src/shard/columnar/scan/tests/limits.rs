//! No more rows than are wanted, from all execution partitions together.

use kestrel_planner::operators::{ShardScan, ShardStore};

use super::table::{Cut, Table, random_rows, rows_of};

#[tokio::test]
async fn as_many_rows_as_are_wanted() {
    let cut = Cut { segment_rows: 3_000, row_group_rows: 1_000, partitions: 3 };
    let table = Table::new(random_rows(10_000, 3), cut).await;
    for fetch in [0, 1, 5, 999, 1_000, 1_001, 9_999, 10_000, 20_000] {
        for batch_rows in [64, 8192] {
            let scan = ShardScan { fetch: Some(fetch), projection: vec![0, 4], ..table.scan(&[]) };
            let plan = table.store.scan(&scan).unwrap();
            assert_eq!(plan.fetch(), Some(fetch));
            let found = rows_of(plan, batch_rows).await.unwrap();
            assert_eq!(found.num_rows(), fetch.min(10_000));
            // One that DataFusion lays into the plan.
            let plan = table.store.scan(&table.scan(&[])).unwrap().with_fetch(Some(fetch)).unwrap();
            assert_eq!(rows_of(plan, batch_rows).await.unwrap().num_rows(), fetch.min(10_000));
        }
    }
}
