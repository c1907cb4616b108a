//! EXPLAIN ANALYZE: one tree, with what each operator has done. And it has done it.

use serde_json::Value;

use crate::support::{Session, TestCluster};

async fn lines(session: &Session, sql: &str) -> Vec<String> {
    let rows = session.rows(sql).await;
    rows.into_iter().map(|mut row| row.remove(0).unwrap()).collect()
}

async fn document(session: &Session, sql: &str) -> Value {
    let text = session.value(&format!("EXPLAIN (ANALYZE, FORMAT json) {sql}")).await;
    let mut documents: Value = serde_json::from_str(&text).unwrap();
    documents[0].take()
}

/// In pre-order.
fn nodes(plan: &Value) -> Vec<&Value> {
    let below = plan["Plans"].as_array().into_iter().flatten().flat_map(nodes);
    std::iter::once(plan).chain(below).collect()
}

/// The rows of all datanodes that nodes of one type gave.
fn rows_of(plan: &Value, node_type: &str) -> Vec<u64> {
    let of_type = nodes(plan).into_iter().filter(|node| node["Node Type"] == node_type);
    let rows = |node: &Value| {
        let runs = node["On Datanodes"].as_array().unwrap();
        runs.iter().map(|run| run["Rows Out"].as_u64().unwrap()).sum()
    };
    of_type.map(rows).collect()
}

async fn filled(cluster: &TestCluster) -> Session {
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)",
            "INSERT INTO t SELECT g, g % 10 FROM generate_series(1, 1000) g",
        ])
        .await;
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operator_tells_what_it_did() {
    let cluster = TestCluster::start(3).await;
    let session = filled(&cluster).await;
    let grouped = "SELECT b, count(*) FROM t GROUP BY b";
    let text = lines(&session, &format!("EXPLAIN ANALYZE {grouped}")).await;
    let operators = text.iter().filter(|line| line.contains("(cost="));
    for operator in operators {
        assert!(operator.contains(" (actual time="), "{operator}: {text:#?}");
    }
    for wanted in [
        "Rows out: ",
        "Rows sent: ",
        "Bytes moved: ",
        "Bytes out: ",
        "Slice 0: memory: ",
        "Slice 1: ",
    ] {
        assert!(text.iter().any(|line| line.trim().starts_with(wanted)), "{wanted}: {text:#?}");
    }
    let times = ["Planning Time: ", "Dispatch Time: ", "Execution Time: ", "Moved: "];
    let last = text.iter().rev().take(4).rev();
    assert!(last.zip(times).all(|(line, start)| line.starts_with(start)), "{text:#?}");

    let options = "(ANALYZE, COSTS off, TIMING off, SUMMARY off)";
    let text = lines(&session, &format!("EXPLAIN {options} {grouped}")).await;
    assert!(!text.iter().any(|line| line.contains("ime: ") || line.contains("time=")), "{text:#?}");
    assert!(text[0].contains("(actual rows=10 loops=1)"), "{text:#?}");

    let document = document(&session, grouped).await;
    let plan = &document["Plan"];
    assert_eq!(rows_of(plan, "Seq Scan"), [1000], "{plan:#}");
    assert_eq!(rows_of(plan, "Gather Motion"), [10], "{plan:#}");
    assert_eq!(plan["Actual Loops"], 1);
    assert_eq!(document["Result Rows"], 10, "{document:#}");
    // To the coordinator everything is moved, between datanodes what does not stay.
    assert_eq!(
        (&plan["Rows Moved"], &plan["Bytes Moved"]),
        (&plan["Rows Sent"], &plan["Bytes Sent"])
    );
    for motion in nodes(plan).into_iter().filter(|node| !node["Rows Sent"].is_null()) {
        let bytes = |field: &str| motion[field].as_u64().unwrap();
        assert!(bytes("Bytes Moved") > 0, "{motion:#}");
        assert!(bytes("Bytes Moved") <= bytes("Bytes Sent"), "{motion:#}");
    }
    assert!(document["Execution Time"].as_f64().unwrap() > 0.0);
    assert_eq!(document["Slices"][0]["On Datanodes"][0]["Datanode"], "coordinator");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn init_plans_joins_and_recursion_are_measured() {
    let cluster = TestCluster::start(2).await;
    let session = filled(&cluster).await;
    let init = "SELECT a FROM t WHERE b = (SELECT max(b) FROM t)";
    let plan = document(&session, init).await["Plan"].take();
    let of_init = nodes(&plan).into_iter().find(|node| node["Parent Relationship"] == "InitPlan");
    assert_eq!(of_init.unwrap()["Actual Rows"], 1, "{plan:#}");
    assert_eq!(rows_of(&plan, "Gather Motion")[0], 100, "{plan:#}");

    let join = "SELECT x.a, y.b FROM t x JOIN t y ON x.a = y.b";
    let plan = document(&session, join).await["Plan"].take();
    assert_eq!(rows_of(&plan, "Hash Join"), [900], "{plan:#}");
    let moved = nodes(&plan).into_iter().filter(|node| !node["Rows Sent"].is_null());
    assert_eq!(moved.count(), 2, "{plan:#}");

    let recursive = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) \
                     SELECT n FROM r";
    let plan = document(&session, recursive).await["Plan"].take();
    assert_eq!(rows_of(&plan, "Recursive Union"), [5], "{plan:#}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_write_do() {
    let cluster = TestCluster::start(2).await;
    let session = filled(&cluster).await;
    for (sql, node, count) in [
        ("INSERT INTO t VALUES (2000, 1), (2001, 1)", "Insert on t", "1002"),
        ("INSERT INTO t SELECT a + 5000, b FROM t WHERE a = 1", "Insert on t", "1003"),
        ("UPDATE t SET b = 77 WHERE a <= 3", "Update on t", "1003"),
        ("DELETE FROM t WHERE b = 77", "Delete on t", "1000"),
    ] {
        let text = lines(&session, &format!("EXPLAIN ANALYZE {sql}")).await;
        assert!(text.iter().any(|line| line.contains(node)), "{sql}: {text:#?}");
        assert!(text.iter().any(|line| line.contains("Rows out: ")), "{sql}: {text:#?}");
        assert_eq!(session.value("SELECT count(*) FROM t").await, count, "{sql}");
    }
    session.run_all(["BEGIN"]).await;
    lines(&session, "EXPLAIN ANALYZE DELETE FROM t").await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "0");
    session.run_all(["ROLLBACK"]).await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "1000");
    let create = "EXPLAIN ANALYZE CREATE TABLE c AS SELECT a FROM t DISTRIBUTED BY (a)";
    assert!(session.failure(create).await.message.contains("CREATE TABLE AS"));
    cluster.stop().await;
}
