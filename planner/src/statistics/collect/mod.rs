//! How statistics come from rows: each datanode counts and samples, the states are merged, and what
//! is merged is described.

mod column;
mod describe;
mod distinct;
mod group;
mod random;
mod sample;
mod sampled;
mod wide;
mod width;

pub(crate) use column::{ColumnCollector, ColumnState, Wide};
pub(crate) use group::{GroupCollector, GroupState};
use sample::Sample;
