//! A short query beside a long one.

use std::time::{Duration, Instant};

use super::{LONG, cluster};
use crate::support::Session;

const SHORT: &str = "SELECT count(*), sum(a.i) FROM t a JOIN t b ON a.i = b.i WHERE a.i % 7 = 3";

/// The median time of some runs.
async fn median(session: &Session) -> Duration {
    let mut times = vec![];
    for _ in 0..15 {
        let started = Instant::now();
        session.rows(SHORT).await;
        times.push(started.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_query_does_not_wait_for_a_long_one() {
    let (cluster, session) = cluster(Default::default(), 3000).await;
    session.rows(SHORT).await;
    let alone = median(&session).await;
    let long = cluster.session().await;
    let cancel = long.client.cancel_token();
    let long = tokio::spawn(async move { long.failure(LONG).await });
    // It has become a long one by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let beside = median(&session).await;
    assert!(!long.is_finished(), "the long query was short");
    // Other tests run at the same time: the bench measures, this finds what waits for the long one.
    let bound = alone * 10 + Duration::from_millis(300);
    assert!(beside <= bound, "{alone:?} alone, {beside:?} beside a long query");
    cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
    assert_eq!(long.await.unwrap().sqlstate, "57014");
    cluster.stop().await;
}
