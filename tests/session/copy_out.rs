//! `COPY … TO STDOUT`, and what it wrote read again: every type, every format, as PostgreSQL's.

use std::pin::pin;

use futures::StreamExt;
use tokio_postgres::NoTls;

use crate::support::{Failure, Session, TestCluster, postgres};

const COLUMNS: &str = "(id int, s smallint, b bigint, r real, f double precision, n numeric(12,4), \
    o boolean, x text, v varchar(9), c char(5), d date, t time, ts timestamp, tz timestamptz, \
    i interval, u uuid, y bytea)";

/// Rows of all types, as COPY's text format has them: usual values, empty and odd ones, NULLs.
const ROWS: &[&str] = &[
    "1\t-32768\t9223372036854775807\t1.5\t0.1\t-1234.5678\tt\ttab\\there\tcomma,\tab   \t2024-02-29\t\
     12:34:56.5\t1999-12-31 23:59:59.999999\t2024-02-29 12:34:56+00\t1 year 2 mons 3 days 04:05:06.789\t\
     00112233-4455-6677-8899-aabbccddeeff\t\\\\x00ff10",
    "2\t0\t0\t-0.25\t1e+20\t0.0000\tf\t\tquote\"\t     \t0001-01-01\t00:00:00\t1970-01-01 00:00:00\t\
     1900-01-01 00:00:00+00\t-1 days +02:03:00\tffffffff-ffff-ffff-ffff-ffffffffffff\t\\\\x",
    "3\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N",
    "4\t7\t-1\t3.4028235e+38\t9.999999999999999e+22\t99999999.9999\tt\tback\\\\slash\\nline\\r\\\\N\té漢🦅\t\
     'x'  \t9999-12-31\t24:00:00\t0044-03-15 01:02:03 BC\t2038-01-19 03:14:08.5+00\t-00:00:00.000001\t\
     01020304-0506-0708-090a-0b0c0d0e0f10\t\\\\x5c",
];

/// Options of COPY … TO, and those with which COPY … FROM reads the same.
const OPTIONS: &[(&str, &str)] = &[
    ("", ""),
    ("(HEADER)", "(HEADER match)"),
    ("(DELIMITER '|', NULL 'none')", "(DELIMITER '|', NULL 'none')"),
    ("(DELIMITER '-')", "(DELIMITER '-')"),
    ("(FORMAT csv)", "(FORMAT csv)"),
    ("CSV HEADER FORCE QUOTE *", "CSV HEADER"),
    (
        "(FORMAT csv, FORCE_QUOTE (x, n), QUOTE '''', ESCAPE E'\\\\', ENCODING 'utf8')",
        "(FORMAT csv, QUOTE '''', ESCAPE E'\\\\')",
    ),
    ("(FORMAT csv, DELIMITER '1', NULL 'null')", "(FORMAT csv, DELIMITER '1', NULL 'null')"),
    ("(FORMAT binary)", "(FORMAT binary)"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_out_and_in_again_in_every_format() {
    let cluster = TestCluster::start(3).await;
    let kestrel = cluster.session().await;
    fill(&kestrel, " DISTRIBUTED BY (id)").await;
    kestrel.run_all([format!("CREATE TABLE again {COLUMNS} DISTRIBUTED BY (id)")]).await;
    let server = postgres();
    let oracle = match &server {
        Some(server) => {
            let session = Session::connect(&server.connection_string()).await;
            fill(&session, "").await;
            Some(session)
        }
        None => None,
    };
    let text = copied(&kestrel, "every", "").await;
    assert_eq!(String::from_utf8_lossy(&text), format!("{}\n", ROWS.join("\n")));
    for (to, from) in OPTIONS {
        let data = copied(&kestrel, "every", to).await;
        if let Some(oracle) = &oracle {
            let expected = copied(oracle, "every", to).await;
            assert_eq!(shown(&data), shown(&expected), "{to}");
        }
        kestrel.run_all(["TRUNCATE again"]).await;
        let count = kestrel.copy_in(&format!("COPY again FROM STDIN {from}"), &data).await;
        assert_eq!(count, Ok(ROWS.len() as u64), "{from}");
        assert_eq!(shown(&copied(&kestrel, "again", "").await), shown(&text), "{from}");
    }
    cluster.stop().await;
}

async fn fill(session: &Session, layout: &str) {
    session.run_all([format!("CREATE TABLE every {COLUMNS}{layout}")]).await;
    let data = format!("{}\n", ROWS.join("\n"));
    assert_eq!(session.copy_in("COPY every FROM STDIN", &data).await, Ok(ROWS.len() as u64));
}

async fn copied(session: &Session, table: &str, options: &str) -> Vec<u8> {
    let sql = format!("COPY (SELECT * FROM {table} ORDER BY id) TO STDOUT {options}");
    session.copy_out(&sql).await.unwrap_or_else(|e| panic!("{sql}\n{e}"))
}

/// Bytes that can be read when they differ.
fn shown(data: &[u8]) -> String {
    data.escape_ascii().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_columns_and_queries_are_copied() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE \"T\" (id int, \"a b\" text) DISTRIBUTED BY (id)",
            "INSERT INTO \"T\" VALUES (1, 'one')",
            "CREATE TABLE empty (a int, b text) DISTRIBUTED BY (a)",
        ])
        .await;
    for (sql, expected) in [
        ("COPY \"T\" TO STDOUT", "1\tone\n"),
        ("COPY public.\"T\" (\"a b\", id) TO STDOUT WITH CSV HEADER", "a b,id\none,1\n"),
        ("COPY (VALUES (1, 'a'), (2, NULL)) TO STDOUT (FORMAT csv)", "1,a\n2,\n"),
        ("COPY (SELECT id AS \"a,b\", 2 AS x FROM \"T\") TO STDOUT CSV HEADER", "\"a,b\",x\n1,2\n"),
        ("COPY (SELECT E'a\\\\b', 1) TO STDOUT (DELIMITER ',')", "a\\\\b,1\n"),
        ("COPY empty TO STDOUT", ""),
        ("COPY empty TO STDOUT (HEADER)", "a\tb\n"),
        ("COPY empty TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (a))", "a,b\n"),
    ] {
        let data = session.copy_out(sql).await.unwrap_or_else(|e| panic!("{sql}\n{e}"));
        assert_eq!(String::from_utf8_lossy(&data), expected, "{sql}");
    }
    let binary = session.copy_out("COPY empty TO STDOUT (FORMAT binary)").await.unwrap();
    assert_eq!(shown(&binary), r"PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_told_in_postgresqls_words() {
    let cluster = TestCluster::start(1).await;
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (id int, name text) DISTRIBUTED BY (id)"]).await;
    session.run_all(["INSERT INTO t VALUES (0, 'zero')"]).await;
    for (sql, sqlstate, message) in [
        ("COPY missing TO STDOUT", "42P01", "relation \"missing\" does not exist"),
        ("COPY t (zz) TO STDOUT", "42703", "column \"zz\" of relation \"t\" does not exist"),
        ("COPY t (id, id) TO STDOUT", "42701", "column \"id\" specified more than once"),
        (
            "COPY t TO STDOUT (FORMAT csv, FORCE_QUOTE (zz))",
            "42703",
            "column \"zz\" of relation \"t\" does not exist",
        ),
        (
            "COPY t (id) TO STDOUT (FORMAT csv, FORCE_QUOTE (name))",
            "42P10",
            "FORCE_QUOTE column \"name\" not referenced by COPY",
        ),
        (
            "COPY (SELECT 1 AS a) TO STDOUT (FORMAT csv, FORCE_QUOTE (zz))",
            "42703",
            "column \"zz\" does not exist",
        ),
        ("COPY (SELECT zz FROM t) TO STDOUT", "42703", "column \"zz\" does not exist"),
        ("COPY (SELECT 1 / id FROM t) TO STDOUT", "22012", "division by zero"),
        ("COPY t TO '/tmp/t'", "0A000", "COPY TO a file is not supported"),
        ("COPY t TO PROGRAM 'cat'", "0A000", "COPY TO a program is not supported"),
    ] {
        let failure = session.copy_out(sql).await.unwrap_err();
        assert_eq!((&*failure.sqlstate, &*failure.message), (sqlstate, message), "{sql}");
    }
    // The session goes on.
    assert_eq!(session.copy_out("COPY t TO STDOUT").await.unwrap(), b"0\tzero\n");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_stream_and_a_cancel_ends_them() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (id int) DISTRIBUTED BY (id)"]).await;
    let lines: String = (0..20_000).map(|id| format!("{id}\n")).collect();
    assert_eq!(session.copy_in("COPY t FROM STDIN", &lines).await, Ok(20_000));
    // 400 million rows: nobody could hold them, and the first one comes at once.
    let sql = "COPY (SELECT a.id, b.id FROM t a CROSS JOIN t b) TO STDOUT";
    let mut rows = pin!(session.client.copy_out(sql).await.unwrap());
    let first = rows.next().await.unwrap().unwrap();
    assert!(first.ends_with(b"\n"), "{first:?}");
    session.client.cancel_token().cancel_query(NoTls).await.unwrap();
    let failure = loop {
        match rows.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break Failure::of(&error),
            None => panic!("the rows ended"),
        }
    };
    assert_eq!(failure.sqlstate, "57014", "{failure}");
    assert_eq!(session.value("SELECT count(*) FROM t").await, "20000");
    cluster.stop().await;
}
