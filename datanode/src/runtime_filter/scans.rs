//! The scans of this datanode's tables, as runtime filters meet them.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use super::{RuntimeFilter, Scans};
use crate::shard::ColumnarScanExec;

/// Those of columnar shards: a database beside the datanode has its own way to a row.
pub(crate) struct ShardScans;

impl Scans for ShardScans {
    fn filtered(
        &self,
        scan: &Arc<dyn ExecutionPlan>,
        column: usize,
        filter: &Arc<RuntimeFilter>,
    ) -> Option<Arc<dyn ExecutionPlan>> {
        let scan = scan.downcast_ref::<ColumnarScanExec>()?;
        Some(Arc::new(scan.with_runtime_filter(column, Arc::clone(filter))))
    }

    fn is_selective(&self, scan: &Arc<dyn ExecutionPlan>) -> bool {
        // A database's scan has its filters inside, too.
        scan.downcast_ref::<ColumnarScanExec>().is_none_or(ColumnarScanExec::is_filtered)
    }
}
