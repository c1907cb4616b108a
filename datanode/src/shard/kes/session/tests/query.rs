//! Statements, their answers, errors, notices, and what a session is set to.

use std::time::Duration;

use kestrel_proto::Severity;

use super::{
    super::{KesSettings, TransactionStatus},
    connect, failure,
    postgres::shared,
    value,
};

#[tokio::test]
async fn sessions_are_set_alike() {
    let Some(server) = shared() else { return };
    let lock_timeout = Duration::from_millis(1234);
    let mut session = connect(KesSettings { lock_timeout, ..server.settings() }).await.unwrap();
    for (setting, expected) in [
        ("client_encoding", "UTF8"),
        ("application_name", "kestrel"),
        ("search_path", "\"\""),
        ("DateStyle", "ISO, MDY"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", "UTC"),
        ("extra_float_digits", "3"),
        ("bytea_output", "hex"),
        ("standard_conforming_strings", "on"),
        ("statement_timeout", "0"),
        ("lock_timeout", "1234ms"),
    ] {
        assert_eq!(value(&mut session, &format!("SHOW {setting}")).await, expected, "{setting}");
    }
    assert!(session.parameter("server_version").unwrap().starts_with("15"));
    assert_eq!(session.parameter("TimeZone"), Some("UTC"), "a changed parameter is told");
    assert_eq!(session.parameter("nothing"), None);
}

#[tokio::test]
async fn answers_have_columns_rows_and_a_tag() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await.unwrap();
    let sql = "SELECT i AS number, nullif('größe' || i, 'größe2') AS text, ''::text AS empty \
        FROM generate_series(1, 2) i; \
        CREATE TEMP TABLE t (i int); INSERT INTO t SELECT generate_series(1, 1000);; \
        DELETE FROM t WHERE i > 990; SELECT FROM t LIMIT 2";
    let answers = session.query_all(sql).await.unwrap();
    let tags: Vec<_> = answers.iter().map(|answer| answer.tag.as_str()).collect();
    assert_eq!(tags, ["SELECT 2", "CREATE TABLE", "INSERT 0 1000", "DELETE 10", "SELECT 2"]);
    let columns: Vec<_> =
        answers[0].columns.iter().map(|c| (c.name.as_str(), c.type_oid)).collect();
    assert_eq!(columns, [("number", 23), ("text", 25), ("empty", 25)]);
    let text = |text: &str| Some(text.to_string());
    assert_eq!(answers[0].rows[0], [text("1"), text("größe1"), text("")]);
    assert_eq!(answers[0].rows[1], [text("2"), None, text("")]);
    assert_eq!(answers[4].rows, [vec![], vec![]], "rows without columns are rows");

    assert_eq!(session.execute("UPDATE pg_temp.t SET i = 0").await.unwrap(), 990);
    assert_eq!(session.execute("DROP TABLE pg_temp.t").await.unwrap(), 0);
    assert_eq!(session.query("").await.unwrap().tag, "");
    let long = "x".repeat(30 << 20);
    assert_eq!(value(&mut session, &format!("SELECT '{long}'")).await, long);
}

#[tokio::test]
async fn the_transaction_is_known() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await.unwrap();
    for (sql, fails, expected) in [
        ("SELECT 1", false, TransactionStatus::Idle),
        ("BEGIN", false, TransactionStatus::Open),
        ("SELECT 1", false, TransactionStatus::Open),
        ("SELECT 1/0", true, TransactionStatus::Failed),
        ("SELECT 1", true, TransactionStatus::Failed),
        ("ROLLBACK", false, TransactionStatus::Idle),
        ("SELECT 1/0", true, TransactionStatus::Idle),
        ("BEGIN; SELECT 1/0", true, TransactionStatus::Failed),
        ("COMMIT", false, TransactionStatus::Idle),
    ] {
        assert_eq!(session.execute(sql).await.is_err(), fails, "{sql}");
        assert_eq!(session.transaction_status(), Some(expected), "{sql}");
    }
}

#[tokio::test]
async fn errors_keep_their_fields() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await.unwrap();
    session
        .query(
            "CREATE SCHEMA IF NOT EXISTS fields; CREATE TABLE fields.t (a int NOT NULL, b int, \
             CONSTRAINT \"the key\" PRIMARY KEY (b)); INSERT INTO fields.t VALUES (1, 1)",
        )
        .await
        .unwrap();
    let error = session.query("INSERT INTO fields.t VALUES (2, 1)").await.unwrap_err();
    assert_eq!(error.sqlstate.as_str(), "23505");
    assert_eq!(error.severity, Severity::Error);
    assert_eq!(error.message, "duplicate key value violates unique constraint \"the key\"");
    assert_eq!(error.detail.as_deref(), Some("Key (b)=(1) already exists."));
    assert_eq!(error.datanode.as_deref(), Some("dn1"));
    assert_eq!(error.position, None);
    let object = error.object.unwrap();
    assert_eq!((object.schema.as_str(), object.table.as_str()), ("fields", "t"));
    assert_eq!((object.column.as_str(), object.constraint.as_str()), ("", "the key"));

    let error = session.query("INSERT INTO fields.t VALUES (NULL, 2)").await.unwrap_err();
    let object = error.object.unwrap();
    assert_eq!((error.sqlstate.as_str(), object.column.as_str()), ("23502", "a"));
    session.query("DROP SCHEMA fields CASCADE").await.unwrap();

    let raise = |code: &str| {
        format!("DO $$BEGIN RAISE 'no' USING ERRCODE = '{code}', DETAIL = 'D.', HINT = 'H.'; END$$")
    };
    for (code, expected, detail) in [
        ("P0001", "P0001", "D."),
        ("53100", "53100", "D."),
        ("53200", "53200", "D."),
        ("22777", "22000", "D. The shard's database reports SQLSTATE 22777."),
        ("ZZ999", "58000", "D. The shard's database reports SQLSTATE ZZ999."),
    ] {
        let error = session.query(&raise(code)).await.unwrap_err();
        assert_eq!(error.sqlstate.as_str(), expected, "{error:?}");
        assert_eq!(error.detail.as_deref(), Some(detail));
        assert_eq!(error.hint.as_deref(), Some("H."));
        assert!(error.context.is_some_and(|context| context.contains("PL/pgSQL")));
    }
}

#[tokio::test]
async fn notices_are_kept_until_taken() {
    let Some(server) = shared() else { return };
    let mut session = connect(KesSettings { notices_max: 3, ..server.settings() }).await.unwrap();
    session.take_notices();
    let sql = "DO $$BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; RAISE INFO 'three'; END$$";
    session.query(sql).await.unwrap();
    let notices = session.take_notices();
    let notices: Vec<_> = notices.iter().map(|n| (n.severity, n.message.as_str())).collect();
    assert_eq!(
        notices,
        [(Severity::Notice, "one"), (Severity::Warning, "two"), (Severity::Info, "three")]
    );
    assert!(session.take_notices().is_empty());
    let sql = "DO $$BEGIN FOR i IN 1..100 LOOP RAISE NOTICE '%', i; END LOOP; END$$";
    session.query(sql).await.unwrap();
    let messages: Vec<_> = session.take_notices().into_iter().map(|n| n.message).collect();
    assert_eq!(messages, ["98", "99", "100"]);
}

#[tokio::test]
async fn what_cannot_be_answered_leaves_the_session_whole() {
    let Some(server) = shared() else { return };
    let settings = KesSettings { result_bytes_max: 1 << 20, ..server.settings() };
    let mut session = connect(settings).await.unwrap();
    session.query("CREATE TEMP TABLE copied (i int)").await.unwrap();
    for (sql, sqlstate) in [
        ("COPY (SELECT generate_series(1, 100000)) TO STDOUT", "0A000"),
        ("COPY pg_temp.copied FROM STDIN", "0A000"),
        ("SELECT generate_series(1, 100000000)", "54000"),
        ("SELECT '\0'", "XX000"),
        ("SELECT 1; nonsense", "42601"),
    ] {
        assert_eq!(failure(session.query(sql).await).0, sqlstate, "{sql}");
        assert_eq!(value(&mut session, "SELECT 'whole'").await, "whole", "{sql}");
    }
    let count = "SELECT count(*) FROM pg_temp.copied";
    assert_eq!(value(&mut session, count).await, "0");
}

#[tokio::test]
async fn locks_are_waited_for_so_long() {
    let Some(server) = shared() else { return };
    let lock_timeout = Duration::from_millis(100);
    let settings = KesSettings { lock_timeout, ..server.settings() };
    let mut holder = connect(server.settings()).await.unwrap();
    let mut waiter = connect(settings).await.unwrap();
    holder.query("SELECT pg_advisory_lock(4711)").await.unwrap();
    let waited = waiter.query("SELECT pg_advisory_lock(4711)").await;
    assert_eq!(failure(waited).0, "55P03");
}
