//! Statements beside a SET DISTRIBUTED, which is committed when they are planned, and read nothing yet.

use kestrel_planner::catalog::{Distribution, TableDef};

use super::*;

/// The second column's values say where rows are from now on.
async fn switch(engine: &Engine) {
    let catalog = engine.catalog.snapshot();
    let before = TableDef::clone(catalog.table("public", "t").unwrap());
    let after = TableDef { distribution: Distribution::Hash(vec![2]), ..before.clone() };
    let change = CatalogChange::AlterTable { before: before.into(), after: after.into() };
    engine.cluster.shards.switches.note(std::slice::from_ref(&change));
    engine.catalog.commit(None, vec![change], Default::default()).await.unwrap();
}

const BY_KEY: &str = "SELECT b FROM t WHERE a = 1";
const CREATE: &str = "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_planned_before_a_switch_is_planned_again() {
    let mut fixture = Fixture::new(2).await;
    fixture.run(CREATE).await;
    // One datanode has such rows: no snapshot is opened beforehand.
    assert_eq!(fixture.run(BY_KEY).await, ["XX000"]);
    let engine = Arc::clone(&fixture.engine);
    let on = [0, 1].map(DatanodeId).into();
    let commit = engine.cluster.shards.latch.commit(&on, PATIENCE).await.unwrap();
    let committed = async move {
        tokio::time::sleep(ENDING).await;
        switch(&engine).await;
        drop(commit);
    };
    let (asked, ()) = tokio::join!(fixture.run(BY_KEY), committed);
    assert_eq!(asked, on_all(2, &["* opens a snapshot for a query", "XX000"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_do_not_read_where_rows_were() {
    let opened = "* opens a snapshot for a transaction";
    // Each SELECT fails when it reads: these datanodes run no fragments.
    for (begun, statement, expected, end) in [
        (vec!["EXPLAIN SELECT 1"], BY_KEY, vec![opened, "40001"], vec!["* closes a snapshot"]),
        (vec!["EXPLAIN SELECT 1"], "DELETE FROM t WHERE a = 1", vec!["40001"], vec![]),
        (vec!["EXPLAIN SELECT 1"], "INSERT INTO t VALUES (1, 1)", vec!["40001"], vec![]),
        (vec![], BY_KEY, vec![opened, "XX000"], vec!["* closes a snapshot"]),
        // Its snapshot is older than the switch, as its plans are.
        (
            vec!["SAVEPOINT s", BY_KEY, "ROLLBACK TO s"],
            BY_KEY,
            vec!["XX000"],
            vec!["* closes a snapshot"],
        ),
    ] {
        let mut fixture = Fixture::new(2).await;
        fixture.run(CREATE).await;
        fixture.run("BEGIN").await;
        for sql in begun {
            fixture.run(sql).await;
        }
        switch(&fixture.engine).await;
        assert_eq!(fixture.run(statement).await, on_all(2, &expected), "{statement}");
        assert_eq!(fixture.run("ROLLBACK").await, on_all(2, &end), "{statement}");
    }
}

/// A COMMIT that fails has undone its block; a second one would find nothing, and say that all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_reads_where_rows_were_fails() {
    let mut fixture = Fixture::new(2).await;
    fixture.run(CREATE).await;
    fixture.run("BEGIN").await;
    fixture.run("DECLARE c CURSOR WITH HOLD FOR SELECT b FROM t").await;
    switch(&fixture.engine).await;
    fixture.run("CREATE VIEW v AS SELECT 1 AS a").await;
    let answers = fixture.run("COMMIT").await;
    assert!(answers.contains(&"40001".to_string()), "{answers:?}");
    assert!(fixture.engine.catalog.snapshot().view("public", "v").is_none());
}
