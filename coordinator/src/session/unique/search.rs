//! Where a double key is looked for: segments, and the queries' texts.

use std::{collections::BTreeSet, sync::Arc};

use kestrel_planner::catalog::{Catalog, ColumnDef, Distribution, KeyDef, Segment, TableDef};

use super::zones::Zones;
use crate::session::rules::{qualified, quoted, with_table};

/// Datanode and id.
pub(in super::super) type SegmentKey = (u32, u64);

/// New rows of a table and those others that may have a key of theirs.
pub(super) struct Search<'a> {
    pub(super) table: &'a Arc<TableDef>,
    /// The columns of the key.
    pub(super) columns: Vec<&'a ColumnDef>,
    /// Their names.
    pub(super) names: Vec<&'a str>,
    pub(super) view: &'a Arc<Catalog>,
    pub(super) new: Vec<Arc<Segment>>,
    pub(super) others: Vec<Arc<Segment>>,
    /// Those that have new rows; of a replicated table one of them.
    datanodes: BTreeSet<u32>,
}

impl<'a> Search<'a> {
    /// `new`: the segments of the new rows.
    pub(super) fn of(
        table: &'a Arc<TableDef>,
        key: &KeyDef,
        view: &'a Arc<Catalog>,
        new: &[SegmentKey],
    ) -> Self {
        Self::with(table, key, view, &|segment| new.contains(&(segment.datanode, segment.id)))
    }

    /// All rows are new.
    pub(super) fn of_all(table: &'a Arc<TableDef>, key: &KeyDef, view: &'a Arc<Catalog>) -> Self {
        Self::with(table, key, view, &|_| true)
    }

    fn with(
        table: &'a Arc<TableDef>,
        key: &KeyDef,
        view: &'a Arc<Catalog>,
        is_new: &dyn Fn(&Segment) -> bool,
    ) -> Self {
        let live = table.segments.iter().filter(|segment| segment.live_rows() > 0);
        let (new, others): (Vec<_>, Vec<_>) = live.partition(|segment| is_new(segment));
        let mut new: Vec<_> = new.into_iter().cloned().collect();
        let mut datanodes: BTreeSet<u32> = new.iter().map(|segment| segment.datanode).collect();
        if table.distribution == Distribution::Replicated {
            // The copies are equal.
            datanodes = datanodes.into_iter().take(1).collect();
            new.retain(|segment| datanodes.contains(&segment.datanode));
        }
        let zones = |segment: &Segment| Zones::of(segment, &key.columns);
        let of_new: Vec<_> = new.iter().map(|segment| (segment.datanode, zones(segment))).collect();
        let may_meet = |other: &&Arc<Segment>| {
            let mut near = of_new.iter().filter(|(datanode, _)| *datanode == other.datanode);
            let mut known = None;
            near.any(|(_, new)| known.get_or_insert_with(|| zones(other)).may_meet(new))
        };
        // There may be many: only those that are wanted are kept.
        let others = others.into_iter().filter(may_meet).cloned().collect();
        let columns: Vec<_> = key.columns.iter().filter_map(|id| table.column_by_id(*id)).collect();
        let names = columns.iter().map(|column| column.name.as_str()).collect();
        Self { table, columns, names, view, new, others, datanodes }
    }

    /// How many columns the key has.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// The snapshot, in which the table has only these segments, and only the datanodes are there that
    /// have new rows.
    pub(super) fn view_of(&self, segments: &[Arc<Segment>]) -> Arc<Catalog> {
        let mut view = with_table(self.view, self.table.id, |table| {
            table.segments = segments.to_vec();
        });
        Arc::make_mut(&mut view).datanodes.retain(|d| self.datanodes.contains(&d.id));
        view
    }

    /// The texts of a key that two rows have.
    pub(super) fn grouped(&self, condition: Option<&str>) -> String {
        let columns = self.list(", ", |name| name.into());
        let texts = self.list(", ", |name| format!("{name}::text"));
        let present = self.list(" AND ", |name| format!("{name} IS NOT NULL"));
        let condition = condition.map(|c| format!(" AND {c}")).unwrap_or_default();
        format!(
            "SELECT {texts} FROM {} WHERE {present}{condition} GROUP BY {columns} \
             HAVING count(*) > 1 LIMIT 1",
            qualified(self.table)
        )
    }

    /// The key's columns, then their texts, of all rows.
    pub(super) fn keys_and_texts(&self, condition: Option<&str>) -> String {
        let columns = self.columns.iter().enumerate().map(|(at, column)| {
            let name = quoted(&column.name);
            [format!("{name} AS key{at}"), format!("{name}::text AS text{at}")]
        });
        let (keys, texts): (Vec<_>, Vec<_>) = columns.map(|[key, text]| (key, text)).unzip();
        let condition = condition.map(|c| format!(" WHERE {c}")).unwrap_or_default();
        format!(
            "SELECT {}, {} FROM {}{condition}",
            keys.join(", "),
            texts.join(", "),
            qualified(self.table)
        )
    }

    fn list(&self, separator: &str, text: impl Fn(&str) -> String) -> String {
        self.names.iter().map(|name| text(&quoted(name))).collect::<Vec<_>>().join(separator)
    }
}
