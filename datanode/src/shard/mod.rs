//! The shard stores: where the rows of a datanode's shard are.

mod by_table;
mod columnar;
mod filtered;
pub mod kes;
mod settings;

pub(crate) use by_table::StoreByTable;
pub(crate) use columnar::{Codebook, ColumnarScanExec, ORDER, Raw, positions};
pub use columnar::{ColumnarCounters, ColumnarSettings, ColumnarStore, Loss, lose_unsynced};
pub use settings::ShardSettings;
