//! How large a table is, as the database thinks: or that it has no idea.

use kestrel_planner::{
    catalog::{Distribution, TableDef},
    shard_sql::maintenance::size,
};

use crate::support::{Session, postgres};

async fn rows(session: &Session, table: &str) -> i64 {
    let table = TableDef::new(1, ("public", table), Vec::new(), Distribution::Random);
    let answer = session.rows(&size(&table).unwrap()).await;
    answer[0][0].as_deref().unwrap().parse().unwrap()
}

#[tokio::test]
async fn rows_are_those_of_analyzed_parts() {
    let Some(postgres) = postgres() else { return };
    let session = Session::connect(&postgres.connection_string()).await;
    session
        .run_all([
            "CREATE TABLE t (a int) WITH (autovacuum_enabled = off)",
            "CREATE TABLE p (a int) PARTITION BY RANGE (a)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (500) \
             WITH (autovacuum_enabled = off)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (500) TO (2000) PARTITION BY RANGE (a)",
            "CREATE TABLE p21 PARTITION OF p2 FOR VALUES FROM (500) TO (2000) \
             WITH (autovacuum_enabled = off)",
        ])
        .await;
    for table in ["t", "p"] {
        assert_eq!(rows(&session, table).await, 0, "{table}");
        session.run_all([format!("INSERT INTO {table} SELECT generate_series(1, 1000)")]).await;
        assert_eq!(rows(&session, table).await, -1, "{table}");
    }
    session.run_all(["ANALYZE t", "ANALYZE p1"]).await;
    assert_eq!(rows(&session, "t").await, 1000);
    assert_eq!(rows(&session, "p").await, -1);
    session.run_all(["ANALYZE p21"]).await;
    assert_eq!(rows(&session, "p").await, 1000);
    // A table that was emptied has known pages; one that was never analyzed, before PostgreSQL 14, has none.
    session.run_all(["DELETE FROM t", "ANALYZE t"]).await;
    assert_eq!(rows(&session, "t").await, 0);
    let unknown = "UPDATE pg_class SET reltuples = 0, relpages = 0 WHERE relname = 't'";
    session.run_all([unknown]).await;
    assert_eq!(rows(&session, "t").await, -1);
}
