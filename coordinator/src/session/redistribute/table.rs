//! One table, or partition, whose rows are on their way: what is copied, and what takes its place.

use std::{collections::BTreeMap, sync::Arc};

use kestrel_planner::{
    catalog::{Catalog, CatalogChange, Distribution, Segment, TableDef},
    redistribution::{SegmentKey, target},
};
use kestrel_proto::{ErrorReport, Result};

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
