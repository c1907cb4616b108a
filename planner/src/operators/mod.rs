//! Kestrel's operators inside a DataFusion plan. They describe; the process that runs them gives
//! them hands: an [`Exchange`] and a [`ShardStore`], found in the task's session configuration.

mod hands;

pub use hands::{Exchange, Hands, SegmentTarget, ShardScan, ShardStore};
