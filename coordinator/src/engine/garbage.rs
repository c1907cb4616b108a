//! Files that the newest catalog no longer refers to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kestrel_planner::catalog::{Catalog, CatalogChange, Segment};
use kestrel_proto::DatanodeId;
use parking_lot::Mutex;

/// Files to remove, with the first catalog version that does without them. What a crash makes us
/// forget is found at the next start.
#[derive(Debug, Default)]
pub struct Garbage {
    files: Mutex<Vec<(u64, DatanodeId, String)>>,
}

impl Garbage {
    /// Notes what `changes` took away from `before`, and what they added and took away again.
    pub fn note(&self, before: &Catalog, changes: &[CatalogChange], version: u64) {
        let mut added: BTreeMap<u64, Vec<&Segment>> = BTreeMap::new();
        // A table may be emptied twice.
        let mut emptied: BTreeSet<(u32, &str)> = BTreeSet::new();
        for change in changes {
            match change {
                CatalogChange::AddSegments { table, segments } => {
                    added.entry(*table).or_default().extend(segments);
                }
                CatalogChange::DropTable(table) | CatalogChange::RemoveAllSegments { table } => {
                    let old = before.table_by_id(*table).into_iter();
                    let old = old.flat_map(|t| &t.segments).map(Arc::as_ref);
                    let gone = old.chain(added.remove(table).unwrap_or_default());
                    emptied.extend(gone.map(|s| (s.datanode, s.file.as_str())));
                }
                _ => {}
            }
        }
        let mut files = self.files.lock();
        let emptied = emptied.into_iter();
        files.extend(emptied.map(|(node, file)| (version, DatanodeId(node), file.to_string())));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_transaction_adds_and_removes_is_garbage() {
        let segment = |file: &str| Segment {
            datanode: 1,
            id: 1,
            kind: 0,
            file: file.into(),
            offset: 0,
            length: 1,
            rows: 1,
            bytes: 1,
            zone_summary: Vec::new(),
            delete_vector: 0,
            checksum: 0,
        };
        let add = |table, file| CatalogChange::AddSegments { table, segments: vec![segment(file)] };
        let changes = [
            add(7, "a"),
            CatalogChange::RemoveAllSegments { table: 7 },
            add(7, "b"),
            add(8, "c"),
            CatalogChange::DropTable(8),
        ];
        let garbage = Garbage::default();
        garbage.note(&Catalog::empty(), &changes, 5);
        assert!(garbage.take_older_than(Some(4)).is_empty());
        let files = garbage.take_older_than(Some(5));
        assert_eq!(files, [(DatanodeId(1), vec!["a".to_string(), "c".to_string()])].into());
    }
}
