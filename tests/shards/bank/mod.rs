//! A bank whose accounts are spread over databases: transfers go on while others add up. The sum
//! never changes, all see one order of commits, and that is the order of real time.

mod crowd;
mod history;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{task::JoinSet, time::timeout};

use self::history::{Read, anomalies};
use crate::support::{Answer, Session, ShardServers, TestCluster};

/// All of it takes less.
const PATIENCE: Duration = Duration::from_secs(300);
const DATANODES: usize = 3;
const ACCOUNTS: i64 = 40;
const BALANCE: i64 = 100;
const WRITERS: usize = 6;
const READERS: usize = 4;
const TRANSFERS: usize = 250;
/// Who meets another transaction in its way tries again.
const AGAIN: [&str; 3] = ["40001", "40P01", "55P03"];
const COUNTERS: &str = "SELECT n FROM counters ORDER BY writer";
const SUM: &str = "SELECT sum(balance), count(*) FROM accounts";

/// What the clients share; of each writer's counter how often it has tried to count, and how often
/// it was told that it did.
struct Bank {
    is_over: AtomicBool,
    tried: [AtomicI64; WRITERS],
    acknowledged: [AtomicI64; WRITERS],
    reads: Mutex<Vec<Read>>,
    wrong: Mutex<Vec<String>>,
    /// Transactions that were tried again.
    conflicts: AtomicI64,
}

fn loaded(counters: &[AtomicI64; WRITERS]) -> Vec<i64> {
    counters.iter().map(|counter| counter.load(Ordering::SeqCst)).collect()
}

impl Bank {
    fn complain(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// Runs a transaction until nothing is in its way.
    async fn transact(&self, session: &Session, statements: &[String]) {
        'again: loop {
            for statement in statements {
                let Answer::Error(failure) = session.run(statement).await else { continue };
                session.run("ROLLBACK").await;
                if AGAIN.contains(&failure.sqlstate.as_str()) {
                    self.conflicts.fetch_add(1, Ordering::Relaxed);
                    continue 'again;
                }
                return self.complain(format!("{statement}\n{failure}"));
            }
            return;
        }
    }

    /// Transfers; in between a count by a statement alone, and an account that is closed and opened
    /// elsewhere under another number.
    async fn write(&self, session: Session, writer: usize) {
        let mut random = StdRng::seed_from_u64(writer as u64);
        let number = |n: usize| 1_000 * (writer as i64 + 1) + n as i64;
        for n in 0..TRANSFERS {
            let (one, step) = (random.random_range(0..ACCOUNTS), random.random_range(1..ACCOUNTS));
            let other = (one + step) % ACCOUNTS;
            let amount = random.random_range(-20..20i64);
            // In the order of their numbers: nobody waits for one who waits for him.
            let mut changes = [(one, amount), (other, -amount)];
            changes.sort_unstable();
            let change = |(account, amount)| {
                format!("UPDATE accounts SET balance = balance + {amount} WHERE id = {account}")
            };
            let [first, second] = changes.map(change);
            self.transact(&session, &["BEGIN".into(), first, second, "COMMIT".into()]).await;
            if n % 10 == 0 {
                let close = format!("DELETE FROM accounts WHERE id = {}", number(n / 10));
                let open =
                    format!("INSERT INTO accounts VALUES ({}, {BALANCE})", number(n / 10 + 1));
                self.transact(&session, &["BEGIN".into(), close, open, "COMMIT".into()]).await;
            }
            self.tried[writer].fetch_add(1, Ordering::SeqCst);
            let count = format!("UPDATE counters SET n = n + 1 WHERE writer = {writer}");
            self.transact(&session, &[count]).await;
            self.acknowledged[writer].fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Reads until the writers are done, in blocks and outside of them.
    async fn read(&self, session: Session) {
        while !self.is_over.load(Ordering::SeqCst) {
            self.add_up(&session).await;
            let begun = self.begin_read();
            let alone = counters(&session).await;
            self.end_read(begun, alone);
            // A block sees what was there when its first statement came.
            let begun = self.begin_read();
            session.rows("BEGIN").await;
            let first = counters(&session).await;
            self.end_read(begun, first.clone());
            self.add_up(&session).await;
            let again = counters(&session).await;
            self.add_up(&session).await;
            session.rows("COMMIT").await;
            if first != again {
                self.complain(format!("a block reads {first:?}, and then {again:?}"));
            }
        }
    }

    async fn add_up(&self, session: &Session) {
        let accounts = ACCOUNTS + WRITERS as i64;
        let expected = [accounts * BALANCE, accounts].map(|number| Some(number.to_string()));
        let found = session.rows(SUM).await;
        if found != [expected.to_vec()] {
            self.complain(format!("{SUM} gives {found:?}, not {expected:?}"));
        }
    }

    fn begin_read(&self) -> (Instant, Vec<i64>) {
        (Instant::now(), loaded(&self.acknowledged))
    }

    fn end_read(&self, (begin, floor): (Instant, Vec<i64>), values: Vec<i64>) {
        let (end, ceiling) = (Instant::now(), loaded(&self.tried));
        self.reads.lock().unwrap().push(Read { begin, end, floor, ceiling, values });
    }
}

async fn counters(session: &Session) -> Vec<i64> {
    let rows = session.rows(COUNTERS).await;
    rows.iter().map(|row| row[0].as_deref().unwrap().parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_never_change_and_all_see_one_order() {
    let Some(servers) = ShardServers::start(DATANODES) else { return };
    let cluster = TestCluster::start_on(DATANODES as u32, servers.options()).await;
    let session = cluster.session().await;
    session
        .run_all([
            "CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint) DISTRIBUTED BY (id)"
                .to_string(),
            "CREATE TABLE counters (writer int PRIMARY KEY, n bigint) DISTRIBUTED BY (writer)"
                .to_string(),
            format!("INSERT INTO accounts SELECT g, {BALANCE} FROM generate_series(0, {ACCOUNTS} - 1) g"),
            format!("INSERT INTO accounts SELECT 1000 * (g + 1), {BALANCE} FROM generate_series(0, {WRITERS} - 1) g"),
            format!("INSERT INTO counters SELECT g, 0 FROM generate_series(0, {WRITERS} - 1) g"),
        ])
        .await;
    let bank = Arc::new(Bank {
        is_over: AtomicBool::new(false),
        tried: Default::default(),
        acknowledged: Default::default(),
        reads: Mutex::default(),
        wrong: Mutex::default(),
        conflicts: AtomicI64::new(0),
    });
    let (mut writers, mut readers) = (JoinSet::new(), JoinSet::new());
    for writer in 0..WRITERS {
        let (bank, session) = (Arc::clone(&bank), cluster.session().await);
        writers.spawn(async move { bank.write(session, writer).await });
    }
    for _ in 0..READERS {
        let (bank, session) = (Arc::clone(&bank), cluster.session().await);
        readers.spawn(async move { bank.read(session).await });
    }
    timeout(PATIENCE, writers.join_all()).await.expect("writers hang");
    bank.is_over.store(true, Ordering::SeqCst);
    timeout(PATIENCE, readers.join_all()).await.expect("readers hang");
    let last = counters(&session).await;
    assert_eq!(last, vec![TRANSFERS as i64; WRITERS], "updates are lost, or were done twice");
    bank.add_up(&session).await;
    let reads = std::mem::take(&mut *bank.reads.lock().unwrap());
    println!("{} reads, {} conflicts", reads.len(), bank.conflicts.load(Ordering::Relaxed));
    assert!(reads.len() > 20, "hardly anything was read meanwhile");
    let mut wrong = bank.wrong.lock().unwrap().clone();
    wrong.extend(anomalies(&reads));
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    cluster.stop().await;
}
