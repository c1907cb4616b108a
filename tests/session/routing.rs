//! Rows go where their key says, whatever statement brings them.

use crate::support::TestCluster;

#[tokio::test(flavor = "multi_thread")]
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
    let placement = |table: &str| {
        format!(
            "SELECT count(*) FROM kestrel.table_placement WHERE table_name = '{table}' AND rows > 0"
        )
    };
    for table in ["a", "b", "s", "c"] {
        assert_eq!(session.value(&placement(table)).await, "3", "{table}: datanodes with rows");
    }
    // Joins on the key move nothing: a row that is in the wrong place is not found.
    for (table, pairs) in [("a", "1800"), ("b", "600"), ("s", "600"), ("c", "600")] {
        let join = format!("SELECT count(*) FROM a JOIN {table} x ON a.k = x.k");
        let plan = session.rows(&format!("EXPLAIN {join}")).await;
        let moves = |row: &Vec<Option<String>>| {
            row[0].as_ref().is_some_and(|l| l.contains("Redistribute") || l.contains("Broadcast"))
        };
        assert!(!plan.iter().any(moves), "{join}: {plan:?}");
        assert_eq!(session.value(&join).await, pairs, "{join}");
    }
    assert_eq!(session.value("SELECT count(*) FROM a WHERE k IS NULL").await, "2");
    let placed = "SELECT sum(rows) FROM kestrel.table_placement WHERE table_name = 'a'";
    assert_eq!(session.value(placed).await, "602");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
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
        ("SELECT count(*) FROM p FULL JOIN h ON p.k = h.k + 5", "11"),
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
