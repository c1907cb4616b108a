//! That a PostgreSQL in KingbaseES's disguise has what KingbaseES has, and lacks what it lacks.

use kestrel::postgres::{Programs, SOCKET_PORT, TempPostgres};
use tokio_postgres::NoTls;

use crate::support::{
    Session,
    kes::{KES12, KesShim, SERVER_VERSION, SETTINGS, SYS_CATALOG, SYS_ONLY, VERSION},
};

/// A server for disguises; `None`: the test is to be skipped.
fn server() -> Option<TempPostgres> {
    let programs = Programs::for_tests().unwrap_or_else(|e| panic!("{e}"))?;
    let settings = [SETTINGS, &[("max_prepared_transactions", "10")]].concat();
    Some(TempPostgres::start_with(&programs, &settings).unwrap_or_else(|e| panic!("{e}")))
}

/// The SQLSTATE; `00000` without an error.
async fn state(session: &Session, sql: &str) -> String {
    session.run(sql).await.sqlstate().unwrap_or("00000").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_wire() {
    let Some(server) = server() else { return };
    let shim = KesShim::start(server.socket_directory(), SOCKET_PORT);
    let url = format!("postgres://postgres@{}/postgres?sslmode=prefer", shim.address());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    assert_eq!(connection.parameter("server_version"), Some(SERVER_VERSION));
    tokio::spawn(connection);
    for _ in 0..2 {
        // What needs the extended protocol fails, and the session goes on.
        let refused = client.prepare("SELECT 1").await.err().unwrap();
        let refused = refused.as_db_error().unwrap();
        assert_eq!(refused.code().code(), "08P01");
        assert_eq!(refused.message(), "insufficient data left in message");
        client.simple_query("SELECT 1").await.unwrap();
    }
    let session = Session::connect(&url).await;
    assert_eq!(session.value("SELECT version()").await, VERSION);
    assert_eq!(session.value("SHOW server_version").await, SERVER_VERSION);
    assert_eq!(session.value("SHOW server_version_num").await, "120001");
    // Rows that are somebody's stay as they are.
    let rows = session.rows("SELECT NULL AS version, 'x' AS a, '' AS b").await;
    assert_eq!(rows, [[None, Some("x".to_string()), Some(String::new())]]);
    session.run_all(["CREATE TABLE t (a int, b text)"]).await;
    for (sql, expected) in [
        ("MERGE INTO t USING t u ON false WHEN MATCHED THEN DO NOTHING", "42601"),
        ("SELECT a FROM t ORDER BY a FETCH FIRST 1 ROW WITH TIES", "42601"),
        ("INSERT INTO t VALUES (1, 'merge into with ties')", "00000"),
    ] {
        assert_eq!(state(&session, sql).await, expected, "{sql}");
    }
    // COPY goes through simple queries, on KingbaseES, too.
    let (half, quote) = ("x".repeat(100_000), "'");
    let insert =
        format!("INSERT INTO t SELECT g, {quote}{half}{quote} FROM generate_series(2, 50) g");
    session.run_all([insert]).await;
    assert_eq!(session.value("SELECT sum(length(b)) FROM t WHERE a > 1").await, "4900000");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_database() {
    let Some(server) = server() else { return };
    /// A database's name, the scripts that disguise it, and what statements then answer.
    type Disguised<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)]);
    let databases: [Disguised<'_>; 3] = [
        (
            "kes12",
            &[KES12],
            &[
                ("SELECT gen_random_uuid()", "42883"),
                ("SELECT date_bin('1 day', now(), now())", "42883"),
                ("SELECT sys_is_in_recovery()", "42883"),
                ("SELECT * FROM pg_prepared_xacts", "00000"),
                ("SELECT extract(year FROM now()), hashint8extended(1, 2)", "00000"),
            ],
        ),
        (
            "oracle",
            &[KES12, SYS_CATALOG],
            &[
                ("SELECT count(*) FROM sys_class", "00000"),
                ("SELECT gid FROM sys_catalog.sys_prepared_xacts", "00000"),
                ("SELECT sys_catalog.sys_relation_size('pg_class')", "00000"),
                ("SELECT sys_is_in_recovery(), pg_is_in_recovery()", "00000"),
                ("SELECT sys_export_snapshot()", "00000"),
            ],
        ),
        (
            "v8r3",
            &[KES12, SYS_CATALOG, SYS_ONLY],
            &[
                ("SELECT gid FROM sys_prepared_xacts", "00000"),
                ("SELECT gid FROM pg_prepared_xacts", "42P01"),
                ("SELECT sys_catalog.sys_export_snapshot()", "00000"),
                ("SELECT pg_catalog.pg_export_snapshot()", "42883"),
                ("SELECT count(*) FROM pg_class", "00000"),
                ("CREATE TABLE t (a int PRIMARY KEY, b text DEFAULT 'x')", "00000"),
                ("BEGIN", "00000"),
                ("INSERT INTO t VALUES (1)", "00000"),
                ("PREPARE TRANSACTION 'one'", "00000"),
                ("COMMIT PREPARED 'one'", "00000"),
                ("ANALYZE t", "00000"),
                ("VACUUM t", "00000"),
            ],
        ),
    ];
    for (database, masks, expected) in databases {
        server.run_sql("postgres", &format!("CREATE DATABASE {database}")).unwrap();
        for mask in masks {
            server.run_sql(database, mask).unwrap_or_else(|e| panic!("{database}: {e}"));
        }
        let url =
            server.connection_string().replace("dbname=postgres", &format!("dbname={database}"));
        let session = Session::connect(&url).await;
        // The catalogs are found whatever the search path is.
        session.run_all(["SET search_path = ''", "SET search_path = public"]).await;
        for (sql, expected) in expected {
            assert_eq!(state(&session, sql).await, *expected, "{database}: {sql}");
        }
    }
}
