//! One table, or partition, whose rows are on their way: what is copied, and what takes its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kestrel_planner::{
    catalog::{Catalog, CatalogChange, Distribution, Segment, TableDef},
    redistribution::{SegmentKey, round, target},
};
use kestrel_proto::{DatanodeId, ErrorReport, Result};

/// So many rows' addresses are compared while one row is copied, or more.
const ADDRESSES_PER_ROW: u64 = 8;

/// Both definitions, and how far it is.
pub(super) struct MovedTable {
    pub(super) before: TableDef,
    pub(super) after: TableDef,
    /// Where the rows are to be, with the segments that were written, which nobody else sees.
    pub(super) target: Arc<TableDef>,
    /// The segments that were copied, with the delete vectors that they had then.
    pub(super) copied: BTreeMap<SegmentKey, Option<u64>>,
}

impl MovedTable {
    pub(super) fn new(before: &TableDef, after: &TableDef) -> Self {
        Self {
            before: before.clone(),
            after: after.clone(),
            target: Arc::new(target(after)),
            copied: BTreeMap::new(),
        }
    }

    /// The segments in which all rows are, each once: of a replicated table those of one copy.
    pub(super) fn readable(&self, view: &Catalog) -> Vec<Arc<Segment>> {
        let Some(now) = view.table_by_id(self.before.id) else { return Vec::new() };
        let copy = match self.before.distribution {
            Distribution::Replicated => view.datanode_ids().first().map(|id| id.0),
            Distribution::Hash(_) | Distribution::Random => None,
        };
        let is_read = |segment: &&Arc<Segment>| copy.is_none_or(|copy| segment.datanode == copy);
        now.segments.iter().filter(is_read).cloned().collect()
    }

    /// How many rows a round over what is there now would look at, about: those to copy, and those that
    /// are compared with their copies, of which only the addresses are read.
    pub(super) fn rows_left(&self, view: &Catalog) -> u64 {
        let there = self.readable(view);
        let round = round(&self.copied, &there);
        let rows = |keys: &[SegmentKey]| -> u64 {
            let keys: BTreeSet<_> = keys.iter().collect();
            let among = there.iter().filter(|s| keys.contains(&(s.datanode, s.id)));
            among.map(|segment| segment.live_rows()).sum()
        };
        rows(&round.new) + rows(&round.worn) / ADDRESSES_PER_ROW
    }

    /// What was written, and nobody else sees.
    pub(super) fn files(&self) -> Vec<(DatanodeId, String)> {
        self.target.segments.iter().flat_map(|segment| files_of(segment)).collect()
    }

    /// The change that puts the new segments in the place of those that are there.
    ///
    /// # Errors
    /// XX000: they have not the same number of rows.
    pub(super) fn replaced(&self, view: &Catalog) -> Result<CatalogChange> {
        let expected: u64 = self.readable(view).iter().map(|s| s.live_rows()).sum();
        check_rows(&self.after, &self.target.segments, expected, view)?;
        let old = view.table_by_id(self.before.id).map(|now| &now.segments[..]).unwrap_or_default();
        Ok(CatalogChange::ReplaceSegments {
            table: self.before.id,
            rewritten: old.iter().map(|segment| segment.rewritten()).collect(),
            segments: self.target.segments.iter().map(|s| s.as_ref().clone()).collect(),
        })
    }
}

/// A segment's files, where they are.
pub(super) fn files_of(segment: &Segment) -> Vec<(DatanodeId, String)> {
    let datanode = DatanodeId(segment.datanode);
    segment.files().map(|file| (datanode, file.name.to_string())).collect()
}

/// Whether segments of a table have so many rows that are not deleted; of a replicated one on each
/// datanode.
///
/// # Errors
/// XX000
pub(super) fn check_rows(
    table: &TableDef,
    segments: &[Arc<Segment>],
    expected: u64,
    view: &Catalog,
) -> Result<()> {
    let on = |datanode: Option<u32>| -> u64 {
        let here = segments.iter().filter(|s| datanode.is_none_or(|id| s.datanode == id));
        here.map(|segment| segment.live_rows()).sum()
    };
    let counts: Vec<u64> = match table.distribution {
        Distribution::Replicated => view.datanode_ids().iter().map(|id| on(Some(id.0))).collect(),
        Distribution::Hash(_) | Distribution::Random => vec![on(None)],
    };
    match counts.iter().find(|count| **count != expected) {
        None => Ok(()),
        Some(found) => Err(ErrorReport::internal(format!(
            "{found} rows of table \"{}\" were moved, and {expected} are there",
            table.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use kestrel_planner::catalog::DeleteVector;

    use super::*;

    fn segment(id: u64, rows: u64, deleted: Option<u64>) -> Segment {
        let vector =
            |rows| DeleteVector { id, file: format!("v{id}"), length: 1, rows, checksum: 0 };
        Segment {
            datanode: 1,
            id,
            kind: 0,
            file: format!("f{id}"),
            offset: 0,
            length: 1,
            rows,
            bytes: 1,
            zone_summary: Vec::new(),
            deletes: deleted.map(vector),
            checksum: 0,
        }
    }

    #[test]
    fn what_is_left_is_what_came_and_went() {
        let before = TableDef::new(20_000, ("public", "t"), vec![], Distribution::Random);
        let after = TableDef { distribution: Distribution::Replicated, ..before.clone() };
        let mut moved = MovedTable::new(&before, &after);
        let segments =
            vec![segment(1, 100, None), segment(2, 120, Some(40)), segment(3, 50, Some(5))];
        let created =
            Catalog::empty().apply(&[CatalogChange::CreateTable(before.clone())]).unwrap();
        let add = CatalogChange::AddSegments { table: before.id, segments };
        let view = created.apply(&[add]).unwrap();
        assert_eq!(moved.rows_left(&view), 225);
        // One as it is now, one before rows of it were deleted, and one that is there no longer.
        moved.copied = [((1, 1), None), ((1, 2), None), ((1, 4), None)].into();
        assert_eq!(moved.rows_left(&view), 45 + 80 / ADDRESSES_PER_ROW);
        assert_eq!(moved.rows_left(&created), 0);
        assert_eq!(moved.files(), []);
        Arc::make_mut(&mut moved.target).segments.push(Arc::new(segment(7, 9, Some(1))));
        let files = ["f7", "v7"].map(|file| (DatanodeId(1), file.to_string()));
        assert_eq!(moved.files(), files);
    }
}
