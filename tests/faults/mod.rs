//! What happens when processes die, stop, are cut off or slow, and when they come back.

mod cancel;
mod coordinator;
mod datanode;
mod security;

use std::time::{Duration, Instant};

use kestrel::cluster::Cluster;
use kestrel_proto::DatanodeHealth;

use crate::support::{Failure, Session};

/// A client knows within this time that a datanode is lost.
const ERROR_WITHIN: Duration = Duration::from_secs(5);
/// What a query has left behind is gone within this time, once every process answers again.
const CLEAN_WITHIN: Duration = Duration::from_secs(10);

const TABLES: &[&str] = &[
    "CREATE TABLE t (id int, k int, x text) DISTRIBUTED BY (id)",
    "CREATE TABLE u (id int, k int) DISTRIBUTED BY (id)",
];
/// Moves rows between all datanodes, and takes long.
const LONG: &str = "SELECT count(*) FROM t a JOIN t b ON a.k % 10 = b.k % 10 \
                    JOIN u c ON c.k % 10 = a.k % 10 WHERE a.x < b.x OR c.id < a.id";

async fn fill(session: &Session) {
    session.run_all(TABLES).await;
    let rows: String = (0..20_000).map(|i| format!("{i}\t{}\ttext {i}\n", i % 100)).collect();
    assert_eq!(session.copy_in("COPY t FROM STDIN", &rows).await, Ok(20_000));
    session.run_all(["INSERT INTO u SELECT id, k FROM t"]).await;
}

/// A datanode was lost: which one, and in time.
fn check_lost(case: &str, failure: &Failure, datanode: &str, took: Duration) {
    assert_eq!(failure.sqlstate, "58K01", "{case}: {failure}");
    let text = format!("{failure}");
    assert!(text.contains(datanode), "{case}: {text}");
    assert!(took < ERROR_WITHIN, "{case}: the error took {took:?}: {text}");
}

/// Waits until no datanode runs or holds anything, and the coordinator holds no memory.
async fn check_clean(cluster: &Cluster, case: &str) {
    let nothing = DatanodeHealth::default();
    let started = Instant::now();
    loop {
        let health = cluster.health().await;
        let clean = health.as_ref().is_ok_and(|all| all.iter().all(|h| *h == nothing));
        let reserved = cluster.reserved_bytes();
        if clean && reserved == 0 {
            return;
        }
        assert!(
            started.elapsed() < CLEAN_WITHIN,
            "{case}: left behind: {health:?}, {reserved} bytes"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
