//! Shard transactions: what runs in them, and how they end.

use std::sync::Arc;

use kestrel_proto::{
    Datanode, ShardIsolation, ShardStatements, SnapshotScope, TransactionEnd, TransactionId,
};

use super::{
    super::session::{KesSettings, tests::postgres::shared},
    *,
};

/// Ends a transaction of the tests' coordinator.
async fn end(store: &KesStore, transaction: TransactionId, end: TransactionEnd) -> Result<bool> {
    store.end_transaction(transaction, EPOCH, end).await
}

#[tokio::test]
async fn statements_run_in_order_and_count() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "counted", 10).await;
    let store = store(server.settings()).await;
    let transaction = TransactionId(1);
    let sql = [
        "UPDATE counted.t SET b = 'x' WHERE a <= 3",
        "DELETE FROM counted.t WHERE a > 8",
        "SELECT 1",
        "CREATE TABLE counted.u (a int)",
        "DO $$ BEGIN RAISE WARNING 'listen'; END $$",
        "INSERT INTO counted.u VALUES (1), (2)",
    ];
    let results = execute(&store, transaction, &sql).await.unwrap();
    assert_eq!(results.affected_rows, [3, 2, 0, 0, 0, 2]);
    let notices: Vec<_> = results.notices.iter().map(|notice| notice.message.as_str()).collect();
    assert_eq!(notices, ["listen"]);
    assert_eq!(value(&mut session, "SELECT count(*) FROM counted.t").await, "10");
    assert_eq!(end(&store, transaction, TransactionEnd::Commit).await, Ok(true));
    assert_eq!(value(&mut session, "SELECT count(*) FROM counted.t").await, "8");
    assert_eq!(value(&mut session, "SELECT count(*) FROM counted.u").await, "2");

    let ending = execute(&store, TransactionId(2), &["COMMIT"]).await;
    assert_eq!(sqlstate(ending), "XX000");
    assert_eq!(end(&store, TransactionId(2), TransactionEnd::Rollback).await, Ok(true));
    assert_eq!(end(&store, TransactionId(2), TransactionEnd::Rollback).await, Ok(false));
}

#[tokio::test]
async fn savepoints_bring_a_failed_transaction_back() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "saved", 1).await;
    let store = store(server.settings()).await;
    let transaction = TransactionId(1);
    let run = |sql: &'static [&'static str]| execute(&store, transaction, sql);
    run(&["INSERT INTO saved.t VALUES (2)", "SAVEPOINT \"kst_1\""]).await.unwrap();
    assert_eq!(count(&store, "saved", Reads::Own(transaction)).await, 2);
    assert_eq!(sqlstate(run(&["INSERT INTO saved.t VALUES (1)"]).await), "23505");
    assert_eq!(sqlstate(run(&["SELECT 1"]).await), "25P02");
    run(&["ROLLBACK TO SAVEPOINT \"kst_1\"", "INSERT INTO saved.t VALUES (3)"]).await.unwrap();
    assert_eq!(count(&store, "saved", Reads::Own(transaction)).await, 3);
    assert_eq!(end(&store, transaction, TransactionEnd::Commit).await, Ok(true));
    assert_eq!(
        value(&mut session, "SELECT string_agg(a::text, ',' ORDER BY a) FROM saved.t").await,
        "1,2,3"
    );
}

#[tokio::test]
async fn a_block_reads_one_snapshot_before_and_after_it_writes() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "block", 10).await;
    let store = store(server.settings()).await;
    let transaction = TransactionId(1);
    let scope = SnapshotScope::Transaction(transaction);
    store.open_snapshot(scope).await.unwrap();
    assert_eq!(count(&store, "block", Reads::Snapshot(scope)).await, 10);
    run(&mut session, "INSERT INTO block.t VALUES (11)").await;
    // READ COMMITTED is for those without a snapshot.
    execute(&store, transaction, &["INSERT INTO block.t VALUES (100)"]).await.unwrap();
    run(&mut session, "INSERT INTO block.t VALUES (12)").await;
    assert_eq!(count(&store, "block", Reads::Own(transaction)).await, 11);
    assert_eq!(count(&store, "block", Reads::Snapshot(scope)).await, 10);
    assert_eq!(end(&store, transaction, TransactionEnd::Prepare).await, Ok(true));
    store.close_snapshot(scope);
    assert_eq!(end(&store, transaction, TransactionEnd::CommitPrepared).await, Ok(true));
    assert_eq!(count(&store, "block", Reads::New).await, 13);

    // A statement outside of a block counts what was there when it began.
    let transaction = TransactionId(2);
    execute(&store, transaction, &["SELECT count(*) FROM block.t"]).await.unwrap();
    run(&mut session, "INSERT INTO block.t VALUES (1002)").await;
    let check = "DO $$ BEGIN IF (SELECT count(*) FROM block.t) <> 14 THEN RAISE 'other'; END IF; \
                 END $$";
    execute(&store, transaction, &[check]).await.unwrap();
    end(&store, transaction, TransactionEnd::Rollback).await.unwrap();
}

#[tokio::test]
async fn a_block_whose_snapshot_is_lost_writes_nothing() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "unread", 1).await;
    let store = store(server.settings()).await;
    let transaction = TransactionId(1);
    let scope = SnapshotScope::Transaction(transaction);
    store.open_snapshot(scope).await.unwrap();
    assert_eq!(count(&store, "unread", Reads::Snapshot(scope)).await, 1);
    run(&mut session, "INSERT INTO unread.t VALUES (2)").await;
    // As when the coordinator was not heard from for a while.
    store.abandon(None);
    let isolation = ShardIsolation::RepeatableRead;
    let order = ShardStatements {
        isolation,
        ..statements(transaction, &["UPDATE unread.t SET b = 'from what it has read'"])
    };
    assert_eq!(sqlstate(store.execute(order).await), "40001");
    let of_block = SegmentTarget { in_block: true, ..target("unread", transaction) };
    assert_eq!(sqlstate(write(&store, &of_block, vec![Ok(rows([3]))]).await), "40001");
    assert_eq!(store.counters().transactions, 0);
}

#[tokio::test]
async fn what_is_prepared_waits_for_its_end() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "prepared", 0).await;
    let store = store(server.settings()).await;
    assert_eq!(store.prepared().await, Ok(vec![]));
    for number in [1, 2] {
        let transaction = TransactionId(number);
        let target = target("prepared", transaction);
        write(&store, &target, vec![Ok(rows([number as i32]))]).await.unwrap();
        assert_eq!(end(&store, transaction, TransactionEnd::Prepare).await, Ok(true));
        assert_eq!(sqlstate(end(&store, transaction, TransactionEnd::Commit).await), "40001");
    }
    let found = store.prepared().await.unwrap();
    let found: Vec<_> = found.iter().map(|p| (p.transaction.0, p.epoch)).collect();
    assert_eq!(found, [(1, EPOCH), (2, EPOCH)]);
    assert_eq!(count(&store, "prepared", Reads::New).await, 0);
    // Another epoch's transaction of the same number is another one.
    let other = store.end_transaction(TransactionId(1), 6, TransactionEnd::CommitPrepared).await;
    assert_eq!(other, Ok(false));
    assert_eq!(end(&store, TransactionId(1), TransactionEnd::CommitPrepared).await, Ok(true));
    assert_eq!(end(&store, TransactionId(1), TransactionEnd::CommitPrepared).await, Ok(false));
    assert_eq!(end(&store, TransactionId(2), TransactionEnd::RollbackPrepared).await, Ok(true));
    assert_eq!(end(&store, TransactionId(2), TransactionEnd::RollbackPrepared).await, Ok(false));
    assert_eq!(store.prepared().await, Ok(vec![]));
    assert_eq!(value(&mut session, "SELECT string_agg(a::text, ',') FROM prepared.t").await, "1");
}

/// Its end is what the others wait for.
#[tokio::test]
async fn what_is_prepared_ends_when_all_sessions_wait_for_its_locks() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "hot", 1).await;
    let store = store(KesSettings { sessions_max: 2, ..server.settings() }).await;
    let update = ["UPDATE hot.t SET b = b || '+'"];
    let first = TransactionId(1);
    execute(&store, first, &update).await.unwrap();
    assert_eq!(end(&store, first, TransactionEnd::Prepare).await, Ok(true));
    let others = [2, 3].map(|number| execute(&store, TransactionId(number), &update));
    let ends = async {
        let blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                       AND query LIKE 'UPDATE hot.t%'";
        until(&mut session, blocked, "2").await;
        assert_eq!(store.prepared().await.unwrap().len(), 1);
        assert_eq!(end(&store, first, TransactionEnd::CommitPrepared).await, Ok(true));
        // Of the two one waits for the other.
        until(&mut session, blocked, "1").await;
        store.abandon(None);
    };
    tokio::join!(futures::future::join_all(others), ends);
    assert_eq!(value(&mut session, "SELECT b FROM hot.t").await, "row 1+");
}

#[tokio::test]
async fn what_cannot_be_prepared_is_rolled_back() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "deferred", 1).await;
    run(
        &mut session,
        "ALTER TABLE deferred.t DROP CONSTRAINT t_pkey, \
         ADD CONSTRAINT t_key UNIQUE (a) DEFERRABLE INITIALLY DEFERRED",
    )
    .await;
    let store = store(server.settings()).await;
    for (number, how) in [(1, TransactionEnd::Prepare), (2, TransactionEnd::Commit)] {
        let transaction = TransactionId(number);
        execute(&store, transaction, &["INSERT INTO deferred.t VALUES (1)"]).await.unwrap();
        let error = end(&store, transaction, how).await.unwrap_err();
        assert_eq!(error.sqlstate.as_str(), "23505", "{error:?}");
        assert_eq!(error.object.unwrap().constraint, "t_key");
    }
    assert_eq!(store.prepared().await, Ok(vec![]));
    assert_eq!(value(&mut session, "SELECT count(*) FROM deferred.t").await, "1");
}

#[tokio::test]
async fn a_coordinator_that_is_gone_leaves_only_what_is_prepared() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "gone", 0).await;
    let store = store(server.settings()).await;
    for number in 1..=3 {
        let target = target("gone", TransactionId(number));
        write(&store, &target, vec![Ok(rows([number as i32]))]).await.unwrap();
    }
    end(&store, TransactionId(1), TransactionEnd::Prepare).await.unwrap();
    // A newer coordinator's stay.
    let newer = ShardStatements {
        coordinator_epoch: EPOCH + 1,
        ..statements(TransactionId(4), &["INSERT INTO gone.t VALUES (4)"])
    };
    store.execute(newer).await.unwrap();
    store.abandon(Some(EPOCH + 1));
    assert_eq!(store.counters().transactions, 1);
    let open = "SELECT count(*) FROM pg_locks WHERE relation = 'gone.t'::regclass \
                AND mode = 'RowExclusiveLock'";
    // That of the newer one, and that of the prepared one.
    until(&mut session, open, "2").await;

    let target = SegmentTarget { continues: true, ..target("gone", TransactionId(2)) };
    let more = write(&store, &target, vec![Ok(rows([5]))]).await;
    assert_eq!(sqlstate(more), "40001");
    let order = ShardStatements { continues: true, ..statements(TransactionId(2), &["SELECT 1"]) };
    assert_eq!(sqlstate(store.execute(order).await), "40001");
    let read = read(&store, &scan("gone", &columns()), Reads::Own(TransactionId(2))).await;
    assert_eq!(sqlstate(read), "40001");
    assert_eq!(sqlstate(end(&store, TransactionId(2), TransactionEnd::Commit).await), "40001");
    assert_eq!(sqlstate(end(&store, TransactionId(3), TransactionEnd::Prepare).await), "40001");
    store.abandon(None);
    until(&mut session, open, "1").await;
    assert_eq!(end(&store, TransactionId(1), TransactionEnd::CommitPrepared).await, Ok(true));
    assert_eq!(value(&mut session, "SELECT string_agg(a::text, ',') FROM gone.t").await, "1");
}

#[tokio::test]
async fn locks_are_waited_for_so_long() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "locked", 1).await;
    let settings = KesSettings { lock_timeout: Duration::from_millis(200), ..server.settings() };
    let store = store(settings).await;
    run(&mut session, "BEGIN; UPDATE locked.t SET b = 'held'").await;
    let transaction = TransactionId(1);
    let begin = Instant::now();
    let update = execute(&store, transaction, &["UPDATE locked.t SET b = 'mine'"]).await;
    let error = update.unwrap_err();
    assert!(begin.elapsed() >= Duration::from_millis(200));
    assert_eq!(error.sqlstate.as_str(), "55P03");
    assert_eq!(error.message, "canceling statement due to lock timeout");
    assert!(error.hint.unwrap().contains("pg_locks"));
    run(&mut session, "COMMIT").await;
    assert_eq!(end(&store, transaction, TransactionEnd::Rollback).await, Ok(true));
}

#[tokio::test]
async fn a_statement_that_is_given_up_ends_on_the_server() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "stopped", 1).await;
    let store = Arc::new(store(server.settings()).await);
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' \
                    AND query LIKE '%pg_sleep(601)%' AND pid <> pg_backend_pid()";
    let transaction = TransactionId(1);
    let sql = ["INSERT INTO stopped.t VALUES (2)", "SELECT pg_sleep(601)"];
    let waited =
        tokio::time::timeout(Duration::from_millis(300), execute(&store, transaction, &sql)).await;
    assert!(waited.is_err());
    until(&mut session, sleeping, "0").await;
    let more = execute(&store, transaction, &["SELECT 1"]).await;
    assert_eq!(sqlstate(more), "25P02");
    assert_eq!(end(&store, transaction, TransactionEnd::Rollback).await, Ok(true));

    // A rollback does not wait for what runs.
    let transaction = TransactionId(2);
    let running = Arc::clone(&store);
    let running =
        tokio::spawn(
            async move { execute(&running, transaction, &["SELECT pg_sleep(601)"]).await },
        );
    until(&mut session, sleeping, "1").await;
    let rollback = end(&store, transaction, TransactionEnd::Rollback);
    let rolled_back = tokio::time::timeout(Duration::from_secs(20), rollback).await;
    assert_eq!(rolled_back.unwrap(), Ok(true));
    assert_eq!(sqlstate(running.await.unwrap()), "57014");
    assert_eq!(value(&mut session, "SELECT count(*) FROM stopped.t").await, "1");
}

#[tokio::test]
async fn a_statement_outside_of_transactions() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "outside", 3).await;
    let store = store(server.settings()).await;
    assert_eq!(store.query("VACUUM (ANALYZE) outside.t").await.unwrap().rows.len(), 0);
    let answer = store.query("SELECT a, NULL AS n FROM outside.t WHERE a < 3 ORDER BY a").await;
    let answer = answer.unwrap();
    assert_eq!(answer.columns, ["a", "n"]);
    let row = |a: &str| vec![Some(a.to_string()), None];
    assert_eq!(answer.rows, [row("1"), row("2")]);
    // Nothing that it leaves open is anybody else's.
    store.query("BEGIN").await.unwrap();
    assert_eq!(sqlstate(store.query("SELECT 1/0").await), "22012");
    store.query("VACUUM outside.t").await.unwrap();
}

#[tokio::test]
async fn a_datanode_without_a_database_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let memory = kestrel_planner::memory::QueryMemory::new(1 << 20);
    let settings =
        crate::DatanodeSettings::new(DatanodeId(2), Uuid::new_v4(), directory.path(), memory);
    let functions = kestrel_planner::functions::FunctionRegistry::new();
    let decoder = Arc::new(crate::PlanDecoder::new(functions));
    let peers = Arc::new(crate::exchange::Peers::default());
    let datanode = crate::LocalDatanode::open(settings, peers, decoder, Handle::current()).unwrap();
    let error = datanode.shard_facts().await.unwrap_err();
    assert_eq!(error.sqlstate.as_str(), "0A000");
    assert!(error.message.contains("\"dn3\" has no database"), "{error:?}");
    let executed = datanode.execute(statements(TransactionId(1), &["SELECT 1"])).await;
    assert_eq!(sqlstate(executed), "0A000");
    assert_eq!(sqlstate(datanode.describe(bytes::Bytes::new()).await), "0A000");
}
