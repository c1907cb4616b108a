//! Plans on which bounded queues alone would hang.

use super::*;

/// The classic deadlock of bounded queues: two receivers that read their build side to its end
/// before they touch the probe side, both fed by the same senders.
#[tokio::test]
async fn build_then_probe_ends() {
    let (hub, query) = (hub(1, 1), QueryId::random());
    let (build, probe) = (MotionId(1), MotionId(2));
    let joins: Vec<_> = (1..=2)
        .map(|to| {
            let build = open(&hub, query, build, to).unwrap();
            let probe = open(&hub, query, probe, to).unwrap();
            tokio::spawn(async move { Ok((rows(build).await?.len(), rows(probe).await?.len())) })
        })
        .collect();
    let probe = send_all(hub.begin(query, probe).unwrap(), vec![1, 2], 30);
    settle().await;
    let build = send_all(hub.begin(query, build).unwrap(), vec![1, 2], 30);
    for join in joins {
        let result: Result<_> = join.await.unwrap();
        assert_eq!(result.unwrap(), (3_000, 3_000));
    }
    assert_eq!((build.await.unwrap().unwrap(), probe.await.unwrap().unwrap()), (60, 60));
}

/// Sends a batch to each of these receivers, one after the other.
fn send_to(sender: MotionSender, receivers: &'static [u32]) -> JoinHandle<()> {
    tokio::spawn(async move {
        for (i, receiver) in receivers.iter().enumerate() {
            assert!(sender.send(DatanodeId(*receiver), batch(i as i64, 1)).await.unwrap());
        }
        sender.finish();
    })
}

async fn within_reason<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), work).await.expect("hangs")
}

/// Each sender is full of rows for one receiver, while the other receiver merges and waits for it:
///
/// ```text
///   S1: A A A B        A needs a row of S2 before it takes one of S1
///   S2: B B B A        B needs a row of S1 before it takes one of S2
/// ```
#[tokio::test]
async fn merges_that_wait_for_each_others_senders_end() {
    let query = QueryId::random();
    let hubs = [1, 2].map(|id| ExchangeHub::new(DatanodeId(id), settings(1, 0), Arc::default()));
    let open = |sender: usize, receiver| {
        let sender_id = hubs[sender].datanode();
        let receiver = DatanodeId(receiver);
        let request = ExchangeRequest { query, motion: MOTION, sender: sender_id, receiver };
        hubs[sender].open(request).unwrap()
    };
    let merge = |first: BatchStream, second: BatchStream| {
        tokio::spawn(async move { Ok((rows(first).await?.len(), rows(second).await?.len())) })
    };
    let merges = [merge(open(1, 1), open(0, 1)), merge(open(0, 2), open(1, 2))];
    let senders = [
        send_to(hubs[0].begin(query, MOTION).unwrap(), &[1, 1, 1, 2]),
        send_to(hubs[1].begin(query, MOTION).unwrap(), &[2, 2, 2, 1]),
    ];
    for merge in merges {
        let received: Result<_> = within_reason(merge).await.unwrap();
        assert_eq!(received.unwrap(), (1, 3));
    }
    for sender in senders {
        within_reason(sender).await.unwrap();
    }
}

/// A does not read P's rows before it has all of B, and B makes its rows of P's:
///
/// ```text
///   P ──> A (build, read last)
///   P ──> B ──> A (build, read first)
/// ```
#[tokio::test]
async fn a_receiver_that_first_waits_for_its_sibling_ends() {
    let (hub, query) = (hub(1, 0), QueryId::random());
    let (last, first) = (MotionId(1), MotionId(2));
    let a = (open(&hub, query, first, 1).unwrap(), open(&hub, query, last, 1).unwrap());
    let a = tokio::spawn(async move { (rows(a.0).await, rows(a.1).await) });
    let mut input = open(&hub, query, last, 2).unwrap();
    let output = hub.begin(query, first).unwrap();
    let b = tokio::spawn(async move {
        while let Some(batch) = input.next().await {
            assert!(output.send(DatanodeId(1), batch.unwrap()).await.unwrap());
        }
        output.finish();
    });
    let p = send_all(hub.begin(query, last).unwrap(), vec![1, 2], 30);
    let (from_b, from_p) = within_reason(a).await.unwrap();
    assert_eq!((from_b.unwrap().len(), from_p), (3_000, Ok((0..3_000).collect())));
    within_reason(b).await.unwrap();
    assert_eq!(p.await.unwrap().unwrap(), 60);
}
