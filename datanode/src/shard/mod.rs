//! The shard stores: where the rows of a datanode's shard are.

mod columnar;
pub mod kes;
mod settings;

pub use columnar::{ColumnarCounters, ColumnarSettings, ColumnarStore};
pub use settings::ShardSettings;
