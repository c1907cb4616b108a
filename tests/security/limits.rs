//! How many clients come in, and for how long a stranger may stand in the door.

use std::time::Duration;

use kestrel::cluster::ClientOptions;
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use super::{Guarded, text};
use crate::support::Session;

const RULES: &str = "host all all 127.0.0.1/32 trust\n";

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_in_all_and_by_role() {
    let clients =
        ClientOptions { max_connections: 4, reserved_connections: 1, ..ClientOptions::default() };
    let cluster = Guarded::start_with(RULES, clients).await;
    let admin = cluster.admin().await;
    admin.run_all(["CREATE USER ann CONNECTION LIMIT 1", "CREATE USER bob"]).await;
    assert_eq!(admin.value("SHOW max_connections").await, "4");
    assert_eq!(admin.value("SHOW superuser_reserved_connections").await, "1");
    let ann = cluster.session("ann", "").await;
    let expected = "53300: too many connections for role \"ann\"";
    assert_eq!(text(&cluster.refused("ann", "").await), expected);
    let _bob = cluster.session("bob", "").await;
    let expected =
        "53300: remaining connection slots are reserved for non-replication superuser connections";
    assert_eq!(text(&cluster.refused("bob", "").await), expected);
    let _second = cluster.admin().await;
    let refused = cluster.refused("kestrel", "").await;
    assert_eq!(text(&refused), "53300: sorry, too many clients already");
    drop(ann);
    let freed = async {
        while Session::try_connect(&cluster.url("kestrel", "")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), freed).await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_keep_others_out_for_long() {
    let clients = ClientOptions {
        max_unauthenticated: 1,
        authentication_timeout: Duration::from_secs(2),
        ..ClientOptions::default()
    };
    let cluster = Guarded::start_with(RULES, clients).await;
    let admin = cluster.admin().await;
    assert_eq!(admin.value("SHOW authentication_timeout").await, "2s");
    let mut stranger = TcpStream::connect(cluster.cluster.address()).await.unwrap();
    // The server has taken it in by the time that it answers another.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(cluster.refused("kestrel", "").await.sqlstate, "CLOSED");
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(30), stranger.read_to_end(&mut rest)).await;
    assert_eq!(ended.unwrap().unwrap(), 0);
    // Its place is free a moment after it was closed.
    let freed = async {
        while Session::try_connect(&cluster.url("kestrel", "")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), freed).await.unwrap();
    cluster.stop().await;
}
