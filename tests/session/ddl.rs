//! What tools do with DDL: create things at the same time over several connections, and create them
//! again from their definitions.

use std::time::Duration;

use crate::support::TestCluster;

/// Both have looked at the catalog before either creates: what the second one creates must not
/// take the place of what the first one did.
#[tokio::test(flavor = "multi_thread")]
async fn two_blocks_create_a_table_each() {
    let cluster = TestCluster::start(2).await;
    let (one, two) = (cluster.session().await, cluster.session().await);
    for session in [&one, &two] {
        session.run_all(["BEGIN", "SELECT count(*) FROM pg_class"]).await;
    }
    one.run_all(["CREATE TABLE first AS SELECT 1 AS a"]).await;
    // It may wait for the end of the first.
    let second = tokio::spawn(async move {
        two.run_all(["CREATE TABLE second AS SELECT 2 AS a", "COMMIT"]).await;
        two
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    one.run_all(["COMMIT"]).await;
    let two = second.await.unwrap();
    for (session, table, value) in [(&two, "first", "1"), (&one, "second", "2")] {
        assert_eq!(session.value(&format!("SELECT a FROM {table}")).await, value, "{table}");
    }
    // And the catalog takes more.
    one.run_all(["CREATE VIEW third AS SELECT a FROM first", "DROP TABLE second"]).await;
    drop((one, two));
    let cluster = cluster.restart().await;
    let session = cluster.session().await;
    assert_eq!(session.value("SELECT a FROM third").await, "1");
    cluster.stop().await;
}

/// As pg_dump does it: definitions are read where the search path is empty.
#[tokio::test(flavor = "multi_thread")]
async fn definitions_make_the_same_views_again() {
    let cluster = TestCluster::start(2).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE SCHEMA s",
            "SET search_path = s, public",
            "CREATE TABLE t (a int, b text, c int CHECK (c > 0)) DISTRIBUTED BY (a)",
            "INSERT INTO t VALUES (1, 'x', 10), (2, 'y', 20)",
            "CREATE TABLE public.u (a int, d int) DISTRIBUTED BY (a)",
            "INSERT INTO u VALUES (1, 100), (3, 300)",
            "CREATE VIEW plain AS SELECT a, b FROM t WHERE c > 10",
            "CREATE VIEW star AS SELECT * FROM t",
            "CREATE VIEW named (x, y) AS SELECT a, count(*) FROM t GROUP BY a",
            "CREATE VIEW joined AS SELECT t.a, x.d FROM s.t LEFT JOIN u x ON x.a = t.a",
            "CREATE VIEW nested AS WITH t AS (SELECT a FROM t) \
             SELECT a FROM t WHERE a IN (SELECT a FROM plain UNION SELECT a FROM u)",
            "ALTER TABLE t RENAME a TO id",
            "ALTER TABLE t RENAME c TO \"Count\"",
            "ALTER TABLE t RENAME TO things",
            "ALTER TABLE things ADD COLUMN a text",
            "ALTER VIEW plain RENAME COLUMN b TO \"B\"",
            "ALTER VIEW plain RENAME TO simple",
        ])
        .await;
    session.run_all(["SELECT pg_catalog.set_config('search_path', '', false)"]).await;
    for view in ["simple", "star", "named", "joined", "nested"] {
        let get = format!("SELECT pg_catalog.pg_get_viewdef('s.{view}'::pg_catalog.regclass)");
        let definition = session.value(&get).await;
        session.run_all([format!("CREATE VIEW public.again AS\n{definition}")]).await;
        let columns = |schema: &str, view: &str| {
            format!(
                "SELECT column_name::text, data_type::text FROM information_schema.columns \
                 WHERE table_schema = '{schema}' AND table_name = '{view}' ORDER BY ordinal_position"
            )
        };
        let again = session.rows(&columns("public", "again")).await;
        assert_eq!(again, session.rows(&columns("s", view)).await, "{definition}");
        let rows =
            async |name: &str| session.rows(&format!("SELECT * FROM {name} ORDER BY 1")).await;
        assert_eq!(rows("public.again").await, rows(&format!("s.{view}")).await, "{definition}");
        session.run_all(["DROP VIEW public.again"]).await;
    }
    let check = "SELECT pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint \
                 WHERE contype = 'c'";
    assert_eq!(session.value(check).await, "CHECK ((\"Count\" > 0))");
    cluster.stop().await;
}
