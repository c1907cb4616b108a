//! One client's session.

mod outcome;

pub use outcome::{CopyIn, NoticeSender, Outcome, OutputField, RowsTag};
