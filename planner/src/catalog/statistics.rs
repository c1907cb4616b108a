//! The statistics of tables in the catalog, and how far tables have changed since.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Catalog, CatalogChange, Distribution, ReplacedVector, Segment, TableDef};
use crate::statistics::TableStatistics;

impl Catalog {
    /// What ANALYZE has found out about a table. `None`: it never was analyzed, or was emptied since.
    pub fn statistics_of(&self, table: u64) -> Option<&Arc<TableStatistics>> {
        self.statistics.get(&table)
    }

    /// [`TableDef::changed_rows`]; of a partitioned table with those of its partitions.
    pub fn changed_rows(&self, table: &TableDef) -> u64 {
        match table.partitioned_by {
            Some(_) => {
                let partitions = self.partitions_below(table.id).into_iter();
                partitions.fold(table.changed_rows, |sum, partition| {
                    sum.saturating_add(partition.changed_rows)
                })
            }
            None => table.changed_rows,
        }
    }

    /// A table goes, or stands alone from now on. If it was a partition, what was counted of it stays
    /// counted, and its rows have gone.
    pub(super) fn count_gone(&mut self, table: &TableDef) {
        let Some(Ok(key)) = table.parent_id().map(|parent| self.table_key(parent)) else { return };
        let rows = self.live_rows(table).saturating_add(table.changed_rows);
        if let Some(parent) = self.tables.get_mut(&key) {
            let parent = Arc::make_mut(parent);
            parent.changed_rows = parent.changed_rows.saturating_add(rows);
        }
    }

    /// Rows that a transaction has deleted and written anew, as UPDATE does, are changed once (as in
    /// PostgreSQL's `n_mod_since_analyze`): what has come and gone with these changes was counted as both.
    pub(super) fn count_updated(&mut self, before: &Self, changes: &[CatalogChange]) {
        let worn = changes.iter().filter_map(|change| match change {
            CatalogChange::ReplaceVectors { table, .. } => Some(*table),
            _ => None,
        });
        for table in worn.collect::<HashSet<_>>() {
            let added = changes.iter().filter_map(|change| match change {
                CatalogChange::AddSegments { table: of, segments } if *of == table => {
                    Some(segments)
                }
                _ => None,
            });
            let added: Vec<_> = added.flatten().collect();
            let Some(known) = self.table_by_id(table).filter(|_| !added.is_empty()) else {
                continue;
            };
            let counted = before.table_by_id(table).map_or(0, |table| table.changed_rows);
            let come = known.counted_rows(added);
            let gone = known.changed_rows.saturating_sub(counted).saturating_sub(come);
            let Ok(key) = self.table_key(table) else { continue };
            if let Some(table) = self.tables.get_mut(&key) {
                let table = Arc::make_mut(table);
                table.changed_rows = table.changed_rows.saturating_sub(come.min(gone));
            }
        }
    }

    /// How many rows have come, gone or changed since the table was analyzed; of one that never was: the rows
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
                let leaves = self.partitions_below(table.id).into_iter();
                leaves.map(|table| of_one(&table)).fold((0, 0), add)
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
        let rows = self.counted_rows(segments);
        self.changed_rows = self.changed_rows.saturating_add(rows);
    }

    fn counted_rows<'a>(&self, segments: impl IntoIterator<Item = &'a Segment>) -> u64 {
        let counted = segments.into_iter().filter(|segment| self.counts(segment.datanode));
        counted.fold(0u64, |sum, segment| sum.saturating_add(segment.live_rows()))
    }

    /// Rows go: before the vectors are replaced.
    pub(super) fn count_deleted(&mut self, vectors: &[ReplacedVector]) {
        // There may be many of both.
        let wanted: HashSet<_> = vectors.iter().map(|v| (v.datanode, v.segment)).collect();
        let known = self.segments.iter().map(|s| ((s.datanode, s.id), s));
        let known = known.filter(|(key, _)| wanted.contains(key));
        let known: HashMap<_, _> = known.collect();
        let before = |vector: &ReplacedVector| {
            let segment = known.get(&(vector.datanode, vector.segment));
            segment.and_then(|s| s.deletes.as_ref()).map_or(0, |deletes| deletes.rows)
        };
        let counted = vectors.iter().filter(|vector| self.counts(vector.datanode));
        let rows = counted.map(|vector| vector.after.rows.saturating_sub(before(vector)));
        let rows = rows.fold(0, u64::saturating_add);
        self.changed_rows = self.changed_rows.saturating_add(rows);
    }

    /// So many have come, gone or changed in a datanode's database.
    pub(super) fn count_changed(&mut self, datanode: u32, rows: u64) {
        if self.counts(datanode) {
            self.changed_rows = self.changed_rows.saturating_add(rows);
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

#[cfg(test)]
mod tests {
    use super::{
        super::{DatanodeDef, DeleteVector},
        *,
    };
    use crate::{
        ddl,
        parse::{StatementKind, parse},
        statistics::{ColumnGroup, ColumnStatistics, GroupDistinct},
    };

    fn after(catalog: &Catalog, sql: &str) -> Catalog {
        let mut catalog = catalog.clone();
        for statement in parse(sql).unwrap() {
            let StatementKind::Ddl(statement) = statement.kind else { panic!("{sql}") };
            let plan = ddl::plan(&statement, &catalog, &["public".to_string()]).unwrap();
            catalog = catalog.apply(&plan.changes).unwrap();
        }
        catalog
    }

    fn cluster(sql: &str) -> Catalog {
        let datanode = |id: u32| DatanodeDef {
            id,
            name: format!("dn{}", id + 1),
            uuid: String::new(),
            address: String::new(),
            shard_kind: "columnar".into(),
        };
        let datanodes = vec![datanode(0), datanode(1)];
        let change = CatalogChange::SetDatanodes { datanodes, bucket_map_version: 1 };
        after(&Catalog::empty().apply(&[change]).unwrap(), sql)
    }

    fn table<'a>(catalog: &'a Catalog, name: &str) -> &'a TableDef {
        catalog.table("public", name).unwrap()
    }

    fn segment(datanode: u32, id: u64, rows: u64) -> Segment {
        Segment {
            datanode,
            id,
            kind: 1,
            file: String::new(),
            offset: 0,
            length: 0,
            rows,
            bytes: rows,
            zone_summary: vec![],
            checksum: 0,
            deletes: None,
        }
    }

    fn with_rows(catalog: &Catalog, name: &str, segments: Vec<Segment>) -> Catalog {
        let table = table(catalog, name).id;
        catalog.apply(&[CatalogChange::AddSegments { table, segments }]).unwrap()
    }

    fn analyzed(catalog: &Catalog, name: &str) -> Catalog {
        let table = table(catalog, name);
        let column = |id| (id, Arc::new(ColumnStatistics::default()));
        let groups = table.extended_statistics.iter().map(|extended| {
            let set = GroupDistinct { columns: extended.columns.clone(), distinct: 1.0 };
            let group =
                ColumnGroup { statistics: extended.id, distinct: vec![set], dependencies: vec![] };
            Arc::new(group)
        });
        let statistics = TableStatistics {
            table: table.id,
            rows: catalog.live_rows(table),
            changed_rows: catalog.changed_rows(table),
            columns: table.columns.iter().map(|c| c.id).chain([99]).map(column).collect(),
            groups: groups.collect(),
            ..Default::default()
        };
        catalog.apply(&[CatalogChange::SetStatistics(Box::new(statistics))]).unwrap()
    }

    #[test]
    fn rows_that_come_and_go_are_counted() {
        let catalog = cluster("CREATE TABLE t (a int) DISTRIBUTED RANDOMLY");
        let catalog = with_rows(&catalog, "t", vec![segment(0, 1, 10), segment(1, 2, 5)]);
        assert_eq!(catalog.changed_since_analyzed(table(&catalog, "t")), 15);
        let catalog = analyzed(&catalog, "t");
        assert_eq!(catalog.changed_since_analyzed(table(&catalog, "t")), 0);
        let vector = |before: Option<u64>, rows| ReplacedVector {
            datanode: 0,
            segment: 1,
            before,
            after: DeleteVector { id: rows, file: String::new(), length: 0, rows, checksum: 0 },
        };
        let id = table(&catalog, "t").id;
        let delete = |vector| CatalogChange::ReplaceVectors { table: id, vectors: vec![vector] };
        let deletes = [delete(vector(None, 3)), delete(vector(Some(3), 4))];
        let catalog = catalog.apply(&deletes).unwrap();
        assert_eq!(catalog.changed_since_analyzed(table(&catalog, "t")), 4);
        assert_eq!(catalog.live_rows(table(&catalog, "t")), 11);
        // An UPDATE of two rows that inserts one more.
        let segments = vec![segment(1, 3, 3)];
        let update =
            [delete(vector(Some(4), 6)), CatalogChange::AddSegments { table: id, segments }];
        let catalog = catalog.apply(&update).unwrap();
        assert_eq!(catalog.changed_since_analyzed(table(&catalog, "t")), 7);
        assert_eq!(catalog.live_rows(table(&catalog, "t")), 12);
        let catalog = after(&catalog, "TRUNCATE t");
        assert!(catalog.statistics_of(id).is_none());
        assert_eq!(catalog.changed_since_analyzed(table(&catalog, "t")), 0);
    }

    #[test]
    fn a_replicated_tables_rows_count_once() {
        let catalog = cluster("CREATE TABLE r (a int) DISTRIBUTED REPLICATED");
        let catalog = with_rows(&catalog, "r", vec![segment(0, 1, 10), segment(1, 2, 10)]);
        assert_eq!(catalog.changed_rows(table(&catalog, "r")), 10);
        assert_eq!(catalog.live_size(table(&catalog, "r")), (10, 10));
    }

    #[test]
    fn what_databases_get_is_counted() {
        let catalog = cluster("CREATE TABLE t (a int) DISTRIBUTED BY (a)");
        let id = table(&catalog, "t").id;
        let count = |rows, updated| CatalogChange::CountShardRows {
            table: id,
            datanode: 1,
            rows,
            bytes: 8 * rows,
            updated,
        };
        let catalog = catalog.apply(&[count(10, 0), count(-2, 0), count(0, 3)]).unwrap();
        assert_eq!(catalog.changed_rows(table(&catalog, "t")), 15);
        assert_eq!(catalog.live_size(table(&catalog, "t")), (8, 64));
    }

    #[test]
    fn a_partitioned_tables_rows_are_its_partitions() {
        let catalog = cluster(
            "CREATE TABLE p (a int) PARTITION BY RANGE (a);
             CREATE TABLE q PARTITION OF p FOR VALUES FROM (0) TO (9)",
        );
        let catalog = with_rows(&catalog, "q", vec![segment(0, 1, 10)]);
        assert_eq!(catalog.live_rows(table(&catalog, "p")), 10);
        assert_eq!(catalog.changed_since_analyzed(table(&catalog, "p")), 10);
        let catalog = analyzed(&catalog, "p");
        assert_eq!(catalog.changed_since_analyzed(table(&catalog, "p")), 0);
        assert_eq!(catalog.changed_since_analyzed(table(&catalog, "q")), 10);
        for sql in ["DROP TABLE q", "ALTER TABLE p DETACH PARTITION q", "TRUNCATE q"] {
            let catalog = after(&catalog, sql);
            assert_eq!(catalog.changed_since_analyzed(table(&catalog, "p")), 10, "{sql}");
            let again = "CREATE TABLE r PARTITION OF p FOR VALUES FROM (10) TO (19)";
            let catalog = with_rows(&after(&catalog, again), "r", vec![segment(0, 2, 7)]);
            assert_eq!(catalog.changed_since_analyzed(table(&catalog, "p")), 17, "{sql}");
        }
    }

    #[test]
    fn statistics_go_where_their_columns_go() {
        let catalog = cluster(
            "CREATE TABLE t (a int, b int, c int) DISTRIBUTED BY (a);
             CREATE STATISTICS s ON a, b FROM t; CREATE STATISTICS u ON b, c FROM t",
        );
        let catalog = analyzed(&catalog, "t");
        let id = table(&catalog, "t").id;
        let known = |catalog: &Catalog| {
            let known = catalog.statistics_of(id).unwrap();
            (known.columns.keys().copied().collect::<Vec<_>>(), known.groups.len())
        };
        assert_eq!(known(&catalog), (vec![1, 2, 3], 2));
        let renamed = after(&catalog, "ALTER TABLE t RENAME TO v; ALTER TABLE v RENAME b TO d");
        assert_eq!(known(&renamed), (vec![1, 2, 3], 2));
        let altered = after(&catalog, "ALTER TABLE t DROP COLUMN c");
        assert_eq!(known(&altered), (vec![1, 2], 1));
        assert_eq!(table(&altered, "t").extended_statistics.len(), 1);
        let dropped = after(&catalog, "DROP STATISTICS s");
        assert_eq!(known(&dropped), (vec![1, 2, 3], 1));
        let gone = after(&catalog, "DROP TABLE t");
        assert!(gone.statistics.is_empty());
        let late = CatalogChange::SetStatistics(Box::new(TableStatistics {
            table: id,
            ..Default::default()
        }));
        assert!(gone.apply(&[late]).unwrap().statistics.is_empty());
    }
}
