//! The statistics of tables in the catalog, and how far tables have changed since.

use std::sync::Arc;

use super::{Catalog, Distribution, ReplacedVector, Segment, TableDef};
use crate::statistics::TableStatistics;

impl Catalog {
    /// What ANALYZE has found out about a table. `None`: it never was analyzed, or was emptied since.
    pub fn statistics_of(&self, table: u64) -> Option<&Arc<TableStatistics>> {
        self.statistics.get(&table)
    }

    /// [`TableDef::changed_rows`]; of a partitioned table those of its partitions.
    pub fn changed_rows(&self, table: &TableDef) -> u64 {
        match table.partitioned_by {
            Some(_) => {
                let partitions = self.partitions_of(table.id).into_iter();
                partitions.fold(0, |sum, partition| sum.saturating_add(partition.changed_rows))
            }
            None => table.changed_rows,
        }
    }

    /// How many rows have come and gone since the table was analyzed; of one that never was: the rows
    /// it has.
    pub fn changed_since_analyzed(&self, table: &TableDef) -> u64 {
        match self.statistics_of(table.id) {
            Some(known) => self.changed_rows(table).saturating_sub(known.changed_rows),
            None => self.live_rows(table),
        }
    }

    /// Rows as users count them: those of a replicated table once, those of a partitioned table in
    /// its partitions.
    pub fn live_rows(&self, table: &TableDef) -> u64 {
        self.live_size(table).0
    }

    /// The same with bytes in memory, as Arrow.
    pub fn live_size(&self, table: &TableDef) -> (u64, u64) {
        let of_one = |table: &TableDef| {
            let on_each = self.datanode_ids().into_iter().map(|d| table.size_on(d));
            match table.distribution {
                Distribution::Replicated => on_each.max().unwrap_or_default(),
                Distribution::Hash(_) | Distribution::Random => on_each.fold((0, 0), add),
            }
        };
        match table.partitioned_by {
            Some(_) => {
                self.partitions_of(table.id).into_iter().map(|t| of_one(t)).fold((0, 0), add)
            }
            None => of_one(table),
        }
    }

    /// Nothing, if the table has been dropped. Columns that it has no more are left out.
    pub(super) fn set_statistics(&mut self, statistics: &TableStatistics) {
        let Some(table) = self.table_by_id(statistics.table) else { return };
        let mut statistics = statistics.clone();
        statistics.columns.retain(|id, _| table.column_by_id(*id).is_some());
        self.statistics.insert(statistics.table, Arc::new(statistics));
    }

    /// What is known of columns that are gone, or have another type, is known no more.
    pub(super) fn keep_statistics(&mut self, before: &TableDef, after: &TableDef) {
        let Some(statistics) = self.statistics.get_mut(&after.id) else { return };
        let kind = |table: &TableDef, id: u32| table.column_by_id(id).map(|c| c.sql_type.arrow());
        let is_same = |id: u32| {
            let now = kind(after, id);
            now.is_some() && now == kind(before, id)
        };
        let changes = |columns: &[u32]| columns.iter().any(|id| !is_same(*id));
        let of_group = |group: &crate::statistics::ColumnGroup| {
            let sets = group.distinct.iter().map(|set| &set.columns);
            let from = group.dependencies.iter().map(|dependency| &dependency.from);
            sets.chain(from).any(|columns| changes(columns))
        };
        let is_known = |id: u64| after.extended_statistics.iter().any(|known| known.id == id);
        let of_group =
            |group: &crate::statistics::ColumnGroup| !is_known(group.statistics) || of_group(group);
        let is_stale = statistics.columns.keys().any(|id| !is_same(*id))
            || statistics.groups.iter().any(|group| of_group(group));
        if is_stale {
            let statistics = Arc::make_mut(statistics);
            statistics.columns.retain(|id, _| is_same(*id));
            statistics.groups.retain(|group| !of_group(group));
        }
    }
}

impl TableDef {
    /// Segments come.
    pub(super) fn count_added(&mut self, segments: &[Segment]) {
        let counted = segments.iter().filter(|segment| self.counts(segment.datanode));
        let rows = counted.fold(0u64, |sum, segment| sum.saturating_add(segment.live_rows()));
        self.changed_rows = self.changed_rows.saturating_add(rows);
    }

    /// Rows go: before the vectors are replaced.
    pub(super) fn count_deleted(&mut self, vectors: &[ReplacedVector]) {
        let before = |vector: &ReplacedVector| {
            let at = (vector.datanode, vector.segment);
            let segment = self.segments.iter().find(|s| (s.datanode, s.id) == at);
            segment.and_then(|s| s.deletes.as_ref()).map_or(0, |deletes| deletes.rows)
        };
        let counted = vectors.iter().filter(|vector| self.counts(vector.datanode));
        let rows = counted.map(|vector| vector.after.rows.saturating_sub(before(vector)));
        let rows = rows.fold(0, u64::saturating_add);
        self.changed_rows = self.changed_rows.saturating_add(rows);
    }

    /// A datanode's database has so many more or fewer.
    pub(super) fn count_changed(&mut self, datanode: u32, rows: i64) {
        if self.counts(datanode) {
            self.changed_rows = self.changed_rows.saturating_add(rows.unsigned_abs());
        }
    }

    /// Every datanode has all rows of a replicated table: they are counted on the first.
    fn counts(&self, datanode: u32) -> bool {
        match self.distribution {
            Distribution::Replicated => datanode == 0,
            Distribution::Hash(_) | Distribution::Random => true,
        }
    }
}

fn add((rows, bytes): (u64, u64), (more_rows, more_bytes): (u64, u64)) -> (u64, u64) {
    (rows.saturating_add(more_rows), bytes.saturating_add(more_bytes))
}
