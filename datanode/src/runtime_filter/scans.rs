//! The scans of this datanode's tables, as runtime filters meet them.

use std::sync::Arc;

use datafusion::{datasource::source::DataSourceExec, physical_plan::ExecutionPlan};

use super::{RuntimeFilter, Scans, filter::KeyFilterExec};

/// Those of columnar shards: a database beside the datanode has its own way to a row.
pub(crate) struct ShardScans;

impl Scans for ShardScans {
    fn filtered(
        &self,
        scan: &Arc<dyn ExecutionPlan>,
        column: usize,
        filter: &Arc<RuntimeFilter>,
    ) -> Option<Arc<dyn ExecutionPlan>> {
        let is_columnar = scan.is::<DataSourceExec>();
        is_columnar.then(|| {
            let (scan, filter) = (Arc::clone(scan), Arc::clone(filter));
            Arc::new(KeyFilterExec::new(column, filter, scan)) as _
        })
    }

    fn is_selective(&self, scan: &Arc<dyn ExecutionPlan>) -> bool {
        // The filters of a columnar scan are above it.
        !scan.is::<DataSourceExec>()
    }
}
