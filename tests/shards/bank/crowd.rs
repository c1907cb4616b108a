//! More clients in blocks than a database has sessions for snapshots: who waits for one does not keep
//! those from committing who have them.

use std::time::Duration;

use tokio::{task::JoinSet, time::timeout};

use super::AGAIN;
use crate::support::{Answer, Failure, Session, ShardServers, TestCluster};

/// All of it takes less.
const PATIENCE: Duration = Duration::from_secs(300);
/// Half of a datanode's 32 sessions hold snapshots.
const CLIENTS: usize = 24;
const BLOCKS: usize = 15;
/// Rows of each client, on both datanodes.
const ROWS: usize = 4;

/// Runs the block until it is committed. A statement in it may wait for a session in vain; what has
/// its sessions commits.
async fn count(session: &Session, client: usize) -> Result<(), Failure> {
    let update = format!("UPDATE t SET n = n + 1 WHERE client = {client}");
    loop {
        session.rows("BEGIN").await;
        let Answer::Error(failure) = session.run(&update).await else { break };
        session.rows("ROLLBACK").await;
        if failure.sqlstate != "53300" && !AGAIN.contains(&failure.sqlstate.as_str()) {
            return Err(failure);
        }
    }
    match session.run("COMMIT").await {
        Answer::Error(failure) => Err(failure),
        _ => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_snapshot_commits() {
    let Some(servers) = ShardServers::start(2) else { return };
    let cluster = TestCluster::start_on(2, servers.options()).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE t (id int, client int, n int) DISTRIBUTED BY (id)".to_string(),
            format!("INSERT INTO t SELECT g, g / {ROWS}, 0 FROM generate_series(0, {CLIENTS} * {ROWS} - 1) g"),
        ])
        .await;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let session = cluster.session().await;
        clients.spawn(async move {
            for _ in 0..BLOCKS {
                count(&session, client).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    let ended = timeout(PATIENCE, clients.join_all()).await.expect("clients hang");
    for ended in ended {
        ended.unwrap_or_else(|failure| panic!("{failure}"));
    }
    let sum = session.value("SELECT sum(n) FROM t").await;
    assert_eq!(sum, (CLIENTS * ROWS * BLOCKS).to_string());
    cluster.stop().await;
}
