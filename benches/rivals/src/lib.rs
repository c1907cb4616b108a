//! What the comparisons share: the rows that are moved, and how a round is measured.

mod measure;
mod plain;
mod rows;

pub use measure::{Round, Start, print_header, print_line};
pub use plain::plain;
pub use rows::{batch, batch_bytes};
