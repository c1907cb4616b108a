//! What advice costs: the same queries with and without it, by turns.

use std::time::{Duration, Instant};

use kestrel_planner::advice::KINDS;

use super::{cluster, databases_hold_rows};
use crate::support::Session;

/// What advice may cost a query.
const MOST: Duration = Duration::from_millis(1);

/// A query, how often, and what comes before it each time.
type Case = (&'static str, usize, &'static str);

const CASES: &[Case] = &[
    ("SELECT count(v) FROM t WHERE id = 7", 300, "SELECT 1"),
    (
        "SELECT count(*) FROM t JOIN u ON t.id = u.id JOIN u AS w ON t.k = w.id WHERE t.id < 10",
        100,
        "SELECT 1",
    ),
    // Each time what is known of the table is made anew.
    ("SELECT count(v) FROM t WHERE id = 7", 60, "INSERT INTO t VALUES (0, 7, 0)"),
];

#[tokio::test(flavor = "multi_thread")]
async fn advice_costs_less_than_a_millisecond() {
    if databases_hold_rows() {
        return;
    }
    let cluster = cluster(3).await;
    let (with, without) = (cluster.session().await, cluster.session().await);
    with.run_all([
        "CREATE TABLE t (id int, k int, v int) DISTRIBUTED BY (k)",
        "INSERT INTO t SELECT i, CASE WHEN i % 3 = 0 THEN i % 5000 ELSE 7 END, i % 100 \
         FROM generate_series(1, 200000) AS i",
        "CREATE TABLE u (id int) DISTRIBUTED BY (id)",
        "INSERT INTO u SELECT i FROM generate_series(1, 1000) AS i",
        "ANALYZE",
        // It is told each time.
        "SET kestrel.advice_cooldown = 0",
    ])
    .await;
    let off = KINDS.iter().map(|kind| format!("SET kestrel.advice_{} = off", kind.name));
    without.run_all(off).await;
    println!("with       | without    | query");
    let mut costs = Vec::new();
    for (query, times, before) in CASES {
        let (mut told, mut silent) = (Vec::new(), Vec::new());
        for round in 0..*times {
            let order = [(&with, &mut told), (&without, &mut silent)];
            // Who comes first has to read more.
            let order: Vec<_> = match round % 2 {
                0 => order.into_iter().collect(),
                _ => order.into_iter().rev().collect(),
            };
            for (session, times) in order {
                session.run_all([before]).await;
                times.push(timed(session, query).await);
            }
        }
        let (told, silent) = (median(told), median(silent));
        println!("{told:>10.1?} | {silent:>10.1?} | {before}; {query}");
        costs.push(told.saturating_sub(silent));
    }
    assert!(costs.iter().all(|cost| *cost < MOST), "{costs:?}");
    cluster.stop().await;
}

async fn timed(session: &Session, query: &str) -> Duration {
    let began = Instant::now();
    session.rows(query).await;
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
