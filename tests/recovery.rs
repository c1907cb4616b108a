//! `kestrel up` serves what was there before: after a stop, and after kill -9 at any moment.

use std::{collections::BTreeSet, fmt::Write, path::Path, time::Duration};

use tempfile::TempDir;

use crate::support::{Kestrel, Session, SuiteShards, TestCluster};

const TABLES: &[&str] = &[
    "CREATE TABLE h (id int PRIMARY KEY, name text) DISTRIBUTED BY (id)",
    "CREATE TABLE r (id int, n numeric(8,2)) DISTRIBUTED RANDOMLY",
    "CREATE TABLE p (id int, d date DEFAULT '2020-01-01') DISTRIBUTED REPLICATED",
    "CREATE SCHEMA s",
    "CREATE TABLE s.q (id bigserial, x varchar(5) NOT NULL) DISTRIBUTED BY (id)",
    "CREATE VIEW s.v AS SELECT r.id, n FROM r JOIN h USING (id) WHERE n > 100",
    "COMMENT ON VIEW s.v IS 'joined'",
    "COMMENT ON COLUMN h.name IS 'a name'",
    "CREATE INDEX r_n ON r (n)",
];

/// What must be the same before and after.
const QUESTIONS: &[&str] = &[
    "SELECT count(*), sum(id), min(name), max(name) FROM h",
    "SELECT count(*), sum(n) FROM r",
    "SELECT count(*), min(d) FROM p",
    "SELECT count(*), count(DISTINCT id), max(x) FROM s.q",
    "SELECT count(*) FROM h JOIN r ON h.id = r.id JOIN p ON p.id = r.id",
    "SELECT schema_name, table_name, distribution, key_columns FROM kestrel.table_distributions \
     ORDER BY 1, 2",
    "SELECT name, buckets FROM kestrel.datanodes ORDER BY name",
    "SELECT count(*), sum(n) FROM s.v",
    "SELECT count(*), min(later), max(c) FROM r",
    "SELECT description FROM pg_description ORDER BY 1",
    "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1",
    "SELECT indexname::text FROM pg_indexes ORDER BY 1",
    "SELECT tablename::text, attname::text, null_frac, n_distinct, most_common_vals::text, \
     array_to_string(most_common_freqs, ' '), histogram_bounds::text, correlation FROM pg_stats ORDER BY 1, 2",
    "SELECT table_name, rows, analyzed_columns FROM kestrel.table_statistics ORDER BY 1",
];

async fn fill(session: &Session) {
    session.run_all(TABLES).await;
    let rows: String = (1..=3000).fold(String::new(), |mut text, id| {
        let _ = writeln!(text, "{id}\tname {id}");
        text
    });
    assert_eq!(session.copy_in("COPY h FROM STDIN", &rows).await, Ok(3000));
    session
        .run_all([
            "INSERT INTO r SELECT id, id / 4.0 FROM h WHERE id % 3 = 0",
            "INSERT INTO p (id) SELECT id FROM h WHERE id < 100",
            "INSERT INTO s.q (x) VALUES ('a'), ('b'), ('c')",
            "ALTER TABLE r ADD COLUMN later text DEFAULT 'then', ADD c int CHECK (c > 0)",
            "ALTER TABLE p RENAME d TO day",
            "ALTER TABLE p RENAME day TO d",
            "ANALYZE",
        ])
        .await;
}

async fn answers(session: &Session) -> Vec<Vec<Vec<Option<String>>>> {
    let mut answers = Vec::new();
    for question in QUESTIONS {
        answers.push(session.rows(question).await);
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_cluster_starts_with_what_it_had() {
    let mut cluster = TestCluster::start(3).await;
    fill(&cluster.session().await).await;
    for round in 1..=3 {
        let before = answers(&cluster.session().await).await;
        cluster = cluster.restart().await;
        let session = cluster.session().await;
        assert_eq!(answers(&session).await, before, "round {round}");
        // A sequence never gives a number twice, and rows go where the others are.
        session.run_all(["INSERT INTO s.q (x) VALUES ('d')"]).await;
        let insert = format!("INSERT INTO h VALUES ({}, 'new')", 3000 + round);
        session.run_all([insert]).await;
        let distinct = "SELECT count(*) - count(DISTINCT id) FROM s.q";
        assert_eq!(session.value(distinct).await, "0", "round {round}");
        let doubled = "INSERT INTO h VALUES (7, 'again')";
        assert_eq!(session.failure(doubled).await.sqlstate, "23505", "round {round}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_all_that_was_committed_is_there_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let mut kestrel = Kestrel::up(directory.path(), &["--datanodes", "3"]).await;
    fill(&kestrel.session().await).await;
    for round in 0..3_u64 {
        let before = answers(&kestrel.session().await).await;
        let files = segment_files(directory.path());
        // One transaction is open, one load is under way.
        let (open, loading) = (kestrel.session().await, kestrel.session().await);
        open.run_all(["BEGIN", "INSERT INTO r SELECT id, 1 FROM h"]).await;
        let load = tokio::spawn(async move {
            let thousand = |first: u64| {
                let rows = (first..first + 1000).map(|id| format!("{id}\tx\n"));
                rows.collect::<String>().into_bytes()
            };
            // Without end: only the kill ends it.
            let blocks = (10_000..).step_by(1000).map(thousand);
            loading.copy_in_blocks("COPY h FROM STDIN", blocks).await
        });
        tokio::time::sleep(Duration::from_millis(30 + round * 150)).await;
        assert!(!load.is_finished(), "the load has failed before the kill: {:?}", load.await);
        kestrel.kill().await;
        let _ = load.await;
        kestrel = Kestrel::up(directory.path(), &[]).await;
        assert_eq!(answers(&kestrel.session().await).await, before, "round {round}");
        // What the dead transactions wrote is gone from the disk, too.
        assert_eq!(segment_files(directory.path()), files, "round {round}");
    }
    let session = kestrel.session().await;
    session.run_all(["INSERT INTO r VALUES (1, 1)"]).await;
    assert_eq!(kestrel.signal("TERM").await.status, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_were_acknowledged_survive_kill_9() {
    let directory = TempDir::new().unwrap();
    let mut kestrel = Kestrel::up(directory.path(), &["--datanodes", "2"]).await;
    let create = "CREATE TABLE t (id int) DISTRIBUTED BY (id)";
    kestrel.session().await.run_all([create]).await;
    let mut acknowledged = 0;
    for _ in 0..4 {
        let session = kestrel.session().await;
        let writer = tokio::spawn(async move {
            let mut done = 0_u64;
            loop {
                let sql = format!("INSERT INTO t VALUES ({done}), ({}), (NULL)", done + 1);
                if session.run(&sql).await.sqlstate().is_some() {
                    return done;
                }
                done += 1;
            }
        });
        tokio::time::sleep(Duration::from_millis(400)).await;
        kestrel.kill().await;
        let done = writer.await.unwrap();
        kestrel = Kestrel::up(directory.path(), &[]).await;
        let count = kestrel.session().await.value("SELECT count(*) FROM t").await;
        let count: u64 = count.parse().unwrap();
        // Of one more it is not known whether it was committed; it is there whole or not at all.
        let (least, most) = (acknowledged + done * 3, acknowledged + done * 3 + 3);
        assert!(count == least || count == most, "{count} rows, {done} acknowledged inserts");
        acknowledged = count;
    }
    assert!(acknowledged > 0, "nothing was ever inserted");
    kestrel.kill().await;
}

/// Vectors and new rows are on disk before the commit that makes them seen.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_rows_survive_kill_9_whole_or_not_at_all() {
    if SuiteShards::from_env() != SuiteShards::Columnar {
        return;
    }
    const ROWS: u64 = 2000;
    let directory = TempDir::new().unwrap();
    let mut kestrel = Kestrel::up(directory.path(), &["--datanodes", "2"]).await;
    let rows = format!("INSERT INTO t SELECT i, 0 FROM generate_series(1, {ROWS}) AS i");
    let create = "CREATE TABLE t (id int, v int) DISTRIBUTED BY (id)";
    kestrel.session().await.run_all([create, &rows]).await;
    let mut acknowledged = 0;
    for round in 0..4_u64 {
        let session = kestrel.session().await;
        let writer = tokio::spawn(async move {
            let mut done = 0_u64;
            // Every second one moves the rows to other datanodes, and back.
            loop {
                let sign = if done.is_multiple_of(2) { "-id" } else { "id" };
                let sql = format!("UPDATE t SET v = v + 1, id = {sign}");
                if session.run(&sql).await.sqlstate().is_some() {
                    return done;
                }
                done += 1;
            }
        });
        tokio::time::sleep(Duration::from_millis(300 + round * 70)).await;
        kestrel.kill().await;
        let done = writer.await.unwrap();
        kestrel = Kestrel::up(directory.path(), &[]).await;
        let session = kestrel.session().await;
        let state = "SELECT count(*), min(v), max(v), count(DISTINCT abs(id)) FROM t";
        let state = session.rows(state).await.remove(0);
        let number = |at: usize| state[at].as_deref().unwrap_or_default().parse::<u64>().unwrap();
        assert_eq!((number(0), number(3)), (ROWS, ROWS), "round {round}");
        assert_eq!(number(1), number(2), "round {round}: some rows were changed, and others not");
        let (least, most) = (acknowledged + done, acknowledged + done + 1);
        assert!((least..=most).contains(&number(1)), "{} of {least} updates", number(1));
        acknowledged = number(1);
        // Nothing of a dead transaction is on disk, nor a segment all of whose rows are deleted.
        let files = segment_files(directory.path());
        assert!(files.len() <= 2, "round {round}: {files:?}");
    }
    assert!(acknowledged > 0, "nothing was ever updated");
    kestrel.kill().await;
}

/// A crash leaves the old segments or the new ones, and none besides.
#[tokio::test(flavor = "multi_thread")]
async fn segments_that_are_written_anew_survive_kill_9() {
    if SuiteShards::from_env() != SuiteShards::Columnar {
        return;
    }
    let directory = TempDir::new().unwrap();
    let flags = ["--datanodes", "2", "--auto-vacuum-interval", "5ms"];
    let mut kestrel = Kestrel::up(directory.path(), &flags).await;
    let create = "CREATE TABLE t (id int, v int) DISTRIBUTED BY (id)";
    kestrel.session().await.run_all([create]).await;
    let mut acknowledged = 0;
    for round in 0..5_u64 {
        let (inserting, vacuuming) = (kestrel.session().await, kestrel.session().await);
        let writer = tokio::spawn(async move {
            let mut done = 0_u64;
            // Two rows come, one goes.
            loop {
                let id = round * 1_000_000 + 2 * done;
                let insert = format!("INSERT INTO t VALUES ({id}, 1), ({}, 2)", id + 1);
                let delete = format!("DELETE FROM t WHERE id = {id}");
                let sql = format!("{insert}; {delete}");
                if inserting.run(&sql).await.sqlstate().is_some() {
                    return done;
                }
                done += 1;
            }
        });
        let vacuum = tokio::spawn(async move {
            while vacuuming.run("VACUUM FULL t").await.sqlstate().is_none() {}
        });
        tokio::time::sleep(Duration::from_millis(500 + round * 70)).await;
        kestrel.kill().await;
        let done = writer.await.unwrap();
        vacuum.await.unwrap();
        kestrel = Kestrel::up(directory.path(), &flags[2..]).await;
        let session = kestrel.session().await;
        let state = "SELECT count(*), count(DISTINCT id), min(v) FROM t";
        let state = session.rows(state).await.remove(0);
        let number = |at: usize| state[at].as_deref().unwrap_or_default().parse::<u64>().unwrap();
        let (least, most) = (acknowledged + done, acknowledged + done + 1);
        assert!((least..=most).contains(&number(0)), "{} of {least} rows", number(0));
        assert_eq!((number(0), number(2)), (number(1), 2), "round {round}");
        acknowledged = number(0);
        session.run_all(["VACUUM FULL t"]).await;
        assert_eq!(session.value("SELECT count(*) FROM t").await, acknowledged.to_string());
        let files = segment_files(directory.path());
        assert!(files.len() <= 2, "round {round}: {files:?}");
    }
    assert!(acknowledged > 0, "nothing was ever inserted");
    kestrel.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_tables_do_not_survive_kill_9() {
    let directory = TempDir::new().unwrap();
    let mut kestrel = Kestrel::up(directory.path(), &["--datanodes", "3"]).await;
    let session = kestrel.session().await;
    let rows = "CREATE TABLE t (a int) DISTRIBUTED BY (a)";
    session.run_all([rows, "INSERT INTO t VALUES (1), (2), (3), (4), (5)"]).await;
    let files = segment_files(directory.path());
    session.run_all(["CREATE TEMP TABLE s AS SELECT a FROM t DISTRIBUTED RANDOMLY"]).await;
    session.run_all(["CREATE TEMP VIEW v AS SELECT a FROM s", "CREATE TEMP SEQUENCE c"]).await;
    assert_eq!(session.value("SELECT count(*) FROM v").await, "5");
    assert!(segment_files(directory.path()).len() > files.len(), "the table has no files");
    kestrel.kill().await;
    kestrel = Kestrel::up(directory.path(), &[]).await;
    let session = kestrel.session().await;
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg_temp%'";
    assert_eq!(session.value(left).await, "0");
    let left = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'";
    assert_eq!(session.value(left).await, "0");
    assert_eq!(session.value("SELECT sum(a) FROM t").await, "15");
    assert_eq!(segment_files(directory.path()), files);
    kestrel.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_skips_values_of_sequences_and_gives_none_twice() {
    let directory = TempDir::new().unwrap();
    let mut kestrel = Kestrel::up(directory.path(), &["--datanodes", "2"]).await;
    kestrel
        .session()
        .await
        .run_all(["CREATE SEQUENCE s", "CREATE SEQUENCE by_two INCREMENT 2"])
        .await;
    let mut given: BTreeSet<u64> = BTreeSet::new();
    for _ in 0..3 {
        let session = kestrel.session().await;
        for _ in 0..40 {
            let value = session.value("SELECT nextval('s')").await.parse().unwrap();
            assert!(given.insert(value), "{value} came twice");
        }
        let by_two: u64 = session.value("SELECT nextval('by_two')").await.parse().unwrap();
        assert_eq!(by_two % 2, 1);
        kestrel.kill().await;
        kestrel = Kestrel::up(directory.path(), &[]).await;
    }
    // PostgreSQL skips up to 32, too; a sequence that is used a lot skips more.
    assert!(given.last().is_some_and(|last| *last < 120 + 3 * 128), "{given:?}");
    kestrel.kill().await;
}

/// The files of segments and delete vectors below the cluster's directory.
fn segment_files(directory: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet" || e == "deletes") {
                files.insert(path.display().to_string());
            }
        }
    }
    files
}
