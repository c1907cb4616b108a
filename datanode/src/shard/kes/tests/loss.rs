//! Databases that go away at the wrong moment.

use std::sync::Arc;

use futures::StreamExt;
use kestrel_planner::operators::ShardStore;
use kestrel_proto::{TransactionEnd, TransactionId};

use super::{
    super::session::tests::postgres::{TestPostgres, own},
    *,
};

/// Kills the server and all its processes with -9, and starts it again.
async fn kill(server: &Arc<TestPostgres>) {
    let server = Arc::clone(server);
    let killed = tokio::task::spawn_blocking(move || {
        server.kill();
        server.start_again();
    });
    killed.await.unwrap();
}

#[tokio::test]
async fn what_is_prepared_outlives_the_server() {
    let Some(server) = own().map(Arc::new) else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "kept", 0).await;
    let cluster = Uuid::new_v4();
    let first = unprobed(server.settings(), cluster);
    for number in 1..=3 {
        let target = target("kept", TransactionId(number));
        write(&first, &target, vec![Ok(rows([number as i32]))]).await.unwrap();
    }
    for number in [1, 2] {
        let end = TransactionEnd::Prepare;
        assert_eq!(first.end_transaction(TransactionId(number), EPOCH, end).await, Ok(true));
    }
    kill(&server).await;
    // What was not prepared is lost, and known to be.
    let lost = first.end_transaction(TransactionId(3), EPOCH, TransactionEnd::Commit).await;
    assert_eq!(sqlstate(lost), "40001");
    drop(first);

    // A datanode that was restarted, too, ends them by name.
    let second = unprobed(server.settings(), cluster);
    let found = second.prepared().await.unwrap();
    let found: Vec<_> = found.iter().map(|p| (p.transaction.0, p.epoch)).collect();
    assert_eq!(found, [(1, EPOCH), (2, EPOCH)]);
    let commit = TransactionEnd::CommitPrepared;
    assert_eq!(second.end_transaction(TransactionId(1), EPOCH, commit).await, Ok(true));
    let rollback = TransactionEnd::RollbackPrepared;
    assert_eq!(second.end_transaction(TransactionId(2), EPOCH, rollback).await, Ok(true));
    second.probe().await.unwrap();
    let kept = read(&second, &scan("kept", &columns()), Reads::New).await.unwrap();
    assert_eq!((kept.num_rows(), sum(&kept)), (1, 1));
    // Another cluster's are none of ours.
    let other = unprobed(server.settings(), Uuid::new_v4());
    assert_eq!(other.prepared().await, Ok(vec![]));
}

#[tokio::test]
async fn a_commit_without_an_answer_is_not_known() {
    let Some(server) = own().map(Arc::new) else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "unknown", 0).await;
    run(
        &mut session,
        "CREATE FUNCTION unknown.wait() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(602); RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON unknown.t DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION unknown.wait()",
    )
    .await;
    let store = Arc::new(store(server.settings()).await);
    for (number, end, expected) in
        [(1, TransactionEnd::Commit, "08007"), (2, TransactionEnd::Prepare, "58K01")]
    {
        let transaction = TransactionId(number);
        execute(&store, transaction, &["INSERT INTO unknown.t VALUES (1)"]).await.unwrap();
        let ending = Arc::clone(&store);
        let ending =
            tokio::spawn(async move { ending.end_transaction(transaction, EPOCH, end).await });
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        until(&mut session, waits, "1").await;
        let terminate =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        run(&mut session, terminate).await;
        assert_eq!(sqlstate(ending.await.unwrap()), expected, "{end:?}");
    }
    // Rolling back by name does no harm.
    let end = TransactionEnd::RollbackPrepared;
    assert_eq!(store.end_transaction(TransactionId(2), EPOCH, end).await, Ok(false));
    assert_eq!(value(&mut session, "SELECT count(*) FROM unknown.t").await, "0");
}

#[tokio::test]
async fn scans_and_writes_end_with_the_server_and_go_on_with_it() {
    let Some(server) = own().map(Arc::new) else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "lost", 5000).await;
    run(
        &mut session,
        "CREATE SCHEMA endless; CREATE VIEW endless.t AS \
         SELECT generate_series(1, 1000000000) AS a, repeat('x', 100) AS b",
    )
    .await;
    let store = store(server.settings()).await;
    let transaction = TransactionId(1);
    write(&store, &target("lost", transaction), vec![Ok(rows([5001]))]).await.unwrap();
    let plan = store.scan(&scan("endless", &columns())).unwrap();
    let mut endless = plan.execute(0, context(Reads::New)).unwrap();
    assert!(endless.next().await.unwrap().is_ok());
    kill(&server).await;
    let error = loop {
        match endless.next().await.unwrap() {
            Ok(_) => {}
            Err(error) => break report(error),
        }
    };
    assert_eq!(error.sqlstate.as_str(), "58K01", "{error:?}");
    let own = read(&store, &scan("lost", &columns()), Reads::Own(transaction)).await;
    assert_eq!(sqlstate(own), "58K01");
    let more = write(&store, &target("lost", transaction), vec![Ok(rows([5002]))]).await;
    assert_eq!(sqlstate(more), "58K01");
    let end = store.end_transaction(transaction, EPOCH, TransactionEnd::Rollback).await;
    assert_eq!(end, Ok(true));
    // What begins now finds the server that is there again.
    assert_eq!(count(&store, "lost", Reads::New).await, 5000);
}
