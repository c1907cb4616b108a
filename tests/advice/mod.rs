//! The proof of advice: what is told of tables whose rows are known, how good its predictions are, and
//! what it costs. Full size: docs/advice.md.

mod cost;
mod data;
mod operators;
mod psql;
mod skew;
mod stale;

use tokio_postgres::error::DbError;

use crate::support::{Session, SuiteShards, TestCluster};

const STORAGE_SKEW: &str = "01K01";
const STALE_STATISTICS: &str = "01K02";

/// What is asked of advice.
const RECALL: f64 = 0.95;
const FALSE_ALARMS: f64 = 0.02;

/// What is proved here is of counts and sketches of all rows; of databases there are samples.
fn databases_hold_rows() -> bool {
    SuiteShards::from_env() != SuiteShards::Columnar
}

/// A cluster whose tables are analyzed only when the test says so.
async fn cluster(datanodes: u32) -> TestCluster {
    let cluster = TestCluster::start(datanodes).await;
    let session = cluster.session().await;
    session.run_all(["ALTER DATABASE kestrel SET kestrel.auto_analyze = off"]).await;
    cluster
}

/// What a new session is told of a query, by SQLSTATE.
async fn told(cluster: &TestCluster, sql: &str, sqlstate: &str) -> Option<DbError> {
    let mut session: Session = cluster.session().await;
    session.rows(sql).await;
    session.notices().into_iter().find(|notice| notice.code().code() == sqlstate)
}

/// How often what is so was told, and what is not.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    hits: usize,
    misses: usize,
    false_alarms: usize,
    silent: usize,
}

impl Rates {
    fn note(&mut self, is_so: bool, is_told: bool) {
        let count = match (is_so, is_told) {
            (true, true) => &mut self.hits,
            (true, false) => &mut self.misses,
            (false, true) => &mut self.false_alarms,
            (false, false) => &mut self.silent,
        };
        *count += 1;
    }

    fn recall(&self) -> f64 {
        part(self.hits, self.hits + self.misses).unwrap_or(1.0)
    }

    fn false_alarm_rate(&self) -> f64 {
        part(self.false_alarms, self.false_alarms + self.silent).unwrap_or(0.0)
    }

    fn check(&self, what: &str) {
        println!(
            "{what}: recall {:.3} of {}, false alarms {:.3} of {}",
            self.recall(),
            self.hits + self.misses,
            self.false_alarm_rate(),
            self.false_alarms + self.silent
        );
        assert!(self.recall() >= RECALL, "{what}: {self:?}");
        assert!(self.false_alarm_rate() <= FALSE_ALARMS, "{what}: {self:?}");
    }
}

/// `None`: of nothing.
fn part(some: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| some as f64 / all as f64)
}
