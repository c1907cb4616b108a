//! Files that the newest catalog no longer refers to.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use kestrel_planner::catalog::{Catalog, CatalogChange, ReplacedVector, Segment};
use kestrel_proto::DatanodeId;
use parking_lot::Mutex;

/// Files to remove, with the first catalog version that does without them. What a crash makes us
/// forget is found at the next start.
#[derive(Debug, Default)]
pub struct Garbage {
    files: Mutex<BTreeMap<u64, Vec<(DatanodeId, String)>>>,
    /// Files that are read longer than by those who have them in their version: until nobody reads
    /// one before this.
    postponed: Mutex<BTreeMap<(DatanodeId, String), u64>>,
}

impl Garbage {
    /// Notes what `changes` took away from `before`, and what they added and took away again.
    pub fn note(&self, before: &Catalog, changes: &[CatalogChange], version: u64) {
        let mut added: BTreeMap<u64, Vec<&Segment>> = BTreeMap::new();
        // The newest vectors of segments, by their tables.
        let mut vectors: BTreeMap<u64, BTreeMap<(u32, u64), &str>> = BTreeMap::new();
        // A table may be emptied twice.
        let mut gone: BTreeSet<(u32, &str)> = BTreeSet::new();
        let old = |table: &u64| before.table_by_id(*table).map_or(&[][..], |t| &t.segments);
        for change in changes {
            match change {
                CatalogChange::AddSegments { table, segments } => {
                    added.entry(*table).or_default().extend(segments);
                }
                CatalogChange::ReplaceVectors { table, vectors: replaced } => {
                    let known = vectors.entry(*table).or_default();
                    let added = added.get(table).into_iter().flatten().copied();
                    let segments = added.chain(old(table).iter().map(Arc::as_ref));
                    let segments = among(segments, replaced);
                    for vector in replaced {
                        let key = (vector.datanode, vector.segment);
                        let segment = segments.get(&key).copied();
                        let first = segment.and_then(|segment| segment.deletes.as_ref());
                        let replaced = known.insert(key, &vector.after.file);
                        let replaced = replaced.or(first.map(|vector| vector.file.as_str()));
                        // All its rows are deleted.
                        let whole = segment.filter(|segment| segment.rows <= vector.after.rows);
                        let whole = whole.map(|s| [s.file.as_str(), vector.after.file.as_str()]);
                        let files = replaced.into_iter().chain(whole.into_iter().flatten());
                        gone.extend(files.map(|file| (vector.datanode, file)));
                    }
                }
                CatalogChange::ReplaceSegments { table, rewritten, segments } => {
                    let rewritten: BTreeSet<_> =
                        rewritten.iter().map(|r| (r.datanode, r.segment)).collect();
                    let is_old = |s: &&Segment| rewritten.contains(&(s.datanode, s.id));
                    let own = added.entry(*table).or_default();
                    let old = old(table).iter().map(Arc::as_ref).chain(own.iter().copied());
                    gone.extend(old.filter(is_old).flat_map(files));
                    own.retain(|segment| !is_old(segment));
                    own.extend(segments);
                    if let Some(vectors) = vectors.get_mut(table) {
                        let removed = vectors.extract_if(.., |key, _| rewritten.contains(key));
                        gone.extend(removed.map(|((node, _), file)| (node, file)));
                    }
                }
                CatalogChange::DropTable(table) | CatalogChange::RemoveAllSegments { table } => {
                    let old = old(table).iter().map(Arc::as_ref);
                    let segments = old.chain(added.remove(table).unwrap_or_default());
                    gone.extend(segments.flat_map(files));
                    let vectors = vectors.remove(table).unwrap_or_default();
                    gone.extend(vectors.into_iter().map(|((node, _), file)| (node, file)));
                }
                _ => {}
            }
        }
        let gone = gone.into_iter().map(|(node, file)| (DatanodeId(node), file.to_string()));
        self.note_files(gone, version);
    }

    /// Notes files that versions from this one on do without.
    pub fn note_files(&self, files: impl IntoIterator<Item = (DatanodeId, String)>, version: u64) {
        let mut files = files.into_iter().peekable();
        if files.peek().is_some() {
            self.files.lock().entry(version).or_default().extend(files);
        }
    }

    /// Whoever reads a version before this one may still need these files, also when its version does
    /// without them. They may be noted before or after that.
    pub fn postpone(&self, files: impl IntoIterator<Item = (DatanodeId, String)>, version: u64) {
        let mut postponed = self.postponed.lock();
        for file in files {
            let until = postponed.entry(file).or_default();
            *until = version.max(*until);
        }
    }

    /// Notes the files of changes that no catalog version will ever have.
    pub fn note_undone(&self, changes: &[CatalogChange]) {
        for change in changes {
            match change {
                CatalogChange::AddSegments { segments, .. }
                | CatalogChange::ReplaceSegments { segments, .. } => self.note_files(
                    segments
                        .iter()
                        .flat_map(files)
                        .map(|(node, file)| (DatanodeId(node), file.to_string())),
                    0,
                ),
                CatalogChange::ReplaceVectors { vectors, .. } => self.note_files(
                    vectors.iter().map(|v| (DatanodeId(v.datanode), v.after.file.clone())),
                    0,
                ),
                _ => {}
            }
        }
    }

    /// Takes the files that are not in any version that is read: `oldest_read` or later.
    pub fn take_older_than(&self, oldest_read: Option<u64>) -> BTreeMap<DatanodeId, Vec<String>> {
        let unread = {
            let mut files = self.files.lock();
            // Whoever reads a version reads none that is older than that.
            let read = oldest_read.map(|oldest| files.split_off(&oldest.saturating_add(1)));
            std::mem::replace(&mut *files, read.unwrap_or_default())
        };
        let mut postponed = self.postponed.lock();
        postponed.retain(|_, until| oldest_read.is_some_and(|oldest| oldest < *until));
        let mut taken: BTreeMap<DatanodeId, Vec<String>> = BTreeMap::new();
        for (datanode, file) in unread.into_values().flatten() {
            let file = (datanode, file);
            match postponed.get(&file) {
                Some(until) => self.files.lock().entry(*until).or_default().push(file),
                None => taken.entry(datanode).or_default().push(file.1),
            }
        }
        taken
    }
}

/// Those of the segments whose vectors are replaced. There may be many of both.
fn among<'a>(
    segments: impl Iterator<Item = &'a Segment>,
    replaced: &[ReplacedVector],
) -> HashMap<(u32, u64), &'a Segment> {
    let wanted: HashSet<_> = replaced.iter().map(|v| (v.datanode, v.segment)).collect();
    let keyed = segments.map(|segment| ((segment.datanode, segment.id), segment));
    keyed.filter(|(key, _)| wanted.contains(key)).collect()
}

/// All files of a segment, with their datanode.
fn files(segment: &Segment) -> impl Iterator<Item = (u32, &str)> {
    segment.files().map(|file| (segment.datanode, file.name))
}

#[cfg(test)]
mod tests {
    use kestrel_planner::catalog::{DeleteVector, Distribution, TableDef};

    use super::*;

    /// Its id follows from its file.
    fn segment(file: &str) -> Segment {
        Segment {
            datanode: 1,
            id: file.bytes().map(u64::from).sum(),
            kind: 0,
            file: file.into(),
            offset: 0,
            length: 1,
            rows: 10,
            bytes: 1,
            zone_summary: Vec::new(),
            deletes: None,
            checksum: 0,
        }
    }

    fn vector(file: &str) -> DeleteVector {
        DeleteVector { id: 1, file: file.into(), length: 1, rows: 1, checksum: 0 }
    }

    #[test]
    fn what_a_transaction_adds_and_removes_is_garbage() {
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

    #[test]
    fn what_a_move_needs_stays() {
        let file = |name: &str| (DatanodeId(1), name.to_string());
        let garbage = Garbage::default();
        garbage.note_files([file("v0"), file("w0")], 11);
        garbage.postpone([file("v0"), file("late")], 12);
        // Whoever committed 11 may say so late.
        garbage.note_files([file("late")], 11);
        let taken = |oldest| garbage.take_older_than(oldest).remove(&DatanodeId(1));
        assert_eq!(taken(Some(10)), None);
        assert_eq!(taken(Some(11)), Some(vec!["w0".into()]));
        assert_eq!(taken(Some(11)), None);
        assert_eq!(taken(Some(12)), Some(vec!["v0".into(), "late".into()]));
        garbage.postpone([file("x")], 14);
        garbage.note_files([file("x")], 13);
        assert_eq!(taken(None), Some(vec!["x".into()]));
        assert!(garbage.postponed.lock().is_empty());
    }

    #[test]
    fn replaced_vectors_are_garbage() {
        let table = TableDef {
            segments: vec![
                Arc::new(Segment { deletes: Some(vector("v0")), ..segment("a") }),
                Arc::new(segment("b")),
            ],
            ..table_def(7)
        };
        let before = Catalog::empty().apply(&[CatalogChange::CreateTable(table)]).unwrap();
        let replace_by = |segment_file: &str, file: &str, rows| CatalogChange::ReplaceVectors {
            table: 7,
            vectors: vec![ReplacedVector {
                datanode: 1,
                segment: segment(segment_file).id,
                before: None,
                after: DeleteVector { rows, ..vector(file) },
            }],
        };
        let replace = |segment_file: &str, file: &str| replace_by(segment_file, file, 1);
        let empty = CatalogChange::RemoveAllSegments { table: 7 };
        for (changes, expected) in [
            (vec![replace("a", "v1")], &["v0"][..]),
            (vec![replace("b", "v1")], &[]),
            (vec![replace("a", "v1"), replace("b", "v2"), replace("a", "v3")], &["v0", "v1"]),
            (vec![replace("b", "v1"), empty.clone()], &["a", "b", "v0", "v1"]),
            (vec![empty], &["a", "b", "v0"]),
            (vec![replace_by("a", "v1", 10)], &["a", "v0", "v1"]),
        ] {
            let garbage = Garbage::default();
            garbage.note(&before, &changes, 5);
            let files = garbage.take_older_than(Some(5)).remove(&DatanodeId(1));
            assert_eq!(files.unwrap_or_default(), expected, "{changes:?}");
        }
        let rewrite = CatalogChange::ReplaceSegments {
            table: 7,
            rewritten: vec![before.table_by_id(7).unwrap().segments[0].rewritten()],
            segments: vec![segment("c")],
        };
        let garbage = Garbage::default();
        garbage.note(&before, &[rewrite], 5);
        let files = garbage.take_older_than(Some(5)).remove(&DatanodeId(1));
        assert_eq!(files.unwrap_or_default(), ["a", "v0"]);
        let garbage = Garbage::default();
        garbage.note_undone(&[replace("a", "v1")]);
        assert_eq!(garbage.take_older_than(Some(1)).len(), 1);
    }

    fn table_def(id: u64) -> TableDef {
        TableDef::new(id, ("public", "t"), vec![], Distribution::Random)
    }
}
