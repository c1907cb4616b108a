//! VACUUM, and what is done without it: segments written anew, while others read and write.

use std::{collections::BTreeSet, path::Path, time::Duration};

use kestrel_coordinator::compaction::AutoVacuum;

use crate::support::{Session, SuiteShards, TestCluster};

/// Each layout.
const LAYOUTS: [&str; 3] = ["DISTRIBUTED BY (a)", "DISTRIBUTED RANDOMLY", "DISTRIBUTED REPLICATED"];

const OFF: AutoVacuum =
    AutoVacuum { is_on: false, interval: Duration::from_secs(1), bytes_per_second: 1 << 20 };
/// All the time.
const EAGER: AutoVacuum =
    AutoVacuum { is_on: true, interval: Duration::from_millis(5), bytes_per_second: 1 << 40 };

fn databases_hold_rows() -> bool {
    SuiteShards::from_env() != SuiteShards::Columnar
}

/// The files of segments, or others with this ending, below the cluster's directory.
fn files(directory: &Path, ending: &str) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                files.insert(path.display().to_string());
            }
        }
    }
    files
}

/// Rows 1 to `rows`, each of a statement of its own.
async fn fill(session: &Session, layout: &str, rows: u64) {
    let create = format!("CREATE TABLE t (a int, b int) {layout}");
    session.run_all(["DROP TABLE IF EXISTS t", &create]).await;
    let inserts = (1..=rows).map(|row| format!("INSERT INTO t VALUES ({row}, 0)"));
    session.run_all(inserts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_segments_become_few() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(2, OFF).await;
    let session = cluster.session().await;
    let path = cluster.directory.path();
    for layout in LAYOUTS {
        fill(&session, layout, 60).await;
        session.run_all(["DELETE FROM t WHERE a % 10 = 0"]).await;
        let sum = "SELECT count(*), sum(a) FROM t";
        let before = session.rows(sum).await;
        assert_eq!(before[0], ["54", "1620"].map(|value| Some(value.to_string())));
        assert!(files(path, "parquet").len() >= 54, "{layout}");
        session.run_all(["VACUUM t"]).await;
        assert_eq!(session.rows(sum).await, before, "{layout}");
        // One on each datanode; what was there before has gone.
        assert!(files(path, "parquet").len() <= 2, "{layout}: {:?}", files(path, "parquet"));
        assert_eq!(files(path, "deletes").len(), 0, "{layout}");
        let kept = files(path, "parquet");
        session.run_all(["VACUUM t", "VACUUM FULL t"]).await;
        assert_eq!(files(path, "parquet"), kept, "{layout}: there was nothing to do");
        session.run_all(["DELETE FROM t WHERE a = 1", "VACUUM t"]).await;
        assert_ne!(files(path, "deletes").len(), 0, "{layout}: so little is left as it is");
        session.run_all(["VACUUM FULL t"]).await;
        assert_eq!(files(path, "deletes").len(), 0, "{layout}");
        assert_eq!(session.value("SELECT sum(a) FROM t").await, "1619", "{layout}");
    }
    let cluster = cluster.restart().await;
    assert_eq!(cluster.session().await.value("SELECT sum(a) FROM t").await, "1619");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_keep_what_they_see() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(2, OFF).await;
    let (reader, writer) = (cluster.session().await, cluster.session().await);
    fill(&writer, "DISTRIBUTED BY (a)", 20).await;
    reader.run_all(["BEGIN"]).await;
    assert_eq!(reader.value("SELECT sum(a) FROM t").await, "210");
    writer.run_all(["DELETE FROM t WHERE a > 10", "VACUUM FULL t"]).await;
    let path = cluster.directory.path();
    assert!(files(path, "parquet").len() > 20, "the reader's files have gone");
    assert_eq!(reader.value("SELECT sum(a) FROM t").await, "210");
    assert_eq!(writer.value("SELECT sum(a) FROM t").await, "55");
    reader.run_all(["COMMIT"]).await;
    writer.run_all(["VACUUM t"]).await;
    assert!(files(path, "parquet").len() <= 2);
    assert_eq!(reader.value("SELECT sum(a) FROM t").await, "55");
    cluster.stop().await;
}

/// A transaction that began before finds the rows that it has deleted where they are now.
#[tokio::test(flavor = "multi_thread")]
async fn deletes_follow_their_rows() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(2, OFF).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    for layout in LAYOUTS {
        fill(&first, layout, 30).await;
        first.run_all(["DELETE FROM t WHERE a IN (3, 4)", "BEGIN"]).await;
        assert_eq!(first.value("SELECT count(*) FROM t").await, "28", "{layout}");
        second.run_all(["DELETE FROM t WHERE a IN (1, 30)", "VACUUM FULL t"]).await;
        first.run_all(["DELETE FROM t WHERE a IN (2, 15)"]).await;
        // They move once more, and some that were beside them go.
        second.run_all(["INSERT INTO t VALUES (100, 0)", "DELETE FROM t WHERE a = 14"]).await;
        second.run_all(["VACUUM FULL t", "DELETE FROM t WHERE a = 16"]).await;
        first.run_all(["UPDATE t SET b = 1 WHERE a IN (17, 18)", "COMMIT"]).await;
        let state = "SELECT count(*), sum(a), sum(b) FROM t";
        // 5 to 13, 17 to 29, and 100.
        let expected = ["23", "480", "2"].map(|value| Some(value.to_string()));
        assert_eq!(first.rows(state).await[0], expected, "{layout}");
        assert_eq!(second.rows(state).await[0], expected, "{layout}");

        // A row that another has deleted is a conflict, wherever it was.
        first.run_all(["BEGIN", "SELECT count(*) FROM t"]).await;
        second.run_all(["DELETE FROM t WHERE a = 20", "VACUUM FULL t"]).await;
        first.run_all(["UPDATE t SET b = 5 WHERE a = 20"]).await;
        assert_eq!(first.failure("COMMIT").await.sqlstate, "40001", "{layout}");
        first.run_all(["BEGIN", "SELECT count(*) FROM t"]).await;
        second.run_all(["VACUUM FULL t", "DELETE FROM t WHERE a = 21"]).await;
        second.run_all(["VACUUM FULL t"]).await;
        first.run_all(["UPDATE t SET b = 5 WHERE a = 21"]).await;
        assert_eq!(first.failure("COMMIT").await.sqlstate, "40001", "{layout}");
        assert_eq!(first.value("SELECT sum(b) FROM t").await, "2", "{layout}");
    }
    cluster.stop().await;
}

/// Rows that are written anew are no new rows: a rule that was checked for them still holds.
#[tokio::test(flavor = "multi_thread")]
async fn rules_that_were_checked_hold() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(2, OFF).await;
    let (first, second) = (cluster.session().await, cluster.session().await);
    fill(&first, "DISTRIBUTED BY (a)", 20).await;
    first.run_all(["BEGIN", "SELECT count(*) FROM t"]).await;
    second.run_all(["VACUUM t"]).await;
    first.run_all(["ALTER TABLE t ALTER b SET NOT NULL", "COMMIT"]).await;
    assert_eq!(second.failure("INSERT INTO t VALUES (1, NULL)").await.sqlstate, "23502");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_beside_vacuum_lose_nothing_and_do_not_fail() {
    writers_beside_vacuum("").await;
}

/// What VACUUM sorts they find, too.
#[tokio::test(flavor = "multi_thread")]
async fn writers_beside_sorts_lose_nothing_and_do_not_fail() {
    writers_beside_vacuum("WITH (cluster_by = 'n, w')").await;
}

async fn writers_beside_vacuum(options: &str) {
    if databases_hold_rows() {
        return;
    }
    const WRITERS: u64 = 4;
    let cluster = TestCluster::start_with_vacuum(2, EAGER).await;
    let session = cluster.session().await;
    let create = format!("CREATE TABLE t (w int, n int, k int) {options} DISTRIBUTED BY (k)");
    let insert = "INSERT INTO t SELECT i % 4, 0, i FROM generate_series(0, 79) AS i";
    session.run_all([create.as_str(), insert]).await;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let session = cluster.session().await;
        writers.push(tokio::spawn(async move {
            for round in 1..=25_u64 {
                // Its rows are its own, in segments that all of them change.
                let update = format!("UPDATE t SET n = n + 1 WHERE w = {writer}");
                let insert = format!("INSERT INTO t VALUES ({writer}, {round}, {})", 100 + round);
                let delete = format!("DELETE FROM t WHERE w = {writer} AND k = {}", 100 + round);
                match round % 2 {
                    0 => session.run_all([update, insert, delete]).await,
                    _ => {
                        session.run_all(["BEGIN", "SELECT count(*) FROM t"]).await;
                        session.run_all([insert, update, delete, "COMMIT".into()]).await;
                    }
                }
            }
        }));
    }
    while writers.iter().any(|writer| !writer.is_finished()) {
        session.run_all(["VACUUM FULL t"]).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for writer in 0..WRITERS {
        let rows = format!("SELECT count(*), min(n), max(n) FROM t WHERE w = {writer}");
        let expected = ["20", "25", "25"].map(|value| Some(value.to_string()));
        assert_eq!(session.rows(&rows).await[0], expected, "writer {writer}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_folded_without_vacuum() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(2, EAGER).await;
    let session = cluster.session().await;
    let path = cluster.directory.path();
    fill(&session, "DISTRIBUTED BY (a)", 200).await;
    // Less than 8 of less than 8 rows, and of less than 64, and of less than 512; files go a little later.
    for _ in 0..400 {
        if files(path, "parquet").len() <= 2 * 3 * 7 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(files(path, "parquet").len() <= 2 * 3 * 7, "{:?}", files(path, "parquet"));
    assert_eq!(session.value("SELECT sum(a) FROM t").await, "20100");
    let shown = [
        ("kestrel.auto_vacuum", "on"),
        ("kestrel.auto_vacuum_interval", "5ms"),
        ("kestrel.auto_vacuum_rate", "1TB"),
    ];
    for (setting, value) in shown {
        assert_eq!(session.value(&format!("SHOW {setting}")).await, value);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_is_told() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(2, OFF).await;
    let mut session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE t (a int) DISTRIBUTED BY (a)",
            "CREATE VIEW v AS SELECT a FROM t",
            "CREATE TABLE p (a int) DISTRIBUTED BY (a) PARTITION BY LIST (a)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
            "CREATE ROLE joe",
        ])
        .await;
    session.notices();
    let owner = "only table or database owner can vacuum it";
    let cases: [(&str, &str, Vec<String>); 4] = [
        (
            "RESET ROLE",
            "VACUUM v, t",
            vec!["skipping \"v\" --- cannot vacuum non-tables or special system tables".into()],
        ),
        (
            "SET ROLE joe",
            "VACUUM t, v, p",
            ["t", "v", "p", "p1"].map(|name| format!("skipping \"{name}\" --- {owner}")).into(),
        ),
        ("SET ROLE joe", "VACUUM", vec![]),
        (
            "RESET ROLE",
            "VACUUM (VERBOSE) t",
            vec![
                "vacuuming \"kestrel.public.t\"".into(),
                "finished vacuuming \"kestrel.public.t\"".into(),
            ],
        ),
    ];
    for (role, sql, expected) in cases {
        session.run_all([role, sql]).await;
        let notices: Vec<_> =
            session.notices().into_iter().map(|notice| notice.message().to_string()).collect();
        assert_eq!(notices, expected, "{sql}");
    }
    cluster.stop().await;
}
