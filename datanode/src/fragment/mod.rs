//! Runs fragments: one slice of a query's plan, beside this datanode's shard.
//!
//! A fragment is checked, registered, decoded, given to DataFusion's physical rules (which decide
//! the parallelism inside the datanode), and run to its end: its root sends the rows away. It ends
//! at the first of: end of input, all receivers closed, an error, its deadline, the end of its
//! query, and the caller's loss of interest.

mod check;
mod config;
mod decode;
mod describe;
mod registry;
mod run;
mod stop;

pub(crate) use config::session_config;
pub use decode::{FragmentDecoder, PlanDecoder};
pub(crate) use run::FragmentRunner;

#[cfg(test)]
mod parallelism;
#[cfg(test)]
mod tests;
