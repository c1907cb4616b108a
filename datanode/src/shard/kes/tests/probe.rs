//! What the probe finds, and what it refuses.

use super::{
    super::session::{
        KesSettings,
        tests::postgres::{own, shared},
    },
    *,
};

#[tokio::test]
async fn postgresql_15_has_everything() {
    let Some(server) = shared() else { return };
    let store = store(server.settings()).await;
    let facts = store.facts().await.unwrap();
    for (name, expected) in [
        ("flavor", "PostgreSQL"),
        ("mode", ""),
        ("tid_range_scan", "true"),
        ("partition_hash", "true"),
        ("empty_string_is_null", "false"),
        ("case_insensitive_text", "false"),
        ("export_snapshot", "true"),
        ("relation_size", "true"),
        ("prepared_transactions_max", "20"),
        ("block_bytes", "8192"),
        ("sessions_max", "32"),
        ("transactions", "0"),
    ] {
        assert_eq!(facts[name], expected, "{name}: {facts:?}");
    }
    assert!(facts["version"].starts_with("PostgreSQL 15."), "{facts:?}");
    assert!(facts["version_number"].starts_with("1500"), "{facts:?}");
    assert_eq!(store.prepared().await, Ok(vec![]));
}

#[tokio::test]
async fn a_role_that_lacks_rights_can_still_read() {
    let Some(server) = own() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "lacking", 3000).await;
    run(
        &mut session,
        "REVOKE EXECUTE ON FUNCTION pg_export_snapshot() FROM PUBLIC; \
         REVOKE EXECUTE ON FUNCTION pg_relation_size(regclass) FROM PUBLIC; \
         REVOKE EXECUTE ON FUNCTION hashtextextended(text, bigint) FROM PUBLIC; \
         GRANT USAGE ON SCHEMA lacking TO clear_user; GRANT SELECT ON lacking.t TO clear_user",
    )
    .await;
    let store = store(server.settings_of("clear_user")).await;
    let facts = store.facts().await.unwrap();
    for (name, expected) in [
        ("export_snapshot", "false"),
        ("relation_size", "false"),
        ("partition_hash", "false"),
        ("tid_range_scan", "true"),
    ] {
        assert_eq!(facts[name], expected, "{name}: {facts:?}");
    }
    assert_eq!(count(&store, "lacking", Reads::New).await, 3000);
    let refused = write(&store, &target("lacking", TransactionId(1)), vec![Ok(rows([1]))]).await;
    assert_eq!(sqlstate(refused), "42501");
}

#[tokio::test]
async fn what_cannot_hold_a_shard_is_refused() {
    let Some(server) = own() else { return };
    let mut session = connect(server.settings()).await;
    run(&mut session, "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0").await;
    let latin = KesSettings { database: "latin".into(), ..server.settings() };
    let error = unprobed(latin, Uuid::new_v4()).probe().await.unwrap_err();
    assert_eq!(error.sqlstate.as_str(), "55000", "{error:?}");
    assert!(error.message.contains("encoding \"LATIN1\", not UTF8"), "{error:?}");
    assert_eq!(error.datanode.as_deref(), Some("dn1"));

    drop(session);
    let server = tokio::task::spawn_blocking(move || {
        server.stop("fast");
        server.start_with("-c max_prepared_transactions=0");
        server
    });
    let server = server.await.unwrap();
    let store = unprobed(server.settings(), Uuid::new_v4());
    let error = store.probe().await.unwrap_err();
    assert_eq!(error.sqlstate.as_str(), "55000", "{error:?}");
    assert_eq!(error.message, "prepared transactions are disabled in the shard's database");
    assert!(error.hint.unwrap().contains("max_prepared_transactions"));

    // It is asked again, once it is as it should be.
    tokio::task::spawn_blocking(move || {
        server.stop("fast");
        server.start_again();
        server
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_database_that_is_not_there_is_asked_later() {
    let Some(server) = own() else { return };
    let store = unprobed(server.settings(), Uuid::new_v4());
    let server = tokio::task::spawn_blocking(move || {
        server.stop("fast");
        server
    });
    let server = server.await.unwrap();
    assert_eq!(sqlstate(store.probe().await), "58K01");
    assert_eq!(sqlstate(store.open_snapshot(scope()).await), "58K01");
    let server = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    });
    let _server = server.await.unwrap();
    store.open_snapshot(scope()).await.unwrap();
    assert_eq!(store.facts().await.unwrap()["snapshots"], "1");
}

fn scope() -> SnapshotScope {
    SnapshotScope::Query(QueryId::random())
}
