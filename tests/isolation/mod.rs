//! Many sessions read lists and append to them, transfer money and add it up, while others alter the
//! tables: what they saw must be what snapshot isolation allows (`checker`).
//!
//! `KESTREL_TEST_ISOLATION_TRANSACTIONS` sets how many transactions, `KESTREL_TEST_SEED` what they do
//! (but not how they meet). They come in rounds, each on tables of its own.

mod bank;
mod checker;
mod disturbance;
mod lists;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::timeout};

use self::checker::{Transaction, anomalies};
use crate::{
    generate::Rng,
    support::{Answer, Session, SuiteShards, TestCluster, number_from_env},
};

/// As many transactions as the default run has.
const TRANSACTIONS: u64 = 3_000;
/// Each transaction leaves a segment or two: tables of more would only be slow.
const ROUND: u64 = 1_500;
/// Sessions of a round, by its number.
const SESSIONS: [usize; 3] = [8, 12, 16];
/// A round takes less.
const PATIENCE: Duration = Duration::from_secs(600);
/// Who is in another's way: nothing of the transaction is there.
const CONFLICTS: [&str; 3] = ["40001", "40P01", "55P03"];
/// Anomalies that are printed.
const PRINTED: usize = 10;

/// What the sessions of a round share.
struct Round {
    number: u64,
    seed: u64,
    transactions: u64,
    clock: Instant,
    begun: AtomicU64,
    values: AtomicU32,
    is_over: AtomicBool,
    history: Mutex<Vec<Transaction>>,
    flags: AtomicU32,
    /// Which flags of a group were seen.
    flag_reads: Mutex<Vec<(u32, BTreeSet<u32>)>>,
    conflicts: AtomicU64,
    /// Changes of the catalog meanwhile.
    disturbances: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Round {
    fn new(number: u64, transactions: u64) -> Arc<Self> {
        Arc::new(Self {
            number,
            seed: number_from_env("KESTREL_TEST_SEED", 1) + number,
            transactions,
            clock: Instant::now(),
            begun: AtomicU64::new(0),
            values: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
            history: Mutex::default(),
            flags: AtomicU32::new(0),
            flag_reads: Mutex::default(),
            conflicts: AtomicU64::new(0),
            disturbances: AtomicU64::new(0),
            wrong: Mutex::default(),
        })
    }

    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    fn complain(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// Counts a failure that is no fault; others are said. The session is outside of a block again.
    async fn give_up(&self, session: &Session, statement: &str, answer: &Answer, also: &[&str]) {
        let state = answer.sqlstate().unwrap_or("none");
        if CONFLICTS.contains(&state) || also.contains(&state) {
            self.conflicts.fetch_add(1, Ordering::Relaxed);
        } else {
            self.complain(format!("{statement}\n{answer}"));
        }
        session.run("ROLLBACK").await;
    }

    /// One of many sessions.
    async fn run(self: Arc<Self>, session: Session, number: usize) {
        let mut rng = Rng::new(self.seed * 100 + number as u64);
        session.rows("SET lock_timeout = '10s'").await;
        while self.begun.fetch_add(1, Ordering::SeqCst) < self.transactions {
            match rng.weighted(&[70, 12, 6, 6, 6]) {
                0 => self.lists(&session, number, &mut rng).await,
                1 => self.transfer(&session, &mut rng).await,
                2 => self.add_up(&session).await,
                3 => self.set_flag(&session).await,
                _ => self.read_flags(&session, &mut rng).await,
            }
            if self.wrong.lock().unwrap().len() > PRINTED || session.client.is_closed() {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_transactions_see_snapshots() {
    if SuiteShards::from_env() != SuiteShards::Columnar {
        return;
    }
    let transactions = number_from_env("KESTREL_TEST_ISOLATION_TRANSACTIONS", TRANSACTIONS);
    let cluster = TestCluster::start(3).await;
    let (mut left, mut number) = (transactions, 0);
    while left > 0 {
        let round = Round::new(number, left.min(ROUND));
        left -= round.transactions;
        number += 1;
        play(&cluster, &round).await;
    }
    cluster.stop().await;
}

async fn play(cluster: &TestCluster, round: &Arc<Round>) {
    let session = cluster.session().await;
    session.run_all(round.list_tables()).await;
    session.run_all(round.bank_tables()).await;
    let disturbing = tokio::spawn(Arc::clone(round).disturb(cluster.session().await));
    let mut sessions = JoinSet::new();
    let count = SESSIONS[round.number as usize % SESSIONS.len()];
    for number in 0..count {
        sessions.spawn(Arc::clone(round).run(cluster.session().await, number));
    }
    timeout(PATIENCE, sessions.join_all()).await.expect("sessions hang");
    round.is_over.store(true, Ordering::SeqCst);
    timeout(PATIENCE, disturbing).await.expect("DDL hangs").unwrap();
    round.read_all(&session, count).await;
    round.add_up(&session).await;
    let history = std::mem::take(&mut *round.history.lock().unwrap());
    let committed = history.iter().filter(|transaction| transaction.is_committed).count();
    let disturbances = round.disturbances.load(Ordering::Relaxed);
    println!(
        "round {}, {count} sessions, {:.0?}: {committed} of {} transactions on lists committed, {} \
         conflicts, {disturbances} changes of tables",
        round.number,
        round.clock.elapsed(),
        history.len(),
        round.conflicts.load(Ordering::Relaxed),
    );
    let mut wrong = round.wrong.lock().unwrap().clone();
    wrong.extend(anomalies(&history).into_iter().map(|a| format!("{:?}: {}", a.kind, a.what)));
    wrong.extend(round.other_forks());
    let printed = wrong.iter().take(PRINTED).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "round {}: {} are wrong:\n{printed}", round.number, wrong.len());
    assert!(committed * 4 > history.len(), "hardly anything is committed");
    assert!(disturbances > 0, "no table was changed meanwhile");
    session.run_all(round.drop_tables()).await;
}
