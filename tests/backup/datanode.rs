//! A datanode's directory that is lost: refused, and restored.

use std::fs;

use kestrel::cluster::{ClusterOptions, DatanodePlacement};
use tempfile::TempDir;

use super::{SUMS, backup, columnar, fail, files_below, fill, succeed, text};
use crate::support::{Kestrel, Network, options, run_kestrel};

const UP: &[&str] = &["--shards", "columnar"];

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_has_lost_a_datanodes_directory_does_not_start() {
    let (directory, backups) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let data = text(directory.path());
    let dn2 = directory.path().join("dn2");
    let new = [UP, &["--datanodes", "2"]].concat();
    let kestrel = Kestrel::up(directory.path(), &new).await;
    let session = kestrel.session().await;
    fill(&session, 3000).await;
    backup(kestrel.url(), backups.path()).await;
    let sums = session.rows(SUMS).await;
    assert_eq!(kestrel.signal("TERM").await.status, Some(0));
    let up = ["up", "--data", data, "--listen", "127.0.0.1:0"];
    let restore = [
        "restore",
        text(backups.path()),
        "--directory",
        text(&dn2),
        "--datanode",
        "dn2",
        "--coordinator-data",
        data,
    ];
    // The whole directory, all that is in it, its segments.
    for case in ["gone", "wiped", "no segments"] {
        let lost = if case == "no segments" { dn2.join("segments") } else { dn2.clone() };
        fs::remove_dir_all(&lost).unwrap();
        if case == "wiped" {
            fs::create_dir(&lost).unwrap();
        }
        for arguments in [up.to_vec(), [&up[..], &["--processes"]].concat()] {
            fail(&arguments, if case == "no segments" { "lost its directory" } else { "wiped" })
                .await;
        }
        succeed(&restore).await;
        let again = Kestrel::up(directory.path(), UP).await;
        assert_eq!(again.session().await.rows(SUMS).await, sums, "{case}");
        assert_eq!(again.signal("TERM").await.status, Some(0), "{case}");
    }
    // One file only: the cluster starts, and the file is put back.
    let segment = files_below(&dn2.join("segments")).into_iter().next().unwrap();
    fs::remove_file(&segment).unwrap();
    let again = Kestrel::up(directory.path(), UP).await;
    assert_eq!(again.session().await.failure(SUMS).await.sqlstate, "XX001");
    assert_eq!(again.signal("TERM").await.status, Some(0));
    succeed(&restore).await;
    // What was written after the backup is not in it.
    let again = Kestrel::up(directory.path(), UP).await;
    let session = again.session().await;
    assert_eq!(session.rows(SUMS).await, sums);
    session.run_all(["CREATE TABLE late (id int) DISTRIBUTED BY (id)"]).await;
    session.run_all(["INSERT INTO late SELECT id FROM t"]).await;
    assert_eq!(again.signal("TERM").await.status, Some(0));
    fs::remove_dir_all(&dn2).unwrap();
    fail(&restore, "public.late (").await;
    assert!(!dn2.exists());
    succeed(&[&restore[..], &["--incomplete"]].concat()).await;
    let again = Kestrel::up(directory.path(), UP).await;
    let session = again.session().await;
    assert_eq!(session.rows(SUMS).await, sums);
    assert_eq!(session.failure("SELECT sum(id) FROM late").await.sqlstate, "XX001");
    session.run_all(["TRUNCATE late", "INSERT INTO late SELECT id FROM t"]).await;
    assert_eq!(session.value("SELECT count(*) FROM late").await, "3000");
    again.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datanode_on_another_machine_is_restored_while_the_others_go_on() {
    let directory = TempDir::new().unwrap();
    let elsewhere = options(&directory, Some(2), DatanodePlacement::Elsewhere);
    let elsewhere = ClusterOptions { shards: columnar(), ..elsewhere };
    let mut network = Network::start_on(directory, elsewhere, &[]).await;
    let url = format!("postgres://kestrel@{}/kestrel", network.cluster.address());
    let session = network.session().await;
    fill(&session, 3000).await;
    let backups = TempDir::new().unwrap();
    backup(&url, backups.path()).await;
    let sums = session.rows(SUMS).await;
    network.datanodes[1].kill().await;
    let dn2 = network.directory.path().join("dn2");
    fs::remove_dir_all(&dn2).unwrap();
    let rpc = network.cluster.rpc_address().unwrap().to_string();
    let secret = network.directory.path().join("secret");
    let start = [
        "datanode",
        "--name",
        "dn2",
        "--data",
        text(&dn2),
        "--coordinator",
        &rpc,
        "--secret-file",
        text(&secret),
        "--listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
    ];
    let ended = run_kestrel(&start).await;
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("is not the one with its data"), "{ended:?}");
    assert!(ended.stderr.contains("kestrel restore"), "{ended:?}");
    let mut restore = vec!["restore", text(backups.path()), "--directory", text(&dn2)];
    restore.extend(["--datanode", "dn2", "--url", &url]);
    fail(&[&restore[..4], &["--datanode", "dn7", "--url", &url]].concat(), "\"dn7\"").await;
    succeed(&restore).await;
    network.datanodes[1].start_again().await;
    network.all_up().await;
    assert_eq!(session.rows(SUMS).await, sums);
    network.stop().await;
}
