//! Files that the newest catalog no longer refers to.

use std::collections::BTreeMap;

use kestrel_planner::catalog::{Catalog, CatalogChange};
use kestrel_proto::DatanodeId;
use parking_lot::Mutex;

/// Files to remove, with the first catalog version that does without them. What a crash makes us
/// forget is found at the next start.
#[derive(Debug, Default)]
pub struct Garbage {
    files: Mutex<Vec<(u64, DatanodeId, String)>>,
}

impl Garbage {
    /// Notes what `changes` took away from `before`.
    pub fn note(&self, before: &Catalog, changes: &[CatalogChange], version: u64) {
        let emptied = changes.iter().filter_map(|change| match change {
            CatalogChange::DropTable(table) | CatalogChange::RemoveAllSegments { table } => {
                before.table_by_id(*table)
            }
            _ => None,
        });
        let segments = emptied.flat_map(|table| &table.segments);
        let mut files = self.files.lock();
        files.extend(segments.map(|s| (version, DatanodeId(s.datanode), s.file.clone())));
    }

    /// Notes the files of changes that no catalog version will ever have.
    pub fn note_undone(&self, changes: &[CatalogChange]) {
        let segments = changes.iter().filter_map(|change| match change {
            CatalogChange::AddSegments { segments, .. } => Some(segments),
            _ => None,
        });
        let segments = segments.flatten();
        self.files.lock().extend(segments.map(|s| (0, DatanodeId(s.datanode), s.file.clone())));
    }

    /// Takes the files that are not in any version that is read: `oldest_read` or later.
    pub fn take_older_than(&self, oldest_read: Option<u64>) -> BTreeMap<DatanodeId, Vec<String>> {
        let mut taken: BTreeMap<DatanodeId, Vec<String>> = BTreeMap::new();
        self.files.lock().retain(|(version, datanode, file)| {
            let still_read = oldest_read.is_some_and(|oldest| oldest < *version);
            if !still_read {
                taken.entry(*datanode).or_default().push(file.clone());
            }
            still_read
        });
        taken
    }
}
