//! Transactions that create things at the same time, as tools with several connections do.

use std::time::Duration;

use crate::support::TestCluster;

/// Both have looked at the catalog before either creates: what the second one creates must not
/// take the place of what the first one did.
#[tokio::test(flavor = "multi_thread")]
async fn two_blocks_create_a_table_each() {
    let cluster = TestCluster::start(2).await;
    let (one, two) = (cluster.session().await, cluster.session().await);
    for session in [&one, &two] {
        session.run_all(["BEGIN", "SELECT count(*) FROM pg_class"]).await;
    }
    one.run_all(["CREATE TABLE first AS SELECT 1 AS a"]).await;
    // It may wait for the end of the first.
    let second = tokio::spawn(async move {
        two.run_all(["CREATE TABLE second AS SELECT 2 AS a", "COMMIT"]).await;
        two
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    one.run_all(["COMMIT"]).await;
    let two = second.await.unwrap();
    for (session, table, value) in [(&two, "first", "1"), (&one, "second", "2")] {
        assert_eq!(session.value(&format!("SELECT a FROM {table}")).await, value, "{table}");
    }
    // And the catalog takes more.
    one.run_all(["CREATE VIEW third AS SELECT a FROM first", "DROP TABLE second"]).await;
    drop((one, two));
    let cluster = cluster.restart().await;
    let session = cluster.session().await;
    assert_eq!(session.value("SELECT a FROM third").await, "1");
    cluster.stop().await;
}
