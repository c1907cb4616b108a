//! What the comparisons share: the rows that are moved, how a round is measured, and what engines
//! in a process of their own have in common.

mod engine;
mod measure;
mod plain;
mod rows;

pub use engine::{Arguments, Error, main, open, serve};
pub use measure::{Round, Start, print_header, print_line};
pub use plain::plain;
pub use rows::{batch, batch_bytes};
