//! Queries with the rule and without: the rows are the same, and fewer reach the joins.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch,
        StringViewArray, TimestampMicrosecondArray,
    },
    util::display::array_value_to_string,
};
use datafusion::{
    common::{JoinType, NullEquality},
    datasource::{MemTable, memory::MemorySourceConfig},
    execution::{SessionStateBuilder, TaskContext},
    physical_expr::Partitioning,
    physical_plan::{
        coalesce_partitions::CoalescePartitionsExec,
        collect,
        execution_plan::reset_plan_states,
        joins::{HashJoinExec, PartitionMode},
        repartition::RepartitionExec,
    },
    prelude::SessionContext,
};
use kestrel_planner::operators::physical_rules;

use super::{
    super::with_runtime_filters, JOIN_TYPES, MemoryScans, Plan, Random, column, count, shape,
};
use crate::fragment::session_config;

/// A column of values by small numbers, with duplicates and NULLs.
type MakeColumn = fn(&[Option<i64>]) -> ArrayRef;

fn int8(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn int4(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(values.iter().map(|value| value.map(|n| n as i32)).collect::<Int32Array>())
}

fn date(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(values.iter().map(|value| value.map(|n| n as i32)).collect::<Date32Array>())
}

fn timestamp(values: &[Option<i64>]) -> ArrayRef {
    let values = values.iter().map(|value| value.map(|n| n * 1_000_000_000));
    Arc::new(values.collect::<TimestampMicrosecondArray>())
}

fn numeric(values: &[Option<i64>]) -> ArrayRef {
    let values = values.iter().map(|value| value.map(|n| i128::from(n) * 1_000_000_007));
    let values = values.collect::<Decimal128Array>();
    Arc::new(values.with_precision_and_scale(18, 4).unwrap())
}

fn text(values: &[Option<i64>]) -> ArrayRef {
    let text = |n: i64| format!("{}{n}", "a longer string ".repeat(n.rem_euclid(2) as usize));
    let values: Vec<_> = values.iter().map(|value| value.map(text)).collect();
    Arc::new(StringViewArray::from_iter(values))
}

/// So many rows of keys below `end`, each many times, every eighth of them NULL, in two partitions of
/// three batches; beside them the number of the row.
fn partitions(
    names: [&str; 2],
    rows: usize,
    end: u64,
    make: MakeColumn,
    random: &mut Random,
) -> Vec<Vec<RecordBatch>> {
    let mut batch = |first: usize, rows: usize| {
        let keys: Vec<_> =
            (0..rows).map(|_| (random.below(8) > 0).then(|| random.below(end) as i64)).collect();
        let numbers: Vec<_> = (first..first + rows).map(|row| Some(row as i64)).collect();
        RecordBatch::try_from_iter_with_nullable([
            (names[0], make(&keys), true),
            (names[1], int8(&numbers), true),
        ])
        .unwrap()
    };
    let third = rows / 6;
    let mut partition = |first: usize| {
        let starts = [first, first + third, first + 2 * third];
        starts.into_iter().map(|start| batch(start, third)).collect()
    };
    vec![partition(0), partition(3 * third)]
}

fn scan(partitions: &[Vec<RecordBatch>]) -> Plan {
    let schema = partitions[0][0].schema();
    MemorySourceConfig::try_new_exec(partitions, schema, None).unwrap()
}

fn context() -> Arc<TaskContext> {
    Arc::new(TaskContext::default().with_session_config(session_config(2, 64)))
}

/// The rows, sorted, as text.
async fn rows(plan: Plan) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in collect(plan, context()).await.unwrap() {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter();
            let cells = cells.map(|column| array_value_to_string(column, row).unwrap());
            rows.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    rows.sort_unstable();
    rows
}

/// Rows that the filters of a plan that has run have let pass; 0 without filters.
fn passed(plan: &Plan) -> usize {
    let below: usize = plan.children().into_iter().map(passed).sum();
    let own = match plan.name() {
        "KeyFilterExec" => plan.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or(0),
        _ => 0,
    };
    own + below
}

/// A join of two tables by their first columns; split by hashes of them or with one build side.
fn join(left: Plan, right: Plan, join_type: JoinType, mode: PartitionMode) -> Plan {
    let by_key = |input: Plan| -> Plan {
        let hash = Partitioning::Hash(vec![column(&input, 0)], 2);
        Arc::new(RepartitionExec::try_new(input, hash).unwrap())
    };
    let (left, right) = match mode {
        PartitionMode::Partitioned => (by_key(left), by_key(right)),
        PartitionMode::CollectLeft | PartitionMode::Auto => {
            (Arc::new(CoalescePartitionsExec::new(left)) as Plan, right)
        }
    };
    let on = vec![(column(&left, 0), column(&right, 0))];
    let nulls = NullEquality::NullEqualsNothing;
    let join = HashJoinExec::try_new(left, right, on, None, &join_type, None, mode, nulls, false);
    Arc::new(join.unwrap())
}

#[tokio::test]
async fn every_join_of_every_type_gives_the_same_rows() {
    let types: [(&str, MakeColumn); 6] = [
        ("int8", int8),
        ("int4", int4),
        ("date", date),
        ("timestamp", timestamp),
        ("numeric", numeric),
        ("text", text),
    ];
    for (seed, (name, make)) in (0..).zip(types) {
        let mut random = Random(seed);
        // Three in four keys of the right side are not on the left one.
        let left = partitions(["a", "n"], 60, 20, make, &mut random);
        let right = partitions(["b", "m"], 900, 80, make, &mut random);
        for join_type in JOIN_TYPES {
            for mode in [PartitionMode::CollectLeft, PartitionMode::Partitioned] {
                let what = format!("{name}, {join_type} join, {mode:?}, seed {seed}");
                let plan = || join(scan(&left), scan(&right), join_type, mode);
                let expected = rows(plan()).await;
                let filtered = with_runtime_filters(plan(), &MemoryScans).unwrap();
                assert_eq!(rows(Arc::clone(&filtered)).await, expected, "{what}");
                if count(&filtered, "KeyFilterExec") == 0 {
                    continue;
                }
                let passed = passed(&filtered);
                // In several partitions, one may read before all of the build side is known.
                assert!(passed <= 900, "{what}: {passed}");
                if mode == PartitionMode::CollectLeft {
                    assert!(passed < 400, "{what}: {passed} of 900 rows have passed");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_empty_build_side_lets_nothing_pass() {
    let mut random = Random(1);
    let left = partitions(["a", "n"], 6, 3, int8, &mut random);
    let left: Vec<Vec<_>> =
        left.iter().map(|batches| batches.iter().map(|b| b.slice(0, 0)).collect()).collect();
    let right = partitions(["b", "m"], 60, 3, int8, &mut random);
    let plan = join(scan(&left), scan(&right), JoinType::Inner, PartitionMode::CollectLeft);
    let plan = with_runtime_filters(plan, &MemoryScans).unwrap();
    assert_eq!(count(&plan, "KeyFilterExec"), 1);
    assert!(rows(Arc::clone(&plan)).await.is_empty());
    assert_eq!(passed(&plan), 0);
}

/// A filter knows what its build side had when it was read. When it is read anew, it says no more.
#[tokio::test]
async fn a_plan_that_is_run_anew_does_not_filter() {
    let mut random = Random(2);
    let left = partitions(["a", "n"], 60, 20, int8, &mut random);
    let right = partitions(["b", "m"], 900, 80, int8, &mut random);
    let plan = join(scan(&left), scan(&right), JoinType::Inner, PartitionMode::CollectLeft);
    let plan = with_runtime_filters(plan, &MemoryScans).unwrap();
    let first = rows(Arc::clone(&plan)).await;
    assert!(passed(&plan) < 400);
    let again = reset_plan_states(plan).unwrap();
    assert_eq!(rows(Arc::clone(&again)).await, first);
    assert_eq!(passed(&again), 900);
}

/// What joins do with NULLs, if they do not pass them over.
#[tokio::test]
async fn joins_that_see_nulls_do_not_filter() {
    let mut random = Random(3);
    let (left, right) = (
        scan(&partitions(["a", "n"], 60, 20, int8, &mut random)),
        scan(&partitions(["b", "m"], 900, 80, int8, &mut random)),
    );
    let plan = |join_type, nulls, null_aware| -> Plan {
        let (left, right) = (Arc::clone(&left), Arc::clone(&right));
        let on = vec![(column(&left, 0), column(&right, 0))];
        let mode = PartitionMode::CollectLeft;
        let join =
            HashJoinExec::try_new(left, right, on, None, &join_type, None, mode, nulls, null_aware);
        Arc::new(join.unwrap())
    };
    for (join_type, nulls, null_aware, expected) in [
        (JoinType::LeftAnti, NullEquality::NullEqualsNothing, false, 1),
        (JoinType::LeftAnti, NullEquality::NullEqualsNothing, true, 0),
        (JoinType::Inner, NullEquality::NullEqualsNothing, false, 1),
        (JoinType::Inner, NullEquality::NullEqualsNull, false, 0),
    ] {
        let plan = with_runtime_filters(plan(join_type, nulls, null_aware), &MemoryScans).unwrap();
        assert_eq!(count(&plan, "KeyFilterExec"), expected, "{}", shape(&plan));
    }
}

/// A query, and whether anything in it can be filtered.
const QUERIES: &[(&str, bool)] = &[
    ("SELECT * FROM few JOIN many ON a = b", true),
    ("SELECT * FROM few JOIN many ON a = b AND n < m", true),
    ("SELECT n, m FROM few LEFT JOIN many ON a = b", true),
    ("SELECT n, m FROM few RIGHT JOIN many ON a = b", false),
    ("SELECT n, m FROM few FULL JOIN many ON a = b", false),
    ("SELECT * FROM few WHERE a IN (SELECT b FROM many)", true),
    ("SELECT * FROM few WHERE EXISTS (SELECT 1 FROM many WHERE a = b AND m > 300)", true),
    ("SELECT * FROM few WHERE NOT EXISTS (SELECT 1 FROM many WHERE a = b)", true),
    ("SELECT * FROM few WHERE a IN (SELECT b FROM many) OR n < 7", true),
    // Groups below a join.
    ("SELECT n, s FROM few JOIN (SELECT b, sum(m) AS s FROM many GROUP BY b) g ON a = b", true),
    (
        "SELECT n, s FROM few JOIN (SELECT b, m % 3 AS r, count(*) AS s FROM many GROUP BY b, m % 3) \
         g ON a = b AND n > r",
        true,
    ),
    (
        "SELECT n, q FROM few JOIN \
         (SELECT b, 1000 / (sum(m) + 1) AS q FROM many GROUP BY b HAVING count(*) > 1) g ON a = b",
        true,
    ),
    (
        "SELECT n, s FROM few JOIN (SELECT b + 1 AS c, sum(m) AS s FROM many GROUP BY b + 1) g ON a = c",
        false,
    ),
    (
        "SELECT n, s FROM few JOIN (SELECT b, rank() OVER (ORDER BY m) AS s FROM many) g ON a = b",
        false,
    ),
    ("SELECT n, m FROM few JOIN (SELECT * FROM many ORDER BY m LIMIT 100) g ON a = b", false),
    // Joins below a join; one table twice, so that its columns have one name.
    (
        "SELECT few.n, x.m, y.m FROM few JOIN (many x JOIN many y ON x.b = y.b AND x.m = y.m) ON a = x.b",
        true,
    ),
    (
        "SELECT few.n, x.m, z.n FROM few JOIN (many x LEFT JOIN few z ON x.b = z.a) ON few.a = x.b",
        true,
    ),
    (
        "SELECT few.n, x.m FROM few JOIN (SELECT * FROM many WHERE NOT EXISTS \
         (SELECT 1 FROM few z WHERE z.a = b AND z.n > 40)) x ON few.a = x.b",
        true,
    ),
    // Unions.
    (
        "SELECT n, m FROM few JOIN (SELECT b, m FROM many WHERE m < 100 UNION ALL \
         SELECT b, -m FROM many WHERE m > 700) u ON a = b",
        true,
    ),
    // Two keys, of which one is computed.
    ("SELECT n, m FROM few JOIN (SELECT b, m, m % 60 AS r FROM many) x ON a = b AND n = r", true),
];

async fn session(target_partitions: usize) -> SessionContext {
    let state = SessionStateBuilder::new()
        .with_config(session_config(target_partitions, 64))
        .with_default_features()
        .with_physical_optimizer_rules(physical_rules())
        .build();
    let session = SessionContext::new_with_state(state);
    let mut random = Random(4);
    let few = partitions(["a", "n"], 60, 20, int8, &mut random);
    let many = partitions(["b", "m"], 900, 80, int8, &mut random);
    for (name, partitions) in [("few", few), ("many", many)] {
        let schema = partitions[0][0].schema();
        let table = MemTable::try_new(schema, partitions).unwrap();
        session.register_table(name, Arc::new(table)).unwrap();
    }
    session
}

#[tokio::test]
async fn queries_give_the_same_rows() {
    for target_partitions in [1, 2] {
        let session = session(target_partitions).await;
        for (sql, has_filter) in QUERIES {
            let plan = async || {
                let frame = session.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
                frame.create_physical_plan().await.unwrap_or_else(|e| panic!("{sql}: {e}"))
            };
            let expected = rows(plan().await).await;
            assert!(!expected.is_empty(), "{sql}");
            let filtered = with_runtime_filters(plan().await, &MemoryScans).unwrap();
            let shape = shape(&filtered);
            assert_eq!(count(&filtered, "KeyFilterExec") > 0, *has_filter, "{sql}:\n{shape}");
            let found = rows(filtered).await;
            assert_eq!(found, expected, "{sql}, {target_partitions} partitions:\n{shape}");
        }
    }
}
