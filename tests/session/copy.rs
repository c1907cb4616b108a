//! `COPY … FROM STDIN`: formats, and that a bad row leaves nothing behind.

use std::fmt::Write;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Session, TestCluster};

/// Enough rows for several batches on every datanode.
const ROWS: usize = 60_000;

#[tokio::test(flavor = "multi_thread")]
async fn text_and_csv_mean_what_they_mean_in_postgresql() {
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    session
        .run_all(["CREATE TABLE t (id int, name text, n numeric(8,2), d date) DISTRIBUTED BY (id)"])
        .await;
    let null = "NULL";
    for (options, data, expected) in [
        ("", "1\ta\t1.50\t2020-01-01\n", vec!["1 a 1.50 2020-01-01"]),
        ("", "1\t\\N\t\\N\t\\N\n2\t\t0\t\\N", vec!["1 NULL NULL NULL", "2  0.00 NULL"]),
        ("", "1\ta\\tb\\\\c\\nd\t1\t\\N\n\\.\n", vec!["1 a\tb\\c\nd 1.00 NULL"]),
        ("", "1\t\\x41\\101\t1\t\\N\r\n", vec!["1 AA 1.00 NULL"]),
        ("", "1\t漢字🦅\t1\t\\N\n", vec!["1 漢字🦅 1.00 NULL"]),
        ("", "", vec![]),
        ("(DELIMITER '|', NULL 'none')", "1|none|2|none\n", vec!["1 NULL 2.00 NULL"]),
        ("(FORMAT csv)", "1,a,1.5,2020-01-01\n", vec!["1 a 1.50 2020-01-01"]),
        ("(FORMAT csv)", "1,,,\n2,\"\",,\n", vec!["1 NULL NULL NULL", "2  NULL NULL"]),
        ("(FORMAT csv)", "1,\"a,\"\"b\"\"\nc\",,\n", vec!["1 a,\"b\"\nc NULL NULL"]),
        ("(FORMAT csv, HEADER)", "id,name,n,d\n1,a,,\n", vec!["1 a NULL NULL"]),
        ("WITH CSV HEADER", "id,name,n,d\n1,a,,\n", vec!["1 a NULL NULL"]),
        ("(FORMAT csv, DELIMITER ';', QUOTE '''')", "1;'a;b';;\n", vec!["1 a;b NULL NULL"]),
    ] {
        session.run_all(["TRUNCATE t"]).await;
        let sql = format!("COPY t FROM STDIN {options}");
        let count = session.copy_in(&sql, data).await;
        assert_eq!(count, Ok(expected.len() as u64), "{sql} {data:?}");
        let rows = session.rows("SELECT id, name, n, d FROM t ORDER BY id").await;
        let row = |r: &Vec<Option<String>>| {
            r.iter().map(|v| v.as_deref().unwrap_or(null)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(rows.iter().map(row).collect::<Vec<_>>(), expected, "{sql} {data:?}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_are_not_named_get_their_defaults() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session
        .run_all(["CREATE TABLE t (id bigserial, k int DEFAULT 7, name text) DISTRIBUTED BY (k)"])
        .await;
    assert_eq!(session.copy_in("COPY t (name) FROM STDIN", "a\nb\nc\n").await, Ok(3));
    assert_eq!(session.value("SELECT count(DISTINCT id) FROM t WHERE k = 7").await, "3");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_is_named_and_nothing_is_loaded() {
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    for layout in ["BY (id)", "RANDOMLY", "REPLICATED"] {
        check_bad_rows(&session, layout).await;
    }
    cluster.stop().await;
}

async fn check_bad_rows(session: &Session, layout: &str) {
    let create = format!(
        "CREATE TABLE t (id int NOT NULL, name varchar(10), n numeric(6,2), d date) \
         DISTRIBUTED {layout}"
    );
    session.run_all(["DROP TABLE IF EXISTS t", &create]).await;
    assert_eq!(session.copy_in("COPY t FROM STDIN", &good_rows(10)).await, Ok(10));
    let bad_line = ROWS / 2;
    // The bad row, its SQLSTATE, and what the error must say besides the line.
    for (bad, sqlstate, said) in [
        ("x7\ta\t1\t2020-01-01", "22P02", &["column id", "x7"][..]),
        ("3000000000\ta\t1\t2020-01-01", "22003", &["column id", "3000000000"]),
        ("1\tabcdefghijk\t1\t2020-01-01", "22001", &["column name", "abcdefghijk"]),
        ("1\ta\t123456.78\t2020-01-01", "22003", &["column n", "123456.78"]),
        ("1\ta\t1\t2020-02-30", "22008", &["column d", "2020-02-30"]),
        ("\\N\ta\t1\t2020-01-01", "23502", &["column \"id\""]),
        ("1\ta\t1", "22P04", &["column \"d\""]),
        ("1\ta\t1\t2020-01-01\t5", "22P04", &[]),
    ] {
        let mut data = good_rows(bad_line - 1);
        data.push_str(bad);
        data.push('\n');
        data.push_str(&good_rows(ROWS - bad_line));
        let failure = session.copy_in("COPY t FROM STDIN", &data).await.unwrap_err();
        let text = failure.to_string();
        assert_eq!(failure.sqlstate, sqlstate, "{layout} {bad}: {text}");
        assert!(text.contains(&format!("line {bad_line}")), "{layout} {bad}: {text}");
        for word in said {
            assert!(text.contains(word), "{layout} {bad}: {text} does not say {word}");
        }
        // The session goes on, and nothing of it is visible.
        assert_eq!(session.value("SELECT count(*) FROM t").await, "10", "{layout} {bad}");
    }
    assert_eq!(session.copy_in("COPY t FROM STDIN", &good_rows(ROWS)).await, Ok(ROWS as u64));
    let sum = session.value("SELECT count(*) + sum(id) FROM t").await;
    assert_eq!(sum, (10 + 55 + ROWS + ROWS * (ROWS + 1) / 2).to_string(), "{layout}");
}

fn good_rows(count: usize) -> String {
    let mut text = String::new();
    for id in 1..=count {
        let _ = writeln!(text, "{id}\tname{}\t{}.25\t2020-01-01", id % 100, id % 1000);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_copied_is_an_error_before_any_data() {
    let cluster = TestCluster::start(1).await;
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (id int, name text) DISTRIBUTED BY (id)"]).await;
    for (sql, sqlstate) in [
        ("COPY missing FROM STDIN", "42P01"),
        ("COPY t (id, missing) FROM STDIN", "42703"),
        ("COPY t (id, id) FROM STDIN", "42701"),
        ("COPY t FROM STDIN (FORMAT xml)", "22023"),
        ("COPY t FROM '/etc/passwd'", "42501"),
        ("COPY t TO '/tmp/t'", "0A000"),
        ("COPY t FROM STDIN (FORMAT parquet)", "0A000"),
        ("COPY t FROM '/etc/passwd' (FORMAT binary)", "0A000"),
        ("COPY t FROM PROGRAM 'yes'", "0A000"),
        ("COPY t (id) FROM STDIN (FORMAT csv, FORCE_NULL (name))", "42P10"),
        ("COPY t FROM STDIN (FORMAT csv, FORCE_NOT_NULL (zz))", "42703"),
        ("COPY t FROM STDIN (DEFAULT 'x')", "42601"),
    ] {
        // The driver loses its place after a COPY that is refused: a session for each.
        let failure = cluster.session().await.copy_in(sql, "").await.unwrap_err();
        assert_eq!(failure.sqlstate, sqlstate, "{sql}: {failure}");
    }
    assert_eq!(session.value("SELECT count(*) FROM t").await, "0");
    cluster.stop().await;
}

/// Data, and SQLSTATE, message and context of its error as PostgreSQL 15 words them.
type BadData<'a> = (&'a [u8], &'a str, &'a str, &'a str);

async fn check_bad_data(cluster: &TestCluster, options: &str, cases: &[BadData<'_>]) {
    for (data, sqlstate, message, context) in cases {
        let sql = format!("COPY t FROM STDIN {options}");
        let failure = cluster.session().await.copy_in(&sql, data).await.unwrap_err();
        let shown = data.escape_ascii();
        assert_eq!((&*failure.sqlstate, &*failure.message), (*sqlstate, *message), "{shown}");
        assert_eq!(failure.context.unwrap_or_default(), *context, "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_data_is_told_in_postgresqls_words() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (id int NOT NULL, n numeric(6,2)) DISTRIBUTED BY (id)"]).await;
    let text: &[BadData<'_>] = &[
        (b"1\n", "22P04", "missing data for column \"n\"", "COPY t, line 1: \"1\""),
        (
            b"1\t2\n3\t4\t5\n",
            "22P04",
            "extra data after last expected column",
            "COPY t, line 2: \"3\t4\t5\"",
        ),
        (
            b"1\t2\nx\t4\n",
            "22P02",
            "invalid input syntax for type integer: \"x\"",
            "COPY t, line 2, column id: \"x\"",
        ),
        (
            b"1\t2\n\\N\t4\n",
            "23502",
            "null value in column \"id\" of relation \"t\" violates not-null constraint",
            "COPY t, line 2: \"\\N\t4\"",
        ),
        (
            b"1\t\xff\n",
            "22021",
            "invalid byte sequence for encoding \"UTF8\": 0xff",
            "COPY t, line 1",
        ),
    ];
    check_bad_data(&cluster, "", text).await;
    let names: &[BadData<'_>] = &[
        (
            b"id\n",
            "22P04",
            "wrong number of fields in header line: got 1, expected 2",
            "COPY t, line 1: \"id\"",
        ),
        (
            b"id,m\n",
            "22P04",
            "column name mismatch in header line field 2: got \"m\", expected \"n\"",
            "COPY t, line 1: \"id,m\"",
        ),
        (
            b",n\n",
            "22P04",
            "column name mismatch in header line field 1: got null value (\"\"), expected \"id\"",
            "COPY t, line 1: \",n\"",
        ),
    ];
    check_bad_data(&cluster, "(FORMAT csv, HEADER match)", names).await;
    check_bad_data(&cluster, "(FORMAT binary)", BAD_BINARY).await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "0");
    cluster.stop().await;
}

const BAD_BINARY: &[BadData<'_>] = &[
    (b"1\t2\n", "22P04", "COPY file signature not recognized", ""),
    (
        b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x01",
        "22P04",
        "row field count is 1, expected 2",
        "COPY t, line 1",
    ),
    (
        b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x04\0\0",
        "22P04",
        "unexpected EOF in COPY data",
        "COPY t, line 1, column id",
    ),
    (
        b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x05abcde\xff\xff\xff\xff",
        "22P03",
        "incorrect binary data format",
        "COPY t, line 1, column id",
    ),
    (
        b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x0a\0\x01\0\x03\0\0\0\0\0\x01",
        "22003",
        "numeric field overflow",
        "COPY t, line 1, column n",
    ),
    (
        b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff",
        "23502",
        "null value in column \"id\" of relation \"t\" violates not-null constraint",
        "COPY t, line 1",
    ),
];

/// As PostgreSQL 15 has it.
#[tokio::test(flavor = "multi_thread")]
async fn where_checks_and_defaults_look_at_every_row() {
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    let create = "CREATE TABLE t (a int CHECK (a < 100), b text DEFAULT 'n' || nextval('s'), \
                  c int DEFAULT 5, d int NOT NULL DEFAULT 6)";
    session.run_all(["CREATE SEQUENCE s", create]).await;
    let lines: String = (1..=10).map(|a| format!("{a}\n")).collect();
    let copy = "COPY t (a) FROM STDIN WHERE a % 2 = 0 AND t.c = 5";
    assert_eq!(session.copy_in(copy, &lines).await, Ok(5));
    let rows = session.rows("SELECT a, b, c FROM t WHERE a > 5 ORDER BY a").await;
    let texts = rows.into_iter().map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" "));
    assert_eq!(texts.collect::<Vec<_>>(), ["6 n6 5", "8 n8 5", "10 n10 5"]);
    // A row that WHERE leaves out obeys no rule; the others are told with their lines.
    let lines = "1\t1\n200\t2\n3\t3\n300\t4\n";
    let copy = "COPY t (a, c) FROM STDIN WHERE c <> 2";
    let failure = session.copy_in(copy, lines).await.unwrap_err();
    assert_eq!(failure.sqlstate, "23514");
    assert_eq!(
        failure.message,
        "new row for relation \"t\" violates check constraint \"t_a_check\""
    );
    assert_eq!(failure.detail.as_deref(), Some("Failing row contains (300, n14, 4, 6)."));
    assert_eq!(failure.context.as_deref(), Some("COPY t, line 4: \"300\t4\""));
    let failure = session.copy_in("COPY t (a, d) FROM STDIN WHERE a > 1", "1\t\\N\n2\t\\N\n").await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.sqlstate, "23502");
    assert_eq!(failure.context.as_deref(), Some("COPY t, line 2: \"2\t\\N\""));
    for (filter, sqlstate, message) in [
        ("a + 1", "42804", "argument of WHERE must be type boolean, not type integer"),
        ("x > 1", "42703", "column \"x\" does not exist"),
        ("a IN (SELECT 1)", "0A000", "cannot use subquery in COPY FROM WHERE condition"),
        (
            "count(a) > 1",
            "42803",
            "aggregate functions are not allowed in COPY FROM WHERE conditions",
        ),
    ] {
        let failure = session.failure(&format!("COPY t (a) FROM STDIN WHERE {filter}")).await;
        assert_eq!((failure.sqlstate.as_str(), failure.message.as_str()), (sqlstate, message));
    }
    assert_eq!(session.value("SELECT count(*) FROM t").await, "5");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_twice_fails_the_load_itself() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (id int PRIMARY KEY) DISTRIBUTED BY (id)", "BEGIN"]).await;
    let failure = session.copy_in("COPY t FROM STDIN", "1\n2\n1\n").await.unwrap_err();
    assert_eq!(failure.sqlstate, "23505", "{failure}");
    assert_eq!(session.failure("SELECT 1").await.sqlstate, "25P02");
    session.run_all(["ROLLBACK"]).await;
    assert_eq!(session.copy_in("COPY t FROM STDIN", "1\n2\n").await, Ok(2));
    assert_eq!(session.value("SELECT count(*) FROM t").await, "2");
    cluster.stop().await;
}

/// A message: its kind, its length, its body.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

/// Reads until the server is ready; the kinds of its messages.
async fn kinds(socket: &mut TcpStream) -> String {
    let mut kinds = String::new();
    while !kinds.ends_with('Z') {
        let kind = socket.read_u8().await.unwrap();
        let length = socket.read_u32().await.unwrap() as usize;
        socket.read_exact(&mut vec![0; length - 4]).await.unwrap();
        kinds.push(kind.into());
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_undone_by_an_error_of_its_batch() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (id int) DISTRIBUTED BY (id)"]).await;
    let mut socket = TcpStream::connect(cluster.cluster.address()).await.unwrap();
    let startup = b"\0\x03\0\0user\0kestrel\0database\0kestrel\0\0";
    let length = (startup.len() as u32 + 4).to_be_bytes();
    socket.write_all(&[&length[..], startup].concat()).await.unwrap();
    kinds(&mut socket).await;
    // The load, and in the same batch a portal of a statement that is not there.
    let batch = [
        message(b'P', b"\0COPY t FROM STDIN\0\0\0"),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'd', b"1\n2\n3\n"),
        message(b'c', b""),
        message(b'B', b"\0nothing\0\0\0\0\0\0\0"),
        message(b'S', b""),
    ];
    socket.write_all(&batch.concat()).await.unwrap();
    assert_eq!(kinds(&mut socket).await, "12GCEZ");
    // What comes next does not commit it.
    socket.write_all(&message(b'Q', b"INSERT INTO t VALUES (4)\0")).await.unwrap();
    assert_eq!(kinds(&mut socket).await, "CZ");
    let rows = session.rows("SELECT id FROM t").await;
    assert_eq!(rows, [[Some("4".to_string())]]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_left_out_as_far_as_the_limit_goes() {
    let cluster = TestCluster::start(2).await;
    let mut session = cluster.session().await;
    session.run_all(["CREATE TABLE t (a int, b date) DISTRIBUTED BY (a)"]).await;
    let data = "1\t2020-01-01\nx\t2020-01-01\n2\n3\t2020-13-01\n4\t2020-01-02\n";
    let copy = "COPY t FROM STDIN LOG ERRORS SEGMENT REJECT LIMIT 4";
    assert_eq!(session.copy_in(copy, data).await, Ok(2));
    let notices: Vec<_> = session.notices().iter().map(|n| n.message().to_string()).collect();
    let notice =
        "found 3 data formatting errors (3 or more input rows), rejected related input data";
    assert_eq!(notices, [notice]);
    let kept = "SELECT relname, filename, linenum, errmsg, rawdata FROM kestrel.copy_errors";
    let kept = session.rows(kept).await.into_iter();
    let kept: Vec<_> =
        kept.map(|row| row.into_iter().flatten().collect::<Vec<_>>().join("|")).collect();
    let expected = [
        "t|<stdin>|2|invalid input syntax for type integer: \"x\", column a|x\t2020-01-01",
        "t|<stdin>|3|missing data for column \"b\"|2",
        "t|<stdin>|4|date/time field value out of range: \"2020-13-01\", column b|3\t2020-13-01",
    ];
    assert_eq!(kept, expected);
    session.run_all(["SELECT gp_truncate_error_log('t')"]).await;
    assert_eq!(session.value("SELECT count(*) FROM kestrel.copy_errors").await, "0");
    // The third one is one too many, and nothing stays.
    let copy = "COPY t FROM STDIN SEGMENT REJECT LIMIT 3 ROWS";
    let failure = session.copy_in(copy, data).await.unwrap_err();
    assert_eq!(failure.message, "segment reject limit reached, aborting operation");
    let detail = "Last error was: date/time field value out of range: \"2020-13-01\", column b";
    assert_eq!(failure.detail.as_deref(), Some(detail));
    assert_eq!(session.value("SELECT count(*) FROM t").await, "2");
    for (limit, sqlstate) in [
        ("SEGMENT REJECT LIMIT 1", "42P16"),
        ("SEGMENT REJECT LIMIT 101 PERCENT", "42P16"),
        ("LOG ERRORS", "42601"),
        ("(FORMAT binary) SEGMENT REJECT LIMIT 10", "0A000"),
    ] {
        let sql = format!("COPY t FROM STDIN {limit}");
        assert_eq!(session.failure(&sql).await.sqlstate, sqlstate, "{limit}");
    }
    cluster.stop().await;
}
