//! The shard stores: where the rows of a datanode's shard are.

mod columnar;
pub mod kes;

pub use columnar::{ColumnarCounters, ColumnarSettings, ColumnarStore};
