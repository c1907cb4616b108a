//! Random scripts of INSERT, UPDATE, DELETE, TRUNCATE, COPY, transactions and savepoints must do what
//! they do on PostgreSQL: each statement gives the same tag, with as many rows, or fails with the same
//! SQLSTATE, and the tables are the same afterwards.
//!
//! `KESTREL_TEST_SEED` sets the first seed and `KESTREL_TEST_DML_SCRIPTS` the number of scripts, each
//! with a seed of its own. A script that goes wrong is printed whole, with PostgreSQL's answers.

mod change;
mod failing;
mod script;
mod tables;
mod values;
mod wire;
mod write;

use std::{collections::BTreeMap, fmt::Write};

use super::compare::difference;
use crate::{
    generate::{Features, Rng},
    support::{SuiteShards, TestCluster, number_from_env, postgres},
};
use script::{Script, Statement};
use tables::KINDS;
use wire::{Reply, Wire};

/// As many scripts as the default run has.
const SCRIPTS: u64 = 60;
/// Statements of a script, without those that fill its tables at first.
const STATEMENTS: usize = 15;
/// Scripts printed whole; of the others only the seeds.
const PRINTED: usize = 5;

/// Why statements may fail. With anything else the generator is wrong.
const EXPECTED: &[&str] =
    &["21000", "22003", "22012", "22P02", "23502", "23505", "23514", "25P01", "25P02", "3B001"];

/// What scripts of the default run must contain.
const REQUIRED: &[&str] = &[
    "begin",
    "checks",
    "commit",
    "copy",
    "data that is no number",
    "delete",
    "delete of a partition",
    "delete using",
    "delete using itself",
    "delete with",
    "division by zero",
    "doubled keys",
    "insert into a partition",
    "insert select",
    "insert select group by",
    "insert series",
    "insert values",
    "missing values",
    "numbers out of range",
    "release",
    "rollback",
    "rollback to",
    "rows for no partition",
    "savepoint",
    "subquery in a condition",
    "truncate",
    "update",
    "update by a subquery",
    "update from",
    "update from a table",
    "update from values",
    "update of a key",
];

/// A script as far as it went.
struct Run {
    script: Script,
    /// As psql reads them, with PostgreSQL's answers.
    text: String,
    wrong: Option<String>,
    answered: usize,
    failed: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn random_scripts_do_what_they_do_on_postgresql() {
    if SuiteShards::from_env() != SuiteShards::Columnar {
        return;
    }
    let Some(postgres) = postgres() else { return };
    let mut oracle = Wire::to_postgres(postgres.socket_directory()).await;
    oracle.run_all(["SET statement_timeout = '30s'", "SET client_min_messages = error"]).await;
    let first = number_from_env("KESTREL_TEST_SEED", 1);
    let scripts = number_from_env("KESTREL_TEST_DML_SCRIPTS", SCRIPTS);
    println!("{scripts} scripts from seed {first} on");
    // By their number of datanodes.
    let mut clusters: BTreeMap<u32, (TestCluster, Wire)> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut features = Features::default();
    let (mut answered, mut failed) = (0, 0);
    for seed in first..first + scripts {
        let datanodes = *Rng::new(seed ^ 0xDA7A).pick(&[1, 2, 3, 3]);
        let (cluster, session) = match clusters.remove(&datanodes) {
            Some((cluster, session)) if !session.is_closed => (cluster, session),
            known => {
                let cluster = match known {
                    Some((cluster, _)) => cluster,
                    None => TestCluster::start(datanodes).await,
                };
                let session = Wire::to_kestrel(cluster.cluster.address()).await;
                (cluster, session)
            }
        };
        let (_, session) = clusters.entry(datanodes).or_insert((cluster, session));
        let run = run(&mut oracle, session, seed).await;
        features.add(&run.script.features);
        (answered, failed) = (answered + run.answered, failed + run.failed);
        if let Some(what) = &run.wrong {
            if wrong.len() < PRINTED {
                run.print(seed, datanodes, what);
            }
            wrong.push(seed);
        }
    }
    for (feature, count) in &features.0 {
        println!("{count:6} {feature}");
    }
    println!("{answered} statements, {failed} of them fail");
    for (cluster, session) in clusters.into_values() {
        drop(session);
        cluster.stop().await;
    }
    assert!(wrong.is_empty(), "{} scripts go wrong: seeds {wrong:?}", wrong.len());
    if scripts >= SCRIPTS {
        let missing: Vec<_> = REQUIRED.iter().filter(|f| !features.0.contains_key(*f)).collect();
        assert!(missing.is_empty(), "what did not occur: {missing:?}");
        assert!(failed * 2 < answered, "too many fail");
    }
}

/// Runs the script of this seed on both, until it goes wrong.
async fn run(oracle: &mut Wire, session: &mut Wire, seed: u64) -> Run {
    let script = Script::new(seed);
    let mut run = Run { script, text: String::new(), wrong: None, answered: 0, failed: 0 };
    // What an earlier script left, on Kestrel perhaps in a block.
    session.run("ROLLBACK", None).await;
    let schema =
        [format!("CREATE SCHEMA script_{seed}"), format!("SET search_path = script_{seed}")];
    for (on, kestrel) in [(&mut *oracle, false), (&mut *session, true)] {
        on.run_all(&schema).await;
        for table in &run.script.tables {
            on.run_all(table.statements(kestrel)).await;
        }
    }
    for statement in run.script.first_rows() {
        run.step(oracle, session, &statement).await;
    }
    for number in 0..=STATEMENTS {
        if run.wrong.is_some() {
            break;
        }
        let is_last = number == STATEMENTS;
        let statement = if is_last { run.script.last() } else { run.script.next() };
        run.step(oracle, session, &statement).await;
        let reads = is_last || statement.is_end() || run.script.rng.chance(25);
        if run.wrong.is_none() && reads && run.script.can_read() {
            run.compare_tables(oracle, session).await;
        }
    }
    oracle.run("ROLLBACK", None).await;
    oracle.run_all([format!("DROP SCHEMA script_{seed} CASCADE")]).await;
    if run.wrong.is_none() {
        session.run_all([format!("DROP SCHEMA script_{seed} CASCADE")]).await;
    }
    run
}

impl Run {
    /// One statement on both.
    async fn step(&mut self, oracle: &mut Wire, session: &mut Wire, statement: &Statement) {
        let (sql, data) = (&statement.sql, statement.data.as_deref());
        let Reply { answer, tag } = oracle.run(sql, data).await;
        let state = answer.sqlstate();
        self.answered += 1;
        self.failed += usize::from(state.is_some());
        let said = if state.is_some() { answer.to_string() } else { tag.clone() };
        let _ = writeln!(self.text, "{}\n-- {said}", statement.text());
        if let Some(state) = state.filter(|state| !EXPECTED.contains(state)) {
            self.wrong = Some(format!("the generator is wrong: PostgreSQL says {state}"));
            return;
        }
        let got = session.run(sql, data).await;
        if got.answer.sqlstate() != state || got.tag != tag {
            self.wrong = Some(format!("the last statement gives {} {}", got.tag, got.answer));
        }
        self.script.note(statement, state.is_none());
    }

    async fn compare_tables(&mut self, oracle: &mut Wire, session: &mut Wire) {
        for table in &self.script.tables {
            let query = format!("SELECT * FROM {}", table.name);
            let expected = oracle.run(&query, None).await;
            let got = session.run(&query, None).await;
            if let Some(what) = difference(&expected.answer, &got.answer, &KINDS, &[]) {
                self.wrong = Some(format!("{query}: {what}"));
                return;
            }
        }
    }

    /// Everything that reproduces it.
    fn print(&self, seed: u64, datanodes: u32, what: &str) {
        println!("---- seed {seed}, on {datanodes} datanodes: {what}");
        println!("again: KESTREL_TEST_SEED={seed} KESTREL_TEST_DML_SCRIPTS=1");
        for statement in self.script.tables.iter().flat_map(|table| table.statements(true)) {
            println!("{statement};");
        }
        println!("{}---- {what}\n", self.text);
    }
}
