//! How statistics come from rows: each datanode counts and samples, the states are merged, and what
//! is merged is described.

mod column;
mod describe;
mod random;
mod sample;
mod width;

pub(crate) use column::{ColumnCollector, ColumnState};
use sample::Sample;
