//! A cancel, a timeout, a client that goes: every fragment stops at once.

use std::time::{Duration, Instant};

use kestrel::cluster::Cluster;
use tempfile::TempDir;
use tokio_postgres::NoTls;

use super::{LONG, check_clean, fill};
use crate::support::{Session, number_from_env, options, own_processes};

/// 99 of 100 cancelled queries are answered within this time.
const ANSWERED_WITHIN: Duration = Duration::from_millis(200);
/// 99 of 100 cancelled queries have ended everywhere within this time.
const STOPPED_WITHIN: Duration = Duration::from_millis(200);
/// The same of queries whose hash tables and sorts hold millions of rows: where such a table grows, and
/// where the sorted batches begin to be merged, nothing asks whether the query is still wanted.
const LARGE_STOPPED_WITHIN: Duration = Duration::from_secs(1);
/// The same when nothing else runs.
const STOPPED_SOON: Duration = Duration::from_secs(2);

struct Random(u64);

impl Random {
    /// Below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

async fn cluster(directory: &TempDir) -> (Cluster, String) {
    let cluster = Cluster::start(options(directory, Some(3), own_processes())).await;
    let cluster = cluster.unwrap_or_else(|e| panic!("{e}"));
    let url = format!("postgres://kestrel@{}/kestrel", cluster.address());
    fill(&Session::connect(&url).await).await;
    (cluster, url)
}

/// When no fragment runs any more.
async fn stopped(cluster: &Cluster) -> Instant {
    loop {
        let health = cluster.health().await.unwrap();
        if health.iter().all(|h| h.fragments == 0) {
            return Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_queries_are_answered_at_once_and_stop_everywhere() {
    let directory = TempDir::new().unwrap();
    let (cluster, url) = cluster(&directory).await;
    let points = number_from_env("KESTREL_TEST_CANCELS", 200);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut answered, mut stops, mut large_stops) = (Vec::new(), Vec::new(), Vec::new());
    let queries = [
        (LONG, false),
        ("SELECT count(*) FROM t a CROSS JOIN t b WHERE a.x || b.x < 'a'", false),
        (
            "SELECT a.k, count(*) FROM t a JOIN t b ON a.k % 10 = b.k % 10 \
             JOIN u c ON c.k % 10 = b.k % 10 WHERE a.x || c.id::text < 'a' GROUP BY a.k ORDER BY 2",
            false,
        ),
        (
            "SELECT a.x || b.x AS s, count(*), sum(a.k) FROM t a JOIN t b ON a.k = b.k \
             GROUP BY 1 ORDER BY 2, 1",
            true,
        ),
        (
            "SELECT s, row_number() OVER (PARTITION BY k ORDER BY s) \
             FROM (SELECT a.k, a.x || b.x AS s FROM t a JOIN t b ON a.k = b.k) v ORDER BY 1 DESC",
            true,
        ),
    ];
    let session = Session::connect(&url).await;
    for point in 0..points {
        let (sql, large) = queries[random.below(queries.len() as u64) as usize];
        let wait = Duration::from_micros(random.below(250_000));
        let token = session.client.cancel_token();
        let cancel = async {
            tokio::time::sleep(wait).await;
            let started = Instant::now();
            token.cancel_query(NoTls).await.unwrap();
            started
        };
        let answer = async {
            let answer = session.run(sql).await;
            (answer, Instant::now())
        };
        let (cancelled, (answer, ended)) = tokio::join!(cancel, answer);
        assert_eq!(answer.sqlstate(), Some("57014"), "point {point}: {answer}");
        answered.push(ended.saturating_duration_since(cancelled));
        let stop = stopped(&cluster).await.saturating_duration_since(cancelled);
        if large { &mut large_stops } else { &mut stops }.push(stop);
    }
    let answered = p99("answered", answered);
    let stops = p99("stopped everywhere", stops);
    let large = p99("stopped everywhere, large", large_stops);
    assert!(answered < ANSWERED_WITHIN, "answers: p99 is {answered:?}");
    assert!(stops < STOPPED_WITHIN, "stops: p99 is {stops:?}");
    assert!(large < LARGE_STOPPED_WITHIN, "stops of large queries: p99 is {large:?}");
    check_clean(&cluster, "cancels").await;
    cluster.stop().await;
}

/// Prints how the times are spread.
fn p99(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let (count, [p50, p90, p99, max]) = (times.len(), [0.5, 0.9, 0.99, 1.0].map(at));
    println!("{count} cancels, {what}: p50 {p50:?}, p90 {p90:?}, p99 {p99:?}, max {max:?}");
    p99
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_and_leaving_clients_stop_queries_everywhere() {
    let directory = TempDir::new().unwrap();
    let (cluster, url) = cluster(&directory).await;
    let session = Session::connect(&url).await;
    session.run_all(["SET statement_timeout = 300"]).await;
    let started = Instant::now();
    assert_eq!(session.failure(LONG).await.sqlstate, "57014");
    let late = started.elapsed().saturating_sub(Duration::from_millis(300));
    assert!(late < ANSWERED_WITHIN * 2, "the timeout came {late:?} late");
    check_clean(&cluster, "statement_timeout").await;
    for _ in 0..5 {
        let session = Session::connect(&url).await;
        let query = tokio::spawn(async move { session.run(LONG).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let running = cluster.health().await.unwrap();
        assert!(running.iter().any(|h| h.fragments > 0), "it does not run: {running:?}");
        query.abort();
        let _ = query.await;
        let started = Instant::now();
        check_clean(&cluster, "a client that goes").await;
        let took = started.elapsed();
        assert!(took < STOPPED_SOON, "it took {took:?}");
    }
    cluster.stop().await;
}

/// What nobody wants is not sent: 400 million rows would take minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_ends_its_senders_early() {
    let directory = TempDir::new().unwrap();
    let (cluster, url) = cluster(&directory).await;
    let session = Session::connect(&url).await;
    for sql in [
        "SELECT a.x, b.x FROM t a CROSS JOIN t b LIMIT 3",
        "SELECT * FROM (SELECT a.k + b.k AS s FROM t a CROSS JOIN t b) v JOIN u ON v.s = u.k LIMIT 1",
    ] {
        let started = Instant::now();
        session.rows(sql).await;
        assert!(started.elapsed() < Duration::from_secs(10), "{sql}: {:?}", started.elapsed());
        check_clean(&cluster, sql).await;
    }
    cluster.stop().await;
}
