//! Joins that spill, against DataFusion's in memory.

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringViewArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
    util::pretty::pretty_format_batches,
};
use datafusion::{
    common::{JoinSide, JoinType, NullEquality},
    datasource::memory::MemorySourceConfig,
    error::{DataFusionError, Result},
    execution::{
        TaskContext,
        disk_manager::DiskManagerBuilder,
        memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column},
    },
    physical_plan::{
        ExecutionPlan, collect,
        joins::{
            HashJoinExec, PartitionMode,
            utils::{ColumnIndex, JoinFilter},
        },
    },
    prelude::SessionConfig,
};
use kestrel_proto::SqlState;

use super::{
    held::{Held, JoinMemory, Room},
    with_spilling_joins,
};
use crate::error::report;

const JOIN_TYPES: [JoinType; 10] = [
    JoinType::Inner,
    JoinType::Left,
    JoinType::Right,
    JoinType::Full,
    JoinType::LeftSemi,
    JoinType::RightSemi,
    JoinType::LeftAnti,
    JoinType::RightAnti,
    JoinType::LeftMark,
    JoinType::RightMark,
];

/// A side of a join: so many rows, whose keys are among the first so many numbers and NULL.
#[derive(Clone, Copy, Debug)]
struct Table {
    rows: usize,
    keys: u64,
    has_nulls: bool,
}

impl Table {
    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int32, true),
            Field::new("v", DataType::Int64, false),
            Field::new("s", DataType::Utf8View, true),
        ]))
    }

    /// The same for a seed, in batches of at most 64 rows.
    fn batches(self, mut seed: u64) -> Vec<RecordBatch> {
        // Knuth, "The Art of Computer Programming", volume 2, 3.3.4: MMIX.
        let mut random = move |below: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut rows: Vec<_> = (0..self.rows)
            .map(|_| {
                let is_null = random(8) == 0 && self.has_nulls;
                let key = random(self.keys) as i32;
                ((!is_null).then_some(key), random(1000) as i64)
            })
            .collect();
        let mut batches = Vec::new();
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(64));
            let text = |v: &i64| (v % 3 > 0).then(|| format!("{v}, a text that is not short"));
            let columns: Vec<ArrayRef> = vec![
                Arc::new(rows.iter().map(|row| row.0).collect::<Int32Array>()),
                Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>()),
                Arc::new(rows.iter().map(|row| text(&row.1)).collect::<StringViewArray>()),
            ];
            batches.push(RecordBatch::try_new(Self::schema(), columns).unwrap());
            rows = rest;
        }
        batches
    }

    /// In so many partitions.
    fn scan(self, seed: u64, partitions: usize) -> Arc<dyn ExecutionPlan> {
        let mut all = vec![Vec::new(); partitions];
        for (number, batch) in self.batches(seed).into_iter().enumerate() {
            all[number % partitions].push(batch);
        }
        MemorySourceConfig::try_new_exec(&all, Self::schema(), None).unwrap()
    }
}

/// A join to try.
#[derive(Clone, Copy, Debug)]
struct Case {
    left: Table,
    right: Table,
    join_type: JoinType,
    null_equality: NullEquality,
    /// Of the right side.
    partitions: usize,
    has_filter: bool,
}

impl Case {
    fn join(self) -> HashJoinExec {
        let column = |name, index| Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>;
        let filter = self.has_filter.then(|| {
            let field = |name| Field::new(name, DataType::Int64, false);
            let less = BinaryExpr::new(column("l", 0), Operator::Lt, column("r", 1));
            let indices = [JoinSide::Left, JoinSide::Right];
            JoinFilter::new(
                Arc::new(less),
                indices.map(|side| ColumnIndex { index: 1, side }).into(),
                Arc::new(Schema::new(vec![field("l"), field("r")])),
            )
        });
        HashJoinExec::try_new(
            self.left.scan(1, 1),
            self.right.scan(2, self.partitions),
            vec![(column("k", 0), column("k", 0))],
            filter,
            &self.join_type,
            None,
            PartitionMode::CollectLeft,
            self.null_equality,
            false,
        )
        .unwrap()
    }
}

fn resources(pool_bytes: usize, spill_bytes: u64) -> Arc<RuntimeEnv> {
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(pool_bytes)))
        .with_disk_manager_builder(
            DiskManagerBuilder::default().with_max_temp_directory_size(spill_bytes),
        )
        .build_arc()
        .unwrap()
}

/// The rows that come out, sorted, and the bytes that were spilled. Nothing is left behind.
async fn run(
    plan: Arc<dyn ExecutionPlan>,
    resources: &Arc<RuntimeEnv>,
) -> Result<(Vec<String>, usize)> {
    let config = SessionConfig::new().with_batch_size(64);
    let context = TaskContext::default().with_session_config(config);
    let context = Arc::new(context.with_runtime(Arc::clone(resources)));
    let joined = collect(Arc::clone(&plan), context).await;
    let spilled = plan.metrics().unwrap().spilled_bytes().unwrap_or_default();
    drop(plan);
    // Tasks that were stopped go a little later.
    let is_clean =
        || resources.memory_pool.reserved() == 0 && resources.disk_manager.used_disk_space() == 0;
    for _ in 0..1000 {
        if is_clean() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(is_clean());
    let mut joined = joined?;
    joined.retain(|batch| batch.num_rows() > 0);
    let text = pretty_format_batches(&joined)?.to_string();
    let mut rows: Vec<_> = text.lines().map(str::to_string).collect();
    rows.sort_unstable();
    Ok((rows, spilled))
}

/// Whatever memory there is, the rows are those of the join in memory.
async fn check(case: Case, pool_bytes: usize) -> Result<usize> {
    let plenty = resources(1 << 30, 1 << 30);
    let (expected, _) = run(Arc::new(case.join()), &plenty).await?;
    let spilling = with_spilling_joins(Arc::new(case.join()))?;
    let (found, none) = run(spilling, &plenty).await?;
    assert_eq!((&found, none), (&expected, 0), "{case:?}");
    let spilling = with_spilling_joins(Arc::new(case.join()))?;
    let (found, spilled) = run(spilling, &resources(pool_bytes, 1 << 30)).await?;
    assert!(found == expected, "{case:?} in {pool_bytes} bytes");
    Ok(spilled)
}

const SOME: Table = Table { rows: 2000, keys: 700, has_nulls: true };
const CASE: Case = Case {
    left: SOME,
    right: SOME,
    join_type: JoinType::Inner,
    null_equality: NullEquality::NullEqualsNothing,
    partitions: 1,
    has_filter: false,
};

#[tokio::test(flavor = "multi_thread")]
async fn all_joins_spill_and_find_the_same_rows() {
    for join_type in JOIN_TYPES {
        for partitions in [1, 3] {
            for has_filter in [false, true] {
                let case = Case { join_type, partitions, has_filter, ..CASE };
                assert!(check(case, 200 << 10).await.unwrap() > 0, "{case:?}");
            }
        }
    }
}

/// In memory as in parts.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_each_row_once() {
    for partitions in [1, 3] {
        for pool_bytes in [1 << 30, 200 << 10] {
            let case = Case { partitions, ..CASE };
            let plan = with_spilling_joins(Arc::new(case.join())).unwrap();
            let (lines, _) = run(Arc::clone(&plan), &resources(pool_bytes, 1 << 30)).await.unwrap();
            let counted = plan.metrics().unwrap().output_rows();
            // And the header, with three lines around it.
            assert_eq!(counted, Some(lines.len() - 4), "{partitions} in {pool_bytes} bytes");
        }
    }
}

/// Parts that do not fit are split again.
#[tokio::test(flavor = "multi_thread")]
async fn with_little_memory_parts_are_split_again() {
    let left = Table { rows: 12_000, keys: 10_000, has_nulls: false };
    for join_type in JOIN_TYPES {
        let case = Case { join_type, left, ..CASE };
        let once = check(case, 800 << 10).await.unwrap();
        let often = check(case, 128 << 10).await.unwrap();
        assert!(often > once, "{case:?}: {often} bytes, and {once} with more memory");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn null_may_be_a_key() {
    for join_type in JOIN_TYPES {
        let table = Table { rows: 1000, ..SOME };
        let null_equality = NullEquality::NullEqualsNull;
        let case = Case { left: table, right: table, join_type, null_equality, ..CASE };
        assert!(check(case, 100 << 10).await.unwrap() > 0, "{case:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sides_may_be_empty() {
    let none = Table { rows: 0, ..SOME };
    for join_type in JOIN_TYPES {
        for partitions in [1, 3] {
            let case = Case { join_type, partitions, ..CASE };
            assert!(check(Case { right: none, ..case }, 200 << 10).await.unwrap() > 0);
            assert_eq!(check(Case { left: none, ..case }, 1000).await.unwrap(), 0);
        }
    }
}

/// Rows of one key cannot be split: they are joined chunk by chunk.
#[tokio::test(flavor = "multi_thread")]
async fn one_key_may_have_many_rows() {
    let left = Table { rows: 1200, keys: 1, has_nulls: false };
    for (partitions, rows) in [(1, 1200), (3, 600)] {
        let right = Table { rows, ..left };
        for join_type in JOIN_TYPES {
            let case = Case { left, right, join_type, partitions, has_filter: true, ..CASE };
            let spilled = check(case, 96 << 10).await;
            match join_type {
                JoinType::Full => {
                    let error = spilled.unwrap_err();
                    assert_eq!(report(error).sqlstate, SqlState::OUT_OF_MEMORY);
                }
                _ => assert!(spilled.unwrap() > 0, "{case:?}"),
            }
        }
    }
}

/// Several chunks are in memory at the same time.
#[test]
fn chunks_leave_room_for_others() {
    let limit = 200 << 10;
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(limit));
    let batches = SOME.batches(1);
    let mut chunks = Vec::new();
    for _ in 0..3 {
        let mut held = Held::new(&pool);
        for batch in &batches {
            let room = if held.batches.is_empty() { Room::Needed } else { Room::HalfBut(0.0) };
            if held.add(batch.clone(), room).is_err() {
                break;
            }
        }
        assert!(!held.batches.is_empty() && held.batches.len() < batches.len());
        chunks.push(held);
    }
    assert!(chunks[0].memory.size() <= limit / 2);
    // Even if there is nothing left.
    let other = MemoryConsumer::new("other").register(&pool);
    other.grow(limit);
    let mut held = Held::new(&pool);
    assert!(held.add(batches[0].clone(), Room::Needed).is_ok());
    assert!(held.add(batches[1].clone(), Room::HalfBut(0.0)).is_err());
}

#[tokio::test]
async fn a_limit_is_that_of_all_parts() {
    let join = CASE.join().builder().with_fetch(Some(70)).build().unwrap();
    let plan = with_spilling_joins(Arc::new(join)).unwrap();
    let (lines, spilled) = run(plan, &resources(200 << 10, 1 << 30)).await.unwrap();
    // And the header, with three lines around it.
    assert_eq!((lines.len(), spilled > 0), (70 + 4, true));
}

#[tokio::test]
async fn not_in_reserves_what_it_takes_and_fails() {
    let join = || {
        let case = Case { join_type: JoinType::LeftAnti, ..CASE };
        case.join().builder().with_null_aware(true).build().unwrap()
    };
    let plan = with_spilling_joins(Arc::new(join())).unwrap();
    let (expected, _) = run(Arc::new(join()), &resources(1 << 30, 0)).await.unwrap();
    assert_eq!(run(plan, &resources(1 << 30, 0)).await.unwrap(), (expected, 0));
    let plan = with_spilling_joins(Arc::new(join())).unwrap();
    let error = run(plan, &resources(200 << 10, 1 << 30)).await.unwrap_err();
    assert!(matches!(error, DataFusionError::ResourcesExhausted(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_and_leaves_nothing() {
    for partitions in [1, 3] {
        for join_type in JOIN_TYPES {
            let case = Case { join_type, partitions, ..CASE };
            // At any time.
            for spill_bytes in [100 << 10, 300 << 10] {
                let plan = with_spilling_joins(Arc::new(case.join())).unwrap();
                let error = run(plan, &resources(200 << 10, spill_bytes)).await.unwrap_err();
                let report = report(error);
                assert_eq!(report.sqlstate, SqlState::DISK_FULL, "{case:?}: {report:?}");
            }
        }
    }
}

/// What is reserved is there until the table is built, and then only what the join has taken.
#[test]
fn memory_of_a_join() {
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1000));
    let reserved = MemoryConsumer::new("HashJoin").register(&pool);
    reserved.try_grow(600).unwrap();
    let memory = Arc::new(JoinMemory::new(reserved));
    let own = Arc::clone(&memory) as Arc<dyn MemoryPool>;
    let table = MemoryConsumer::new("table").register(&own);
    table.try_grow(200).unwrap();
    assert_eq!((own.reserved(), pool.reserved()), (200, 600));
    table.try_grow(500).unwrap();
    table.try_grow(400).unwrap_err();
    assert_eq!((own.reserved(), pool.reserved()), (700, 700));
    table.shrink(400);
    assert_eq!((own.reserved(), pool.reserved()), (300, 700));
    memory.built();
    assert_eq!(pool.reserved(), 300);
    drop(table);
    assert_eq!((own.reserved(), pool.reserved()), (0, 0));
}
