//! Which store has a table's rows: a database, if the table is one there, else columnar files.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use kestrel_planner::operators::{SegmentTarget, ShardScan, ShardStore};
use kestrel_proto::{ErrorReport, Result, message::SegmentRef};

use super::{ColumnarStore, kes::KesStore};

/// The stores of a datanode. One beside a database has files, too: of temporary tables.
#[derive(Clone, Debug)]
pub(crate) struct StoreByTable {
    pub(crate) columnar: Arc<ColumnarStore>,
    pub(crate) kes: Option<Arc<KesStore>>,
}

impl StoreByTable {
    fn of(&self, is_on_database: bool) -> Result<&dyn ShardStore> {
        match (is_on_database, &self.kes) {
            (false, _) => Ok(self.columnar.as_ref()),
            (true, Some(kes)) => Ok(kes.as_ref()),
            (true, None) => {
                Err(ErrorReport::unsupported("a database's table on a datanode without a database"))
            }
        }
    }
}

#[async_trait]
impl ShardStore for StoreByTable {
    fn scan(&self, scan: &ShardScan) -> Result<Arc<dyn ExecutionPlan>> {
        self.of(scan.relation.is_some())?.scan(scan)
    }

    async fn write(
        &self,
        target: &SegmentTarget,
        rows: SendableRecordBatchStream,
    ) -> Result<Vec<SegmentRef>> {
        self.of(target.relation.is_some())?.write(target, rows).await
    }
}
