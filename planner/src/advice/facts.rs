//! What is known of a table without reading it.

use std::sync::{Arc, OnceLock};

use kestrel_proto::{BucketMap, DatanodeId};

use super::storage_skew::{Candidate, Cause};
use crate::{
    catalog::{Catalog, ColumnDef, Distribution, TableDef},
    statistics::{ColumnStatistics, TableStatistics},
};

/// A table as of one catalog version.
#[derive(Debug)]
pub struct TableState {
    /// The table; of a partition, the one it is a partition of.
    pub table: Arc<TableDef>,
    /// What ANALYZE has found out.
    pub statistics: Option<Arc<TableStatistics>>,
    /// Rows as users count them: those of a replicated table once.
    pub rows: u64,
    /// Their bytes in memory, as Arrow.
    pub bytes: u64,
    /// Rows on each datanode, in the order of their ids.
    pub shards: Vec<u64>,
    /// Rows that have come, gone or changed since it was analyzed; of one that never was: all.
    pub changed: u64,
    /// Where rows would be by another key.
    pub bucket_map: Arc<BucketMap>,
    /// The keys that it could have; computed when somebody first asks.
    candidates: OnceLock<Arc<[Candidate]>>,
    /// Why its rows lie as they do; likewise.
    cause: OnceLock<Cause>,
}

impl TableState {
    /// What the catalog tells of a table.
    pub fn of(catalog: &Catalog, table: &Arc<TableDef>) -> Self {
        let partitions = match table.partitioned_by {
            Some(_) => catalog.partitions_below(table.id),
            None => Vec::new(),
        };
        let on = |datanode: DatanodeId| {
            let of_partitions = partitions.iter().map(|table| table.size_on(datanode).0);
            of_partitions.fold(table.size_on(datanode).0, u64::saturating_add)
        };
        let (rows, bytes) = catalog.live_size(table);
        Self {
            statistics: catalog.statistics_of(table.id).cloned(),
            rows,
            bytes,
            shards: catalog.datanode_ids().into_iter().map(on).collect(),
            changed: catalog.changed_since_analyzed(table),
            bucket_map: Arc::clone(&catalog.bucket_map),
            table: Arc::clone(table),
            candidates: OnceLock::new(),
            cause: OnceLock::new(),
        }
    }

    /// Takes over what was computed of the table as of another version, if only rows have come and gone
    /// since: that rests on statistics, and takes a millisecond.
    pub fn knowing(self, before: &Self) -> Self {
        let is_same = match (&self.statistics, &before.statistics) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let (now, then) = (&self.table, &before.table);
        let is_same = is_same
            && Arc::ptr_eq(&self.bucket_map, &before.bucket_map)
            && self.shards.len() == before.shards.len()
            && now.distribution == then.distribution
            && now.columns == then.columns
            && now.unique_sets().eq(then.unique_sets());
        if !is_same {
            return self;
        }
        Self { candidates: before.candidates.clone(), cause: before.cause.clone(), ..self }
    }

    /// What ANALYZE has found out about a column.
    pub fn column(&self, id: u32) -> Option<(&ColumnDef, &ColumnStatistics)> {
        let column = self.table.column_by_id(id)?;
        Some((column, self.statistics.as_ref()?.column(id)?))
    }

    /// The columns of its distribution key; empty unless it is hashed.
    pub fn key(&self) -> &[u32] {
        match &self.table.distribution {
            Distribution::Hash(columns) => columns,
            Distribution::Replicated | Distribution::Random => &[],
        }
    }

    /// The part of the datanodes' time that a scan leaves idle.
    pub fn idle(&self) -> f64 {
        idle_fraction(&self.shards)
    }

    /// The keys that it could have, with how evenly its rows would lie.
    pub(super) fn candidates(&self) -> &[Candidate] {
        self.candidates.get_or_init(|| super::storage_skew::candidates(self).into())
    }

    /// Why its rows lie unevenly, if they do.
    pub(super) fn cause(&self) -> &Cause {
        self.cause.get_or_init(|| Cause::of(self))
    }
}

/// 0 … 1: the part of the datanodes' time that a scan of the table leaves idle, waiting for the
/// fullest one: `Σ(max − rᵢ) / (max · n)` (Greenplum's `siffraction`).
pub fn idle_fraction(shards: &[u64]) -> f64 {
    let largest = shards.iter().copied().max().unwrap_or(0) as f64;
    if largest == 0.0 {
        return 0.0;
    }
    1.0 - mean(shards) / largest
}

/// How far rows on datanodes vary: the standard deviation of the sample, as a part of the mean
/// (Greenplum's `skccoeff` is 100 times that).
pub fn variation(shards: &[u64]) -> f64 {
    let mean = mean(shards);
    if shards.len() < 2 || mean == 0.0 {
        return 0.0;
    }
    let squares = shards.iter().map(|rows| (*rows as f64 - mean).powi(2)).sum::<f64>();
    (squares / (shards.len() - 1) as f64).sqrt() / mean
}

fn mean(shards: &[u64]) -> f64 {
    let rows = shards.iter().map(|rows| *rows as f64).sum::<f64>();
    rows / shards.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_variation_are_greenplums() {
        for (shards, idle, varies) in [
            (&[][..], 0.0, 0.0),
            (&[0, 0], 0.0, 0.0),
            (&[5, 5], 0.0, 0.0),
            (&[10, 0], 0.5, std::f64::consts::SQRT_2),
            (&[60, 30, 30], 1.0 / 3.0, 0.433),
            (&[7], 0.0, 0.0),
        ] {
            assert!((idle_fraction(shards) - idle).abs() < 1e-9, "{shards:?}");
            assert!((variation(shards) - varies).abs() < 1e-3, "{shards:?}");
        }
    }
}
