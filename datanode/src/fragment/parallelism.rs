//! What DataFusion's rules make of a datanode's execution partitions, with the configuration of
//! fragments: joins read one build side for all of them, and what one partition can do is not split.

use std::{collections::HashMap, sync::Arc};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::{
    datasource::{MemTable, source::DataSourceExec},
    execution::SessionStateBuilder,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, aggregates::AggregateExec, joins::HashJoinExec,
    },
    prelude::{SessionConfig, SessionContext},
};

use super::{
    config::{session_config, with_settings},
    run::optimize,
};

/// A table of so many rows, in so many execution partitions.
fn table(rows: i64, partitions: i64) -> Arc<MemTable> {
    let share = rows / partitions;
    let batch = |partition: i64| {
        let numbers = partition * share..(partition + 1) * share;
        let column = |divisor: i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(numbers.clone().map(|n| n / divisor)))
        };
        vec![RecordBatch::try_from_iter([("k", column(4)), ("v", column(1))]).unwrap()]
    };
    let batches: Vec<_> = (0..partitions).map(batch).collect();
    Arc::new(MemTable::try_new(batches[0][0].schema(), batches).unwrap())
}

/// The plan of a query as a coordinator makes it, optimized as a datanode does it.
async fn optimized(
    sql: &str,
    tables: &[(&str, Arc<MemTable>)],
    config: &SessionConfig,
) -> Arc<dyn ExecutionPlan> {
    let state = SessionStateBuilder::new()
        .with_config(SessionConfig::new().with_target_partitions(2))
        .with_default_features()
        .with_physical_optimizer_rules(Vec::new())
        .build();
    let session = SessionContext::new_with_state(state);
    for (name, table) in tables {
        session.register_table(*name, Arc::clone(table) as _).unwrap();
    }
    let plan = session.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    optimize(plan, config.options()).unwrap()
}

/// The operators that have a say in it, with what they say.
fn operators(plan: &Arc<dyn ExecutionPlan>) -> Vec<String> {
    let mut lines = Vec::new();
    list(plan, 0, &mut lines);
    lines
}

fn list(plan: &Arc<dyn ExecutionPlan>, depth: usize, lines: &mut Vec<String>) {
    let text = if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        format!("{:?} join", join.partition_mode())
    } else if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        format!("{:?} aggregate", aggregate.mode())
    } else if plan.is::<DataSourceExec>() {
        format!("scan in {}", plan.output_partitioning().partition_count())
    } else if ["RepartitionExec", "CoalescePartitionsExec"].contains(&plan.name()) {
        plan.name().to_string()
    } else {
        return plan.children().into_iter().for_each(|child| list(child, depth, lines));
    };
    lines.push(format!("{}{text}", "  ".repeat(depth)));
    plan.children().into_iter().for_each(|child| list(child, depth + 1, lines));
}

const JOIN_AND_GROUP: &str =
    "SELECT o.k, sum(l.v) FROM orders o JOIN lines l ON o.k = l.k WHERE l.v > 5 GROUP BY o.k";

#[tokio::test]
async fn one_partition_splits_nothing() {
    let tables = [("orders", table(40_000, 1)), ("lines", table(160_000, 1))];
    let plan = optimized(JOIN_AND_GROUP, &tables, &session_config(1, 16_384)).await;
    let expected =
        ["SinglePartitioned aggregate", "  CollectLeft join", "    scan in 1", "    scan in 1"];
    assert_eq!(operators(&plan), expected);
}

/// Groups are of rows of both partitions, so they must be split by their keys, once.
#[tokio::test]
async fn two_partitions_share_a_build_side_and_split_groups() {
    let tables = [("orders", table(40_000, 2)), ("lines", table(160_000, 2))];
    let plan = optimized(JOIN_AND_GROUP, &tables, &session_config(2, 16_384)).await;
    let expected = [
        "FinalPartitioned aggregate",
        "  RepartitionExec",
        "    Partial aggregate",
        "      CollectLeft join",
        "        CoalescePartitionsExec",
        "          scan in 2",
        "        scan in 2",
    ];
    assert_eq!(operators(&plan), expected);
}

/// What comes out of a filter is an estimate; DataFusion by itself would split it however small.
#[tokio::test]
async fn small_inputs_are_not_split() {
    let tables = [("orders", table(100, 1)), ("lines", table(400, 1))];
    let config = session_config(2, 16_384);
    let plan = optimized(JOIN_AND_GROUP, &tables, &config).await;
    let expected =
        ["SinglePartitioned aggregate", "  CollectLeft join", "    scan in 1", "    scan in 1"];
    assert_eq!(operators(&plan), expected);
    let off = HashMap::from([("kestrel.enable_local_joins".to_string(), "off".to_string())]);
    let plan = optimized(JOIN_AND_GROUP, &tables, &with_settings(config, &off).unwrap()).await;
    let found = operators(&plan);
    assert!(found.iter().any(|line| line.contains("RepartitionExec")), "{found:?}");
}
