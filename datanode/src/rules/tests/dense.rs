//! Dense aggregates.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use datafusion::{
    error::{DataFusionError, Result},
    execution::{
        TaskContext,
        memory_pool::{MemoryLimit, MemoryPool, MemoryReservation, UnboundedMemoryPool},
        runtime_env::RuntimeEnvBuilder,
    },
    physical_expr::expressions::col,
    physical_plan::{aggregates::AggregateMode, collect},
    prelude::SessionConfig,
};

use super::{
    Plan, aggregate,
    direct::all_functions,
    function, lines, merged, rows,
    scan::{SHAPE, Shape, TestScan, find, schema, table},
    text,
};
use crate::rules::direct_aggregate::{apply, apply_dense};

/// Many values of keys, of which each has rows.
const MANY: Shape = Shape { keys: 5000, ..SHAPE };

fn is_dense(plan: &Plan) -> bool {
    let text = text(plan);
    let first = text.lines().next().unwrap_or_default();
    first.starts_with("DirectAggregateExec") && first.contains(", dense")
}

/// The rows of a partial aggregate, merged, with the rule and without; whether the rule replaced it.
async fn check(key: &str, shape: Shape) -> bool {
    let functions = all_functions(&schema());
    let ordinary = aggregate(AggregateMode::Partial, &[key], functions, table(shape));
    let dense = apply_dense(Arc::clone(&ordinary), find).unwrap();
    assert_eq!(dense.schema(), ordinary.schema());
    let expected = rows(&merged(&ordinary, &ordinary)).await;
    let found = rows(&merged(&dense, &ordinary)).await;
    assert_eq!(lines(&found), lines(&expected), "{key} {shape:?}");
    is_dense(&dense)
}

#[tokio::test]
async fn the_rows_are_those_of_the_aggregate() {
    // A smallint from -3 on, days, a numeric.
    for key in ["size", "day", "qty"] {
        for (seed, nulls, partitions) in [(1, 0, 1), (2, 1, 2), (3, 5, 3), (4, 10, 2)] {
            let shape = Shape { seed, nulls, partitions, ..MANY };
            assert!(check(key, shape).await, "{key} {shape:?}");
        }
    }
}

#[tokio::test]
async fn few_groups_and_none() {
    assert!(check("size", Shape { keys: 1, ..SHAPE }).await);
    assert!(check("size", Shape { keys: 1, nulls: 0, partitions: 1, ..SHAPE }).await);
    assert!(check("day", SHAPE).await);
    // Without rows there is nothing to be dense in, and nothing comes out.
    for (batches, limit) in [(0, 0), (2, 0)] {
        assert!(!check("size", Shape { batches, rows: limit, ..SHAPE }).await);
    }
}

/// Only the first partition has rows, or only the last.
#[tokio::test]
async fn partitions_without_rows() {
    let fields =
        vec![Field::new("k", DataType::Int64, true), Field::new("v", DataType::Int64, true)];
    let schema = Arc::new(Schema::new(fields));
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(-7), Some(5), None, Some(-7)]));
    let values: ArrayRef =
        Arc::new(Int64Array::from(vec![Some(i64::MAX), None, Some(3), Some(-1)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![keys, values]).unwrap();
    for partitions in [
        vec![vec![batch.clone()], vec![]],
        vec![vec![], vec![batch.clone(), batch.slice(0, 0)]],
        vec![vec![batch.slice(0, 2)], vec![batch.slice(2, 2)]],
    ] {
        let scan: Plan = Arc::new(TestScan::new(Arc::clone(&schema), partitions, true));
        let value = || col("v", &schema).unwrap();
        let functions = ["sum", "count", "min", "max"].map(|name| function(name, value(), &schema));
        let ordinary = aggregate(AggregateMode::Partial, &["k"], functions.into(), scan);
        let dense = apply_dense(Arc::clone(&ordinary), find).unwrap();
        // 14 places, with NULL's, in each partition: for 4 rows there may be 32 in all.
        assert!(is_dense(&dense));
        let expected = rows(&merged(&ordinary, &ordinary)).await;
        assert_eq!(lines(&rows(&merged(&dense, &ordinary)).await), lines(&expected));
    }
}

#[tokio::test]
async fn values_far_apart_stay() {
    // All of 64 bits, of 32, and a range that is wide for the rows.
    assert!(!check("big", SHAPE).await);
    assert!(!check("n", SHAPE).await);
    assert!(!check("size", Shape { batches: 1, rows: 100, keys: 30_000, ..SHAPE }).await);
    // What the type says of a date is nothing, of a smallint too much.
    assert!(!check("day", Shape { bounds: false, ..MANY }).await);
    assert!(!check("size", Shape { bounds: false, batches: 1, rows: 2000, ..MANY }).await);
}

#[test]
fn what_it_cannot_do_stays() {
    let schema = schema();
    let column = |name: &str| col(name, &schema).unwrap();
    let unchanged = |keys: &[&str], functions| {
        let plan = aggregate(AggregateMode::Partial, keys, functions, table(MANY));
        let same = apply_dense(Arc::clone(&plan), find).unwrap();
        Arc::ptr_eq(&plan, &same)
    };
    let sum = || function("sum", column("qty"), &schema);
    assert!(!unchanged(&["size"], vec![sum()]));
    assert!(!unchanged(&["size"], Vec::new()));
    assert!(unchanged(&["size", "day"], vec![sum()]));
    assert!(unchanged(&[], vec![sum()]));
    assert!(unchanged(&["flag"], vec![sum()]));
    assert!(unchanged(&["done"], vec![sum()]));
    assert!(unchanged(&["size"], vec![sum().distinct()]));
    assert!(unchanged(&["size"], vec![function("min", column("status"), &schema)]));
    assert!(unchanged(&["size"], vec![function("stddev", column("big"), &schema)]));
}

#[tokio::test]
async fn one_phase_gives_results() {
    for mode in [AggregateMode::Single, AggregateMode::SinglePartitioned] {
        for (batches, nulls) in [(3, 1), (1, 10), (0, 0)] {
            let shape = Shape { partitions: 1, batches, nulls, ..MANY };
            let functions = all_functions(&schema());
            let single = aggregate(mode, &["size"], functions, table(shape));
            let dense = apply_dense(Arc::clone(&single), find).unwrap();
            let text = text(&dense);
            assert_eq!(is_dense(&dense), batches > 0, "{text}");
            let first = text.lines().next().unwrap_or_default();
            assert_eq!(first.ends_with(", dense, results"), batches > 0, "{text}");
            assert_eq!(dense.schema(), single.schema());
            assert_eq!(lines(&rows(&dense).await), lines(&rows(&single).await), "{shape:?}");
        }
    }
}

/// Each rule takes what the other leaves.
#[test]
fn few_groups_are_found_by_their_codes() {
    let schema = schema();
    let first_line = |shape| {
        let sum = function("sum", col("qty", &schema).unwrap(), &schema);
        let plan = aggregate(AggregateMode::Partial, &["size"], vec![sum], table(shape));
        let plan = apply_dense(apply(plan, find).unwrap(), find).unwrap();
        text(&plan).lines().next().unwrap_or_default().to_string()
    };
    assert_eq!(first_line(SHAPE), "DirectAggregateExec: gby=[size], tables=[sum(qty)], states=1");
    assert_eq!(
        first_line(MANY),
        "DirectAggregateExec: gby=[size], tables=[sum(qty)], states=1, dense"
    );
}

/// Each group once, in batches of the size that was asked for.
#[tokio::test]
async fn partitions_lay_their_groups_together() {
    let ordinary =
        aggregate(AggregateMode::Partial, &["size"], all_functions(&schema()), table(MANY));
    let dense = apply_dense(Arc::clone(&ordinary), find).unwrap();
    let groups: usize =
        rows(&merged(&ordinary, &ordinary)).await.iter().map(RecordBatch::num_rows).sum();
    for batch_rows in [1, 100, 8192] {
        let config = SessionConfig::new().with_batch_size(batch_rows);
        let context = TaskContext::default().with_session_config(config);
        let batches = collect(Arc::clone(&dense), Arc::new(context)).await.unwrap();
        let found: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(found.iter().sum::<usize>(), groups);
        assert!(found.iter().all(|rows| *rows <= batch_rows.max(64)), "{found:?}");
    }
}

/// Has memory for everybody but the direct aggregates after the first so many.
#[derive(Debug)]
struct Refusing {
    all: UnboundedMemoryPool,
    /// What it says that it has.
    limit: usize,
    places: AtomicUsize,
    refused: AtomicUsize,
}

impl std::fmt::Display for Refusing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Refusing")
    }
}

impl MemoryPool for Refusing {
    fn name(&self) -> &str {
        "Refusing"
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.all.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.all.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if reservation.consumer().name().starts_with("DirectAggregateExec") {
            let rest = |places: usize| places.checked_sub(1);
            if self.places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).is_err() {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return Err(DataFusionError::ResourcesExhausted("refused".into()));
            }
        }
        self.all.try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.all.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

/// The rows of a plan whose first so many partitions have memory for their places; how many had none.
async fn rows_with_memory(plan: &Plan, places: usize, limit: usize) -> (Vec<RecordBatch>, usize) {
    let pool = Arc::new(Refusing {
        all: UnboundedMemoryPool::default(),
        limit,
        places: places.into(),
        refused: 0.into(),
    });
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&pool) as _);
    let context = TaskContext::default().with_runtime(runtime.build_arc().unwrap());
    let rows = collect(Arc::clone(plan), Arc::new(context)).await.unwrap();
    assert_eq!(pool.reserved(), 0);
    (rows, pool.refused.load(Ordering::Relaxed))
}

#[tokio::test]
async fn without_memory_the_ordinary_aggregate_runs() {
    let shape = Shape { partitions: 3, ..MANY };
    let partial =
        aggregate(AggregateMode::Partial, &["size"], all_functions(&schema()), table(shape));
    let expected = lines(&rows(&merged(&partial, &partial)).await);
    for places in 0..=3 {
        let dense = merged(&apply_dense(Arc::clone(&partial), find).unwrap(), &partial);
        let (found, refused) = rows_with_memory(&dense, places, usize::MAX).await;
        assert_eq!(refused, 3 - places);
        assert_eq!(lines(&found), expected, "{places}");
    }
    let shape = Shape { partitions: 1, ..MANY };
    let single =
        aggregate(AggregateMode::Single, &["size"], all_functions(&schema()), table(shape));
    let expected = lines(&rows(&single).await);
    for places in [0, 1] {
        let dense = apply_dense(Arc::clone(&single), find).unwrap();
        let (found, refused) = rows_with_memory(&dense, places, usize::MAX).await;
        assert_eq!(refused, 1 - places);
        assert_eq!(lines(&found), expected, "{places}");
    }
    // A pool with little memory is not asked at all.
    let dense = apply_dense(Arc::clone(&single), find).unwrap();
    let (found, refused) = rows_with_memory(&dense, 0, 1 << 20).await;
    assert_eq!(refused, 0);
    assert_eq!(lines(&found), expected);
}
