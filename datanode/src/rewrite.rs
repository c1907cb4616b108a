//! The rows of segments, written into new ones: what VACUUM has a datanode do.
//!
//! ```text
//!   segments, without what is deleted --> scan, in order --> writer of loads --> new segments
//!                                                 (with clustering columns: --> sort -->)
//! ```
//!
//! A few row groups are in memory at a time, whatever the segments' sizes; a sort takes its query's part
//! of the memory. It runs as a query does:
//! beside the fragments, in turns with them, and with its part of the memory.

use std::{collections::HashMap, sync::Arc};

use arrow::ipc::convert::fb_to_schema;
use datafusion::{
    execution::{TaskContext, memory_pool::MemoryPool, runtime_env::RuntimeEnv},
    prelude::SessionConfig,
};
use kestrel_planner::{
    memory::QueryMemory,
    operators::{SegmentTarget, ShardScan, ShardStore},
};
use kestrel_proto::{
    ErrorReport, QueryId, Result, TableId, TransactionId,
    message::{RewriteSegmentsRequest, SegmentRef},
};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    error::report,
    resort::{self, Places},
    shard::{ColumnarStore, positions},
    turns::{Turns, in_turns},
};

/// What rewriting needs of its datanode.
#[derive(Clone, Debug)]
pub(crate) struct Rewriter {
    pub(crate) store: Arc<ColumnarStore>,
    pub(crate) resources: Arc<RuntimeEnv>,
    pub(crate) memory: QueryMemory,
    pub(crate) turns: Turns,
    pub(crate) config: SessionConfig,
    /// Where fragments run.
    pub(crate) runtime: Handle,
}

impl Rewriter {
    /// Carries out an order. An error, or dropping the future, leaves no file.
    ///
    /// # Errors
    /// XX001 when a file is not what the catalog says; 58030, 53100, 53200.
    pub(crate) async fn rewrite(&self, order: RewriteSegmentsRequest) -> Result<Vec<SegmentRef>> {
        let query = QueryId::random();
        let rewriter = self.clone();
        let work = async move { rewriter.work(order, query).await };
        let task = self.runtime.spawn(in_turns(&self.turns.of(query), work));
        let lost = |error| ErrorReport::internal(format!("a rewriting task was lost: {error}"));
        AbortOnDropHandle::new(task).await.unwrap_or_else(|error| Err(lost(error)))
    }

    /// Where the rows are, by the place of each in its segments, that this order has had sorted.
    ///
    /// # Errors
    /// As [`Self::rewrite`]'s.
    pub(crate) async fn places(&self, order: RewriteSegmentsRequest) -> Result<Places> {
        let query = QueryId::random();
        let rewriter = self.clone();
        let work = async move {
            let segments: Vec<_> = order.segments.iter().map(|s| (s.id, live_rows(s))).collect();
            let (scan, target) = decoded(order)?;
            let columns = positions(&target.cluster_by, &target.column_ids)?;
            let keys: Vec<usize> = (0..columns.len()).collect();
            let plan = rewriter.store.scan_in_order(&ShardScan { projection: columns, ..scan })?;
            Places::of(&plan, &keys, &segments, rewriter.context(query)).await
        };
        let task = self.runtime.spawn(in_turns(&self.turns.of(query), work));
        let lost = |error| ErrorReport::internal(format!("a sorting task was lost: {error}"));
        AbortOnDropHandle::new(task).await.unwrap_or_else(|error| Err(lost(error)))
    }

    fn context(&self, query: QueryId) -> Arc<TaskContext> {
        let memory: Arc<dyn MemoryPool> = self.memory.of(query, 0);
        let resources = RuntimeEnv { memory_pool: memory, ..self.resources.as_ref().clone() };
        Arc::new(TaskContext::new(
            None,
            query.to_string(),
            self.config.clone(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            Arc::new(resources),
        ))
    }

    async fn work(&self, order: RewriteSegmentsRequest, query: QueryId) -> Result<Vec<SegmentRef>> {
        let expected: u64 = order.segments.iter().map(live_rows).sum();
        let (scan, mut target) = decoded(order)?;
        let plan = self.store.scan_in_order(&scan)?;
        // Without what files have in columns that they lack: the new ones have all columns.
        target.schema = plan.schema();
        let columns = positions(&target.cluster_by, &target.column_ids)?;
        let context = self.context(query);
        let rows = match columns.is_empty() {
            true => plan.execute(0, context).map_err(report)?,
            false => resort::sorted(&plan, &columns, context)?,
        };
        let written = self.store.write(&target, rows).await?;
        let found: u64 = written.iter().map(|segment| segment.rows).sum();
        if found != expected {
            // Nobody refers to them; they go with their transaction.
            let message = format!("{found} rows were written anew, and {expected} are there");
            return Err(ErrorReport::internal(message));
        }
        Ok(written)
    }
}

fn live_rows(segment: &SegmentRef) -> u64 {
    let deleted = segment.deletes.as_ref().map_or(0, |deletes| deletes.rows);
    segment.rows.saturating_sub(deleted)
}

fn decoded(order: RewriteSegmentsRequest) -> Result<(ShardScan, SegmentTarget)> {
    let schema = arrow::ipc::root_as_schema(&order.table_schema)
        .map_err(|error| ErrorReport::internal(format!("an order to rewrite is none: {error}")))?;
    let schema = Arc::new(fb_to_schema(schema));
    let table_id = TableId(order.table_id);
    let rows = order.segments.iter().map(live_rows).sum();
    let target = SegmentTarget {
        transaction: TransactionId(order.transaction_id),
        coordinator_epoch: order.coordinator_epoch,
        table_id,
        table: order.table.clone(),
        schema: Arc::clone(&schema),
        column_ids: order.column_ids.clone(),
        relation: None,
        cluster_by: order.cluster_by,
        is_sorted: true,
        continues: false,
        in_block: false,
        reads_own_writes: false,
    };
    let scan = ShardScan {
        table_id,
        table: order.table,
        projection: (0..schema.fields().len()).collect(),
        schema,
        column_ids: order.column_ids,
        filters: Vec::new(),
        estimated_bytes: order.segments.iter().map(|segment| segment.bytes).sum(),
        segments: order.segments,
        relation: None,
        estimated_rows: rows,
        fetch: None,
        partitions: Vec::new(),
        partitions_left_out: 0,
        sample: None,
    };
    Ok((scan, target))
}
