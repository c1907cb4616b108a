//! A cluster has shards of one kind, from its first start on.

use std::{fs, path::Path};

use kestrel::{
    cluster::{Cluster, ClusterOptions, DatanodePlacement, ShardOptions},
    shards::ShardKind,
};
use tempfile::TempDir;

use crate::support::{Ended, Kestrel, options, run_kestrel};

fn check_refused(what: &str, ended: &Ended, says: &str) {
    assert_eq!(ended.status, Some(1), "{what}: {ended:?}");
    assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{what}: {ended:?}");
    assert!(ended.stderr.contains(says), "{what}: {ended:?}");
}

/// All files below, but for those that say who was here last.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        found.push(path.display().to_string());
        if path.is_dir() {
            found.extend(files(&path));
        }
    }
    found.retain(|path| !path.contains("catalog") && !path.ends_with("-wal"));
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_not_started_as_another_kind() {
    for (kind, other) in [("columnar", "kes"), ("kes", "columnar")] {
        let directory = TempDir::new().unwrap();
        let data = directory.path();
        let first = Kestrel::up(data, &["--shards", kind, "--datanodes", "2"]).await;
        let session = first.session().await;
        session.run_all(["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1), (2)"]).await;
        drop(session);
        assert_eq!(first.signal("TERM").await.status, Some(0));

        let before = files(data);
        let path = data.to_str().unwrap();
        let up = ["up", "--data", path, "--listen", "127.0.0.1:0", "--shards", other];
        let says = format!("whose shards are of kind \"{kind}\", not \"{other}\"");
        check_refused(kind, &run_kestrel(&up).await, &says);
        assert_eq!(files(data), before, "{kind} started as {other} leaves something");

        let again = Kestrel::up(data, &["--shards", kind]).await;
        assert_eq!(again.session().await.value("SELECT sum(a) FROM t").await, "3", "{kind}");
        assert_eq!(again.signal("TERM").await.status, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datanode_of_another_kind_is_not_let_in() {
    let cases: [(ShardKind, &[&str], &str); 2] = [
        (
            ShardKind::Columnar,
            &["--shard-kind", "kes", "--shard-host", "/nowhere"],
            "the shard of datanode \"dn1\" is of kind \"kes\", and the cluster's are of kind \
             \"columnar\"",
        ),
        (
            ShardKind::Kes,
            &[],
            "the shard of datanode \"dn1\" is of kind \"columnar\", and the cluster's are of kind \
             \"kes\"",
        ),
    ];
    for (kind, flags, says) in cases {
        let directory = TempDir::new().unwrap();
        let options = options(&directory, Some(2), DatanodePlacement::Elsewhere);
        let shards = ShardOptions { kind: Some(kind), ..ShardOptions::default() };
        let cluster = Cluster::start(ClusterOptions { shards, ..options }).await.unwrap();
        let coordinator = cluster.rpc_address().unwrap().to_string();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let (data, secret) = (path("dn1"), path("secret"));
        let mut arguments = vec!["datanode", "--name", "dn1", "--data", &data];
        arguments.extend(["--secret-file", &secret, "--coordinator", &coordinator]);
        arguments.extend(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
        arguments.extend(flags);
        let ended = run_kestrel(&arguments).await;
        assert_eq!(ended.status, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
        assert!(ended.stderr.contains(&format!("--shard-kind {kind}")), "{ended:?}");
        cluster.stop().await;
    }
}
