//! Where slices run, and plans that are kept: they see what is there when they run.

use crate::support::{Session, TestCluster};

/// Of three datanodes; 2 is a key of dn1, 9 one of dn2, 8 one of dn3.
const TABLES: &[&str] = &[
    "CREATE TABLE t (k int, v int) DISTRIBUTED BY (k)",
    "CREATE TABLE u (k bigint, w int) DISTRIBUTED BY (k)",
    "CREATE TABLE p (k int, name text) DISTRIBUTED REPLICATED",
    "CREATE TABLE r (k int, v int) DISTRIBUTED RANDOMLY",
    "INSERT INTO t SELECT i, i * 10 FROM generate_series(1, 100) AS s(i)",
    "INSERT INTO t VALUES (NULL, 0)",
    "INSERT INTO u SELECT k, v FROM t WHERE k <= 50",
    "INSERT INTO p SELECT k, 'n' FROM t WHERE k < 5",
    "INSERT INTO r SELECT k, v FROM t",
];

const ALL: &str = "(slice 1) Dispatch command to ALL datanodes: dn1 dn2 dn3";

/// The INFO messages and the first value of a statement.
async fn dispatched(session: &mut Session, sql: &str) -> (Vec<String>, Option<String>) {
    session.notices();
    let rows = session.rows(sql).await;
    let infos = session.notices().into_iter().filter(|notice| notice.severity() == "INFO");
    let infos = infos.map(|notice| notice.message().to_string()).collect();
    (infos, rows.first().and_then(|row| row[0].clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_run_where_their_rows_are() {
    let cluster = TestCluster::start(3).await;
    let mut session = cluster.session().await;
    session.run_all(TABLES).await;
    session
        .run_all([
            "SET kestrel.print_dispatch = on",
            "PREPARE q (int) AS SELECT v FROM t WHERE k = $1",
        ])
        .await;
    let one = |datanode: &str| format!("(slice 1) Dispatch command to SINGLE datanode: {datanode}");
    let some = |names: &str| format!("(slice 1) Dispatch command to PARTIAL datanodes: {names}");
    for (sql, expected, value) in [
        ("SELECT v FROM t WHERE k = 9", vec![one("dn2")], Some("90")),
        ("SELECT v FROM t WHERE k = 1000", vec![one("dn2")], None),
        ("SELECT sum(v) FROM t WHERE k IN (8, 9)", vec![some("dn2 dn3")], Some("170")),
        ("SELECT sum(v) FROM t WHERE k = 2 OR k = 9", vec![some("dn1 dn2")], Some("110")),
        ("SELECT v FROM t WHERE k IS NULL", vec![one("dn1")], Some("0")),
        ("SELECT count(*) FROM t WHERE k > 9", vec![ALL.into()], Some("91")),
        ("SELECT count(*) FROM r WHERE k = 9", vec![ALL.into()], Some("1")),
        (
            "SELECT t.v + u.w FROM t JOIN u ON t.k = u.k WHERE t.k = 9",
            vec![one("dn2")],
            Some("180"),
        ),
        (
            "SELECT count(u.k) FROM t LEFT JOIN u ON t.k = u.k WHERE t.k = 9",
            vec![one("dn2")],
            Some("1"),
        ),
        ("SELECT count(*) FROM t JOIN p ON t.k = p.k WHERE t.k = 2", vec![one("dn1")], Some("1")),
        ("EXECUTE q (9)", vec![one("dn2")], Some("90")),
        ("EXECUTE q (8)", vec![one("dn3")], Some("80")),
        ("EXECUTE q (NULL)", vec![], None),
        ("SELECT 1", vec![], Some("1")),
    ] {
        let (infos, found) = dispatched(&mut session, sql).await;
        assert_eq!(found.as_deref(), value, "{sql}");
        // Rows that nobody has are looked for on any one datanode, or nowhere.
        let is_anywhere = value.is_none();
        assert!(infos == expected || (is_anywhere && infos.len() <= 1), "{sql}: {infos:?}");
    }
    // What changes a row by its key runs where that is.
    for (sql, names) in [
        ("UPDATE t SET v = v + 1 WHERE k = 9", "dn2"),
        ("DELETE FROM t WHERE k = 8", "dn3"),
        ("INSERT INTO t SELECT k, v FROM t WHERE k = 9", "dn2"),
    ] {
        let (infos, _) = dispatched(&mut session, sql).await;
        assert_eq!(infos, [one(names)], "{sql}");
    }
    assert_eq!(session.value("SELECT sum(v) FROM t WHERE k IN (8, 9)").await, "182");
    session.run_all(["RESET kestrel.print_dispatch"]).await;
    assert_eq!(dispatched(&mut session, "SELECT v FROM t WHERE k = 9").await.0, [""; 0]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_plans_see_what_is_there() {
    let cluster = TestCluster::start(3).await;
    let (session, other) = (cluster.session().await, cluster.session().await);
    session.run_all(TABLES).await;
    let text = "SELECT v FROM t WHERE k = 9";
    session.run_all(["PREPARE q (int) AS SELECT v FROM t WHERE k = $1 ORDER BY v DESC"]).await;
    let read = async |of: &Session| (of.value("EXECUTE q (9)").await, of.value(text).await);
    for _ in 0..3 {
        assert_eq!(read(&session).await, ("90".into(), "90".into()));
        assert_eq!(session.value("EXECUTE q (8)").await, "80");
    }
    // Others' rows, one's own that are not committed, and neither when they are undone.
    other.run_all(["UPDATE t SET v = 91 WHERE k = 9"]).await;
    assert_eq!(read(&session).await, ("91".into(), "91".into()));
    session.run_all(["BEGIN", "UPDATE t SET v = 92 WHERE k = 9"]).await;
    assert_eq!(read(&session).await, ("92".into(), "92".into()));
    assert_eq!(other.value(text).await, "91");
    session.run_all(["ROLLBACK"]).await;
    assert_eq!(read(&session).await, ("91".into(), "91".into()));
    // Another definition, in a block and after it.
    session.run_all(["BEGIN", "ALTER TABLE t ALTER COLUMN v TYPE bigint"]).await;
    assert_eq!(session.value(text).await, "91");
    assert_eq!(
        session.failure("EXECUTE q (9)").await.message,
        "cached plan must not change result type"
    );
    session.run_all(["ROLLBACK"]).await;
    assert_eq!(read(&session).await, ("91".into(), "91".into()));
    other.run_all(["ALTER TABLE t ADD COLUMN x int DEFAULT 5"]).await;
    assert_eq!(read(&session).await, ("91".into(), "91".into()));
    assert_eq!(session.value("SELECT x FROM t WHERE k = 9").await, "5");
    // Another table of the name, before it on the search path.
    session.run_all(["CREATE TEMP TABLE t (k int, v int)", "INSERT INTO t VALUES (9, 7)"]).await;
    assert_eq!(read(&session).await, ("7".into(), "7".into()));
    assert_eq!(other.value(text).await, "91");
    session.run_all(["DROP TABLE t"]).await;
    assert_eq!(read(&session).await, ("91".into(), "91".into()));
    // Settings that values are read and shown by.
    let zone = "SELECT timestamptz '2024-01-01 00:00'::text";
    let shown = |zone: &'static str| format!("SET TimeZone = '{zone}'");
    for (name, expected) in [
        ("UTC", "2024-01-01 00:00:00+00"),
        ("Asia/Shanghai", "2024-01-01 00:00:00+08"),
        ("UTC", "2024-01-01 00:00:00+00"),
    ] {
        session.run_all([shown(name)]).await;
        assert_eq!(session.value(zone).await, expected);
    }
    // The clock.
    let now = "SELECT now()";
    let first = session.value(now).await;
    assert_ne!(session.value(now).await, first);
    // Dropped, and made again.
    session.run_all(["DROP TABLE t", "CREATE TABLE t (k int, v int) DISTRIBUTED BY (v)"]).await;
    assert_eq!(session.rows(text).await.len(), 0);
    session.run_all(["INSERT INTO t VALUES (9, 1)"]).await;
    assert_eq!(read(&session).await, ("1".into(), "1".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_plans_are_not_for_everybody() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session.run_all(TABLES).await;
    session.run_all(["CREATE ROLE reader", "GRANT SELECT ON t TO reader"]).await;
    let text = "SELECT v FROM t WHERE k = 9";
    let roles = ["SET ROLE reader", "RESET ROLE"];
    assert_eq!(session.value(text).await, "90");
    session.run_all([roles[0]]).await;
    assert_eq!(session.value(text).await, "90");
    session.run_all([roles[1], "REVOKE SELECT ON t FROM reader", roles[0]]).await;
    assert_eq!(session.failure(text).await.sqlstate, "42501");
    session.run_all([roles[1], "GRANT SELECT (k) ON t TO reader", roles[0]]).await;
    assert_eq!(session.failure(text).await.sqlstate, "42501");
    session.run_all([roles[1]]).await;
    assert_eq!(session.value(text).await, "90");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_give_a_query_another_form() {
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    session.run_all(TABLES).await;
    let client = &session.client;
    let count = async |sql: &str, values: [Option<i32>; 3]| {
        let statement = client.prepare(sql).await.unwrap();
        let mut counts = Vec::new();
        for value in values {
            let rows = client.query(&statement, &[&value]).await;
            counts.push(rows.unwrap_or_else(|e| panic!("{sql} {value:?}: {e:?}")).len());
        }
        counts
    };
    let values = [Some(9), None, Some(1000)];
    for (sql, expected) in [
        ("SELECT v FROM t WHERE k = $1", [1, 0, 0]),
        ("SELECT v FROM t WHERE k = $1::int + 1", [1, 0, 0]),
        ("SELECT v FROM t WHERE k IN ($1, 7, NULL)", [2, 1, 1]),
        ("SELECT v FROM t WHERE $1::int IS NULL OR k = $1", [1, 101, 0]),
        ("SELECT v FROM t WHERE k IS NOT DISTINCT FROM $1::int", [1, 1, 0]),
        ("SELECT v FROM t WHERE k = (SELECT min(k) FROM u WHERE k >= $1::int)", [1, 0, 0]),
        (
            "SELECT v FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.k = $1::int)",
            [1, 0, 0],
        ),
        (
            "SELECT t.v FROM t LEFT JOIN u ON t.k = u.k AND u.k = $1::int WHERE t.k < 20",
            [19, 19, 19],
        ),
        ("SELECT $1::int FROM p", [4, 4, 4]),
        ("SELECT count(*) FROM t GROUP BY k HAVING k < $1", [8, 0, 100]),
    ] {
        // Once when the plan is made, and once when it is kept.
        for _ in 0..2 {
            assert_eq!(count(sql, values).await, expected, "{sql}");
        }
    }
    cluster.stop().await;
}
