//! Streams: order, credit, ends and misuse.

use kestrel_proto::COORDINATOR;

use super::*;

#[tokio::test]
async fn every_row_arrives_in_order_under_any_credit() {
    for (credit, budget) in
        [(1, 1), (1, 1 << 20), (1_500, 1 << 20), (1 << 20, 1), (u64::MAX, u64::MAX)]
    {
        let (hub, query) = (hub(credit, budget), QueryId::random());
        let streams: Vec<_> = (1..=3).map(|to| open(&hub, query, MOTION, to).unwrap()).collect();
        let sent = send_all(hub.begin(query, MOTION).unwrap(), vec![1, 2, 3], 50);
        let received = futures::future::join_all(streams.into_iter().map(rows)).await;
        for rows in received {
            assert_eq!(rows.unwrap(), (0..5_000).collect::<Vec<_>>(), "credit {credit}");
        }
        assert_eq!(sent.await.unwrap().unwrap(), 150);
        assert_eq!(hub.streams(), 0);
        hub.end_query(query);
        assert_eq!(hub.queries(), 0);
    }
}

#[tokio::test]
async fn a_receiver_that_reads_late_holds_no_more_than_its_credit() {
    let one = batch_bytes(&batch(0, 100));
    // (credit, budget, batches that fit into each of two streams)
    for (credit, budget, fit) in [
        (3 * one, u64::MAX, 3),
        (3 * one + 1, u64::MAX, 3),
        (1, u64::MAX, 1),
        (10 * one, 4 * one, 2),
        (10 * one, 0, 1),
    ] {
        let (hub, query) = (hub(credit, budget), QueryId::random());
        let sender = hub.begin(query, MOTION).unwrap();
        let streams = Arc::clone(&sender.streams);
        let sent = send_all(sender, vec![1, 2], 20);
        settle().await;
        assert!(!sent.is_finished());
        assert_eq!(streams.queued_bytes(), 2 * fit * one, "credit {credit}, budget {budget}");
        let (first, second) = (open(&hub, query, MOTION, 1), open(&hub, query, MOTION, 2));
        let (first, second) = tokio::join!(rows(first.unwrap()), rows(second.unwrap()));
        assert_eq!((first.unwrap().len(), second.unwrap().len()), (2_000, 2_000));
        assert_eq!(streams.queued_bytes(), 0);
    }
}

#[tokio::test]
async fn a_slow_consumer_slows_its_sender_and_loses_nothing() {
    let (hub, query) = (hub(2_000, 1 << 20), QueryId::random());
    let (fast, mut slow) =
        (open(&hub, query, MOTION, 1).unwrap(), open(&hub, query, MOTION, 2).unwrap());
    let sent = send_all(hub.begin(query, MOTION).unwrap(), vec![1, 2], 20);
    let fast = tokio::spawn(rows(fast));
    let mut slow_rows = 0;
    while let Some(batch) = slow.next().await {
        slow_rows += batch.unwrap().num_rows();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!((slow_rows, fast.await.unwrap().unwrap().len()), (2_000, 2_000));
    assert_eq!(sent.await.unwrap().unwrap(), 40);
}

#[tokio::test]
async fn a_closed_stream_takes_no_rows_and_the_others_go_on() {
    let (hub, query) = (hub(1, 1 << 20), QueryId::random());
    let (mut limited, all) =
        (open(&hub, query, MOTION, 1).unwrap(), open(&hub, query, MOTION, 2).unwrap());
    let sender = hub.begin(query, MOTION).unwrap();
    let streams = Arc::clone(&sender.streams);
    let sent = send_all(sender, vec![1, 2], 20);
    assert_eq!(limited.next().await.unwrap().unwrap().num_rows(), 100);
    drop(limited);
    assert_eq!(rows(all).await.unwrap().len(), 2_000);
    let wanted = sent.await.unwrap().unwrap();
    assert!((21..40).contains(&wanted), "{wanted}");
    assert_eq!((hub.streams(), streams.queued_bytes()), (0, 0));
}

#[tokio::test]
async fn a_sender_stops_when_every_receiver_has_closed() {
    let (hub, query) = (hub(1, 1), QueryId::random());
    let streams: Vec<_> = (1..=2).map(|to| open(&hub, query, MOTION, to).unwrap()).collect();
    let sent = send_all(hub.begin(query, MOTION).unwrap(), vec![1, 2], i64::MAX);
    settle().await;
    assert!(!sent.is_finished());
    drop(streams);
    assert_eq!(sent.await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn receivers_get_the_very_error_of_the_fragment() {
    let (hub, query) = (hub(1 << 20, 1 << 20), QueryId::random());
    let early = open(&hub, query, MOTION, 1).unwrap();
    let sender = hub.begin(query, MOTION).unwrap();
    sender.send(DatanodeId(1), batch(0, 10)).await.unwrap();
    let report =
        ErrorReport::new(SqlState::DIVISION_BY_ZERO, "division by zero").on_datanode("dn1");
    assert!(!sender.end(report.clone()));
    assert_eq!(rows(early).await, Err(report.clone()));
    assert_eq!(rows(open(&hub, query, MOTION, 2).unwrap()).await, Err(report.clone()));
    assert_eq!(sender.send(DatanodeId(3), batch(0, 1)).await, Err(report));
    assert_eq!(sender.streams.queued_bytes(), 0);
}

#[tokio::test]
async fn an_end_after_finish_changes_nothing() {
    let (hub, query) = (hub(1 << 20, 1 << 20), QueryId::random());
    let sender = hub.begin(query, MOTION).unwrap();
    sender.send(COORDINATOR, batch(0, 10)).await.unwrap();
    sender.finish();
    assert!(sender.end(ErrorReport::internal("too late")));
    assert_eq!(rows(open(&hub, query, MOTION, COORDINATOR.0).unwrap()).await.unwrap().len(), 10);
    // A receiver that was sent nothing sees the end, too.
    assert_eq!(rows(open(&hub, query, MOTION, 1).unwrap()).await, Ok(vec![]));
    let traffic = sender.traffic();
    let sent: Vec<_> = traffic.iter().map(|t| (t.receiver, t.rows, t.bytes)).collect();
    assert_eq!(sent, [(1, 0, 0), (COORDINATOR.0, 10, 80)]);
}

#[tokio::test]
async fn the_wait_for_a_fragment_is_bounded() {
    let open_wait = Duration::from_millis(250);
    let hub =
        ExchangeHub::new(SENDER, ExchangeSettings { open_wait, ..settings(1, 1) }, Arc::default());
    let query = QueryId::random();
    let begun = std::time::Instant::now();
    let error = rows(open(&hub, query, MOTION, 1).unwrap()).await.unwrap_err();
    assert!(begun.elapsed() >= open_wait);
    assert_eq!(error.sqlstate, SqlState::DATANODE_LOST);
    assert_eq!(error.message, "datanode \"dn1\" has not begun to send within 0.25 seconds");
    assert_eq!((hub.streams(), hub.queries()), (0, 0), "nobody is left to end this query");

    // A fragment that comes in time may then take as long as it needs.
    let waiting = tokio::spawn(rows(open(&hub, query, MOTION, 1).unwrap()));
    settle().await;
    let sender = hub.begin(query, MOTION).unwrap();
    tokio::time::sleep(2 * open_wait).await;
    sender.finish();
    assert_eq!(waiting.await.unwrap(), Ok(vec![]));
}

/// Else it would send to a queue that nobody will ever read.
#[tokio::test]
async fn a_fragment_that_comes_late_finds_its_stream_closed() {
    let (hub, query) = (hub(1, 1), QueryId::random());
    drop(open(&hub, query, MOTION, 1).unwrap());
    let sender = hub.begin(query, MOTION).unwrap();
    assert!(!sender.send(DatanodeId(1), batch(0, 1)).await.unwrap());
    assert_eq!(hub.streams(), 0);
}

#[tokio::test]
async fn the_end_of_a_query_wakes_everybody_and_leaves_nothing() {
    let (hub, query) = (hub(1, 1), QueryId::random());
    let full = send_all(hub.begin(query, MOTION).unwrap(), vec![1], 10);
    let empty = hub.begin(query, MotionId(2)).unwrap();
    let waits_for_rows = tokio::spawn(rows(open(&hub, query, MotionId(2), 1).unwrap()));
    let waits_for_fragment = tokio::spawn(rows(open(&hub, query, MotionId(3), 1).unwrap()));
    settle().await;
    assert_eq!(hub.streams(), 3);
    hub.end_query(query);
    assert_eq!((hub.streams(), hub.queries()), (0, 0));
    assert_eq!(sqlstate(full.await.unwrap()), SqlState::QUERY_CANCELED);
    assert_eq!(sqlstate(waits_for_rows.await.unwrap()), SqlState::QUERY_CANCELED);
    assert_eq!(sqlstate(waits_for_fragment.await.unwrap()), SqlState::QUERY_CANCELED);
    assert_eq!(sqlstate(empty.send(DatanodeId(1), batch(0, 1)).await), SqlState::QUERY_CANCELED);

    // Whoever comes late does not wait.
    assert_eq!(sqlstate(open(&hub, query, MOTION, 1)), SqlState::QUERY_CANCELED);
    assert_eq!(sqlstate(hub.begin(query, MOTION)), SqlState::QUERY_CANCELED);
    assert_eq!(hub.queries(), 0);
}

#[tokio::test]
async fn ended_queries_are_remembered_up_to_a_number() {
    let hub = hub(1, 1);
    let queries: Vec<_> = (0..6).map(|_| QueryId::random()).collect();
    for query in &queries {
        hub.end_query(*query);
        hub.end_query(*query);
    }
    let refused: Vec<_> = queries.iter().map(|q| hub.begin(*q, MOTION).is_err()).collect();
    assert_eq!(refused, [false, false, true, true, true, true]);
}

#[tokio::test]
async fn misuse_is_an_error() {
    let (hub, query) = (hub(1, 1), QueryId::random());
    let _stream = open(&hub, query, MOTION, 1).unwrap();
    assert_eq!(sqlstate(open(&hub, query, MOTION, 1)), SqlState::INTERNAL_ERROR);
    let _sender = hub.begin(query, MOTION).unwrap();
    assert_eq!(sqlstate(hub.begin(query, MOTION)), SqlState::INTERNAL_ERROR);
    let other =
        ExchangeRequest { query, motion: MOTION, sender: DatanodeId(7), receiver: DatanodeId(1) };
    assert_eq!(sqlstate(hub.open(other)), SqlState::INTERNAL_ERROR);
}
