//! Queries in, the SQL of their scans out: filters as the planner leaves them.

use kestrel_datanode::shard::kes::{
    Capabilities,
    sql::{Piece, Relation, ScanSql},
};
use kestrel_planner::{operators::ShardScan, shard_sql::SampleSize};
use kestrel_proto::message::RowSample;

use super::planned::Planned;

const TABLE: &str = "CREATE TABLE t (s smallint, i int, l bigint, n numeric(15,2), f double precision, \
    b boolean, t text, v varchar(9), c char(5), d date, ts timestamp, tz timestamptz, u uuid, \
    y bytea, iv interval) DISTRIBUTED BY (i)";

async fn scan(planned: &Planned, sql: &str) -> ShardScan {
    let scan = planned.scan(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    scan.unwrap_or_else(|| panic!("{sql} scans nothing"))
}

fn text(scan: &ShardScan, capabilities: Capabilities) -> ScanSql {
    let relation = Relation { schema: "public".into(), name: "t".into() };
    ScanSql::of(&relation, scan, capabilities).unwrap()
}

/// `x` as `'x'::pg_catalog.type`, to keep the expectations short: `[int4 5]`.
fn shortened(sql: &str) -> String {
    let mut short = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once('\'') {
        let (value, after) = after.split_once('\'').unwrap();
        let Some(after) = after.strip_prefix("::pg_catalog.") else {
            short.push_str(&format!("{before}'{value}'"));
            rest = after;
            continue;
        };
        let end = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        short.push_str(&format!("{before}[{name} {value}]"));
        rest = after;
    }
    short + rest
}

/// The condition that a WHERE clause becomes, and how many filters are left.
async fn check(planned: &Planned, condition: &str, capabilities: Capabilities, expected: &str) {
    let scan = scan(planned, &format!("SELECT i FROM t WHERE {condition}")).await;
    let sql = text(&scan, capabilities);
    let select = shortened(&sql.select(&Piece::WHOLE));
    let pushed = select.split_once(" WHERE ").map_or("", |(_, pushed)| pushed);
    let left = if sql.remaining.is_empty() { "" } else { " + rest" };
    assert_eq!(format!("{pushed}{left}"), expected, "{condition}: {:?}", scan.filters);
}

#[tokio::test]
async fn conditions() {
    let planned = Planned::new(TABLE);
    for (condition, expected) in [
        ("i = 5", "(\"i\" = [int4 5])"),
        ("s < 5", "(\"s\" < [int2 5])"),
        ("l >= -9223372036854775807", "(\"l\" >= [int8 -9223372036854775807])"),
        ("n > 1.5", "(\"n\" > [numeric 1.50])"),
        ("f > 0", "(\"f\" > [float8 0])"),
        ("f = 0", " + rest"),
        ("f <> 1.5", "(\"f\" <> [float8 1.5])"),
        ("t = 'it'", "(\"t\" = [text it])"),
        ("t < 'a'", "(\"t\" COLLATE \"C\" < [text a])"),
        ("t = v", "(\"v\" COLLATE \"C\" = \"t\")"),
        ("c = 'ab '", "(\"c\" = [bpchar ab])"),
        ("c > 'ab'", "(\"c\"::pg_catalog.text COLLATE \"C\" > [text ab])"),
        ("t LIKE 'a\\%%'", "(\"t\" LIKE [text a\\%%] ESCAPE '\\')"),
        ("t NOT LIKE '%a_b'", "(\"t\" NOT LIKE [text %a_b])"),
        ("t ILIKE 'a_'", " + rest"),
        ("c LIKE 'a_'", " + rest"),
        ("d >= date '2020-02-29'", "(\"d\" >= [date 2020-02-29])"),
        ("ts < timestamp '2020-01-01'", "(\"ts\" < [timestamp 2020-01-01 00:00:00])"),
        ("y = '\\x00ff'", "(\"y\" = pg_catalog.decode('00ff', 'hex'))"),
        ("iv IS NULL", "(\"iv\" IS NULL)"),
        ("iv > interval '1 day'", " + rest"),
        ("b", "\"b\""),
        ("NOT b", "(NOT \"b\")"),
        ("i IS NOT NULL OR d IS NULL", "((\"i\" IS NOT NULL) OR (\"d\" IS NULL))"),
        ("i IN (1, 2, 3, 4)", "(\"i\" IN ([int4 1], [int4 2], [int4 3], [int4 4]))"),
        ("i + 1 = l", " + rest"),
        ("s + 1 < 100000", "((\"s\"::pg_catalog.int4 + [int4 1]) < [int4 100000])"),
        ("10 / i = 2 AND i <> 0", "(\"i\" <> [int4 0]) + rest"),
        ("lower(t) = 'a'", " + rest"),
    ] {
        check(&planned, condition, Capabilities::POSTGRESQL_15, expected).await;
    }
}

#[tokio::test]
async fn texts_stay_where_the_database_compares_otherwise() {
    let planned = Planned::new(TABLE);
    let oracle = Capabilities { empty_string_is_null: true, ..Capabilities::POSTGRESQL_15 };
    check(&planned, "t = ''", oracle, " + rest").await;
    check(&planned, "t = 'a'", oracle, "(\"t\" = [text a])").await;
    check(&planned, "c = 'a'", oracle, " + rest").await;
    let caseless = Capabilities { case_insensitive_text: true, ..Capabilities::POSTGRESQL_15 };
    check(&planned, "t = 'a'", caseless, " + rest").await;
    check(&planned, "t LIKE 'a%'", caseless, " + rest").await;
    check(&planned, "t IS NULL", caseless, "(\"t\" IS NULL)").await;
}

#[tokio::test]
async fn scans() {
    let planned = Planned::new(TABLE);
    let planned = &planned;
    let sql = async |query: &str| text(&scan(planned, query).await, Capabilities::POSTGRESQL_15);

    let all = sql("SELECT v, i FROM t WHERE t = 'it''s'").await;
    assert_eq!(
        all.copy(&Piece::WHOLE),
        "COPY (SELECT \"i\", \"v\" FROM \"public\".\"t\" WHERE \
         (\"t\" = 'it''s'::pg_catalog.text)) TO STDOUT (FORMAT BINARY)"
    );
    assert_eq!(all.columns, [1, 7]);

    let counted = sql("SELECT count(*) FROM t").await;
    assert_eq!(counted.select(&Piece::WHOLE), "SELECT NULL::pg_catalog.int2 FROM \"public\".\"t\"");
    assert!(counted.columns.is_empty());

    let left = sql("SELECT i FROM t WHERE upper(t) = 'A' AND s = 1").await;
    assert_eq!(
        left.select(&Piece::WHOLE),
        "SELECT \"i\", \"t\" FROM \"public\".\"t\" WHERE (\"s\" = '1'::pg_catalog.int2)"
    );
    assert_eq!((left.columns.as_slice(), left.remaining.len()), ([1, 6].as_slice(), 1));
}

#[tokio::test]
async fn a_sample_is_taken_where_the_rows_are() {
    let planned = Planned::new(TABLE);
    let plain = scan(&planned, "SELECT i, v FROM t").await;
    for (blocks, rows, expected) in [
        (1.0, 1.0, ""),
        (1.0, 0.25, " WHERE (pg_catalog.random() < [float8 0.25])"),
        (0.125, 1.0, " TABLESAMPLE SYSTEM (12.5)"),
        (0.125, 0.25, " TABLESAMPLE SYSTEM (12.5) WHERE (pg_catalog.random() < [float8 0.25])"),
    ] {
        let scan = ShardScan { sample: Some(RowSample { blocks, rows }), ..plain.clone() };
        let sql = text(&scan, Capabilities::POSTGRESQL_15);
        assert_eq!(
            shortened(&sql.copy(&Piece::WHOLE)),
            format!(
                "COPY (SELECT \"i\", \"v\" FROM \"public\".\"t\"{expected}) \
                 TO STDOUT (FORMAT BINARY)"
            )
        );
        assert!(sql.remaining.is_empty());
    }
    assert_eq!(plain.sample, None);
    // How large the table is nobody has told: all blocks are read.
    let size = SampleSize::of(1_000_000, 250_000);
    let counted = planned.sampled("SELECT count(v) FROM t", size).await.unwrap().unwrap();
    assert_eq!(counted.sample, Some(RowSample { blocks: 1.0, rows: 0.25 }));
}

#[tokio::test]
async fn a_limit_waits_for_all_filters() {
    let planned = Planned::new(TABLE);
    let planned = &planned;
    let limited = async |query: &str| {
        let scan = ShardScan { fetch: Some(3), ..scan(planned, query).await };
        let sql = text(&scan, Capabilities::POSTGRESQL_15);
        (sql.select(&Piece::WHOLE), sql.pushes_fetch)
    };
    let (sql, pushed) = limited("SELECT i FROM t WHERE i > 1").await;
    assert!(sql.ends_with(" LIMIT 3") && pushed, "{sql}");
    let (sql, pushed) = limited("SELECT i FROM t WHERE i > 1 AND upper(t) = 'A'").await;
    assert!(!sql.contains("LIMIT") && !pushed, "{sql}");
}
