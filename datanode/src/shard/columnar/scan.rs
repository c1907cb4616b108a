//! The operators that read a table's shard.
//!
//! ```text
//!   FilterExec (exactly the rows that pass)       only when there are filters
//!     DataSourceExec (Parquet, columns by id)     row groups are pruned by the filters
//! ```

use std::sync::Arc;

use datafusion::{
    common::{ScalarValue, Statistics, stats::Precision},
    config::ConfigOptions,
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileGroupPartitioner, FileScanConfigBuilder, ParquetSource},
        source::DataSourceExec,
    },
    execution::object_store::ObjectStoreUrl,
    physical_expr::utils::collect_columns,
    physical_optimizer::{PhysicalOptimizerRule, filter_pushdown::FilterPushdown},
    physical_plan::{ExecutionPlan, empty::EmptyExec},
};
use kestrel_planner::operators::ShardScan;
use kestrel_proto::{ErrorReport, Result, message::SegmentKind};

use super::{
    ColumnarSettings,
    adapter::ColumnIdAdapterFactory,
    layout, missing,
    reader::{Segment, SegmentReaderFactory},
    store::StoreState,
};
use crate::{error::report, shard::filtered::filtered};

/// The operators that do what `scan` asks for.
///
/// # Errors
/// XX000 when `scan` contradicts itself.
pub(super) fn plan(store: &Arc<StoreState>, scan: &ShardScan) -> Result<Arc<dyn ExecutionPlan>> {
    let (schema, missing_values) = missing::taken_from(&scan.schema)?;
    let scan = &ShardScan { schema, ..scan.clone() };
    // Checks that there is one id per column.
    layout::file_schema(&scan.schema, &scan.column_ids)?;
    if scan.segments.is_empty() {
        let schema = scan.schema.project(&scan.projection).map_err(|e| report(e.into()))?;
        return Ok(Arc::new(EmptyExec::new(Arc::new(schema))));
    }
    let columns = columns_read(scan);
    let source = source(store, scan, &columns, missing_values)?;
    if scan.filters.is_empty() {
        return Ok(source);
    }
    let filtered = filtered(scan, &columns, store.settings.batch_rows, source).map_err(report)?;
    // Here every column has its own name, so that the rule finds the right one.
    FilterPushdown::new().optimize(filtered, &ConfigOptions::default()).map_err(report)
}

/// The projected columns, then those that only filters need.
fn columns_read(scan: &ShardScan) -> Vec<usize> {
    let mut columns = scan.projection.clone();
    let mut filtered: Vec<_> =
        scan.filters.iter().flat_map(collect_columns).map(|column| column.index()).collect();
    filtered.sort_unstable();
    for column in filtered {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

fn source(
    store: &Arc<StoreState>,
    scan: &ShardScan,
    columns: &[usize],
    missing_values: Vec<Option<ScalarValue>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let readers = SegmentReaderFactory {
        store: Arc::clone(store),
        table_id: scan.table_id,
        table: scan.table.clone(),
    };
    let adapter = ColumnIdAdapterFactory {
        table: scan.table.clone(),
        column_ids: scan.column_ids.clone(),
        missing_values,
    };
    let parquet = ParquetSource::new(Arc::clone(&scan.schema))
        .with_parquet_file_reader_factory(Arc::new(readers));
    let groups = file_groups(scan, &store.settings)?;
    let limit = if scan.filters.is_empty() { scan.fetch } else { None };
    // The URL is never read: the readers open the files.
    let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(parquet))
        .with_statistics(statistics(scan, 1))
        .with_file_groups(groups)
        .with_limit(limit)
        .with_expr_adapter(Some(Arc::new(adapter)))
        .with_projection_indices(Some(columns.to_vec()))
        .map_err(report)?
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

/// The files, or ranges of them, that each execution partition reads.
fn file_groups(scan: &ShardScan, settings: &ColumnarSettings) -> Result<Vec<FileGroup>> {
    let mut files = Vec::with_capacity(scan.segments.len());
    for segment in &scan.segments {
        if segment.kind() != SegmentKind::Parquet || segment.offset != 0 {
            return Err(ErrorReport::internal(format!(
                "segment \"{}\" is of kind {} at offset {}",
                segment.file, segment.kind, segment.offset
            )));
        }
        let file = PartitionedFile::new(segment.file.clone(), segment.length);
        files.push(file.with_extension(Segment(Arc::new(segment.clone()))));
    }
    let bytes: u64 = scan.segments.iter().map(|segment| segment.length).sum();
    let pieces = usize::try_from(bytes).unwrap_or(usize::MAX) / settings.min_split_bytes.max(1);
    let partitions = pieces.clamp(1, settings.target_partitions.max(1));
    let together = vec![FileGroup::new(files)];
    let split = FileGroupPartitioner::new()
        .with_target_partitions(partitions)
        .with_repartition_file_min_size(0);
    let groups = match split.repartition_file_groups(&together) {
        Some(groups) if partitions > 1 => groups,
        _ => together,
    };
    let statistics = Arc::new(statistics(scan, groups.len() as u64));
    Ok(groups.into_iter().map(|group| group.with_statistics(Arc::clone(&statistics))).collect())
}

/// What the planner thinks comes out after the filters, of one of `parts`.
fn statistics(scan: &ShardScan, parts: u64) -> Statistics {
    let part = |n: u64| Precision::Inexact(n.div_ceil(parts.max(1)) as usize);
    Statistics {
        num_rows: part(scan.estimated_rows),
        total_byte_size: part(scan.estimated_bytes),
        column_statistics: Statistics::unknown_column(&scan.schema),
    }
}
