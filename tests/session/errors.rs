//! Errors as PostgreSQL words them, pointing at the place in the statement.

use crate::support::{Session, TestCluster, postgres};

const SETUP: &[&str] =
    &["CREATE TABLE t (id int, name text, d date)", "INSERT INTO t VALUES (0, 'a', '2020-01-01')"];

/// Statement, SQLSTATE, 1-based position in characters (0: none), message.
type Case = (&'static str, &'static str, u32, &'static str);

const CASES: &[Case] = &[
    ("SELEC 1", "42601", 1, "syntax error at or near \"SELEC\""),
    ("SELECT 1 FROM", "42601", 14, "syntax error at end of input"),
    ("SELECT id,, name FROM t", "42601", 11, "syntax error at or near \",\""),
    ("SELECT * FROM missing", "42P01", 15, "relation \"missing\" does not exist"),
    ("SELECT '漢字', missing FROM t", "42703", 14, "column \"missing\" does not exist"),
    ("SELECT t.missing FROM t", "42703", 8, "column t.missing does not exist"),
    ("SELECT id\nFROM t\nWHERE nam = 'x'", "42703", 24, "column \"nam\" does not exist"),
    ("SELECT x.id FROM t", "42P01", 8, "missing FROM-clause entry for table \"x\""),
    ("SELECT nofunction(id) FROM t", "42883", 8, "function nofunction(integer) does not exist"),
    ("SELECT id + name FROM t", "42883", 11, "operator does not exist: integer + text"),
    (
        "SELECT id, max(d) FROM t",
        "42803",
        8,
        "column \"t.id\" must appear in the GROUP BY clause or be used in an aggregate function",
    ),
    (
        "SELECT id FROM t WHERE id = 'x'",
        "22P02",
        29,
        "invalid input syntax for type integer: \"x\"",
    ),
    ("SELECT id FROM t a, t b", "42702", 8, "column reference \"id\" is ambiguous"),
    ("SELECT id FROM t ORDER BY 2", "42P10", 27, "ORDER BY position 2 is not in select list"),
    ("SELECT 1 / id FROM t", "22012", 0, "division by zero"),
    ("SELECT 2147483647 + 1", "22003", 0, "integer out of range"),
    ("SELECT id::smallint + 32768::smallint FROM t", "22003", 0, "smallint out of range"),
    (
        "SELECT (SELECT 1 UNION ALL SELECT id FROM t)",
        "21000",
        0,
        "more than one row returned by a subquery used as an expression",
    ),
    (
        "INSERT INTO t VALUES (1, 'a', '2020-01-01', 4)",
        "42601",
        45,
        "INSERT has more expressions than target columns",
    ),
    (
        "INSERT INTO t (id, nope) VALUES (1, 2)",
        "42703",
        20,
        "column \"nope\" of relation \"t\" does not exist",
    ),
    ("CREATE TABLE t (x int)", "42P07", 0, "relation \"t\" already exists"),
    ("DROP TABLE missing", "42P01", 0, "table \"missing\" does not exist"),
    ("SELECT DATE '2020-02-30'", "22008", 13, "date/time field value out of range: \"2020-02-30\""),
    ("SELECT id FROM t LIMIT -1", "2201W", 0, "LIMIT must not be negative"),
];

async fn differences(session: &Session) -> Vec<String> {
    session.run_all(SETUP).await;
    let mut differences = Vec::new();
    for (sql, sqlstate, position, message) in CASES {
        let got = session.failure(sql).await;
        let got = (got.sqlstate, got.position.unwrap_or_default(), got.message);
        let expected = (sqlstate.to_string(), *position, message.to_string());
        if got != expected {
            differences.push(format!("{sql}\n  expected {expected:?}\n  got      {got:?}"));
        }
    }
    differences
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_postgresqls() {
    if let Some(postgres) = postgres() {
        let session = Session::connect(&postgres.connection_string()).await;
        let differences = differences(&session).await;
        assert!(differences.is_empty(), "PostgreSQL itself says:\n{}", differences.join("\n"));
    }
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    let differences = differences(&session).await;
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    drop(session);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_stops_at_its_first_error_and_keeps_nothing_of_itself() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (id int) DISTRIBUTED BY (id)"]).await;
    let failure = session.failure("INSERT INTO t VALUES (1); SELECT 1 / 0; SELECT 2").await;
    assert_eq!(failure.sqlstate, "22012");
    assert_eq!(session.value("SELECT count(*) FROM t").await, "0");
    session.run_all(["INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)"]).await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "2");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_all_or_nothing() {
    let cluster = TestCluster::start(3).await;
    let (session, other) = (cluster.session().await, cluster.session().await);
    session.run_all(["CREATE TABLE t (id int) DISTRIBUTED BY (id)", "BEGIN"]).await;
    session.run_all(["INSERT INTO t VALUES (1), (2), (3)", "INSERT INTO t VALUES (4)"]).await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "4");
    assert_eq!(other.value("SELECT count(*) FROM t").await, "0");
    session.run_all(["COMMIT"]).await;
    assert_eq!(other.value("SELECT count(*) FROM t").await, "4");
    session.run_all(["BEGIN", "INSERT INTO t VALUES (5)"]).await;
    assert_eq!(session.failure("SELECT 1 / 0").await.sqlstate, "22012");
    assert_eq!(session.failure("SELECT 1").await.sqlstate, "25P02");
    session.run_all(["ROLLBACK"]).await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "4");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_database_kestrel_is_there() {
    let cluster = TestCluster::start(1).await;
    let url = cluster.url().replace("/kestrel", "/other").replace("//other", "//kestrel");
    let error = Session::try_connect(&url).await.err().unwrap();
    assert_eq!(error.code().map(|c| c.code()), Some("3D000"), "{error:?}");
    cluster.stop().await;
}
