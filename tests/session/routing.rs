//! Rows go where their key says, whatever statement brings them.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Session, TestCluster};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "not met yet: docs/status.md"]
async fn equal_keys_meet_on_one_datanode() {
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE a (k int, how text) DISTRIBUTED BY (k)",
            "CREATE TABLE b (k bigint, how text) DISTRIBUTED BY (k)",
            "CREATE TABLE s (how text, k smallint) DISTRIBUTED BY (k)",
            "CREATE TABLE r (k int, how text) DISTRIBUTED RANDOMLY",
        ])
        .await;
    let values: Vec<String> = (0..200).map(|k| format!("({k}, 'values')")).collect();
    let lines: String = (0..200).map(|k| format!("{k}\tcopy\n")).collect();
    session.run_all([format!("INSERT INTO a VALUES {}", values.join(", "))]).await;
    assert_eq!(session.copy_in("COPY a FROM STDIN", &lines).await, Ok(200));
    session
        .run_all([
            "INSERT INTO r SELECT k, 'select' FROM a WHERE how = 'values'",
            "INSERT INTO a SELECT k, how FROM r",
            "INSERT INTO b SELECT k, 'select' FROM r",
            "INSERT INTO s SELECT 'select', k FROM r",
            "INSERT INTO a VALUES (NULL, 'values'), (NULL, 'values')",
            "CREATE TABLE c AS SELECT how, k FROM r DISTRIBUTED BY (k)",
        ])
        .await;
    let home = homes(&session, "a").await;
    let used: BTreeSet<&String> = home.values().flatten().collect();
    assert_eq!(used.len(), 3, "every datanode has rows: {used:?}");
    for (key, segments) in &home {
        assert_eq!(segments.len(), 1, "key {key} is on several datanodes: {segments:?}");
    }
    for table in ["b", "s", "c"] {
        for (key, segments) in homes(&session, table).await {
            assert_eq!(home.get(&key), Some(&segments), "{table}: key {key}");
        }
    }
    let placed = "SELECT sum(rows) FROM kestrel.table_placement WHERE table_name = 'a'";
    assert_eq!(session.value(placed).await, "602");
    cluster.stop().await;
}

/// On which datanodes the rows of each key are.
async fn homes(session: &Session, table: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut homes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in session.rows(&format!("SELECT k, gp_segment_id FROM {table}")).await {
        let [key, segment] = [0, 1].map(|i| row[i].clone().unwrap_or_else(|| "NULL".into()));
        homes.entry(key).or_default().insert(segment);
    }
    homes
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "not met yet: docs/status.md"]
async fn replicated_tables_have_every_row_once_for_the_reader() {
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE p (k int) DISTRIBUTED REPLICATED",
            "CREATE TABLE h (k int) DISTRIBUTED BY (k)",
            "INSERT INTO h VALUES (1), (2), (3), (4), (5), (6)",
            "INSERT INTO p SELECT k FROM h",
            "INSERT INTO p VALUES (7)",
        ])
        .await;
    for (sql, expected) in [
        ("SELECT count(*) FROM p", "7"),
        ("SELECT sum(k) FROM p", "28"),
        ("SELECT count(*) FROM p JOIN h ON p.k = h.k", "6"),
        ("SELECT count(*) FROM h LEFT JOIN p ON h.k + 3 = p.k", "6"),
        ("SELECT count(*) FROM p LEFT JOIN h ON p.k = h.k", "7"),
        ("SELECT count(*) FROM p FULL JOIN h ON p.k = h.k + 5", "12"),
        ("SELECT count(*) FROM p a JOIN p b ON a.k <= b.k", "28"),
        ("SELECT count(*) FROM p WHERE k NOT IN (SELECT k FROM h)", "1"),
        ("SELECT count(*) FROM (SELECT k FROM p UNION ALL SELECT k FROM h) AS u", "13"),
        ("SELECT count(*) FROM (SELECT k FROM p UNION ALL SELECT k FROM p) AS u", "14"),
    ] {
        assert_eq!(session.value(sql).await, expected, "{sql}");
    }
    let placement =
        "SELECT count(*) FROM kestrel.table_placement WHERE table_name = 'p' AND rows = 7";
    assert_eq!(session.value(placement).await, "3");
    cluster.stop().await;
}
