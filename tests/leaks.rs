//! End of query, error, cancel and disconnect leave no fragment, stream, file, byte or task behind.

use std::{collections::BTreeSet, io::Cursor, path::Path, pin::pin, time::Duration};

use futures::{SinkExt, TryStreamExt};
use tokio::{runtime::Handle, time::Instant};
use tokio_postgres::NoTls;

use crate::support::TestCluster;

/// Cleaning up after a query takes less.
const PATIENCE: Duration = Duration::from_secs(10);
/// Runs for hours, unless something ends it.
const ENDLESS: &str = "SELECT count(*) FROM t a, t b, t c, t d WHERE a.k + b.k + c.k + d.k < 0";

async fn cluster() -> TestCluster {
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE t (id int, k int, x text) DISTRIBUTED BY (id)",
            "CREATE TABLE u (id int, k int) DISTRIBUTED RANDOMLY",
        ])
        .await;
    let rows: String = (0..20_000).map(|id| format!("{id}\t{}\trow {id}\n", id % 97)).collect();
    assert_eq!(session.copy_in("COPY t FROM STDIN", &rows).await, Ok(20_000));
    session.run_all(["INSERT INTO u SELECT id, k FROM t"]).await;
    // Whatever is made once and kept is made now.
    session.rows("SELECT t.k, count(*) FROM t JOIN u ON t.k = u.id GROUP BY t.k").await;
    cluster
}

/// Waits until the datanodes hold nothing and the files are those.
async fn check_clean(cluster: &TestCluster, files: &BTreeSet<String>, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let health = cluster.cluster.health().await.unwrap();
        let held = |h: &kestrel_proto::DatanodeHealth| {
            h.fragments + h.streams + h.temporary_files + h.memory_bytes
        };
        let now = data_files(cluster.directory.path());
        if health.iter().all(|h| held(h) == 0) && now == *files {
            return;
        }
        if Instant::now() > deadline {
            let (more, fewer): (Vec<_>, Vec<_>) =
                (now.difference(files).collect(), files.difference(&now).collect());
            panic!("{what} leaves behind: {health:#?}\nnew files {more:?}\nlost files {fewer:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until no more tasks live than before.
async fn check_tasks(before: usize, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while Handle::current().metrics().num_alive_tasks() > before {
        let now = Handle::current().metrics().num_alive_tasks();
        assert!(Instant::now() < deadline, "{what}: {before} tasks before, {now} after");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All files but the catalog's own.
fn data_files(directory: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.display().to_string();
            if path.is_dir() {
                directories.push(path);
            } else if !name.contains("catalog") {
                files.insert(name);
            }
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_end_or_fail_leave_nothing() {
    let cluster = cluster().await;
    let session = cluster.session().await;
    let files = data_files(cluster.directory.path());
    let tasks = Handle::current().metrics().num_alive_tasks();
    for (sql, sqlstate) in [
        ("SELECT count(*) FROM t JOIN u ON t.k = u.k WHERE t.id < 500", None),
        ("SELECT * FROM t ORDER BY x", None),
        ("SELECT * FROM t LIMIT 3", None),
        ("SELECT t.x FROM t JOIN u ON t.id = u.k LIMIT 1", None),
        ("SELECT DISTINCT k FROM u EXCEPT SELECT id FROM t", None),
        ("SELECT id, sum(k) OVER (PARTITION BY k ORDER BY id) FROM u LIMIT 10", None),
        ("SELECT id FROM t WHERE k > (SELECT avg(k) FROM u)", None),
        ("SELECT * FROM t WHERE false", None),
        ("SELECT 1 / (id - 7777) FROM t", Some("22012")),
        ("SELECT sum(1 / (t.id - u.k)) FROM t JOIN u ON t.k = u.id", Some("22012")),
        ("SELECT (SELECT k FROM u) FROM t", Some("21000")),
        // The second row is the end: nobody reads the others.
        ("SELECT (SELECT a.k FROM t a, t b, t c) FROM u", Some("21000")),
        ("SELECT id * 2000000 FROM u", Some("22003")),
        ("INSERT INTO u SELECT 1 / (id - 19999), k FROM t", Some("22012")),
        ("INSERT INTO t SELECT id, id, x::int FROM t", Some("42804")),
        ("CREATE TABLE w AS SELECT 1 / (id - 5) AS q FROM t DISTRIBUTED BY (q)", Some("22012")),
    ] {
        for _ in 0..3 {
            let answer = session.run(sql).await;
            if sql.starts_with("INSERT INTO t") {
                assert!(answer.sqlstate().is_some(), "{sql}: {answer}");
            } else {
                assert_eq!(answer.sqlstate(), sqlstate, "{sql}: {answer}");
            }
        }
        check_clean(&cluster, &files, sql).await;
        check_tasks(tasks, sql).await;
    }
    assert_eq!(session.value("SELECT count(*) FROM u").await, "20000");
    drop(session);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_or_abandoned_load_leaves_nothing() {
    let cluster = cluster().await;
    let files = data_files(cluster.directory.path());
    let good: String = (0..100_000).map(|id| format!("{id}\t1\tx\n")).collect();
    let session = cluster.session().await;
    let failure = session.copy_in("COPY t FROM STDIN", &format!("{good}oops\n")).await.unwrap_err();
    assert_eq!(failure.sqlstate, "22P04", "{failure}");
    check_clean(&cluster, &files, "a failed COPY").await;
    session.run_all(["BEGIN", "INSERT INTO u SELECT id, k FROM t", "ROLLBACK"]).await;
    check_clean(&cluster, &files, "ROLLBACK").await;
    session.run_all(["BEGIN", "INSERT INTO u SELECT id, k FROM t"]).await;
    drop(session);
    check_clean(&cluster, &files, "a session that ends in a transaction").await;
    let session = cluster.session().await;
    {
        let sink = session.client.copy_in::<_, Cursor<String>>("COPY t FROM STDIN").await.unwrap();
        pin!(sink).send(Cursor::new(good)).await.unwrap();
    }
    drop(session);
    check_clean(&cluster, &files, "a session that ends in a COPY").await;
    let session = cluster.session().await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "20000");
    assert_eq!(session.value("SELECT count(*) FROM u").await, "20000");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_timeout_and_disconnect_end_the_query_everywhere() {
    let cluster = cluster().await;
    let files = data_files(cluster.directory.path());
    for sql in [ENDLESS, "SELECT a.x FROM t a, t b, t c ORDER BY a.x || b.x || c.x"] {
        let session = cluster.session().await;
        let token = session.client.cancel_token();
        let query = async {
            let started = Instant::now();
            (session.run(sql).await, started.elapsed())
        };
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            token.cancel_query(NoTls).await.unwrap();
        };
        let ((answer, took), ()) = tokio::join!(query, cancel);
        assert_eq!(answer.sqlstate(), Some("57014"), "{sql}: {answer}");
        assert!(took < PATIENCE, "cancelling took {took:?}");
        check_clean(&cluster, &files, "cancel").await;
        assert_eq!(session.value("SELECT count(*) FROM t").await, "20000");
    }
    let session = cluster.session().await;
    session.run_all(["SET statement_timeout = 300"]).await;
    assert_eq!(session.failure(ENDLESS).await.sqlstate, "57014");
    check_clean(&cluster, &files, "statement_timeout").await;
    drop(session);

    let session = cluster.session().await;
    let query = tokio::spawn(async move { session.run(ENDLESS).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let running = cluster.cluster.health().await.unwrap();
    assert!(running.iter().any(|h| h.fragments > 0), "the query does not run: {running:?}");
    // Drops the client, and with it the connection.
    query.abort();
    let _ = query.await;
    check_clean(&cluster, &files, "a client that goes").await;
    cluster.stop().await;
}

/// A recursive query without end is on the coordinator; what its rounds read comes from datanodes.
#[tokio::test(flavor = "multi_thread")]
async fn recursive_queries_without_end_are_ended() {
    const COUNTED: &str = "WITH RECURSIVE r(n) AS (SELECT 1::bigint UNION ALL SELECT n + 1 FROM r) \
                           SELECT count(*) FROM r";
    // A circle of rows, each of which finds its partner in every round.
    const JOINED: &str = "WITH RECURSIVE r(n) AS (SELECT id FROM t WHERE id < 5 UNION ALL \
                          SELECT u.id FROM r JOIN u ON u.id = r.n) SELECT sum(n) FROM r";
    // No round finds a row that was there before: they need ever more memory.
    const GROWING: &str = "WITH RECURSIVE r(n, x) AS (SELECT 1::bigint, t.x FROM t UNION \
                           SELECT n + 1, x FROM r) SELECT count(*) FROM r";
    const FIRST: &str = "WITH RECURSIVE r(n) AS (SELECT 0 UNION ALL \
                         SELECT u.id FROM r JOIN u ON u.id = r.n + 1) SELECT n FROM r LIMIT 20";
    // No round is begun: what the recursive term would read is not read.
    const NONE: &str = "WITH RECURSIVE r(n, x) AS (SELECT -1, 'x' UNION ALL SELECT t.id, t.x FROM r \
                        JOIN (SELECT id, k, repeat(x, 1000) AS x FROM t) AS t ON t.k = r.n) \
                        SELECT n FROM r LIMIT 1";
    let cluster = cluster().await;
    let files = data_files(cluster.directory.path());
    let tasks = Handle::current().metrics().num_alive_tasks();
    for sql in [COUNTED, JOINED] {
        let session = cluster.session().await;
        let token = session.client.cancel_token();
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            token.cancel_query(NoTls).await.unwrap();
        };
        let started = Instant::now();
        let (answer, ()) = tokio::join!(session.run(sql), cancel);
        assert_eq!(answer.sqlstate(), Some("57014"), "{sql}: {answer}");
        assert!(started.elapsed() < PATIENCE, "cancelling took {:?}", started.elapsed());
        check_clean(&cluster, &files, "cancel").await;
        session.run_all(["SET statement_timeout = 300"]).await;
        assert_eq!(session.failure(sql).await.sqlstate, "57014", "{sql}");
        check_clean(&cluster, &files, "statement_timeout").await;
    }
    let session = cluster.session().await;
    for _ in 0..3 {
        assert_eq!(session.rows(FIRST).await.len(), 20);
        assert_eq!(session.rows(NONE).await.len(), 1);
        check_clean(&cluster, &files, "LIMIT").await;
    }
    session.run_all(["SET kestrel.query_memory_limit = '32MB'"]).await;
    assert_eq!(session.failure(GROWING).await.sqlstate, "53200");
    check_clean(&cluster, &files, "much memory").await;
    drop(session);
    check_tasks(tasks, "recursive queries").await;
    cluster.stop().await;
}

/// A client that reads the first rows and goes: the rest is never made.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_the_query_back_and_may_leave() {
    let cluster = cluster().await;
    let files = data_files(cluster.directory.path());
    let session = cluster.session().await;
    {
        let sql = "SELECT a.x, b.x FROM t a CROSS JOIN t b";
        let rows = session.client.simple_query_raw(sql).await.unwrap();
        let mut rows = pin!(rows);
        for _ in 0..10 {
            let message = rows.try_next().await;
            assert!(matches!(message, Ok(Some(_))), "the first rows come at once");
        }
        // 400 million rows would take minutes: they wait for the reader.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let health = cluster.cluster.health().await.unwrap();
        assert!(health.iter().any(|h| h.streams > 0), "{health:?}");
    }
    drop(session);
    check_clean(&cluster, &files, "a reader that leaves").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_beyond_the_memory_limit_fails_and_the_cluster_lives() {
    let cluster = cluster().await;
    let files = data_files(cluster.directory.path());
    let session = cluster.session().await;
    let sql = "SELECT count(DISTINCT a.x || repeat(b.k::text, 200)) FROM t a JOIN u b ON a.k = b.k";
    let answer = session.run(sql).await;
    let fine = matches!(answer.sqlstate(), None | Some("53200"));
    assert!(fine, "{answer}");
    check_clean(&cluster, &files, "much memory").await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "20000");
    cluster.stop().await;
}
