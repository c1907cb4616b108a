//! The SQL for shards that a database holds, against PostgreSQL 15: what it means there is what it
//! means in Kestrel.
//!
//! Random tests: `KESTREL_TEST_SEED` sets the seed, which a failure prints.

mod buckets;
mod conditions;
mod filters;
mod pieces;
mod planned;
mod quoting;
mod sizes;
mod values;

use crate::support::number_from_env;

/// The seed of a random test.
fn seed() -> u64 {
    number_from_env("KESTREL_TEST_SEED", 1)
}
