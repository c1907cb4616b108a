//! Rows that cannot join are dropped, whenever that is known.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
};
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use kestrel_planner::operators::{ShardScan, ShardStore};

use super::table::{Cut, Table, context, metric, random_rows};
use crate::{
    runtime_filter::{KeySet, RuntimeFilter},
    shard::ColumnarScanExec,
};

/// These keys exactly.
fn keys(keys: impl Iterator<Item = i64> + Clone) -> KeySet {
    let (Some(min), Some(max)) = (keys.clone().min(), keys.clone().max()) else {
        return KeySet::Empty;
    };
    let mut words = vec![0_u64; ((max - min) / 64 + 1) as usize].into_boxed_slice();
    keys.for_each(|key| words[((key - min) / 64) as usize] |= 1 << ((key - min) % 64));
    KeySet::Bitmap { min, max, words }
}

async fn table() -> Table {
    let cut = Cut { segment_rows: 1 << 20, row_group_rows: 20_000, partitions: 2 };
    Table::new(random_rows(60_000, 21), cut).await
}

fn filtered(table: &Table, filter: &Arc<RuntimeFilter>) -> Arc<dyn ExecutionPlan> {
    // The keys' column is not the table's first, nor the output's.
    let scan = ShardScan { projection: vec![3, 0], ..table.scan(&[]) };
    let plan = table.store.scan(&scan).unwrap();
    let scan = plan.downcast_ref::<ColumnarScanExec>().unwrap();
    Arc::new(scan.with_runtime_filter(1, Arc::clone(filter)))
}

fn ids(batches: &[RecordBatch]) -> Vec<i64> {
    let ids =
        batches.iter().flat_map(|b| b.column(1).as_primitive::<Int64Type>().values().to_vec());
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids
}

async fn all(plan: &Arc<dyn ExecutionPlan>) -> Vec<i64> {
    ids(&datafusion::physical_plan::collect(Arc::clone(plan), context(1_000)).await.unwrap())
}

#[tokio::test]
async fn keys_that_are_known_at_the_start() {
    let table = table().await;
    for (wanted, segments, pieces) in [
        ((0..0).step_by(1), 1, 0),
        ((70_000..70_010).step_by(1), 1, 0),
        ((25_000..25_100).step_by(3), 0, 2),
        ((10_000..50_000).step_by(7), 0, 0),
    ] {
        let filter = RuntimeFilter::new();
        filter.set(keys(wanted.clone()));
        let plan = filtered(&table, &filter);
        let expected = wanted.filter(|key| *key < 60_000).collect::<Vec<_>>();
        assert_eq!(all(&plan).await, expected);
        assert_eq!(metric(&plan, "segments_pruned"), segments);
        assert_eq!(metric(&plan, "pieces_pruned"), pieces);
        if expected.len() > 1000 {
            assert!(metric(&plan, "rows_filtered_by_runtime_filters") > 10_000);
        }
    }
}

#[tokio::test]
async fn keys_that_come_while_it_runs() {
    let table = table().await;
    let filter = RuntimeFilter::new();
    let plan = filtered(&table, &filter);
    let mut rows = plan.execute(0, context(1_000)).unwrap();
    let first = rows.try_next().await.unwrap().unwrap();
    assert_eq!(first.num_rows(), 1_000, "nothing is known yet");
    filter.set(keys((58_000..58_010).step_by(1)));
    let rest: Vec<_> = rows.try_collect().await.unwrap();
    let rest = ids(&rest);
    // What was found before the keys came may still come; after that nothing but them.
    assert!(rest.len() < 10_000, "{} rows", rest.len());
    assert!(rest.ends_with(&(58_000..58_010).collect::<Vec<_>>()));
    assert!(metric(&plan, "pieces_pruned") + metric(&plan, "zones_pruned") > 0);
}

#[tokio::test]
async fn without_keys_every_row_passes() {
    let table = table().await;
    let plan = filtered(&table, &RuntimeFilter::new());
    assert_eq!(all(&plan).await, (0..60_000).collect::<Vec<_>>());
    // Keys that keep most rows are no longer asked: rows may pass that are not among them.
    let filter = RuntimeFilter::new();
    filter.set(keys((0..60_000).filter(|id| id % 10 > 0)));
    let plan = filtered(&table, &filter);
    let found = all(&plan).await;
    assert!((54_000..=60_000).contains(&found.len()), "{}", found.len());
    let dropped = metric(&plan, "rows_filtered_by_runtime_filters");
    assert_eq!(dropped, 60_000 - found.len());
    assert!(dropped < 6_000, "{dropped}");
}
