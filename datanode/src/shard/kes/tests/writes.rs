//! Rows that are written, and who sees them when.

use std::sync::Arc;

use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use kestrel_planner::operators::{SegmentTarget, ShardStore};
use kestrel_proto::{ErrorReport, SqlState, TransactionEnd, TransactionId, message::SegmentKind};

use super::{super::session::tests::postgres::shared, *};

#[tokio::test]
async fn rows_are_visible_from_the_commit_on() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "written", 10).await;
    let store = store(server.settings()).await;
    let transaction = TransactionId(1);
    let target = target("written", transaction);
    let batches = vec![Ok(rows([])), Ok(rows(11..=20)), Ok(rows(21..=5000))];
    let written = write(&store, &target, batches).await.unwrap();
    assert_eq!(written.len(), 1);
    assert_eq!((written[0].kind(), written[0].rows), (SegmentKind::ShardRows, 4990));
    assert!(written[0].bytes > 4990 * 10, "{:?}", written[0]);
    assert_eq!(count(&store, "written", Reads::New).await, 10);
    assert_eq!(count(&store, "written", Reads::Own(transaction)).await, 5000);
    let end = store.end_transaction(transaction, EPOCH, TransactionEnd::Commit).await;
    assert_eq!(end, Ok(true));
    assert_eq!(count(&store, "written", Reads::New).await, 5000);
    assert_eq!(value(&mut session, "SELECT b FROM written.t WHERE a = 4711").await, "new 4711");
    assert_eq!(store.counters().transactions, 0);

    // No rows, no transaction.
    let target = SegmentTarget { transaction: TransactionId(2), ..target };
    assert_eq!(write(&store, &target, vec![Ok(rows([]))]).await, Ok(vec![]));
    assert_eq!(store.counters().transactions, 0);
}

#[tokio::test]
async fn what_the_database_refuses_is_told_as_it_says() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "refused", 10).await;
    run(&mut session, "ALTER TABLE refused.t ALTER b TYPE varchar(8), ALTER b SET NOT NULL").await;
    let store = store(server.settings()).await;
    let null = {
        let columns = rows([20]);
        let nothing = arrow::array::new_null_array(columns.column(1).data_type(), 1);
        RecordBatch::try_new(columns.schema(), vec![Arc::clone(columns.column(0)), nothing])
            .unwrap()
    };
    for (number, batch, expected) in
        [(1, rows([10]), "23505"), (2, null, "23502"), (3, rows([123_456_789]), "22001")]
    {
        let transaction = TransactionId(number);
        let target = target("refused", transaction);
        let error = write(&store, &target, vec![Ok(rows([11])), Ok(batch)]).await.unwrap_err();
        assert_eq!(error.sqlstate.as_str(), expected, "{error:?}");
        assert_eq!(error.datanode.as_deref(), Some("dn1"));
        if expected == "23505" {
            let object = error.object.unwrap();
            assert_eq!((object.table.as_str(), object.constraint.as_str()), ("t", "t_pkey"));
            assert_eq!(object.schema, "refused");
            assert_eq!(error.detail.as_deref(), Some("Key (a)=(10) already exists."));
        }
        // It has failed, and says so until it is rolled back.
        assert_eq!(sqlstate(execute(&store, transaction, &["SELECT 1"]).await), "25P02");
        let more = write(&store, &target, vec![Ok(rows([12]))]).await;
        assert_eq!(sqlstate(more), "25P02");
        let read = read(&store, &scan("refused", &columns()), Reads::Own(transaction)).await;
        assert_eq!(sqlstate(read), "25P02");
        let end = if number == 1 { TransactionEnd::Commit } else { TransactionEnd::Prepare };
        assert_eq!(sqlstate(store.end_transaction(transaction, EPOCH, end).await), "25P02");
        let rollback = TransactionEnd::Rollback;
        assert_eq!(store.end_transaction(transaction, EPOCH, rollback).await, Ok(false));
    }
    assert_eq!(count(&store, "refused", Reads::New).await, 10);

    // A column that is of another type there is no such column.
    run(&mut session, "DROP TABLE refused.t; CREATE TABLE refused.t (a bigint, b text)").await;
    let target = target("refused", TransactionId(9));
    let error = write(&store, &target, vec![Ok(rows([1]))]).await.unwrap_err();
    assert_eq!(error.sqlstate.as_str(), "0A000");
    assert!(error.message.contains("column \"a\""), "{error:?}");
    store.end_transaction(TransactionId(9), EPOCH, TransactionEnd::Rollback).await.unwrap();
}

#[tokio::test]
async fn an_error_among_the_rows_is_the_writes() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "broken", 0).await;
    let store = store(server.settings()).await;
    let transaction = TransactionId(1);
    let error = ErrorReport::new(SqlState::DIVISION_BY_ZERO, "division by zero");
    let batches = vec![Ok(rows(0..100)), Err(error)];
    let written = write(&store, &target("broken", transaction), batches).await;
    assert_eq!(sqlstate(written), "22012");
    let end = store.end_transaction(transaction, EPOCH, TransactionEnd::Rollback).await;
    assert_eq!(end, Ok(true));
    assert_eq!(count(&store, "broken", Reads::New).await, 0);
}

#[tokio::test]
async fn two_scans_of_own_writes_take_turns() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "turns", 3000).await;
    let store = store(server.settings()).await;
    let transaction = TransactionId(1);
    let target = target("turns", transaction);
    write(&store, &target, vec![Ok(rows(3001..=6000))]).await.unwrap();
    let plan = store.scan(&scan("turns", &columns())).unwrap();
    let open = || plan.execute(0, context(Reads::Own(transaction))).unwrap();
    let (mut first, mut second) = (open(), open());
    let mut counts = [0, 0];
    let (mut more_first, mut more_second) = (true, true);
    while more_first || more_second {
        more_first = next(&mut first, &mut counts[0]).await;
        // A statement in between.
        execute(&store, transaction, &["SELECT 1"]).await.unwrap();
        more_second = next(&mut second, &mut counts[1]).await;
    }
    assert_eq!(counts, [6000, 6000]);
    // Other partitions have nothing.
    let mut other = plan.execute(1, context(Reads::Own(transaction))).unwrap();
    assert!(other.next().await.is_none());

    // A scan that is not read to its end is in nobody's way, nor is its cursor there for long.
    let mut third = open();
    assert!(next(&mut third, &mut 0).await);
    drop((first, second, third));
    let left = "SELECT count(*) FROM pg_cursors WHERE name LIKE 'kst_c%'";
    for _ in 0..100 {
        // Only a change tells how many rows there were.
        let none = format!("INSERT INTO turns.t SELECT -1 WHERE ({left}) > 0");
        let answer = execute(&store, transaction, &[&none]).await;
        match answer {
            Ok(results) if results.affected_rows == [0] => {
                let end = TransactionEnd::Commit;
                assert_eq!(store.end_transaction(transaction, EPOCH, end).await, Ok(true));
                return;
            }
            Ok(_) => {
                execute(&store, transaction, &["DELETE FROM turns.t WHERE a = -1"]).await.unwrap()
            }
            Err(error) => panic!("{error:?}"),
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("cursors stay open");
}

/// Takes the next batch; whether there was one.
async fn next(rows: &mut SendableRecordBatchStream, count: &mut usize) -> bool {
    let Some(batch) = rows.next().await else { return false };
    *count += batch.unwrap().num_rows();
    true
}

#[tokio::test]
async fn rows_can_come_from_the_session_that_takes_them() {
    let Some(server) = shared() else { return };
    let mut session = connect(server.settings()).await;
    table(&mut session, "itself", 0).await;
    run(&mut session, "ALTER TABLE itself.t DROP CONSTRAINT t_pkey").await;
    let store = store(server.settings()).await;
    let transaction = TransactionId(1);
    let target = SegmentTarget { reads_own_writes: true, ..target("itself", transaction) };
    write(&store, &target, vec![Ok(rows(0..2500))]).await.unwrap();
    for expected in [5000, 10_000] {
        let plan = store.scan(&scan("itself", &columns())).unwrap();
        let own = plan.execute(0, context(Reads::Own(transaction))).unwrap();
        let written = tokio::time::timeout(Duration::from_secs(60), store.write(&target, own));
        assert_eq!(written.await.unwrap().unwrap()[0].rows, expected / 2);
        let all = count(&store, "itself", Reads::Own(transaction)).await;
        assert_eq!(all as u64, expected);
    }
    store.end_transaction(transaction, EPOCH, TransactionEnd::Rollback).await.unwrap();
    assert_eq!(count(&store, "itself", Reads::New).await, 0);
}
