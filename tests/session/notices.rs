//! NOTICEs: their texts, and that they come at once.

use crate::support::{Session, TestCluster};

/// A statement with the notices it brings: SQLSTATE class, message, hint.
type Case = (&'static str, &'static [(&'static str, &'static str, &'static str)]);

const KEY_HINT: &str = "The 'DISTRIBUTED BY' clause determines the distribution of data. Make sure \
    column(s) chosen are the optimal data distribution key to minimize skew.";

const CASES: &[Case] = &[
    (
        "CREATE TABLE t1 (a int, b int)",
        &[(
            "NOTICE",
            "Table doesn't have 'DISTRIBUTED BY' clause -- Using column named 'a' as the Kestrel \
             data distribution key for this table.",
            KEY_HINT,
        )],
    ),
    ("CREATE TABLE t2 (a int, b int) DISTRIBUTED BY (b)", &[]),
    ("CREATE TABLE t3 (a int, b int PRIMARY KEY)", &[]),
    ("CREATE TABLE t4 (a int) DISTRIBUTED RANDOMLY", &[]),
    ("CREATE TABLE t5 (a int) DISTRIBUTED REPLICATED", &[]),
    (
        "CREATE TABLE IF NOT EXISTS t2 (a int)",
        &[("NOTICE", "relation \"t2\" already exists, skipping", "")],
    ),
    (
        "DROP TABLE IF EXISTS nothing",
        &[("NOTICE", "table \"nothing\" does not exist, skipping", "")],
    ),
    (
        "CREATE SCHEMA IF NOT EXISTS public",
        &[("NOTICE", "schema \"public\" already exists, skipping", "")],
    ),
    (
        "DROP SCHEMA IF EXISTS nothing",
        &[("NOTICE", "schema \"nothing\" does not exist, skipping", "")],
    ),
    ("SELECT * FROM t2", &[]),
    (
        "CREATE INDEX i ON t2 (a)",
        &[("NOTICE", "index \"i\" is recorded, but nothing is built", "")],
    ),
    ("CREATE VIEW v1 AS SELECT a FROM t2", &[]),
    ("CREATE VIEW v2 AS SELECT a FROM v1", &[]),
    ("DROP VIEW IF EXISTS nothing", &[("NOTICE", "view \"nothing\" does not exist, skipping", "")]),
    (
        "ALTER TABLE t2 ADD COLUMN IF NOT EXISTS a int",
        &[("NOTICE", "column \"a\" of relation \"t2\" already exists, skipping", "")],
    ),
    ("DROP VIEW v1 CASCADE", &[("NOTICE", "drop cascades to view v2", "")]),
];

#[tokio::test(flavor = "multi_thread")]
async fn notices_say_what_greenplum_and_postgresql_say() {
    let cluster = TestCluster::start(2).await;
    let mut session = cluster.session().await;
    let mut differences = Vec::new();
    for (sql, expected) in CASES {
        let got = notices(&mut session, sql).await;
        let expected: Vec<_> = expected
            .iter()
            .map(|(severity, message, hint)| {
                (severity.to_string(), message.to_string(), hint.to_string())
            })
            .collect();
        if got != expected {
            differences.push(format!("{sql}\n  expected {expected:?}\n  got      {got:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numeric_without_precision_is_said_to_be_limited() {
    let cluster = TestCluster::start(1).await;
    let mut session = cluster.session().await;
    let got = notices(&mut session, "CREATE TABLE n (a int, x numeric) DISTRIBUTED BY (a)").await;
    assert_eq!(got.len(), 1, "{got:?}");
    assert!(got[0].1.contains("numeric(38,10)"), "{got:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_min_messages_silences_them() {
    let cluster = TestCluster::start(1).await;
    let mut session = cluster.session().await;
    session.run_all(["SET client_min_messages = warning"]).await;
    assert_eq!(notices(&mut session, "DROP TABLE IF EXISTS nothing").await, []);
    cluster.stop().await;
}

/// Severity, message and hint of the notices that come with a statement.
async fn notices(session: &mut Session, sql: &str) -> Vec<(String, String, String)> {
    session.notices();
    session.run_all([sql]).await;
    let text = |hint: Option<&str>| hint.unwrap_or_default().to_string();
    session
        .notices()
        .iter()
        .map(|n| (n.severity().to_string(), n.message().to_string(), text(n.hint())))
        .collect()
}
