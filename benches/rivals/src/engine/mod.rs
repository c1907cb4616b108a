//! An engine in a process of its own: `run.py` starts it and sends it the numbers of queries.

mod arguments;
mod main;
mod result_file;
mod serve;
mod tables;

pub use arguments::Arguments;
pub use main::{Error, main};
pub use serve::serve;
pub use tables::open;
