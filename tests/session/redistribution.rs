//! ALTER TABLE … SET DISTRIBUTED: rows go where another distribution has them, while others read and
//! write.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kestrel_coordinator::compaction::AutoVacuum;

use crate::support::{Session, SuiteShards, TestCluster};

const LAYOUTS: [&str; 4] = [
    "DISTRIBUTED BY (a)",
    "DISTRIBUTED BY (b, a)",
    "DISTRIBUTED RANDOMLY",
    "DISTRIBUTED REPLICATED",
];

/// Segments are written anew all the time.
const EAGER: AutoVacuum =
    AutoVacuum { is_on: true, interval: Duration::from_millis(5), bytes_per_second: 1 << 40 };
const OFF: AutoVacuum = AutoVacuum { is_on: false, ..EAGER };

fn databases_hold_rows() -> bool {
    SuiteShards::from_env() != SuiteShards::Columnar
}

/// The files of segments and delete vectors below the cluster's directory.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet" || e == "deletes") {
                files.insert(path.display().to_string());
            }
        }
    }
    files
}

fn texts(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_string())).collect()
}

async fn set(session: &Session, layout: &str) {
    session.run_all([format!("ALTER TABLE t SET {layout}")]).await;
}

/// A statement that takes its snapshot just before a switch, and its lock just after it, fails as any
/// does beside DDL, and is run again.
async fn insist(session: &Session, sql: &str) {
    loop {
        let answer = session.run(sql).await;
        match answer.sqlstate() {
            None => return,
            Some("40001") => println!("again: {sql}"),
            Some(_) => panic!("{sql}: {answer}"),
        }
    }
}

/// Rows with `a` from 1 to 40, but for those that 10 divides.
async fn check_rows(session: &Session, what: &str) {
    let sums = session.rows("SELECT count(*), sum(a), sum(b), min(s), max(s) FROM t").await;
    assert_eq!(sums[0], texts(&["36", "720", "72", "row 1", "row 9"]), "{what}");
    // By their keys they are looked for on one datanode.
    for a in 1..=40 {
        let found = session.value(&format!("SELECT count(*) FROM t WHERE a = {a}")).await;
        assert_eq!(found, if a % 10 == 0 { "0" } else { "1" }, "{what}: {a}");
        let sql = format!("SELECT count(*) FROM t WHERE a = {a} AND b = 2");
        assert_eq!(session.value(&sql).await, if a % 10 == 0 { "0" } else { "1" }, "{what}: {a}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_where_they_belong() {
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    for from in LAYOUTS {
        for to in LAYOUTS {
            let what = format!("from {from} to {to}");
            let create = format!("CREATE TABLE t (a int, b int, gone text, s text) {from}");
            session
                .run_all([
                    "DROP TABLE IF EXISTS t",
                    &create,
                    "INSERT INTO t SELECT i, 1, 'x', 'row ' || i FROM generate_series(1, 20) AS i",
                    "INSERT INTO t SELECT i, 1, 'x', 'row ' || i FROM generate_series(21, 40) AS i",
                    "ALTER TABLE t DROP COLUMN gone",
                    "DELETE FROM t WHERE a % 10 = 0",
                ])
                .await;
            // Databases do not change a row's key.
            if from != LAYOUTS[1] || !databases_hold_rows() {
                session.run_all(["UPDATE t SET b = 2"]).await;
            } else {
                session.run_all(["DROP TABLE t", &create]).await;
                session
                    .run_all([
                        "INSERT INTO t SELECT i, 2, 'x', 'row ' || i FROM generate_series(1, 40) AS \
                         i WHERE i % 10 <> 0",
                    ])
                    .await;
            }
            set(&session, to).await;
            check_rows(&session, &what).await;
            let reorganized = format!("WITH (REORGANIZE = true) {to}");
            set(&session, &reorganized).await;
            check_rows(&session, &format!("{what} again")).await;
            // It can be written as before.
            session.run_all(["INSERT INTO t (a, b) VALUES (99, 9)"]).await;
            assert_eq!(session.value("SELECT b FROM t WHERE a = 99").await, "9", "{what}");
            session.run_all(["DELETE FROM t WHERE a = 99"]).await;
            check_rows(&session, &format!("{what} in the end")).await;
            let distribution = "SELECT distribution FROM kestrel.table_distributions";
            let word = match to {
                "DISTRIBUTED RANDOMLY" => "random",
                "DISTRIBUTED REPLICATED" => "replicated",
                _ => "hash",
            };
            assert_eq!(session.value(distribution).await, word, "{what}");
        }
    }
    cluster.stop().await;
}

/// Money goes from account to account, and rows from datanode to datanode.
#[tokio::test(flavor = "multi_thread")]
async fn readers_and_writers_go_on() {
    if databases_hold_rows() {
        return;
    }
    const WRITERS: u64 = 3;
    const STATE: &str = "SELECT count(*), count(DISTINCT k), sum(n) FROM t WHERE filler <> 'new'";
    const EXPECTED: [&str; 3] = ["30000", "30000", "3000000"];
    for auto_vacuum in [OFF, EAGER] {
        let cluster = TestCluster::start_with_vacuum(3, auto_vacuum).await;
        let session = cluster.session().await;
        session
            .run_all([
                "CREATE TABLE t (w int, k int, n int, filler text) DISTRIBUTED BY (k)",
                "INSERT INTO t SELECT i % 3, i, 100, repeat('x', 50) FROM generate_series(1, 30000) AS i",
            ])
            .await;
        let done = Arc::new(AtomicBool::new(false));
        let mut others = Vec::new();
        for writer in 0..WRITERS {
            let (session, done) = (cluster.session().await, Arc::clone(&done));
            others.push(tokio::spawn(async move {
                let mut round = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    round += 1;
                    // Of six numbers two are the writer's, one even and one odd: the sum stays.
                    let from = 1 + (round * 97) % 29_000;
                    let to = from + 5;
                    for sql in [
                        format!(
                            "UPDATE t SET n = n + CASE k % 2 WHEN 0 THEN 1 ELSE -1 END WHERE w = \
                             {writer} AND k BETWEEN {from} AND {to}"
                        ),
                        format!("INSERT INTO t VALUES ({writer}, {}, 0, 'new')", 100_000 + round),
                        format!("DELETE FROM t WHERE w = {writer} AND filler = 'new'"),
                    ] {
                        insist(&session, &sql).await;
                    }
                }
                round
            }));
        }
        let reader = {
            let (session, done) = (cluster.session().await, Arc::clone(&done));
            tokio::spawn(async move {
                let mut reads = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(session.rows(STATE).await[0], texts(&EXPECTED));
                    reads += 1;
                }
                reads
            })
        };
        for layout in ["DISTRIBUTED BY (w, k)", "DISTRIBUTED REPLICATED", "DISTRIBUTED BY (n)"] {
            set(&session, layout).await;
        }
        set(&session, "WITH (REORGANIZE = true) DISTRIBUTED RANDOMLY").await;
        set(&session, "DISTRIBUTED BY (k)").await;
        done.store(true, Ordering::Relaxed);
        let mut rounds = 0;
        for other in others {
            rounds += other.await.unwrap();
        }
        let reads = reader.await.unwrap();
        println!("{rounds} rounds of writers, {reads} reads");
        assert!(rounds > 0 && reads > 0);
        assert_eq!(session.rows(STATE).await[0], texts(&EXPECTED));
        assert_eq!(session.value("SELECT count(*) FROM t WHERE filler = 'new'").await, "0");
        for k in [1, 15_000, 30_000] {
            assert_eq!(session.value(&format!("SELECT count(*) FROM t WHERE k = {k}")).await, "1");
        }
        cluster.stop().await;
    }
}

/// It waits for who has written and not committed, is seen meanwhile, and can be cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_leaves_the_table_as_it_was() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(2, OFF).await;
    let (session, writer) = (cluster.session().await, cluster.session().await);
    session
        .run_all([
            "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)",
            "INSERT INTO t SELECT i, i % 7 FROM generate_series(1, 1000) AS i",
        ])
        .await;
    writer.run_all(["BEGIN", "INSERT INTO t VALUES (1001, 1)"]).await;
    let before = files(cluster.directory.path());
    let moving = {
        let mover = cluster.session().await;
        tokio::spawn(async move { mover.failure("ALTER TABLE t SET DISTRIBUTED BY (b)").await })
    };
    let progress = "SELECT session_pid, table_name, distribution, rows_done, rows_total FROM \
                    kestrel.redistribution_progress WHERE phase = 'waiting for writers'";
    let mut seen = Vec::new();
    for _ in 0..400 {
        seen = session.rows(progress).await;
        if !seen.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let [row] = seen.as_slice() else { panic!("it is not seen: {seen:?}") };
    assert_eq!(row[1..], texts(&["t", "DISTRIBUTED BY (b)", "1000", "1000"])[..]);
    // Readers do not wait.
    assert_eq!(session.value("SELECT count(*) FROM t").await, "1000");
    let pid = row[0].clone().unwrap();
    session.run_all([format!("SELECT pg_cancel_backend({pid})")]).await;
    assert_eq!(moving.await.unwrap().sqlstate, "57014");
    let left = "SELECT count(*) FROM kestrel.redistribution_progress";
    assert_eq!(session.value(left).await, "0");
    writer.run_all(["COMMIT"]).await;
    // The error may come before the files have gone.
    for _ in 0..200 {
        if files(cluster.directory.path()) == before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(files(cluster.directory.path()), before);
    let key = "SELECT key_columns FROM kestrel.table_distributions WHERE table_name = 't'";
    assert_eq!(session.value(key).await, "a");
    assert_eq!(session.value("SELECT count(*) FROM t").await, "1001");
    // The next one finds the row that was not committed then.
    set(&session, "DISTRIBUTED BY (b)").await;
    assert_eq!(session.value("SELECT count(*) FROM t WHERE b = 1").await, "144");
    cluster.stop().await;
}

/// A block has it whole or not at all; who began before cannot write where rows were.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_see_it_and_undo_it() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(2, OFF).await;
    let (session, other) = (cluster.session().await, cluster.session().await);
    let count = "SELECT count(*), sum(a) FROM t WHERE b = 3";
    session
        .run_all([
            "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)",
            "INSERT INTO t SELECT i, i % 5 FROM generate_series(1, 100) AS i",
            "BEGIN",
            "INSERT INTO t VALUES (103, 3)",
            "DELETE FROM t WHERE a = 3",
            "SAVEPOINT s",
            "ALTER TABLE t SET DISTRIBUTED BY (b)",
            "INSERT INTO t VALUES (108, 3)",
            "DELETE FROM t WHERE a = 8",
        ])
        .await;
    assert_eq!(session.rows(count).await[0], texts(&["20", "1210"]));
    session.run_all(["ROLLBACK TO s"]).await;
    assert_eq!(session.rows(count).await[0], texts(&["20", "1110"]));
    session.run_all(["ALTER TABLE t SET DISTRIBUTED BY (b)", "DELETE FROM t WHERE a = 13"]).await;
    assert_eq!(other.rows(count).await[0], texts(&["20", "1010"]));
    session.run_all(["COMMIT"]).await;
    assert_eq!(other.rows(count).await[0], texts(&["19", "1097"]));

    for write in ["INSERT INTO t VALUES (200, 3)", "DELETE FROM t WHERE a = 18"] {
        other.run_all(["BEGIN", "SELECT count(*) FROM t"]).await;
        set(&session, "WITH (REORGANIZE = true) DISTRIBUTED BY (a)").await;
        other.run_all([write]).await;
        assert_eq!(other.failure("COMMIT").await.sqlstate, "40001", "{write}");
        set(&session, "DISTRIBUTED BY (b)").await;
    }
    assert_eq!(session.rows(count).await[0], texts(&["19", "1097"]));
    let one = files(cluster.directory.path());
    assert!(one.len() <= 4, "{one:?}");
    cluster.stop().await;
}

/// What a block has removed itself nobody else has added; what others have added before it had the lock
/// it sees, or says so at once.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_change_it_after_other_changes() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(2, OFF).await;
    let (session, other) = (cluster.session().await, cluster.session().await);
    let fill = "INSERT INTO t SELECT i, i % 5 FROM generate_series(1, 100) AS i";
    let by_b = "ALTER TABLE t SET DISTRIBUTED BY (b)";
    for (changes, expected) in [
        (vec!["TRUNCATE t", "INSERT INTO t VALUES (7, 3)", by_b], ["1", "7"]),
        (vec!["UPDATE t SET b = 3", by_b], ["100", "5050"]),
        (vec!["DELETE FROM t WHERE b <> 3", by_b, "DELETE FROM t WHERE a = 3"], ["19", "1007"]),
        (vec!["ALTER TABLE t SET DISTRIBUTED REPLICATED", by_b], ["20", "1010"]),
        (vec![by_b, "ALTER TABLE t ADD PRIMARY KEY (b, a)"], ["20", "1010"]),
        (vec![by_b, "CREATE UNIQUE INDEX ON t (b, a)", by_b], ["20", "1010"]),
    ] {
        session
            .run_all(["DROP TABLE IF EXISTS t", "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)"])
            .await;
        session.run_all([fill, "BEGIN"]).await;
        session.run_all(&changes).await;
        session.run_all(["COMMIT"]).await;
        let found = other.rows("SELECT count(*), sum(a) FROM t WHERE b = 3").await;
        assert_eq!(found[0], texts(&expected), "{changes:?}");
    }
    // Rows that come while it waits for the lock are there when it has it.
    let count = "SELECT count(*) FROM t WHERE b = 4";
    for (first, sqlstate) in [(None, None), (Some("SELECT count(*) FROM t"), Some("40001"))] {
        session
            .run_all(["DROP TABLE t", "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)", fill])
            .await;
        other.run_all(["BEGIN", "INSERT INTO t VALUES (104, 4)"]).await;
        let mover = cluster.session().await;
        mover.run_all(["BEGIN"]).await;
        mover.run_all(first).await;
        let moving = tokio::spawn(async move {
            let answer = mover.run(by_b).await;
            let ended = mover.run("COMMIT").await;
            (answer.sqlstate().map(String::from), ended.sqlstate().map(String::from))
        });
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        while session.value(waits).await == "0" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        other.run_all(["COMMIT"]).await;
        // A block that has failed is rolled back by COMMIT.
        assert_eq!(moving.await.unwrap(), (sqlstate.map(String::from), None), "{first:?}");
        assert_eq!(session.value(count).await, "21");
        let key = "SELECT key_columns FROM kestrel.table_distributions WHERE table_name = 't'";
        assert_eq!(session.value(key).await, if sqlstate.is_none() { "b" } else { "a" });
    }
    cluster.stop().await;
}

async fn wait_for_writers(session: &Session) {
    let waits = "SELECT count(*) FROM kestrel.redistribution_progress WHERE phase = 'waiting for \
                 writers'";
    while session.value(waits).await == "0" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// It has copied everything, and waits for a lock: nobody who has that fails, nor does it itself.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_locks_has_none() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(2, OFF).await;
    let (session, other) = (cluster.session().await, cluster.session().await);
    let key = "SELECT key_columns FROM kestrel.table_distributions WHERE table_name = 't'";
    let count = "SELECT count(*), sum(a) FROM t WHERE b = 3";
    for (locks, wants, expected) in [
        // The lock of DDL, and then the table, which is another one then.
        ("CREATE TABLE mine (a int)", "ALTER TABLE t ADD COLUMN c int DEFAULT 7", ["20", "1010"]),
        ("CREATE VIEW seen AS SELECT 1", "DELETE FROM t WHERE a = 3", ["19", "1007"]),
        // The table, and then more of it.
        ("INSERT INTO t VALUES (103, 3)", "TRUNCATE t", ["0", "NULL"]),
        // More than is copied while others wait.
        (
            "INSERT INTO t SELECT 1, 3 FROM generate_series(1, 300000)",
            "INSERT INTO t VALUES (103, 3)",
            ["300021", "301113"],
        ),
    ] {
        session
            .run_all([
                "DROP TABLE IF EXISTS t",
                "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)",
                "INSERT INTO t SELECT i, i % 5 FROM generate_series(1, 100) AS i",
            ])
            .await;
        other.run_all(["BEGIN", locks]).await;
        let moving = session.run_all(["ALTER TABLE t SET DISTRIBUTED BY (b)"]);
        let goes_on = async {
            wait_for_writers(&other).await;
            other.run_all([wants, "COMMIT"]).await;
        };
        tokio::join!(moving, goes_on);
        assert_eq!(session.value(key).await, "b", "{wants}");
        let found = session.rows(count).await;
        let found: Vec<_> = found[0].iter().map(|v| v.as_deref().unwrap_or("NULL")).collect();
        assert_eq!(found, expected, "{wants}");
    }
    cluster.stop().await;
}

/// Each row is alone in its segment, and the first there.
#[tokio::test(flavor = "multi_thread")]
async fn small_segments_are_spread() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(3, OFF).await;
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (a int) DISTRIBUTED BY (a)"]).await;
    session.run_all((1..=90).map(|a| format!("INSERT INTO t VALUES ({a})"))).await;
    set(&session, "WITH (REORGANIZE = true) DISTRIBUTED RANDOMLY").await;
    let spread = "SELECT count(*), min(rows) > 9, sum(rows) FROM kestrel.table_placement WHERE \
                  table_name = 't'";
    assert_eq!(session.rows(spread).await[0], texts(&["3", "t", "90"]));
    assert_eq!(session.rows("SELECT count(*), sum(a) FROM t").await[0], texts(&["90", "4095"]));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_and_privileges_stay() {
    if databases_hold_rows() {
        return;
    }
    let cluster = TestCluster::start_with_vacuum(2, OFF).await;
    let mut session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE t (a int, b int) DISTRIBUTED BY (a)",
            "INSERT INTO t SELECT i, i % 7 FROM generate_series(1, 1000) AS i",
            "ANALYZE t",
            "CREATE ROLE joe",
            "GRANT SELECT ON t TO joe",
        ])
        .await;
    let known = "SELECT attname, n_distinct, most_common_vals FROM pg_stats ORDER BY 1";
    let changed = "SELECT rows, changed_rows FROM kestrel.table_statistics";
    let (statistics, rows) = (session.rows(known).await, session.rows(changed).await);
    set(&session, "DISTRIBUTED BY (b)").await;
    assert_eq!(session.rows(known).await, statistics);
    assert_eq!(session.rows(changed).await, rows);
    session.run_all(["SET ROLE joe"]).await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "1000");
    let failure = session.failure("ALTER TABLE t SET DISTRIBUTED RANDOMLY").await;
    assert_eq!(failure.sqlstate, "42501");
    session.run_all(["RESET ROLE"]).await;
    session.notices();
    for (layout, policy) in [
        ("DISTRIBUTED BY (b)", "(b)"),
        ("DISTRIBUTED RANDOMLY", ""),
        ("DISTRIBUTED RANDOMLY", "DISTRIBUTED RANDOMLY"),
    ] {
        set(&session, layout).await;
        let notices: Vec<_> =
            session.notices().into_iter().map(|notice| notice.message().to_string()).collect();
        let expected: Vec<_> = (!policy.is_empty())
            .then(|| format!("distribution policy of relation \"t\" already set to {policy}"))
            .into_iter()
            .collect();
        assert_eq!(notices, expected, "{layout}");
    }
    cluster.stop().await;
}
