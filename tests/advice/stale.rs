//! Stale statistics: a table whose rows change by a known part, and what is told of it.

use super::{Rates, STALE_STATISTICS, cluster, databases_hold_rows, told};
use crate::{
    generate::Rng,
    support::{Answer, Session, number_from_env},
};

/// Changes, unless `KESTREL_TEST_ADVICE_CHANGES` says how many.
const CHANGES: u64 = 6;
/// A table has as many rows, or more, when it is analyzed.
const ROWS: i64 = 100_000;
const QUERY: &str = "SELECT count(v) FROM t WHERE v >= 0";

/// A table of all numbers from the one to the other.
struct Numbers {
    low: i64,
    high: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Insert,
    Update,
    Delete,
}

impl Numbers {
    fn rows(&self) -> i64 {
        self.high - self.low
    }

    /// The statement that changes so many rows.
    fn change(&mut self, change: Change, rows: i64) -> String {
        let low = self.low;
        match change {
            Change::Insert => {
                let first = self.high;
                self.high += rows;
                let last = self.high - 1;
                format!(
                    "INSERT INTO t SELECT i, i % 1000 FROM generate_series({first}, {last}) AS i"
                )
            }
            Change::Update => format!("UPDATE t SET v = v + 1 WHERE id < {}", low + rows),
            Change::Delete => {
                self.low += rows;
                format!("DELETE FROM t WHERE id < {}", self.low)
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_stale_when_many_rows_have_changed() {
    if databases_hold_rows() {
        return;
    }
    let seed = number_from_env("KESTREL_TEST_SEED", 1);
    let changes = number_from_env("KESTREL_TEST_ADVICE_CHANGES", CHANGES);
    let mut rng = Rng::new(seed);
    let cluster = cluster(3).await;
    let session = cluster.session().await;
    session.run_all(["CREATE TABLE t (id bigint, v int) DISTRIBUTED BY (id)"]).await;
    let mut numbers = Numbers { low: 0, high: 0 };
    let (mut rates, mut just_analyzed) = (Rates::default(), Rates::default());
    println!("seed {seed}\nanalyzed | changed | part  | stale | told | how");
    for _ in 0..changes {
        let missing = ROWS - numbers.rows();
        if missing > 0 {
            run(&session, &mut numbers, Change::Insert, missing).await;
        }
        session.run_all(["ANALYZE t"]).await;
        just_analyzed.note(false, told(&cluster, QUERY, STALE_STATISTICS).await.is_some());

        let analyzed = numbers.rows();
        let parts = parts(&mut rng, analyzed);
        for (change, rows) in &parts {
            run(&session, &mut numbers, *change, *rows).await;
        }
        let changed: i64 = parts.iter().map(|(_, rows)| rows).sum();
        let is_stale = changed as f64 > 500.0 + 0.2 * analyzed as f64;
        let is_told = told(&cluster, QUERY, STALE_STATISTICS).await.is_some();
        rates.note(is_stale, is_told);
        let part = changed as f64 / analyzed as f64;
        println!("{analyzed:8} | {changed:7} | {part:.3} | {is_stale:5} | {is_told:5} | {parts:?}");
    }
    rates.check("stale statistics");
    just_analyzed.check("just analyzed");
    cluster.stop().await;
}

async fn run(session: &Session, numbers: &mut Numbers, change: Change, rows: i64) {
    let sql = numbers.change(change, rows);
    assert_eq!(session.run(&sql).await, Answer::Done(rows as u64), "{sql}");
}

/// Half the changes are near the threshold. They are of one kind, or of two.
fn parts(rng: &mut Rng, rows: i64) -> Vec<(Change, i64)> {
    let permille = match rng.chance(50) {
        true => rng.between(180, 230),
        false => rng.between(1, 450),
    };
    let changed = (rows * permille / 1000).max(2);
    // Rows that are updated are not deleted, and new ones are neither.
    let kinds = [
        &[Change::Insert][..],
        &[Change::Update],
        &[Change::Delete],
        &[Change::Delete, Change::Insert],
        &[Change::Insert, Change::Update],
        &[Change::Delete, Change::Update],
    ];
    match rng.pick(&kinds) {
        [one] => vec![(*one, changed)],
        several => {
            let first = rng.between(1, changed - 1);
            several.iter().copied().zip([first, changed - first]).collect()
        }
    }
}
