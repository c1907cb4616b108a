//! Backups that are damaged, or were interrupted.

use std::{fs, path::PathBuf, time::Duration};

use tempfile::TempDir;

use super::{SUMS, backup, fail, files_below, fill, rows, start, start_restored, succeed, text};
use crate::support::{Fault, FaultProxy, spawn_kestrel};

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_found() {
    let cluster = start(2).await;
    let session = cluster.session().await;
    fill(&session, 2000).await;
    let backups = TempDir::new().unwrap();
    let directory = text(backups.path());
    let name = backup(&cluster.url(), backups.path()).await;
    let sums = session.rows(SUMS).await;
    cluster.stop().await;
    let mut files: Vec<PathBuf> = files_below(&backups.path().join("files")).into_iter().collect();
    files.push(backups.path().join("catalogs").join(format!("{name}.db")));
    let target = TempDir::new().unwrap();
    let restore = ["restore", directory, "--directory", text(target.path())];
    for file in &files {
        let whole = fs::read(file).unwrap();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 0x10;
        for (bytes, says) in [
            (&damaged[..], "its bytes do not have their checksum"),
            (&whole[1..], "lacks 1 of its files"),
        ] {
            fs::write(file, bytes).unwrap();
            fail(&["backup", directory, "--verify"], "1 files of the backups").await;
            fail(&restore, says).await;
            assert!(!target.path().join("catalog.db").exists(), "{}", file.display());
        }
        fs::write(file, whole).unwrap();
    }
    let manifest = backups.path().join("manifests").join(format!("{name}.manifest"));
    let whole = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, whole.replace("\"length\"", "\"lenght\"")).unwrap();
    fail(&["backup", directory, "--verify"], "1 files of the backups").await;
    fail(&restore, "is damaged").await;
    fs::write(&manifest, whole).unwrap();
    // What was put there before is used, and the rest comes now.
    succeed(&["backup", directory, "--verify"]).await;
    succeed(&restore).await;
    let restored = start_restored(target).await;
    assert_eq!(restored.session().await.rows(SUMS).await, sums);
    restored.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_leaves_the_older_one_whole() {
    let cluster = start(3).await;
    let session = cluster.session().await;
    fill(&session, 1000).await;
    let backups = TempDir::new().unwrap();
    let directory = text(backups.path());
    let first = backup(&cluster.url(), backups.path()).await;
    let sums = session.rows(SUMS).await;
    session.run_all(["CREATE TABLE u (id int, x text) DISTRIBUTED BY (id)"]).await;
    let load = session.copy_in("COPY u FROM STDIN", rows(0..150_000)).await;
    assert_eq!(load, Ok(150_000));
    // Slow enough to be killed between two files.
    let proxy = FaultProxy::start().await;
    proxy.lead_to(cluster.cluster.address());
    proxy.set(Fault::None, Fault::Delay(Duration::from_millis(50)));
    let url = format!("postgres://kestrel@{}/kestrel", proxy.address());
    let files = || files_below(&backups.path().join("files"));
    let before = files().len();
    let mut second = spawn_kestrel(&["backup", directory, "--url", &url]);
    while files().iter().filter(|file| !text(file).ends_with(".tmp")).count() == before {
        assert!(second.try_wait().unwrap().is_none(), "it has ended before it was killed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    second.kill().await.unwrap();
    let list = succeed(&["backup", directory, "--list"]).await;
    assert_eq!(list.stdout.lines().count(), 3, "{list:?}");
    assert!(list.stdout.contains(&first));
    succeed(&["backup", directory, "--verify"]).await;
    let target = TempDir::new().unwrap();
    succeed(&["restore", directory, "--directory", text(target.path())]).await;
    let restored = start_restored(target).await;
    assert_eq!(restored.session().await.rows(SUMS).await, sums);
    restored.stop().await;
    // The next one goes on with what has come, and nothing half is left.
    let next = succeed(&["backup", directory, "--url", &cluster.url(), "--keep", "9"]).await;
    assert!(next.stdout.contains("of these 3 files"), "{next:?}");
    succeed(&["backup", directory, "--verify"]).await;
    assert!(files().iter().all(|file| !text(file).ends_with(".tmp")));
    cluster.stop().await;
}
