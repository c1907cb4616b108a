//! What scans read, and how.

use std::{sync::Arc, time::Duration};

use arrow::{
    array::AsArray,
    datatypes::{Int32Type, Schema},
};
use datafusion::{
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, lit},
    },
    physical_plan::{ExecutionPlan, ExecutionPlanProperties, displayable},
};
use futures::StreamExt;
use kestrel_planner::{
    catalog::SqlType,
    explain::operator_rows,
    operators::{ShardScan, ShardStore},
};
use kestrel_proto::{QueryId, SnapshotScope, TransactionId};

use super::{
    super::{
        is_inner_scan,
        session::{KesSettings, tests::postgres::shared},
    },
    *,
};

/// A column of every type that tables have: its name is its type's SQL.
const TYPES: &[(SqlType, &str, &str)] = &[
    (SqlType::SmallInt, "smallint", "-7"),
    (SqlType::Integer, "integer", "2147483647"),
    (SqlType::BigInt, "bigint", "-9223372036854775808"),
    (SqlType::Real, "real", "1.5"),
    (SqlType::Double, "double precision", "'NaN'"),
    (SqlType::Numeric(15, 2), "numeric(15,2)", "-1234567890123.45"),
    (SqlType::Boolean, "boolean", "true"),
    (SqlType::Text, "text", "'é漢🦅 and more than twelve bytes'"),
    (SqlType::Varchar(Some(5)), "varchar(5)", "'abc'"),
    (SqlType::Char(4), "char(4)", "'ab'"),
    (SqlType::Date, "date", "'2024-02-29'"),
    (SqlType::Time, "time", "'23:59:59.999999'"),
    (SqlType::Timestamp, "timestamp", "'1999-12-31 23:59:59.999999'"),
    (SqlType::TimestampTz, "timestamptz", "'2024-02-29 12:00:00+09'"),
    (SqlType::Interval, "interval", "'1 mon -2 days 03:04:05'"),
    (SqlType::Uuid, "uuid", "'01234567-89ab-cdef-0123-456789abcdef'"),
    (SqlType::Bytea, "bytea", "'\\x00ff'"),
    (SqlType::Json, "json", "'{\"a\": 1}'"),
    (SqlType::Jsonb, "jsonb", "'{\"a\": 1}'"),
];

pub(super) fn compare(column: &str, at: usize, op: Operator, value: i32) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(Arc::new(Column::new(column, at)), op, lit(value)))
}

fn shown(plan: &Arc<dyn ExecutionPlan>) -> String {
    displayable(plan.as_ref()).indent(false).to_string()
}

#[tokio::test]
async fn every_type_is_read_by_copy_and_by_cursor() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    let declared: Vec<_> = TYPES.iter().map(|(_, sql, _)| format!("\"{sql}\" {sql}")).collect();
    let values: Vec<_> = TYPES.iter().map(|(.., value)| *value).collect();
    let nulls = vec!["NULL"; TYPES.len()];
    run(
        &mut session,
        &format!(
            "DROP SCHEMA IF EXISTS types CASCADE; CREATE SCHEMA types; \
             CREATE TABLE types.t ({}); INSERT INTO types.t VALUES ({}), ({})",
            declared.join(", "),
            values.join(", "),
            nulls.join(", ")
        ),
    )
    .await;
    let fields: Vec<_> = TYPES.iter().map(|(t, name, _)| t.field(name, true)).collect();
    let columns: SchemaRef = Arc::new(Schema::new(fields));
    let store = store(server.settings()).await;
    let many = scan("types", &columns);
    let few = ShardScan { estimated_rows: 2, ..many.clone() };
    let copied = read(&store, &many, Reads::New).await.unwrap();
    let at_once = read(&store, &few, Reads::New).await.unwrap();
    assert_eq!(copied, at_once);
    let scope = SnapshotScope::Query(QueryId::random());
    let fetched = read(&store, &few, Reads::Snapshot(scope)).await.unwrap();
    assert_eq!(copied, fetched);
    assert_eq!(copied.num_rows(), 2);
    for (column, (sql_type, ..)) in copied.columns().iter().zip(TYPES) {
        assert_eq!(column.null_count(), 1, "{sql_type}");
        assert_eq!(*column.data_type(), sql_type.arrow());
    }
    assert_eq!(copied.column(1).as_primitive::<Int32Type>().value(0), i32::MAX);
    assert_eq!(copied.column(9).as_string_view().value(0), "ab");
}

#[tokio::test]
async fn the_database_filters_projects_and_limits() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "pushed", 1000).await;
    let store = store(server.settings()).await;
    let all = scan("pushed", &columns());

    let filter = compare("a", 0, Operator::Gt, 990);
    let one = ShardScan { projection: vec![1], filters: vec![filter], ..all.clone() };
    let plan = store.scan(&one).unwrap();
    let expected = "SELECT \"b\" FROM \"pushed\".\"t\" WHERE (\"a\" > '990'::pg_catalog.int4)";
    assert!(shown(&plan).contains(expected), "{}", shown(&plan));
    assert!(!shown(&plan).contains("FilterExec"), "{}", shown(&plan));
    let found = read(&store, &one, Reads::New).await.unwrap();
    assert_eq!((found.num_rows(), found.num_columns()), (10, 1));

    // The rest of a division is not pushed: Kestrel computes it, over a column that is not wanted.
    let rest = BinaryExpr::new(Arc::new(Column::new("a", 0)), Operator::Modulo, lit(10));
    let kept: Arc<dyn PhysicalExpr> =
        Arc::new(BinaryExpr::new(Arc::new(rest), Operator::Eq, lit(0)));
    let filters = vec![compare("a", 0, Operator::LtEq, 500), kept];
    let both = ShardScan { projection: vec![1], filters, ..all.clone() };
    let plan = store.scan(&both).unwrap();
    assert!(shown(&plan).contains("FilterExec"), "{}", shown(&plan));
    assert_eq!(plan.schema().fields().len(), 1);
    // Both together are the scan that was planned.
    assert_eq!(operator_rows(&plan, &plan, &is_inner_scan).rows.len(), 1);
    assert_eq!(read(&store, &both, Reads::New).await.unwrap().num_rows(), 50);

    let limited = ShardScan { fetch: Some(7), ..all.clone() };
    assert!(shown(&store.scan(&limited).unwrap()).contains("LIMIT 7"));
    assert_eq!(read(&store, &limited, Reads::New).await.unwrap().num_rows(), 7);

    // Rows are counted without a column.
    for estimated_rows in [1, 1_000_000] {
        let none = ShardScan { projection: vec![], estimated_rows, ..all.clone() };
        let counted = read(&store, &none, Reads::New).await.unwrap();
        assert_eq!((counted.num_rows(), counted.num_columns()), (1000, 0));
    }
}

#[tokio::test]
async fn pieces_are_read_at_the_same_time() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "pieces", 0).await;
    let fill = "INSERT INTO pieces.t SELECT i, repeat('x', 100) FROM generate_series(1, 60000) i";
    run(&mut session, fill).await;
    let store = store(server.settings()).await;
    let scan = scan("pieces", &columns());
    let plan = store.scan(&scan).unwrap();
    assert_eq!(plan.output_partitioning().partition_count(), 3);
    let scope = SnapshotScope::Query(QueryId::random());
    let mut rows = Vec::new();
    for partition in 0..3 {
        let mut batches = plan.execute(partition, context(Reads::Snapshot(scope))).unwrap();
        let mut count = 0;
        while let Some(batch) = batches.next().await {
            count += batch.unwrap().num_rows();
        }
        rows.push(count);
    }
    assert_eq!(rows.iter().sum::<usize>(), 60_000);
    assert!(rows.iter().all(|rows| *rows > 10_000), "{rows:?}");
    let all = read(&store, &scan, Reads::New).await.unwrap();
    assert_eq!(sum(&all), 60_000 * 60_001 / 2);
}

#[tokio::test]
async fn a_snapshot_stays_as_it_is_while_others_write() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "stable", 100).await;
    let store = store(server.settings()).await;
    let query = QueryId::random();
    let scope = SnapshotScope::Query(query);
    let block = SnapshotScope::Transaction(TransactionId(5));
    store.open_snapshot(scope).await.unwrap();
    store.open_snapshot(block).await.unwrap();
    store.open_snapshot(scope).await.unwrap();
    for _ in 0..3 {
        run(&mut session, "INSERT INTO stable.t SELECT max(a) + 1 FROM stable.t").await;
        assert_eq!(count(&store, "stable", Reads::Snapshot(scope)).await, 100);
        let few = ShardScan { estimated_rows: 1, ..scan("stable", &columns()) };
        let fetched = read(&store, &few, Reads::Snapshot(block)).await.unwrap();
        assert_eq!(fetched.num_rows(), 100);
    }
    assert_eq!(count(&store, "stable", Reads::New).await, 103);
    assert!(store.counters().snapshots >= 2);

    store.end_query(query);
    store.close_snapshot(block);
    // What comes late reads nothing, and leaves nothing.
    let late = read(&store, &scan("stable", &columns()), Reads::Snapshot(scope)).await;
    assert_eq!(sqlstate(late), "57014");
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' \
               AND query LIKE '%kst_%' AND query LIKE '%stable%'";
    until(&mut session, sql, "0").await;
}

#[tokio::test]
async fn a_small_scan_that_comes_first_begins_what_all_read() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "lazy", 100).await;
    table(&mut session, "lazy_slow", 0).await;
    let slow = "DROP TABLE lazy_slow.t; CREATE VIEW lazy_slow.t AS \
                SELECT 1 AS a, pg_sleep(600)::text AS b FROM generate_series(1, 10)";
    run(&mut session, slow).await;
    let store = store(server.settings()).await;
    let small = |schema| ShardScan { estimated_rows: 1, ..scan(schema, &columns()) };
    let (few, slow, missing) = (small("lazy"), small("lazy_slow"), small("lazy_missing"));
    for first in ["read", "failed", "given up"] {
        let query = QueryId::random();
        let reads = Reads::Snapshot(SnapshotScope::Query(query));
        match first {
            "failed" => assert_eq!(sqlstate(read(&store, &missing, reads).await), "42P01"),
            "given up" => {
                let slow = read(&store, &slow, reads);
                assert!(tokio::time::timeout(Duration::from_millis(300), slow).await.is_err());
            }
            _ => {}
        }
        let before = read(&store, &few, reads).await.unwrap().num_rows();
        run(&mut session, "INSERT INTO lazy.t SELECT max(a) + 1 FROM lazy.t").await;
        // In other sessions, for which it is exported now; and in the same one.
        assert_eq!(count(&store, "lazy", reads).await, before, "{first}");
        assert_eq!(read(&store, &few, reads).await.unwrap().num_rows(), before, "{first}");
        assert_eq!(count(&store, "lazy", Reads::New).await, before + 1, "{first}");
        store.end_query(query);
    }
}

#[tokio::test]
async fn one_session_is_enough_for_a_query() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "alone", 5000).await;
    let settings = KesSettings { sessions_max: 4, ..server.settings() };
    let store = Arc::new(store(settings).await);
    assert_eq!(store.facts().await.unwrap()["export_snapshot"], "true");
    for number in [1, 2] {
        execute(&store, TransactionId(number), &["SELECT 1"]).await.unwrap();
    }
    // Two queries hold the other two sessions, and each reads twice at the same time.
    let scopes = [QueryId::random(), QueryId::random()].map(SnapshotScope::Query);
    for scope in scopes {
        store.open_snapshot(scope).await.unwrap();
    }
    let reads = scopes.into_iter().flat_map(|scope| [scope, scope]).map(|scope| {
        let store = Arc::clone(&store);
        async move { count(&store, "alone", Reads::Snapshot(scope)).await }
    });
    assert_eq!(futures::future::join_all(reads).await, [5000; 4]);
    assert_eq!(store.counters().sessions_in_use, 4);
}

#[tokio::test]
async fn holders_leave_sessions_to_write_in() {
    let Some(server) = shared() else { return };
    let session_wait = Duration::from_millis(300);
    let settings = KesSettings { sessions_max: 3, session_wait, ..server.settings() };
    let store = store(settings).await;
    let [first, second] = [1, 2].map(|number| SnapshotScope::Transaction(TransactionId(number)));
    store.open_snapshot(first).await.unwrap();
    let error = store.open_snapshot(second).await.unwrap_err();
    assert_eq!(error.sqlstate.as_str(), "53300");
    assert!(error.hint.unwrap().contains("shard-sessions"));
    execute(&store, TransactionId(1), &["SELECT 1"]).await.unwrap();
    store.close_snapshot(first);
    store.open_snapshot(second).await.unwrap();
}

#[tokio::test]
async fn who_no_longer_waits_for_a_session_leaves_no_place() {
    let Some(server) = shared() else { return };
    let store = store(KesSettings { sessions_max: 2, ..server.settings() }).await;
    let scopes = [1, 2].map(|number| SnapshotScope::Transaction(TransactionId(number)));
    store.open_snapshot(scopes[0]).await.unwrap();
    execute(&store, TransactionId(1), &["SELECT 1"]).await.unwrap();
    let soon = Duration::from_millis(200);
    let waits = tokio::time::timeout(soon, store.open_snapshot(scopes[1]));
    assert!(waits.await.is_err(), "there was a session");
    let waits = tokio::time::timeout(soon, execute(&store, TransactionId(2), &["SELECT 1"]));
    assert!(waits.await.is_err(), "there was a session");
    let counters = store.counters();
    assert_eq!((counters.snapshots, counters.transactions), (1, 1), "{counters:?}");
}

#[tokio::test]
async fn who_goes_early_leaves_nothing_behind() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "early", 0).await;
    // Far more rows than a stream holds.
    run(
        &mut session,
        "DROP TABLE early.t; CREATE VIEW early.t AS \
         SELECT generate_series(1, 1000000000) AS a, repeat('x', 100) AS b",
    )
    .await;
    let store = store(server.settings()).await;
    let active = "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' \
                  AND query LIKE '%\"early\".\"t\"%' AND pid <> pg_backend_pid()";
    for estimated_rows in [1, 1_000_000] {
        let scan = ShardScan { estimated_rows, ..scan("early", &columns()) };
        let plan = store.scan(&scan).unwrap();
        let query = QueryId::random();
        let reads = Reads::Snapshot(SnapshotScope::Query(query));
        let mut rows = plan.execute(0, context(reads)).unwrap();
        assert!(rows.next().await.unwrap().unwrap().num_rows() > 0);
        drop(rows);
        store.end_query(query);
        until(&mut session, active, "0").await;
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while store.counters().sessions_in_use > 0 {
        assert!(Instant::now() < deadline, "{:?}", store.counters());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // They were kept.
    assert!(store.counters().sessions_idle > 0, "{:?}", store.counters());
}

#[tokio::test]
async fn a_read_that_is_given_up_does_not_take_its_snapshot_with_it() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "given_up", 10).await;
    run(
        &mut session,
        "CREATE SCHEMA IF NOT EXISTS given_up_slow; DROP VIEW IF EXISTS given_up_slow.t; \
         CREATE VIEW given_up_slow.t AS \
         SELECT 1 AS a, pg_sleep(600)::text AS b FROM generate_series(1, 10)",
    )
    .await;
    let store = store(server.settings()).await;
    let scope = SnapshotScope::Transaction(TransactionId(6));
    let slow = ShardScan { estimated_rows: 1, ..scan("given_up_slow", &columns()) };
    assert_eq!(sqlstate(read(&store, &slow, Reads::Snapshot(scope)).await), "40001");
    store.open_snapshot(scope).await.unwrap();
    let slow = read(&store, &slow, Reads::Snapshot(scope));
    assert!(tokio::time::timeout(Duration::from_millis(300), slow).await.is_err());
    let few = ShardScan { estimated_rows: 1, ..scan("given_up", &columns()) };
    let found = read(&store, &few, Reads::Snapshot(scope)).await.unwrap();
    assert_eq!(found.num_rows(), 10);
    store.close_snapshot(scope);
}

#[tokio::test]
async fn what_is_not_there_is_told_by_name() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    run(&mut session, "CREATE SCHEMA IF NOT EXISTS nowhere").await;
    let store = store(server.settings()).await;
    for estimated_rows in [1, 1_000_000] {
        let scan = ShardScan { estimated_rows, ..scan("nowhere", &columns()) };
        let error = read(&store, &scan, Reads::New).await.unwrap_err();
        assert_eq!(error.sqlstate.as_str(), "42P01", "{error:?}");
        assert_eq!(error.message, "relation \"nowhere.t\" does not exist");
        assert_eq!(error.datanode.as_deref(), Some("dn1"));
    }
    let unprobed = unprobed(server.settings(), Uuid::new_v4());
    assert_eq!(sqlstate(unprobed.scan(&scan("any", &columns())).map(|_| ())), "58K01");
}
