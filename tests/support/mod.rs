//! What the tests stand on: a PostgreSQL 15 and clusters of their own, and sessions with either.

mod cluster;
pub(crate) mod kes;
mod network;
mod process;
mod proxy;
mod session;
mod shards;
mod statement_proxy;

use kestrel::postgres::{Programs, TempPostgres};

pub(crate) use cluster::{TestCluster, in_processes, options, own_processes};
pub(crate) use network::Network;
pub(crate) use process::{Ended, Kestrel, run_kestrel, spawn_kestrel};
pub(crate) use proxy::{Fault, FaultProxy};
pub(crate) use session::{Answer, Failure, Session};
pub(crate) use shards::{ShardServers, SuiteShards};
pub(crate) use statement_proxy::{Held, Moment, StatementProxy};

/// A PostgreSQL for one test; `None`: the test is to be skipped, because `KESTREL_TEST_SKIP` says
/// so. Missing programs fail the test in one line that says how to install them.
pub(crate) fn postgres() -> Option<TempPostgres> {
    let programs = Programs::for_tests().unwrap_or_else(|e| panic!("{e}"))?;
    Some(TempPostgres::start(&programs).unwrap_or_else(|e| panic!("{e}")))
}

/// The number in this environment variable.
pub(crate) fn number_from_env(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    }
}
