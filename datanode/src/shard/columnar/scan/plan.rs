//! From what a fragment asks for to the operator.

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, empty::EmptyExec};
use kestrel_planner::operators::{ShardScan, addressed};
use kestrel_proto::{
    ErrorReport, Result,
    message::{SegmentKind, SegmentRef},
};

use super::{
    conjuncts::Conjuncts,
    exec::ColumnarScanExec,
    spec::{Form, OutputColumn, ScanSpec},
};
use crate::{
    error::report,
    shard::columnar::{ColumnarSettings, store::StoreState, table::TableOfScan},
};

/// The operator that does what `scan` asks for.
///
/// # Errors
/// XX000 when `scan` contradicts itself.
pub(in crate::shard::columnar) fn plan(
    store: &Arc<StoreState>,
    scan: &ShardScan,
) -> Result<Arc<dyn ExecutionPlan>> {
    let partitions = partitions(&scan.segments, &store.settings);
    plan_in(store, scan, partitions, TableOfScan::of(scan)?)
}

/// The same in one execution partition, which reads segment by segment and row by row, and nothing of
/// it again.
///
/// # Errors
/// As [`plan`].
pub(in crate::shard::columnar) fn plan_in_order(
    store: &Arc<StoreState>,
    scan: &ShardScan,
) -> Result<Arc<dyn ExecutionPlan>> {
    let table = TableOfScan { is_read_once: true, ..TableOfScan::of(scan)? };
    plan_in(store, scan, 1, table)
}

fn plan_in(
    store: &Arc<StoreState>,
    scan: &ShardScan,
    partitions: usize,
    table: TableOfScan,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = addressed(&table.schema).project(&scan.projection);
    let schema = schema.map_err(|e| report(e.into()))?;
    let schema = Arc::new(schema);
    check_segments(&scan.segments)?;
    if scan.segments.is_empty() {
        return Ok(Arc::new(EmptyExec::new(schema)));
    }
    let conjuncts = Conjuncts::new(&scan.filters, &[], &table.schema);
    let output =
        scan.projection.iter().map(|column| OutputColumn { column: *column, form: Form::Arrow });
    let spec = ScanSpec {
        store: Arc::clone(store),
        partitions,
        segments: scan.segments.iter().cloned().map(Arc::new).collect(),
        table_partitions: scan.partitions.as_slice().into(),
        table_partitions_left_out: scan.partitions_left_out,
        summaries: Arc::default(),
        output: output.collect(),
        schema,
        filters: scan.filters.clone(),
        runtime_filters: Vec::new(),
        conjuncts,
        fetch: scan.fetch,
        estimated_rows: scan.estimated_rows,
        estimated_bytes: scan.estimated_bytes,
        table,
    };
    Ok(Arc::new(ColumnarScanExec::new(spec)))
}

fn check_segments(segments: &[SegmentRef]) -> Result<()> {
    for segment in segments {
        if segment.kind() != SegmentKind::Parquet || segment.offset != 0 {
            return Err(ErrorReport::internal(format!(
                "segment \"{}\" is of kind {} at offset {}",
                segment.file, segment.kind, segment.offset
            )));
        }
    }
    Ok(())
}

/// Execution partitions: no more than there are pieces, and none for a few bytes.
fn partitions(segments: &[SegmentRef], settings: &ColumnarSettings) -> usize {
    let per_piece = settings.row_group_rows.max(1) as u64;
    let pieces: u64 = segments.iter().map(|segment| segment.rows.div_ceil(per_piece)).sum();
    let bytes: u64 = segments.iter().map(|segment| segment.length).sum();
    let splits = bytes / settings.min_split_bytes.max(1) as u64;
    let most = settings.target_partitions.max(1);
    usize::try_from(pieces.min(splits)).unwrap_or(most).clamp(1, most)
}
