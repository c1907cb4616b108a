//! `kestrel.table_statistics`: what is known of each table's size, how old that is and how much has
//! changed since, and how evenly its rows lie on the datanodes.

use kestrel_planner::{
    catalog::{Catalog, TableDef},
    statistics::TableStatistics,
};
use kestrel_proto::DatanodeId;

use super::super::{
    SystemViewContext,
    rows::{Rows, row},
};

pub(in super::super) fn rows(context: &SystemViewContext) -> Rows {
    let mut rows = Rows::new(
        "schema_name, table_name, rows, live_rows, bytes, changed_rows, health, analyzed_at, \
         age_seconds, analyzed_columns, columns, shard_rows, idle_fraction",
    );
    let catalog = &context.catalog;
    for table in catalog.tables.values() {
        let known = catalog.statistics_of(table.id);
        let (live, bytes) = catalog.live_size(table);
        let changed = catalog.changed_since_analyzed(table);
        let analyzed = known.and_then(|known| known.last_analyzed_at_us());
        let analyzed = analyzed.and_then(chrono::DateTime::from_timestamp_micros);
        let columns = known.map_or(0, |known| known.columns.len());
        let shards = shard_rows(catalog, table);
        rows.push(row![
            &table.schema_name,
            &table.name,
            known.map(|known| known.rows),
            live,
            bytes,
            changed,
            known.map_or(0, |_| i64::from(TableStatistics::health(changed, live))),
            analyzed,
            analyzed.map(|at| (context.now - at).num_seconds().max(0)),
            columns,
            table.columns.len(),
            shards.iter().map(|rows| rows.cast_signed()).collect::<Vec<_>>(),
            idle_fraction(&shards),
        ]);
    }
    rows
}

/// In the order of the datanodes.
fn shard_rows(catalog: &Catalog, table: &TableDef) -> Vec<u64> {
    let partitions = match table.partitioned_by {
        Some(_) => catalog.partitions_below(table.id),
        None => Vec::new(),
    };
    let on = |datanode: DatanodeId| {
        let of_partitions = partitions.iter().map(|table| table.size_on(datanode).0);
        of_partitions.fold(table.size_on(datanode).0, u64::saturating_add)
    };
    catalog.datanode_ids().into_iter().map(on).collect()
}

/// 0 … 1: the part of the datanodes' time that a scan of the table leaves idle, waiting for the
/// fullest one (Greenplum's `siffraction`).
fn idle_fraction(shards: &[u64]) -> f64 {
    let largest = shards.iter().copied().max().unwrap_or(0) as f64;
    if largest == 0.0 {
        return 0.0;
    }
    let mean = shards.iter().map(|rows| *rows as f64).sum::<f64>() / shards.len() as f64;
    1.0 - mean / largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_what_the_fullest_has_more() {
        assert_eq!(idle_fraction(&[]), 0.0);
        assert_eq!(idle_fraction(&[0, 0]), 0.0);
        assert_eq!(idle_fraction(&[5, 5]), 0.0);
        assert_eq!(idle_fraction(&[10, 0]), 0.5);
    }
}
