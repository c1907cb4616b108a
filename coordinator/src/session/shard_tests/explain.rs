//! What EXPLAIN asks datanodes beside databases, and shows of their answers.

use arrow::array::AsArray;
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::*;

impl Fixture {
    /// The texts of the one statement's only column.
    async fn texts(&mut self, sql: &str) -> Vec<String> {
        let statement = self.session.parse(sql).unwrap().remove(0);
        let (notices, _received) = mpsc::unbounded_channel();
        let (notices, cancel) = (NoticeSender::new(notices), CancellationToken::new());
        self.session.begin_batch();
        let outcome = self.session.execute(&statement, &[], notices, cancel).await.unwrap();
        let Outcome::Rows { rows, .. } = outcome else { panic!("{sql}: no rows") };
        let batches: Vec<_> = rows.try_collect().await.unwrap();
        self.session.end_batch().await.unwrap();
        let texts = batches.iter().flat_map(|batch| batch.column(0).as_string_view().iter());
        texts.flatten().map(String::from).collect()
    }

    /// The lines about SQL.
    async fn sql_lines(&mut self, sql: &str) -> Vec<String> {
        let lines = self.texts(sql).await.into_iter();
        lines.filter(|line| line.contains("SQL")).map(|line| line.trim().to_string()).collect()
    }
}

const EXPLAIN: &str = "EXPLAIN (COSTS off) SELECT a FROM t WHERE b > 5";
const PRESUMED: &str = "SELECT \"a\" FROM \"public\".\"t\" WHERE (\"b\" > '5'::pg_catalog.int4)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_shows_what_each_datanode_would_send() {
    // The first two say the same.
    for (datanodes, expected) in [
        (2, &["Shard SQL: slice 1 of dn1 (in up to 2 pieces)"][..]),
        (
            3,
            &[
                "Shard SQL (dn1): slice 1 of dn1",
                "Shard SQL (dn2): slice 1 of dn1 (in up to 2 pieces)",
                "Shard SQL (dn3): slice 1 of dn3 (in up to 3 pieces)",
            ][..],
        ),
    ] {
        let mut fixture = Fixture::new(datanodes).await;
        fixture.run(CREATE).await;
        assert_eq!(fixture.sql_lines(EXPLAIN).await, expected);
        let mut asked = std::mem::take(&mut *fixture.log.lock());
        asked.sort();
        assert_eq!(asked, on_all(datanodes, &["* describes slice 1"]));
    }

    let mut fixture = Fixture::new(3).await;
    fixture.run(CREATE).await;
    let json = EXPLAIN.replace("off", "off, FORMAT json");
    let document = fixture.texts(&json).await;
    let document: Value = serde_json::from_str(&document.join("\n")).unwrap();
    assert_eq!(
        document[0]["Plan"]["Plans"][0]["Shard SQL"],
        json!([
            { "datanode": "dn1", "sql": ["slice 1 of dn1"] },
            { "datanode": "dn2", "sql": ["slice 1 of dn1"], "pieces_max": 2 },
            { "datanode": "dn3", "sql": ["slice 1 of dn3"], "pieces_max": 3 },
        ])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_does_without_datanodes_that_do_not_answer() {
    let mut fixture = Fixture::new(2).await;
    fixture.run(CREATE).await;
    for (troubles, expected) in [
        (vec![], vec!["Shard SQL: slice 1 of dn1 (in up to 2 pieces)".to_string()]),
        (
            vec![(1, Trouble::Fails)],
            vec![
                "Shard SQL (dn1): slice 1 of dn1".to_string(),
                format!("Shard SQL (dn2, no answer): {PRESUMED}"),
            ],
        ),
        (vec![(0, Trouble::Hangs), (1, Trouble::Fails)], vec![format!("Shard SQL: {PRESUMED}")]),
    ] {
        fixture.troubles.lock().extend(troubles);
        let explained = tokio::time::timeout(PATIENCE, fixture.sql_lines(EXPLAIN)).await;
        assert_eq!(explained.expect("it waits for ever"), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_asks_nobody_about_files_and_unknown_values() {
    let mut fixture = Fixture::new(2).await;
    fixture.run(CREATE).await;
    fixture.run("CREATE TEMP TABLE u (a int) DISTRIBUTED BY (a)").await;
    for sql in ["EXPLAIN SELECT * FROM u", "EXPLAIN SELECT 1", "EXPLAIN INSERT INTO u VALUES (1)"] {
        assert_eq!(fixture.run(sql).await, on_all(2, &[]), "{sql}");
    }
    // The statement that fills a table sends the same queries.
    let insert = "EXPLAIN INSERT INTO u SELECT b FROM t";
    let asked = fixture.run(insert).await;
    assert!(asked.iter().all(|line| line.contains("describes slice")), "{asked:?}");
    assert_eq!(asked.len(), 2, "{asked:?}");
    // Of the two slices only the init plan's has all its values.
    let init = "EXPLAIN SELECT a FROM t WHERE b + a > (SELECT max(b) FROM t)";
    assert_eq!(fixture.run(init).await, on_all(2, &["* describes slice 1"]));
}
