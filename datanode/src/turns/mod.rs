//! How queries share the threads of a process.
//!
//! The tasks of all queries stand in one line for the threads, and one of DataFusion's runs on for as
//! long as its inputs have rows: a short query would wait behind every task of a long one. So
//!
//! 1. a task that has run for some milliseconds gives way: where it reads rows (`give_way`), and
//!    where it sends them. Only when there is another query;
//! 2. a query that has run for long has as many threads as there are processors, and there are twice
//!    as many: when a short one comes, threads are free, whatever the long one's tasks do just now;
//! 3. while a short one wants to run, the long ones rest, and each runs one task now and then; long
//!    ones divide the threads among them (`allowed`).
//!
//! ```text
//!   processor 1   long long long long long        processor 1   short short short long
//!   processor 2   long long long long long        processor 2   short short long  short
//!                           ^ a short query comes               ^
//! ```
//!
//! Slice 0, where it runs in the same process, is one of the query's tasks.
//!
//! What counts is the time that tasks are polled for. All of a query's tasks are counted, those that
//! DataFusion spawns, too: it lets us wrap them.

mod allowed;
mod give_way;
mod shares;
mod task;

pub(crate) use give_way::{give_way, giving_way, with_turns};
pub(crate) use shares::QueryTurns;
pub use shares::Turns;
pub(crate) use task::{in_turns, wrap_spawned_tasks};
