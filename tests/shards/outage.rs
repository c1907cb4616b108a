//! A database that is stopped, killed and started again while clients read and write; a datanode
//! that never hears of a COMMIT.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use kestrel::cluster::{ClusterOptions, DatanodePlacement};
use tempfile::TempDir;

use crate::support::{
    Answer, Failure, Fault, Network, Session, ShardServers, TestCluster, options,
};

const PATIENCE: Duration = Duration::from_secs(60);
const WRITERS: usize = 2;
const READERS: usize = 2;
/// A pair has one row on each database.
const PAIRS: i64 = 100_000;
/// What a client may be told: the database is lost; what was written there is lost; a commit is in
/// doubt there, and the statement has waited for that in vain.
const ERRORS: [&str; 3] = ["58K01", "40001", "55P03"];
/// Rows that have lost the other one of their pair.
const HALVES: &str = "SELECT count(*) - 2 * count(DISTINCT pair) FROM t";

/// What the clients share.
#[derive(Default)]
struct Clients {
    is_over: AtomicBool,
    next_pair: AtomicI64,
    /// Of these the client knows that they are there, of those that they are not.
    committed: Mutex<BTreeSet<i64>>,
    refused: Mutex<BTreeSet<i64>>,
    /// Errors that should not be, and wrong answers.
    wrong: Mutex<Vec<String>>,
    /// Answers that were errors, and that were not.
    errors: AtomicI64,
    answers: AtomicI64,
}

impl Clients {
    fn failed(&self, sql: &str, failure: &Failure) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        if !ERRORS.contains(&failure.sqlstate.as_str()) {
            self.wrong.lock().unwrap().push(format!("{sql}\n{failure}"));
        }
    }

    /// Writes pairs, whose keys `keys` are on the two databases, in statements and in blocks.
    async fn write(&self, session: Session, keys: [Vec<i64>; 2]) {
        while !self.is_over.load(Ordering::Relaxed) {
            let pair = self.next_pair.fetch_add(1, Ordering::Relaxed);
            let key = |side: usize| keys[side][pair as usize % keys[side].len()];
            let insert = |side| format!("INSERT INTO t VALUES ({}, {pair})", key(side));
            let both = format!("{}, ({}, {pair})", insert(0), key(1));
            let block = ["BEGIN".to_string(), insert(0), insert(1), "COMMIT".into()];
            let statements = if pair % 2 == 0 { vec![both] } else { block.to_vec() };
            let mut is_refused = false;
            for sql in &statements {
                if let Answer::Error(failure) = session.run(sql).await {
                    self.failed(sql, &failure);
                    is_refused = true;
                    break;
                }
            }
            if is_refused && statements.len() > 1 {
                let _ = session.run("ROLLBACK").await;
            }
            let outcome = if is_refused { &self.refused } else { &self.committed };
            outcome.lock().unwrap().insert(pair);
            self.answers.fetch_add(i64::from(!is_refused), Ordering::Relaxed);
        }
    }

    async fn read(&self, session: Session) {
        while !self.is_over.load(Ordering::Relaxed) {
            match session.run(HALVES).await {
                Answer::Error(failure) => self.failed(HALVES, &failure),
                Answer::Rows { rows, .. } if rows == [[Some("0".to_string())]] => {
                    self.answers.fetch_add(1, Ordering::Relaxed);
                }
                answer => self.wrong.lock().unwrap().push(format!("{HALVES}\n{answer}")),
            }
        }
    }

    /// Waits until clients get answers again.
    async fn go_on(&self, after: &str) {
        let (started, before) = (Instant::now(), self.answers.load(Ordering::Relaxed));
        while self.answers.load(Ordering::Relaxed) < before + 20 {
            assert!(started.elapsed() < PATIENCE, "{after}: no answers any more");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Keys on each of the databases.
async fn keys(session: &Session, databases: &[Session; 2]) -> [Vec<i64>; 2] {
    session
        .run_all([
            "CREATE TABLE t (id int, pair int) DISTRIBUTED BY (id)",
            "INSERT INTO t SELECT g, 0 FROM generate_series(1, 200) g",
        ])
        .await;
    let mut keys = [vec![], vec![]];
    for (keys, database) in keys.iter_mut().zip(databases) {
        let ids = database.rows("SELECT id FROM public.t").await;
        keys.extend(ids.into_iter().map(|row| row[0].as_ref().unwrap().parse::<i64>().unwrap()));
        assert!(!keys.is_empty(), "a database has no rows");
    }
    session.run_all(["TRUNCATE t"]).await;
    keys
}

async fn databases(servers: &ShardServers) -> [Session; 2] {
    let [first, second] = [0, 1].map(|index| servers.server(index).connection_string());
    [Session::connect(&first).await, Session::connect(&second).await]
}

/// What the clients were told is so, and on both databases alike.
async fn check(clients: &Clients, session: &Session, databases: &[Session; 2]) {
    let started = Instant::now();
    let prepared = "SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE 'kst_%'";
    for database in databases {
        while database.value(prepared).await != "0" {
            assert!(started.elapsed() < PATIENCE, "transactions stay prepared");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let all = "SELECT DISTINCT pair FROM t ORDER BY pair";
    let pairs = session.rows(all).await;
    for database in databases {
        assert_eq!(database.rows(&all.replace("FROM t", "FROM public.t")).await, pairs);
    }
    assert_eq!(session.value(HALVES).await, "0");
    let pair = |row: Vec<Option<String>>| row[0].as_ref().unwrap().parse::<i64>().unwrap();
    let pairs: BTreeSet<i64> = pairs.into_iter().map(pair).collect();
    let committed = clients.committed.lock().unwrap();
    let lost: Vec<_> = committed.difference(&pairs).collect();
    assert!(lost.is_empty(), "committed and not there: {lost:?}");
    let refused = clients.refused.lock().unwrap();
    let left: Vec<_> = refused.intersection(&pairs).collect();
    assert!(left.is_empty(), "refused and there: {left:?}");
    assert!(committed.len() > 10, "only {} pairs", committed.len());
    assert!((committed.len() as i64) < PAIRS);
}

// Some threads wait for servers that start and stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn clients_go_on_when_a_database_does() {
    let Some(servers) = ShardServers::start(2) else { return };
    let cluster = TestCluster::start_on(2, servers.options()).await;
    let session = cluster.session().await;
    let keys = keys(&session, &databases(&servers).await).await;
    let clients = Arc::new(Clients::default());
    let mut running = Vec::new();
    for _ in 0..WRITERS {
        let (clients, keys, session) =
            (Arc::clone(&clients), keys.clone(), cluster.session().await);
        running.push(tokio::spawn(async move { clients.write(session, keys).await }));
    }
    for _ in 0..READERS {
        let (clients, session) = (Arc::clone(&clients), cluster.session().await);
        running.push(tokio::spawn(async move { clients.read(session).await }));
    }
    clients.go_on("at the start").await;
    for (round, index) in [(1, 1), (2, 0), (3, 1), (4, 0)] {
        let is_killed = round > 2;
        if is_killed {
            servers.kill(index).await;
        } else {
            servers.server(index).stop().unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        servers.start_again(index).await;
        clients.go_on(&format!("round {round}, killed: {is_killed}")).await;
    }
    clients.is_over.store(true, Ordering::Relaxed);
    for client in running {
        client.await.unwrap();
    }
    let wrong = std::mem::take(&mut *clients.wrong.lock().unwrap());
    assert!(wrong.is_empty(), "{} times, such as\n{}", wrong.len(), wrong[0]);
    assert!(clients.errors.load(Ordering::Relaxed) > 0, "nobody has noticed anything");
    check(&clients, &session, &databases(&servers).await).await;
    cluster.stop().await;
}

/// Its connection breaks when COMMIT is on its way to the datanode: what nobody can end any more does
/// not stay open, and locks nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_never_arrives_leaves_no_transaction() {
    let Some(servers) = ShardServers::start(2) else { return };
    let directory = TempDir::new().unwrap();
    let options = options(&directory, Some(2), DatanodePlacement::Elsewhere);
    let options = ClusterOptions { shards: servers.options(), ..options };
    let network = Network::start_on(directory, options, &[]).await;
    let session = network.session().await;
    let databases = databases(&servers).await;
    let [first, _] = keys(&session, &databases).await;
    session.run_all(["BEGIN".to_string(), format!("INSERT INTO t VALUES ({}, 1)", first[0])]).await;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL";
    assert_eq!(databases[0].value(open).await, "1");
    let proxy = &network.datanodes[0].proxy;
    proxy.set(Fault::Hold, Fault::None);
    let committing = tokio::spawn(async move { session.run("COMMIT").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    proxy.break_connections();
    proxy.set(Fault::None, Fault::None);
    let answer = committing.await.unwrap();
    assert_eq!(answer.sqlstate(), Some("08007"), "{answer}");
    let started = Instant::now();
    while databases[0].value(open).await != "0" {
        assert!(started.elapsed() < PATIENCE, "the transaction stays open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let session = network.session().await;
    network.all_up().await;
    assert_eq!(session.value("SELECT count(*) FROM t").await, "0");
    network.stop().await;
}
