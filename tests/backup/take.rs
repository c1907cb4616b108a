//! Backups of a cluster that is at work.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;

use super::{
    STATISTICS, SUMS, backup, fail, files_below, fill, rows, start, start_restored, succeed, text,
};

/// Transactions go on, each with a row in two tables, and tables come and go.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_the_cluster_at_one_moment() {
    let cluster = start(3).await;
    let session = cluster.session().await;
    fill(&session, 30_000).await;
    session
        .run_all([
            "CREATE TABLE a (n int) DISTRIBUTED BY (n)",
            "CREATE TABLE b (n int) DISTRIBUTED RANDOMLY",
            "CREATE VIEW v AS SELECT count(*) AS c FROM a",
            "CREATE SEQUENCE s",
        ])
        .await;
    let (stop, committed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = Vec::new();
    for writer in 0..2 {
        let session = cluster.session().await;
        let (stop, committed) = (Arc::clone(&stop), Arc::clone(&committed));
        writers.push(tokio::spawn(async move {
            let mut n = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let insert = |table: &str| format!("INSERT INTO {table} VALUES ({n})");
                session.run_all(["BEGIN".into(), insert("a"), insert("b"), "COMMIT".into()]).await;
                committed.fetch_add(1, Ordering::Relaxed);
                let passing = format!("passing_{writer}");
                let create = format!("CREATE TABLE {passing} AS SELECT id FROM t WHERE id < 50");
                session.run_all([create, format!("DROP TABLE {passing}")]).await;
                n += 1;
            }
        }));
    }
    while committed.load(Ordering::Relaxed) < 10 {
        assert!(writers.iter().all(|writer| !writer.is_finished()), "a writer has failed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = committed.load(Ordering::Relaxed);
    let backups = TempDir::new().unwrap();
    backup(&cluster.url(), backups.path()).await;
    let after = committed.load(Ordering::Relaxed) + 2;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let sums = session.rows(SUMS).await;
    cluster.stop().await;
    succeed(&["backup", text(backups.path()), "--verify"]).await;
    let target = TempDir::new().unwrap();
    let arguments = ["restore", text(backups.path()), "--directory", text(target.path())];
    succeed(&arguments).await;
    let restored = start_restored(target).await;
    let session = restored.session().await;
    assert_eq!(session.rows(SUMS).await, sums);
    let [a, b, v] = ["SELECT count(*) FROM a", "SELECT count(*) FROM b", "SELECT c FROM v"];
    let (a, b, v) = (session.value(a).await, session.value(b).await, session.value(v).await);
    assert_eq!((&a, &a), (&b, &v));
    let a: u64 = a.parse().unwrap();
    assert!((before..=after).contains(&a), "{a} transactions of {before} to {after}");
    // It goes on as a cluster of its own.
    session.run_all(["INSERT INTO a VALUES (-1)", "SELECT nextval('s')"]).await;
    assert_eq!(session.value("SELECT count(*) FROM a").await, (a + 1).to_string());
    restored.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_backup_copies_what_is_new_and_the_old_one_stays() {
    let cluster = start(3).await;
    let session = cluster.session().await;
    fill(&session, 5000).await;
    session.run_all(["ANALYZE t"]).await;
    let statistics = session.rows(STATISTICS).await;
    assert_eq!(statistics.len(), 2);
    let backups = TempDir::new().unwrap();
    let files = || files_below(&backups.path().join("files"));
    let first = backup(&cluster.url(), backups.path()).await;
    let (of_first, sums) = (files(), session.rows(SUMS).await);
    assert_eq!(of_first.len(), 3);
    assert_eq!(session.copy_in("COPY t FROM STDIN", rows(5000..6000)).await, Ok(1000));
    let second = backup(&cluster.url(), backups.path()).await;
    assert!(second > first, "{first}, {second}");
    let of_second = files();
    assert!(of_second.is_superset(&of_first));
    assert_eq!(of_second.len(), 6);
    let nothing_new = succeed(&["backup", text(backups.path()), "--url", &cluster.url()]).await;
    assert!(nothing_new.stdout.contains("of these 1 files"), "{nothing_new:?}");
    let list = succeed(&["backup", text(backups.path()), "--list"]).await;
    assert_eq!(list.stdout.lines().count(), 5, "{list:?}");
    // The first one as it was.
    let target = TempDir::new().unwrap();
    let place = text(target.path());
    let arguments = ["restore", text(backups.path()), "--directory", place, "--backup", &first];
    succeed(&arguments).await;
    fail(&arguments, "is not empty").await;
    let restored = start_restored(target).await;
    let session_there = restored.session().await;
    assert_eq!(session_there.rows(SUMS).await, sums);
    assert_eq!(session_there.rows(STATISTICS).await, statistics);
    drop(session_there);
    restored.stop().await;
    // What only older ones need goes when they go.
    session.run_all(["TRUNCATE t"]).await;
    succeed(&["backup", text(backups.path()), "--url", &cluster.url(), "--keep", "1"]).await;
    assert!(files().is_empty(), "{:?}", files());
    let list = succeed(&["backup", text(backups.path()), "--list"]).await;
    assert_eq!(list.stdout.lines().count(), 3, "{list:?}");
    fail(&["restore", text(backups.path()), "--directory", "/d", "--backup", &first], &first).await;
    let other = start(1).await;
    let wrong = ["backup", text(backups.path()), "--url", &other.url()];
    fail(&wrong, "has backups of cluster").await;
    other.stop().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_backs_up_keeps_the_files() {
    let cluster = start(2).await;
    let (admin, taker) = (cluster.session().await, cluster.session().await);
    fill(&admin, 1000).await;
    let files = || {
        let root = cluster.directory.path().join("dn1");
        let files = files_below(&root.join("segments")).into_iter();
        let names = files.map(|file| text(file.strip_prefix(&root).unwrap()).to_string());
        names.collect::<Vec<_>>()
    };
    let file = files().into_iter().next().unwrap();
    let ask = format!("BACKUP FILE '{file}' ON dn1");
    assert_eq!(taker.failure(&ask).await.sqlstate, "55000");
    let catalog = taker.copy_out("BACKUP CATALOG").await.unwrap();
    assert!(catalog.starts_with(b"SQLite format 3\0"), "{} bytes", catalog.len());
    admin.run_all(["DROP TABLE t"]).await;
    let bytes = taker.copy_out(&ask).await.unwrap();
    assert_eq!(&bytes[..4], b"PAR1");
    for (wrong, sqlstate) in [
        ("BACKUP FILE 'datanode.json' ON dn1", "58P01"),
        ("BACKUP FILE 'segments/1/1-1-1.parquet' ON dn1", "XX001"),
        ("BACKUP FILE 'segments/1/1-1-1.parquet' ON dn9", "42704"),
        ("BACKUP TABLE t", "42601"),
    ] {
        let failure = taker.copy_out(wrong).await.unwrap_err();
        assert_eq!(failure.sqlstate, sqlstate, "{wrong}: {failure}");
    }
    drop(taker);
    // The end of the session is noticed a little later.
    for _ in 0..600 {
        if files().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(files(), Vec::<String>::new());
    admin.run_all(["CREATE ROLE clerk LOGIN", "SET ROLE clerk"]).await;
    assert_eq!(admin.failure("BACKUP CATALOG").await.sqlstate, "42501");
    cluster.stop().await;
}
