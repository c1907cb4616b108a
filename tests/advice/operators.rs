//! Runs that are judged by their operators: queries over tables whose columns depend on one another or do
//! not, and a join that is uneven over tables that are not.

use tokio_postgres::error::DbError;

use super::{cluster, databases_hold_rows, told};

const PROCESSING_SKEW: &str = "01K06";
const MISESTIMATE: &str = "01K07";

/// In `pairs` `a` has 500 values, `b` is `a`, and `c` has 201 that have nothing to do with it.
struct Case {
    sql: &'static str,
    /// A part of what is told; `None`: nothing is.
    told: Option<&'static str>,
    /// The HINT mends it.
    is_mended: bool,
}

/// The rows of the first two are counted where they are: no motion carries them.
const CASES: &[Case] = &[
    Case {
        sql: "SELECT count(*) FROM pairs WHERE a = 7 AND b = 7",
        told: Some("a Seq Scan on pairs, Filter"),
        is_mended: true,
    },
    Case { sql: "SELECT count(*) FROM pairs WHERE a = 7 AND c = 7", told: None, is_mended: false },
    Case {
        sql: "SELECT a, b, count(*) FROM pairs GROUP BY a, b",
        told: Some("HashAggregate, Group Key"),
        is_mended: true,
    },
    Case { sql: "SELECT a, count(*) FROM pairs GROUP BY a", told: None, is_mended: false },
    Case { sql: "SELECT id FROM pairs WHERE a < 100 LIMIT 3", told: None, is_mended: false },
    // The keys that are joined filter the scan of pairs.
    Case {
        sql: "SELECT count(*) FROM pairs JOIN few ON pairs.id = few.id",
        told: None,
        is_mended: false,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_judged() {
    if databases_hold_rows() {
        return;
    }
    let cluster = cluster(3).await;
    let session = cluster.session().await;
    session
        .run_all([
            "ALTER DATABASE kestrel SET kestrel.misestimate_min_rows = 100",
            "CREATE TABLE pairs (id int, a int, b int, c int) DISTRIBUTED BY (id)",
            "INSERT INTO pairs SELECT i, i % 500, i % 500, i / 500 % 500 \
             FROM generate_series(1, 100000) AS i",
            "CREATE TABLE few (id int) DISTRIBUTED BY (id)",
            "INSERT INTO few SELECT 1000 * i FROM generate_series(1, 90) AS i",
            "ANALYZE",
        ])
        .await;
    for case in CASES {
        let found = told(&cluster, case.sql, MISESTIMATE).await;
        let text = found.as_ref().map(DbError::message).unwrap_or_default();
        println!("{}: {text}", case.sql);
        assert_eq!(found.is_some(), case.told.is_some(), "{}: {found:?}", case.sql);
        assert!(text.contains(case.told.unwrap_or_default()), "{}: {text}", case.sql);
        if !case.is_mended {
            continue;
        }
        let hint = found.as_ref().and_then(DbError::hint).unwrap_or_default();
        session.run_all(hint.split_inclusive(';')).await;
        let after = told(&cluster, case.sql, MISESTIMATE).await;
        assert!(after.is_none(), "{}: {hint}: {after:?}", case.sql);
        // Others are to find the table as it was.
        session.run_all(["DROP STATISTICS pairs_a_b", "ANALYZE pairs"]).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_is_uneven_though_its_tables_are_not() {
    if databases_hold_rows() {
        return;
    }
    let cluster = cluster(3).await;
    let session = cluster.session().await;
    let rows = "SELECT CASE WHEN i <= 600 THEN 7 ELSE i % 10000 END, i % 10 \
                FROM generate_series(1, 20000) AS i";
    session
        .run_all([
            "ALTER DATABASE kestrel SET kestrel.processing_skew_min_size = 100".to_string(),
            "CREATE TABLE l (k int, v int) DISTRIBUTED BY (k)".to_string(),
            "CREATE TABLE r (k int, v int) DISTRIBUTED BY (k)".to_string(),
            format!("INSERT INTO l {rows}"),
            format!("INSERT INTO r {rows}"),
            "ANALYZE".to_string(),
        ])
        .await;
    // 361,000 of 400,000 pairs have a k of 7. The sum cannot be computed before they are joined.
    let sql = "SELECT sum(l.v * r.v) FROM l JOIN r ON l.k = r.k";
    let found = told(&cluster, sql, PROCESSING_SKEW).await;
    let text = found.as_ref().map(DbError::message).unwrap_or_default();
    assert!(text.starts_with("a Hash Join is skewed: dn"), "{found:?}");
    let detail = found.as_ref().and_then(DbError::detail).unwrap_or_default();
    assert!(detail.contains("k is 7 in about 3 % of the rows of its table."), "{detail}");
    // Two rows of each k: it is even.
    let even = "SELECT sum(l.v * r.v) FROM l JOIN r ON l.k = r.k WHERE l.k > 100";
    assert!(told(&cluster, even, PROCESSING_SKEW).await.is_none());
    cluster.stop().await;
}
