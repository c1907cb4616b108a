//! Many clients: a limit on running queries, a queue, a fair share of processors and memory.

mod memory;
mod queue;
mod sharing;

use kestrel_coordinator::query::QueryLimits;

use crate::support::{Session, TestCluster};

/// Runs for minutes, and moves rows.
const LONG: &str = "SELECT count(*) FROM t a, t b, t c WHERE a.i + b.i < c.i - 9000";

/// A cluster with a table `t` of so many rows.
async fn cluster(limits: QueryLimits, rows: u32) -> (TestCluster, Session) {
    let cluster = TestCluster::start_with_queries(3, limits).await;
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (i int) DISTRIBUTED BY (i)"]).await;
    let lines: String = (0..rows).map(|i| format!("{i}\n")).collect();
    assert_eq!(session.copy_in("COPY t FROM STDIN", &lines).await, Ok(u64::from(rows)));
    (cluster, session)
}

fn limits(max_running: usize, max_queued: usize) -> QueryLimits {
    QueryLimits { max_running, max_queued, memory_bytes: 0 }
}
