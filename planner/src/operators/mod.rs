//! Kestrel's operators inside a DataFusion plan. They describe; the process that runs them gives
//! them hands: an [`Exchange`] and a [`ShardStore`], found in the task's session configuration.

mod address;
mod conform;
mod file_scan;
mod hands;
mod leaf_plan;
mod materialize;
mod measured;
mod motion;
mod motion_receive;
mod motion_send;
mod offset;
mod optimize;
mod pace;
mod partitions_of_scan;
mod replay;
mod row_change;
mod segment_write;
mod shard_scan;
mod union_input;
mod wrapper;
mod yielding;

pub use address::{Address, addressed};
pub use conform::conform;
pub use file_scan::FileScanExec;
pub use hands::{Exchange, FileReader, Hands, ScanPartition, SegmentTarget, ShardScan, ShardStore};
pub use measured::{Measurement, measured};
pub use motion::MotionExec;
pub use motion_receive::MotionReceiveExec;
pub use motion_send::MotionSendExec;
pub use optimize::{optimized, physical_rules};
pub use partitions_of_scan::PartitionsOfScan;
pub use row_change::{
    ChangedRows, RowChangeExec, RowChangeKind, RowChanges, row_change_schema, row_changes,
};
pub use segment_write::{SegmentWriteExec, WrittenSegment, segment_write_schema, written_segments};
pub use shard_scan::{KnownRows, ShardScanExec, database_scans, database_tables, is_all_one_scan};
pub use union_input::is_union_input;
pub use yielding::JoinPace;

use std::sync::Arc;

use datafusion::{
    error::{DataFusionError, Result},
    physical_plan::ExecutionPlan,
};

fn only_child(mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    match (children.pop(), children.is_empty()) {
        (Some(child), true) => Ok(child),
        _ => Err(DataFusionError::Internal("an operator with one input was given others".into())),
    }
}
